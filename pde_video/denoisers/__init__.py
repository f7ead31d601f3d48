"""Estimates of the clean picture: equations, networks, and models of diffusion processes, as (y, sigma) → estimate."""
