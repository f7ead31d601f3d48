"""Measures without truth: what is kept from a method, their values for known errors, and the choice of strengths."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.bench import blind, ffmpeg, tables
from pde_video.bench.blind import Footage
from pde_video.bench.clips import Clip
from pde_video.bench.methods import OURS, Method
from pde_video.bench.scenarios import Noise
from pde_video.errors import ParameterError

SIGMA = 20


def panned(step: int = 1, frames: int = 16, side: int = 64) -> np.ndarray:
    """Return texture that moves to the right by whole pixels."""
    wide = gaussian_filter(np.random.default_rng(5).standard_normal((side, side + step * frames)), 1.5)
    wide = 0.5 + 0.15 * wide / wide.std()
    return np.stack([wide[:, step * k : step * k + side] for k in range(frames)]).astype(np.float32)


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    return Noise(f"white:sigma={SIGMA}").on(panned(), 1)[0]


@pytest.fixture(scope="module")
def footage(noisy) -> Footage:
    return Footage(noisy)


def truth(video: np.ndarray, of: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """Return the clean frames for those given, each found by its values, most of which are not masked."""
    places = [int(np.argmax([(frame == one).mean() for one in noisy])) for frame in video]
    return of[places]


def same(video: np.ndarray) -> np.ndarray:
    return video


def test_one_pixel_in_sixteen_is_masked_and_each_once_in_sixteen_frames(noisy, footage):
    given = []
    footage.masked(lambda video: given.append(video) or video)
    masked = given[0] != noisy
    assert (masked.mean(axis=(1, 2)) == 1 / 16).all()
    assert (masked.sum(axis=0) == 1).all()
    frame, row, column = np.argwhere(masked[:, 1:-1, 1:-1])[7] + [0, 1, 1]
    beside = noisy[frame, [row - 1, row + 1, row, row], [column, column, column - 1, column + 1]]
    assert given[0][frame, row, column] == pytest.approx(beside.mean(), rel=1e-6)


def test_masked_pixels_of_colour_are_masked_in_all_channels():
    noisy = np.stack([panned(), panned()[::-1], 1 - panned()], axis=-1)
    given = []
    Footage(noisy).masked(lambda video: given.append(video) or video)
    masked = given[0] != noisy
    assert (masked == masked[..., :1]).all()
    assert masked.mean() == 1 / 16


def test_what_is_masked_counts_error_and_noise(noisy, footage):
    """Truth leaves the noise, σ²; the mean of four neighbours, of flat frames, σ² + σ²/4."""
    known = footage.masked(partial(truth, of=panned(), noisy=noisy))
    count = noisy.size / 16
    assert known == pytest.approx(SIGMA**2, rel=4 * np.sqrt(2 / count))
    flat = Noise(f"white:sigma={SIGMA}").on(np.full((16, 64, 64), 0.5, np.float32), 1)[0]
    assert Footage(flat).masked(same) == pytest.approx(1.25 * SIGMA**2, rel=6 * np.sqrt(2 / count))


def test_frames_are_held_out_and_the_rest_is_given_in_order(noisy, footage):
    given = []
    footage.held_out(lambda video: given.append(video) or video)
    np.testing.assert_array_equal(given[0], np.delete(noisy, [2, 6, 10, 14], axis=0))


def test_what_is_held_out_counts_error_and_noise(noisy, footage):
    """Noise that a method leaves is independent of that of the held-out frame: it adds its variance."""
    known = partial(truth, of=panned(), noisy=noisy)
    least = footage.held_out(known)
    assert 0.5 * SIGMA**2 < least < 1.1 * SIGMA**2  # Interpolation takes a part of the held-out frame's noise.
    # Two frames in three are beside one that is held out; 4 % is four standard deviations of their mean squares.
    assert footage.held_out(same) - least == pytest.approx(SIGMA**2, rel=0.1)
    shifted = footage.held_out(lambda video: known(video) + np.float32(10 / 255))
    assert shifted - least == pytest.approx(100, rel=0.1)


def test_the_held_out_frame_is_followed_along_the_motion():
    clip, _ = Noise("white:sigma=1").on(panned(step=2), 1)
    assert Footage(clip).held_out(same) < 0.05 * 255**2 * np.mean(np.square(clip[1:] - clip[:-1]))


def test_what_leaves_the_picture_is_not_compared(monkeypatch):
    """Where texture enters at the edge, the frame before shows nothing of it: with all pixels the error is larger."""
    clip, _ = Noise("white:sigma=1").on(panned(step=2), 1)
    compared = Footage(clip).held_out(same)
    monkeypatch.setattr(blind, "occluded", lambda forward, backward: np.zeros(forward.shape[1:], bool))
    assert compared < 0.8 * Footage(clip).held_out(same)


def test_next_to_nothing_is_compared_across_a_scene_cut():
    """No flow there leads back."""
    first, second = panned(), 0.7 * panned()[:, ::-1, ::-1]
    cut = np.concatenate([first[:7], second[7:]])  # Between the held-out frame 6 and frame 7.
    cut, _ = Noise("white:sigma=1").on(cut, 1)
    assert Footage(cut).held_out(same) < 0.005 * 255**2 * np.mean(np.square(cut[7] - cut[6]))


def blurred(radius: float, video: np.ndarray) -> np.ndarray:
    return gaussian_filter(video, (0, radius, radius)) if radius else video


@pytest.mark.parametrize("scenario", ["white", "blurred:radius=0.7"])
def test_held_out_frames_choose_the_strength_of_the_truth_also_where_neighbours_share_noise(scenario):
    clean = panned()
    noisy, _ = Noise(scenario).on(clean, 1)
    footage, radii = Footage(noisy), (0, 0.5, 0.8, 1.2, 1.7, 2.5, 4)
    error = [float(np.mean(np.square(blurred(radius, noisy) - clean))) for radius in radii]
    held_out = [footage.held_out(partial(blurred, radius)) for radius in radii]
    masked = [footage.masked(partial(blurred, radius)) for radius in radii]
    best = int(np.argmin(error))
    assert 0 < best < len(radii) - 1
    assert np.argmin(held_out) == best
    assert np.argsort(held_out).tolist() == np.argsort(error).tolist()
    # Correlated noise breaks J-invariance: neighbours predict noise, and leaving it looks best.
    assert (np.argmin(masked) >= best) == (scenario == "white")


def test_clips_too_short_are_refused():
    with pytest.raises(ParameterError, match="3 frames"):
        Footage(panned()[:3])
    assert np.isfinite(Footage(panned()[:4]).held_out(same))


@pytest.fixture
def found(noisy, monkeypatch):
    def smooth(video, radius):
        return blurred(radius, video)

    def broken(video, strength):
        raise ValueError("it broke")

    methods = [
        Method("same", OURS, same),
        Method("smooth", "numpy", smooth, tuple(np.array([0.2, 0.8, 1.2, 4]) / SIGMA), "radius", white=255),
        Method("slow", "numpy", smooth, (0.06, 4), "radius", white=255, slow=True),
        Method("broken", "numpy", broken, (1.0,), "s"),
        Method("absent", "no_such_package", same, (1.0,), "s"),
    ]
    monkeypatch.setattr(blind, "_level", lambda noisy: SIGMA / 255)
    return blind.run([Clip("panned", noisy, "made up")], methods)


def test_peers_have_the_strength_with_the_least_error_on_held_out_frames(found, noisy, footage):
    smooth = next(row for row in found.rows if row.method == "smooth")
    held_out = {radius: footage.held_out(partial(blurred, radius)) for radius in (0.2, 0.8, 1.2, 4)}
    best = min(held_out, key=lambda radius: held_out[radius])
    assert smooth.strength == f"radius = {best:g}"
    assert smooth.held_out == pytest.approx(held_out[best], rel=1e-5)
    assert smooth.masked == pytest.approx(footage.masked(partial(blurred, best)), rel=1e-5)
    assert next(row for row in found.rows if row.method == "slow").strength == "radius = 1.2"
    assert smooth.ms_per_frame > 0
    assert [row.method for row in found.rows] == ["noisy clip", "same", "smooth", "slow"]
    noisy_row, unchanged = found.rows[:2]
    assert (noisy_row.held_out, noisy_row.masked) == (unchanged.held_out, unchanged.masked)
    notes = "\n".join(found.notes)
    assert "broken: failed on panned, footage as it is: it broke" in notes
    assert "absent: not measured" in notes


def test_the_level_is_that_of_the_noise():
    white = Noise(f"white:sigma={SIGMA}").on(np.full((6, 64, 64), 0.4, np.float32), 1)[0]
    assert 255 * blind._level(white) == pytest.approx(SIGMA, rel=0.03)
    ramp = np.broadcast_to(np.linspace(0.1, 0.7, 64, dtype=np.float32), (6, 64, 64))
    photons = Noise("poisson:peak=20").on(ramp, 1)[0]
    assert blind._level(photons) == pytest.approx(np.sqrt(0.4 / 20), rel=0.1)


def test_tables_say_what_the_measures_are_and_where_they_fail(found, tmp_path):
    paths = [tmp_path / f"table{ending}" for ending in (".md", ".csv", ".json", ".tex")]
    tables.write(found, paths, force=False)
    markdown, comma, text, latex = (path.read_text(encoding="utf-8") for path in paths)
    row = found.rows[2]
    assert f"| panned | smooth | {row.held_out:.2f} | {row.masked:.2f} | {row.ms_per_frame:.1f} |" in markdown
    assert "PSNR" not in markdown
    assert "Where peers win" not in markdown
    for told in ("Lower is better", "only on the same clip", "neighbouring pixels do not share"):
        assert told in markdown.replace("\n", " ")
    averages = {one["method"]: one for one in json.loads(text)["means"]}
    assert averages["smooth"]["held_out"] == {"mean": row.held_out, "deviation": None}
    assert "psnr" not in averages["smooth"]
    assert f"{row.masked!r}" in comma
    assert "held-out frames & masked pixels" in latex


def test_the_command_measures_a_noisy_file_and_adds_nothing(call, noisy, tmp_path, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *arguments: None)
    monkeypatch.setattr(ffmpeg, "lacks", lambda name: "taken away")
    pv.write(tmp_path / "in.npy", noisy[:8])
    monkeypatch.setattr(blind, "_level", lambda noisy: pytest.fail("no peer was chosen"))
    command = ("bench", "--blind", tmp_path / "in.npy", "--frames", "0:8", "--method", "denoise, heat")
    code, out, _ = call(*command, "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert [row["method"] for row in rows] == ["noisy clip", "denoise, heat"]
    assert rows[1]["held_out"] < rows[0]["held_out"]
    assert rows[0]["held_out"] == Footage(noisy[:8]).held_out(same)
    for wrong in (("--sigma", "20"), ("--noise", "white"), ("--peak", "10"), ("--clipped",)):
        code, out, err = call(*command, *wrong)
        assert (code, out) == (2, "")
        assert "--blind adds no noise" in err
    assert call("bench", "--blind")[0] == 2
