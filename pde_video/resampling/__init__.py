"""Videos at other times, and in finer pixels."""
