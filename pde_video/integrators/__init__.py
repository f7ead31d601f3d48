"""The loop, the integrators and their times, records of what happened on the way."""
