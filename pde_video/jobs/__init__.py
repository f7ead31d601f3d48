"""A run from file to file as a value: done, tried, gone on with, done again, verified."""
