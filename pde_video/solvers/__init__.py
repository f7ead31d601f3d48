"""Solvers: implicit systems, fused explicit steps, shrinkage in a cosine basis, convolution."""
