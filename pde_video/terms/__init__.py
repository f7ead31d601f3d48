"""The equations: one a file, each with its rate, its stable step and its solve side by side."""
