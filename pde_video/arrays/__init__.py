"""States as arrays: spacing and boundary on a grid, colour planes, dtypes."""
