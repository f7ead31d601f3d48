"""Videos at other times, and of other sizes."""
