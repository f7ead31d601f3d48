"""What is mended in each frame before anything else looks at it: outliers."""

from dataclasses import dataclass

from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.estimate.outliers import LIKELY, SURE, Rule, without_outliers
from pde_video.estimate.stabiliser import Stabiliser
from pde_video.protocols import Array


@dataclass(frozen=True)
class Repair:
    """The mending of frames whose noise `model` makes uniform."""

    model: Stabiliser
    outliers: Rule | None = None

    def __call__(self, frame: Array) -> tuple[Array, Array | None]:
        """Return a frame (H, W, C) mended, and the pixels (H, W) that were replaced, if any are looked for."""
        if self.outliers is None:
            return frame, None
        return without_outliers(frame, self.model.forward(frame), self.outliers)


def repair_of(estimate: NoiseEstimate, model: Stabiliser) -> Repair:
    """Return the repair that an estimate asks for."""
    return Repair(model, LIKELY if estimate.impulses else SURE if estimate.hot else None)
