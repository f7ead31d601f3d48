"""Clips, noise, methods of this library and of others, what is left of the noise, and tables of it."""

from pde_video.bench.measuring import Benchmark, Row, run

__all__ = ["Benchmark", "Row", "run"]
