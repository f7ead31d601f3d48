"""Offsets of rows and columns: measured where they are, subtracted, and not seen where the scene has lines."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from cases import marked_slow

import pde_video as pv
from pde_video.denoising.denoise import PRESETS
from pde_video.estimate.stripes import amplitude, offsets


def scene(frames: int = 5) -> Any:
    y, x = np.mgrid[:128, :160]
    return np.stack([128 + 40 * np.sin((x + k) / 9) * np.cos(y / 13) + 20 * ((x - y) > 8 * k) for k in range(frames)])


def white(shape: Any, sigma: float, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, sigma, shape)


def in_units(video: Any) -> Any:
    return np.clip(np.rint(video), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_amplitude_of_stripes_is_found(axis: int, fixed: bool) -> None:
    clean = scene()
    shape = [1 if fixed else len(clean), *clean.shape[1:]]
    shape[2 - axis] = 1
    frames = list(clean + white(clean.shape, 5) + white(shape, 6, 2))
    if fixed and axis == 0:  # Layers of the scene look the same.
        assert amplitude(frames, axis) == 0
    else:
        assert abs(amplitude(frames, axis) - 6) < 0.8
    assert amplitude(frames, 1 - axis) == 0


@pytest.mark.parametrize(("height", "width"), [(64, 72), (128, 160)])
def test_stripes_are_found_in_nearly_all_draws_however_few_lines_there_are(height: int, width: int) -> None:
    clean = scene()[:, :height, :width]
    drawn = [clean + white(clean.shape, 5, k) + white((1, 1, width), 6, 100 + k) for k in range(40)]
    found = [amplitude(list(video), 1) for video in drawn]
    assert sum(one > 0 for one in found) >= 38
    assert abs(np.mean(found) - 6) < 0.5
    assert not any(amplitude(list(video), 0) for video in drawn)


@pytest.mark.parametrize(("height", "width"), [(68, 80), (128, 160)])
@pytest.mark.parametrize("speed", [0, 1, 2])
@pytest.mark.parametrize("period", [2, 3, 4, 8, 20])
def test_blinds_bricks_and_woven_fields_are_no_stripes(period: int, speed: int, height: int, width: int) -> None:
    y, x = np.mgrid[:height, :width]
    for sigma in (0.0, 5.0):
        blinds = [128 + 40.0 * ((y + speed * k) % period < period / 2) for k in range(5)]
        bricks = [
            128 + 40.0 * (((y + speed * k) % 12 < 2) | ((x + 12 * ((y + speed * k) // 12 % 2)) % 24 < 2))
            for k in range(5)
        ]
        seen = scene()[:, :height, :width]
        woven = [np.where(y % 2, one, two) for one, two in zip(seen, seen[::-1], strict=True)]
        for frames in (blinds, bricks, woven):
            seen = list(np.stack(frames) + white((5, height, width), sigma))
            assert amplitude(seen, 0) == amplitude(seen, 1) == 0


@pytest.mark.parametrize("speed", [0, 1, 3])
@pytest.mark.parametrize("axis", [1, 2])
def test_layers_of_the_scene_are_no_rows(axis: int, speed: int) -> None:
    """Rows that are independent, as those of noise, but the same in all frames, still, panning or rolling."""
    layers = 128 + white((256, 1), 25, 9) + np.cumsum(white((256, 256), 0.5, 2), axis=1)
    frames = [np.roll(layers, -speed * k, axis=axis - 1) + white(layers.shape, 5, 10 + k) for k in range(5)]
    assert amplitude(frames, 0) == amplitude(frames, 1) == 0
    assert amplitude(frames[:1], 0) == 0  # One frame does not tell.
    new = [frame + white((256, 1), 25, 20 + k) for k, frame in enumerate(scene()[:, :1, :1] + white((5, 256, 256), 5))]
    assert abs(amplitude(new, 0) - 25) < 4


@pytest.mark.parametrize("speed", [-3, -2, -1, 1, 2, 3])
def test_upright_structure_that_moves_is_no_columns(speed: int) -> None:
    """Independent layers, and edges every 16 pixels, whose differences are not far from white in small frames."""
    y, x = np.mgrid[:96, :128]
    layers, edges = [128 + white((1, 128), 8, 9)] * 5, []
    for k in range(5):
        along = x + speed * k
        edges.append(128 + 50 * np.sin(along / 5) * np.cos(y / 7) + 20 * (along // 16 % 2))
        layers[k] = np.roll(layers[k], -speed * k, axis=1)
    for video in (layers, edges):
        assert amplitude([one + white((96, 128), 5, 10 + k) for k, one in enumerate(video)], 1) == 0


@pytest.mark.parametrize(("height", "width"), [(64, 72), (128, 160)])
def test_rows_that_are_new_are_found_in_nearly_all_draws(height: int, width: int) -> None:
    clean = scene()[:, :height, :width]
    drawn = [clean + white(clean.shape, 5, k) + white((5, height, 1), 6, 100 + k) for k in range(40)]
    assert sum(amplitude(list(video), 0) > 0 for video in drawn) >= 38


def test_columns_far_above_the_noise_are_a_bar_code() -> None:
    for deviation, seen in ((4.0, True), (9.0, True), (21.0, False)):  # The noise has 5.
        video = in_units(128 + white((5, 128, 160), 5) + white((1, 1, 160), deviation, 2))
        noise = pv.measure_noise(video)
        assert (noise.columns > 0) is seen
        assert noise.rows == 0
        rows = white((5, 128, 1), 6, 4)  # Are found all the same.
        assert pv.measure_noise(in_units(video + rows)).rows == pytest.approx(6, abs=1)


def test_offsets_are_the_minimum_of_their_energy() -> None:
    frame = scene(1)[0] + white((128, 1), 6, 2) + white((128, 160), 3)
    frame[64:] += 90  # An edge across the frame.
    found = offsets(frame, 0, 6.0)
    apart = np.diff(frame.reshape(128, 20, 8).mean(axis=2), axis=0)
    steps = np.median(apart, axis=1)
    scale = 1.5 * 1.4826 * np.median(np.abs(apart.T - steps))
    for _ in range(4):
        weights = (1 + ((apart.T - steps) / scale) ** 2) ** -2.0
        steps = np.average(apart.T, axis=0, weights=weights)
    edges = [0, 2, 5, 7, 10, 12, 15, 17, 20]
    parts = np.stack([np.median(apart[:, a:b], axis=1) for a, b in pairwise(edges)])
    error = np.median(parts.var(axis=0, ddof=1)) / 8
    weights = (np.abs(steps) < 5 * np.sqrt(2 * 36 + error)).astype(float)
    assert weights[63] == 0
    assert weights.sum() == 126
    gradient = np.diff(np.eye(128), axis=0)
    matrix = gradient.T @ (weights[:, np.newaxis] * gradient) + max(error / 36, 0.06) * np.eye(128)
    assert np.allclose(found, np.linalg.solve(matrix, gradient.T @ (weights * steps)), atol=1e-9)
    assert np.array_equal(found, offsets(np.ascontiguousarray(frame.T), 1, 6.0))


def test_shading_in_a_part_of_the_lines_is_no_offset() -> None:
    slope = np.cumsum(12 * np.sin(np.arange(128) / 5))[:, np.newaxis] * (np.arange(160) < 40)
    made = white((128, 1), 6, 2)
    left = offsets(100 + slope + made + white((128, 160), 10), 0, 6.0) - made[:, 0]
    assert left.std() < 2.6  # The median of single pixels: 3.2.


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_stripes_are_removed_and_reported(preset: str) -> None:
    clean = scene(6)
    for name, shape in (("rows", (6, 128, 1)), ("columns", (1, 1, 160))):
        video, report = in_units(clean + white(clean.shape, 10) + white(shape, 8, 2)), {}
        found = pv.denoise(video, preset=preset, report=report)
        residual = (found - clean).mean(axis=2 if name == "rows" else (0, 1))
        assert abs(report[name] - 8) < 1
        assert abs(report["sigma"] - 10) < 1
        assert residual.std() < 3  # Of 8: what varies slowly from line to line could be the scene's.
        assert {"rows", "columns"} & set(report) == {name}
        noise = pv.measure_noise(video)
        assert np.array_equal(pv.denoise(video, preset=preset, noise=noise), found)


def test_what_is_left_of_rows_is_in_the_spectrum() -> None:
    clean = scene(6)
    noise = pv.measure_noise(in_units(clean + white(clean.shape, 10) + white((6, 128, 1), 16, 2)))
    assert noise.spectra is not None
    down, across = np.reshape(noise.spectra[0], (8, 8))[[1, 0], [0, 1]]  # Slowly from row to row, and along them.
    assert down > 1.3 > across


def test_stripes_of_colour_and_of_small_frames() -> None:
    clean = np.stack([scene(6)] * 3, axis=-1)
    video = in_units(clean + white(clean.shape, 10) + white((6, 128, 1, 1), 8, 2))
    report: dict[str, Any] = {}
    pv.denoise(video, report=report)
    assert abs(report["rows"] - 8) < 1
    assert pv.measure_noise(video[:, :60]).rows == 0


def test_an_estimate_with_stripes_has_units_and_bounds() -> None:
    noise = pv.NoiseEstimate(0.0, 25.0, unit=255.0, rows=5.1, columns=2.55)
    assert noise.to_unit(1.0).rows == pytest.approx(0.02)
    assert noise.to_unit(1.0).columns == pytest.approx(0.01)
    assert pv.NoiseEstimate.from_json(noise.to_json()) == noise
    with pytest.raises(pv.ParameterError, match="rows is -1"):
        pv.NoiseEstimate(0.0, 25.0, rows=-1.0)
    with pytest.raises(pv.ParameterError, match="impulses is 2"):
        pv.NoiseEstimate(0.0, 25.0, impulses=2.0)
