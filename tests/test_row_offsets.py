"""Offsets of rows that are new in every frame: told along the motion, where the scene is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.denoising.row_offsets import Link, Rows, common, linked, rows_of
from pde_video.estimate.stripes import ROUGHEST
from pde_video.motion.noisy_flow import pyramid

SIZE = (112, 160)


def scene(frames: int, speed: int = 2) -> Any:
    """A texture under shading that rises."""
    ground = 128 + 200 * gaussian_filter(np.random.default_rng(3).standard_normal((SIZE[0] + 80, SIZE[1])), 3)
    return np.stack([ground[speed * k : speed * k + SIZE[0]] for k in range(frames)])


def noisy(clean: Any, fixed: bool = False) -> Any:
    rng = np.random.default_rng(1)
    offsets = 8 * rng.standard_normal((1 if fixed else len(clean), SIZE[0], *[1] * (clean.ndim - 2)))
    return np.clip(np.rint(clean + 10 * rng.standard_normal(clean.shape) + offsets), 0, 255).astype(np.uint8)


def still(rows: Any) -> Link:
    return Link(np.zeros((2, len(rows), 24), np.float32), rows)


def test_rows_become_as_high_as_the_mean(rng: Any) -> None:
    higher = rng.standard_normal((4, 30))
    none = [Rows(np.zeros((30, 24)), np.zeros(30))] * 5
    light = common(none, [still(one) for one in higher])
    assert np.allclose(light.offset, higher.sum(axis=0) / 5)
    assert (light.gain == 1).all()
    assert (common(none[:1], []).offset == 0).all()


def test_what_was_taken_from_the_scene_is_given_back(rng: Any) -> None:
    found = rng.standard_normal((9, 60))
    offset = common([Rows(np.zeros((60, 24)), one) for one in found], [still(np.zeros(60))] * 8).offset
    apart, together = (
        np.mean([np.mean(np.diff(a)[1:] * np.diff(a)[:-1]) for a in b]) for b in (found, [found.mean(0)])
    )
    n = np.clip(apart / together, 1, 9)
    assert n > 5
    gradient = np.diff(np.eye(60), axis=0) / 2
    back = np.linalg.solve(n * ROUGHEST * np.eye(60) + gradient.T @ gradient, (n - 1) * ROUGHEST * found.mean(0))
    assert np.allclose(offset, back - back.mean())
    always = common([Rows(np.zeros((60, 24)), found[0])] * 9, [still(np.zeros(60))] * 8).offset
    assert np.allclose(always, 0)  # A fixed pattern would come back.


@pytest.mark.parametrize("speed", [0, 2, 6])
def test_offsets_are_told_along_the_motion(speed: int, rng: Any) -> None:
    planes = scene(2, speed)[:, np.newaxis] / 10 + rng.standard_normal((2, 1, *SIZE))
    smooth = [gaussian_filter(one[0], 1)[::2, ::2] for one in planes]
    made = gaussian_filter(rng.standard_normal(SIZE[0]), 3) * 2
    made -= made.mean()
    planes[0] -= made[:, np.newaxis]
    smooth[0] = smooth[0] - made[::2, np.newaxis]
    removed = rng.standard_normal((2, SIZE[0]))
    here, there = (rows_of(one.astype(np.float32), rows) for one, rows in zip(planes, removed, strict=True))
    found = linked(pyramid(smooth[0]), here, pyramid(smooth[1]), there, 20.0)
    assert found.rows is not None
    inner = slice(6, -6)
    error = (found.rows - made.reshape(-1, 2).mean(axis=1))[inner]
    assert error.std() < 0.35 * made.std()
    assert abs(np.median(found.flow[0][inner, inner]) + speed / 2) < 0.2
    fixed = linked(pyramid(smooth[0]), here, pyramid(smooth[1]), there._replace(found=here.found), 20.0)
    assert fixed.rows is not None
    assert (fixed.rows == 0).all()


@pytest.mark.parametrize("colours", [(3,), *slow((), (2,))])
def test_offsets_average_out(colours: tuple[int, ...]) -> None:
    clean = scene(9)
    clean = clean if not colours else np.stack([clean] * colours[0], axis=-1)
    report: dict[str, Any] = {}
    found = pv.denoise(noisy(clean), report=report)
    left = (found - clean).reshape(*clean.shape[:3], -1).mean(axis=(2, 3))
    assert left.std() < 1.55  # Of 8; 1.7 to 1.8 where rows are compared as they are, 2.4 to 2.8 without all this.
    assert pv.psnr(clean / 255, found / 255) > 40.2
    assert report["relit"] <= 1  # Offsets are no changes of light.


@pytest.mark.slow
def test_pieces_and_threads() -> None:
    video = noisy(scene(16))
    noise = pv.measure_noise(video)
    assert noise.rows > 0
    whole = pv.denoise(video, noise=noise)
    assert np.array_equal(pv.denoise(video[2:], noise=noise)[6:], whole[8:])
    assert np.array_equal(pv.denoise(video[:12], noise=noise)[:6], whole[:6])
    before = pv.num_threads()
    try:
        pv.set_num_threads(1)
        assert np.array_equal(pv.denoise(video, noise=noise), whole)
    finally:
        pv.set_num_threads(before)
