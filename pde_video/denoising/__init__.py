"""The denoiser: along motion, recursive, by evolution, by a denoiser."""
