"""Compiled loops. A state is a C-contiguous array (C, N0, N1, N2); unused leading axes have length 1."""
