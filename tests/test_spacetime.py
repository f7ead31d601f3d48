"""A stream in space and time equals the evolution of the whole array."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from cases import marked_slow

import pde_video as pv
from pde_video.estimate.scene import is_cut_not_motion, is_scene_cut
from pde_video.motion.noisy_flow import pyramid

TERMS = {
    "heat": pv.Heat(0.8, spacing=(2.0, 1.0, 1.0)),
    "perona-malik": pv.PeronaMalik(0.3, "rational", temporal_kappa=0.1, spacing=(1.5, 1.0, 1.0)),
    "smoothed": pv.PeronaMalik(0.3, smoothing=0.7),
    "total variation": pv.TotalVariation(0.5),
}


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 8, 9, 16, 17, 40])
def test_a_stream_equals_the_array_bit_for_bit(name, frames, rng):
    video = rng.random((frames, 5, 6, 2)).astype(np.float32)
    term, times = TERMS[name], pv.uniform(4 * TERMS[name].stable_dt(3))
    expected = pv.evolve(term, video, times, channel_axis=-1)
    np.testing.assert_array_equal(pv.spacetime(term, times, cuts=[])(video), expected)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_the_reach_is_how_far_a_rate_looks(name, ndim, rng):
    term = replace(TERMS[name], spacing=1.0, **({"temporal_kappa": None} if name == "perona-malik" else {}))
    y = rng.random((1, *(13,) * ndim))
    other = y.copy()
    other[(0, *(6,) * ndim)] += 0.3
    cells = np.argwhere((term.rate(0.0, other) != term.rate(0.0, y))[0])
    assert np.abs(cells - 6).max() == term.reach(ndim)


def test_five_hundred_frames(rng):
    video = rng.random((500, 12, 13)).astype(np.float32)
    term = TERMS["perona-malik"]
    expected = pv.evolve(term, video, pv.uniform(1.0))
    stream = pv.spacetime(term, pv.uniform(1.0), cuts=[])(frame for frame in video)
    np.testing.assert_array_equal(np.stack(list(stream)), expected)


def test_frames_held_do_not_grow_with_the_video():
    drawn, ahead = 0, []

    def camera():
        nonlocal drawn
        for _ in range(600):
            drawn += 1
            yield np.zeros((4, 4), np.float32)

    for given, _ in enumerate(pv.spacetime(pv.Heat(), pv.uniform(1.0), cuts=[])(camera())):
        ahead.append(drawn - given)
    assert max(ahead[:300]) == max(ahead[300:])
    assert max(ahead) <= 6 * (8 + 2) + 8  # Six steps, each with its block and a frame on either side.


def test_nothing_flows_across_a_cut(rng):
    one, two = rng.random((2, 9, 6, 7)).astype(np.float32)
    video = np.concatenate([one, two])
    term, times = TERMS["perona-malik"], pv.uniform(1.0)
    apart = np.concatenate([pv.evolve(term, scene, times) for scene in (one, two)])
    np.testing.assert_array_equal(pv.spacetime(term, times, cuts=[9])(video), apart)


def test_cuts_are_found_in_real_films_and_reported(real_frames):
    bunny, bikes = (pv.to_gray(real_frames[name])[:, :272] for name in ("bigbuckbunny", "bikes"))
    film = pv.gaussian_noise(np.concatenate([bunny, bikes, bunny]), 20.0)
    report = {}
    pv.spacetime(pv.Heat(), pv.uniform(0.1))(film, report=report)
    assert report["cuts"] == [3, 6]


# Looked at frame by frame: the film of the bicycles is edited, the two others are single shots.
CUTS = {"bikes": [30, 76, 137, 187, 242], "bigbuckbunny": [], "carphone_pristine": []}


@pytest.mark.parametrize("name", marked_slow(CUTS, "bigbuckbunny", "bikes"))
def test_the_cuts_of_the_clips_are_found_and_no_others(name, clips):
    pairs = enumerate(pairwise(pv.read(clips[name])), start=1)
    assert [i for i, (before, after) in pairs if is_scene_cut(before, after)] == CUTS[name]
    seen = [pyramid(pv.to_gray(one[None].astype(np.float32))[0] / 20) for one in pv.read(clips[name])]
    assert [i for i, pair in enumerate(pairwise(seen), start=1) if is_cut_not_motion(*pair, sigma=0.1)] == CUTS[name]


@pytest.mark.parametrize(
    ("before", "after", "cut"),
    [
        (np.zeros((8, 8)), np.zeros((8, 8)), False),
        (np.full((8, 8), 0.2), np.full((8, 8), 0.9), True),
        (np.full((8, 8), 0.9), np.full((8, 8), 0.2), True),
        (np.eye(8), np.eye(8) + 0.3, False),
        (np.eye(8), np.eye(8)[::-1], True),
    ],
)
def test_flat_and_simple_frames(before, after, cut):
    assert is_scene_cut(before, after) is cut


@pytest.mark.parametrize("shape", [(48, 64), (50, 70, 3), (5, 9)], ids=str)
def test_noise_on_a_flat_ground_is_no_cut(shape):
    rng = np.random.default_rng(0)
    noise = [0.5 + rng.normal(0, 0.1, shape) for _ in range(40)]
    assert sum(is_scene_cut(*pair) for pair in pairwise(noise)) > 30  # Unless it is known.
    assert not any(is_scene_cut(*pair, sigma=0.1) for pair in pairwise(noise))
    assert all(is_scene_cut(a, b + 0.4, sigma=0.1) for a, b in pairwise(noise))


def test_cuts_are_told_from_motion(real_frames, rng):
    frames = {name: pv.to_gray(some)[0].astype(float) for name, some in real_frames.items()}

    def is_cut(before, after):
        noise = rng.standard_normal((2, *before.shape))
        seen = [pyramid(one / 20 + 0.3 * n) for one, n in zip((before, after), noise, strict=True)]
        return is_cut_not_motion(*seen, sigma=0.5)

    parts = [frame[:120, :160] for frame in frames.values()]
    assert all(is_cut(*pair) for pair in permutations(parts, 2))
    assert is_cut(parts[0], np.full_like(parts[0], 100.0))
    assert is_cut(np.full_like(parts[0], 10.0), parts[0])
    for name in ("bikes", "bigbuckbunny"):
        before, after = (frames[name][:240, k : k + 320] for k in (0, 40))
        assert not is_cut(before, after)
        assert not is_cut(after, before)


@pytest.mark.parametrize(("speed", "gain"), [(0, 1.4), (24, 1.0), (32, 1.0)])
def test_what_is_not_known_is_no_cut_and_hides_none(real_frames, speed, gain):
    one, other = (pv.to_gray(real_frames[name])[0, :192].astype(float) / 20 for name in ("bigbuckbunny", "bikes"))
    before, after = one[:, :256], gain * one[:, speed : 256 + speed]
    for torn in (np.s_[96:], np.s_[:, :128], np.s_[:136]):
        share = np.ones((192, 256), np.float32)
        share[torn] = 0
        for both in ((share, np.ones_like(share)), (np.ones_like(share), share)):
            shares = [np.stack(pair) for pair in zip(*map(pyramid, both), strict=True)]
            for first, second, cut in ((before, after, False), (before[::-1, ::-1], after, True)):
                seen = [np.where(known > 0, frame, 20) for known, frame in zip(both, (first, second), strict=True)]
                assert is_cut_not_motion(*map(pyramid, seen), sigma=0.0, shares=shares) is cut
    if not speed:  # Of each block two thirds are known.
        share = np.repeat(np.arange(192)[:, np.newaxis] % 3 > 0, 256, axis=1).astype(np.float32)
        thirds = [np.stack([level, np.ones_like(level)]) for level in pyramid(share)]
        seen = np.where(share > 0, before, 9 * before[::-1, ::-1])
        assert not is_cut_not_motion(*map(pyramid, (seen, after)), sigma=0.0, shares=thirds)
    pair = [pyramid(one) for one in (before, other[:, :256])]
    assert is_cut_not_motion(*pair, sigma=0.0)
    assert not is_cut_not_motion(*pair, sigma=0.0, shares=[0 * one for one in shares])


@pytest.mark.parametrize("channels", [(), (3,)])
def test_what_noise_of_the_means_explains_is_no_cut(channels):
    """Blocks of 2 × 2 pixels that change sign: noise of σ explains deviations of σ/√2, twice that is allowed."""
    signs = np.kron(np.indices((16, 16)).sum(axis=0) % 2 * 2 - 1, np.ones((2, 2)))
    before = signs.reshape(32, 32, *(1,) * len(channels)) * np.ones(channels)
    assert is_scene_cut(before, -before)
    assert is_scene_cut(before, -before, sigma=1.41)
    assert not is_scene_cut(before, -before, sigma=1.42)


def test_cuts_are_found_under_noise(real_frames):
    rng = np.random.default_rng(1)
    for sigma in (0.1, 0.3):
        bunny, bikes = (
            np.stack([f + rng.normal(0, 255 * sigma, f.shape) for f in pv.to_gray(real_frames[name])[:, :272]])
            for name in ("bigbuckbunny", "bikes")
        )
        film = [*bunny, *bikes, *bunny]
        assert [i for i, pair in enumerate(pairwise(film), 1) if is_scene_cut(*pair, sigma=255 * sigma)] == [3, 6]


@pytest.mark.parametrize(
    ("term", "cuts", "message"),
    [
        (pv.Heat(boundary="periodic"), [], "in advance, it must be 'neumann'"),
        (pv.Sum(pv.Heat()), [], r"has no reach\(ndim\)"),
        (pv.Heat(), "guess", "cuts is 'guess'"),
        (pv.Heat(), [0], r"cuts is \[0\]"),
    ],
)
def test_bad_parameters_are_named(term, cuts, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.spacetime(term, pv.uniform(1.0), cuts=cuts)


def test_values_that_overflow_are_an_error_as_in_evolve(rng):
    video = (rng.normal(size=(5, 4, 4)) * 3e38).clip(-3e38, 3e38).astype(np.float32)
    with np.errstate(all="ignore"), pytest.raises(pv.ParameterError, match="became NaN or infinite"):
        pv.spacetime(pv.Heat(), [0, 0.1], cuts=[])(video)


def test_cuts_may_be_an_array(rng):
    video = rng.random((9, 4, 5)).astype(np.float32)
    expected = pv.spacetime(pv.Heat(), [0, 0.1], cuts=[4, 7])(video)
    np.testing.assert_array_equal(pv.spacetime(pv.Heat(), [0, 0.1], cuts=np.array([4, 7]))(video), expected)


def test_an_unstable_step_is_refused():
    with pytest.raises(pv.UnstableStepError, match=r"above 0\.166667"):
        pv.spacetime(pv.Heat(), [0, 0.2])(np.zeros((3, 4, 4)))
