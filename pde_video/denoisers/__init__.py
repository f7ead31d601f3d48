"""Denoisers: adapters of models, a PDE as a denoiser, the network of the library."""
