"""Work on files as a whole: run, resume, repeat, verify."""
