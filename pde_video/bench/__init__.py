"""Comparison of denoisers: clips, noise, methods of this library and of others, measurements and tables."""
