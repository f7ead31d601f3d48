"""Estimates of parameters: noise, contrast, stopping time, scene cuts."""

from pde_video.estimate.contrast import estimate_kappa
from pde_video.estimate.noise import estimate_noise, estimate_poisson_gaussian, estimate_sigma
from pde_video.estimate.scene import is_scene_cut
from pde_video.estimate.stopping import StoppingTime, stopping_time

__all__ = [
    "StoppingTime",
    "estimate_kappa",
    "estimate_noise",
    "estimate_poisson_gaussian",
    "estimate_sigma",
    "is_scene_cut",
    "stopping_time",
]
