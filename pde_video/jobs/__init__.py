"""A run from file to file as a value: done, tried, done again, verified."""
