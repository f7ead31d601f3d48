"""Runs from file to file as values: run, dry run, resume, rerun, verify."""
