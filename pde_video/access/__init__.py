"""Files that others may have put there: who can write them, and how they are opened."""
