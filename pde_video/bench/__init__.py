"""Comparison of denoisers: clips, noise, methods of this library and of others, measurements and tables."""

from pde_video.bench.measuring import Benchmark, Row, run

__all__ = ["Benchmark", "Row", "run"]
