"""What is in doubt about the noise is said, with the option that helps."""

import numpy as np
import pytest
from cases import slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.denoising.doubts import doubt_of_scales


def scene(kind="shapes", size=(160, 192)):
    """A picture without noise, of 0 to 255: smooth, with edges, or with texture everywhere."""
    y, x = np.mgrid[: size[0], : size[1]]
    picture = 120 + 60 * np.sin(x / 40) * np.cos(y / 30)
    picture += 40 * ((x - 90) ** 2 + (y - 70) ** 2 < 40**2) - 30 * ((x + y) % 64 < 6)
    if kind == "texture":
        picture += 12 * np.sin(x * 0.9) * np.sin(y * 0.8)
    return picture


def shared(rng, size, radius):
    noise = gaussian_filter(rng.normal(size=size), radius)
    return noise / noise.std()


def warnings_of(video, **options):
    report = {}
    next(iter(pv.denoise(iter(video), report=report, **options)))
    return report.get("warnings", [])


@pytest.mark.parametrize("radius", [0.5, 0.7])
def test_noise_that_neighbours_may_share_in_a_single_frame_is_said_with_its_strength(rng, radius):
    frame = scene() + 15 * shared(rng, (160, 192), radius)
    (warning,) = warnings_of([frame])
    assert "half the size" in warning
    told = float(warning.split("sigma=")[1])
    assert told == pytest.approx(15, rel=0.15)
    white = pv.denoise(frame[np.newaxis])
    stronger = pv.denoise(frame[np.newaxis], sigma=told)
    assert pv.psnr(scene() / 255, stronger[0] / 255) > pv.psnr(scene() / 255, white[0] / 255) + 1


def test_photon_noise_that_neighbours_may_share_is_said_as_a_line(rng):
    light = np.linspace(40, 200, 192) * np.ones((160, 1))
    frame = light + np.sqrt(2 * light) * shared(rng, (160, 192), 0.6)
    (warning,) = warnings_of([frame], noise="poisson-gaussian")
    slope, offset = (float(one) for one in warning.split("noise=(")[1].rstrip(")").split(", "))
    assert slope * 120 + offset == pytest.approx(240, rel=0.2)


@pytest.mark.parametrize("sigma", [0, 3, 20])
@pytest.mark.parametrize(("kind", "frames"), [("shapes", 1), ("shapes", 3), ("texture", 3)])
def test_white_noise_and_clean_frames_leave_no_doubt(rng, kind, sigma, frames):
    assert warnings_of(scene(kind) + rng.normal(0, sigma, (frames, 160, 192))) == []


def test_texture_that_stands_still_leaves_no_doubt(rng):
    texture = 120 + 30 * gaussian_filter(rng.standard_normal((96, 96)), 1.0) / 0.28
    frames = [one[..., np.newaxis] for one in texture + rng.normal(0, 3, (4, 96, 96))]
    estimate = pv.NoiseEstimate(0.0, 9.0)
    assert "half the size" in doubt_of_scales(estimate, estimate.stabiliser(), frames[:1])
    assert doubt_of_scales(estimate, estimate.stabiliser(), frames) is None


def test_what_changes_along_time_tell_is_no_doubt(rng):
    video = np.stack([scene() + 15 * shared(rng, (160, 192), 0.7) for _ in range(4)])
    assert warnings_of(video) == []
    assert warnings_of(video[:1]) != []
    assert warnings_of(video[:1], sigma=15) == []


def test_a_doubt_is_of_one_video_only(rng):
    report = {}
    frame = scene() + 15 * shared(rng, (160, 192), 0.7)
    for _ in range(2):
        next(iter(pv.denoise(iter([frame]), report=report)))
    assert len(report["warnings"]) == 1
    next(iter(pv.denoise(iter([scene() + rng.normal(0, 15, (160, 192))]), report=report)))
    assert not report.get("warnings")


@pytest.mark.parametrize("shape", [(5, 12, 16), (5, 3, 200), *slow((5, 16, 16), (8, 16, 24), (8, 24, 24))])
def test_white_noise_in_tiny_frames_is_neither_interlaced_nor_in_doubt(shape):
    for seed in range(20):
        report = {}
        next(iter(pv.denoise(iter(np.random.default_rng(seed).normal(100, 10, shape)), report=report, radius=0)))
        assert report.get("warnings", []) == []


def counts(rng, mean, gain=1, size=(96, 96)):
    """Counts of photons over a ramp of light with this mean, in units of so many steps."""
    return gain * rng.poisson(np.linspace(0.4, 1.6, size[1]) * mean, (6, *size))


@pytest.mark.parametrize(("mean", "gain", "dtype"), [(1, 1, np.uint8), (4, 1, np.uint16), (1, 2, np.int16)])
def test_that_rounding_loses_the_means_of_few_photons_is_said_unless_they_are_floats(rng, mean, gain, dtype):
    video = counts(rng, mean, gain)
    (warning,) = warnings_of(video.astype(dtype))
    assert "rounded to integers" in warning
    assert "astype(numpy.float32)" in warning
    assert warnings_of(video.astype(np.float32)) == []
    light = gain * mean * np.linspace(0.4, 1.6, 96)
    lost, kept = (np.std(pv.denoise(video.astype(kind)).mean((0, 1)) - light) for kind in (dtype, np.float32))
    assert lost > 2 * kept


def test_even_light_of_few_photons_is_rounded_too(rng):
    assert len(warnings_of(rng.poisson(3.4, (6, 64, 64)).astype(np.uint8))) == 1
    assert len(warnings_of(counts(rng, 3).astype(np.uint8), noise=(1.0, 0.0))) == 1


@pytest.mark.parametrize("video", ["photons", "gain", "dark", "dim"])
def test_rounding_that_keeps_means_is_not_mentioned(rng, video):
    if video == "photons":
        frames = counts(rng, 40)
    elif video == "gain":  # Few photons, but each is many steps.
        frames = counts(rng, 1.5, 5)
    elif video == "dark":  # Of a film that begins in black.
        frames = np.clip(np.linspace(0, 1, 6)[:, None, None] * scene() + rng.normal(0, 2, (6, 160, 192)), 0, 255)
    else:
        frames = 6 + rng.normal(0, 1, (6, 96, 96))
    assert warnings_of(frames.round().astype(np.uint8)) == []


def watched(video, **options):
    """What is said of a video with its noise, 8 bits."""
    report = {}
    frames = iter(np.clip(np.rint(video), 0, 255).astype(np.uint8))
    for _ in pv.denoise(frames, preset="fast", report=report, **options):
        pass
    return report.get("warnings", [])


STRONGER, WEAKER = "later it is stronger", "later it is weaker"


@pytest.mark.parametrize(
    "case", [((5, 11), [STRONGER]), *slow(((10, 10), []), ((16, 7), [WEAKER]), ((10, 13), []))], ids=str
)
def test_noise_that_changes_after_the_first_frames_is_said(rng, case):
    sigmas, said = case
    noise = np.linspace(*sigmas, 34)[:, np.newaxis, np.newaxis] * rng.standard_normal((34, 160, 192))
    assert not watched(scene() + noise, sigma=10)  # Whoever gives it knows.
    for video in (scene() + noise, (scene() + noise).repeat(2, axis=0)[1:]):
        found = watched(video)
        assert len(found) == len(said)
        assert all(text in one for text, one in zip(said, found, strict=True))


@pytest.mark.parametrize("case", [(2, 20, []), (3, 5, [STRONGER]), *slow((1, 20, []), (4, 5, [STRONGER]))], ids=str)
def test_the_noise_is_that_of_most_of_the_first_frames(rng, case):
    quiet, sigma, said = case
    noise = np.where(np.arange(20) < quiet, 5, 20)[:, np.newaxis, np.newaxis] * rng.standard_normal((20, 160, 192))
    report = {}
    for _ in pv.denoise(iter(np.clip(np.rint(scene() + noise), 0, 255).astype(np.uint8)), preset="fast", report=report):
        pass
    assert report["sigma"] == pytest.approx(sigma, rel=0.05)
    assert [text in one for text, one in zip(said, report.get("warnings", []), strict=True)] == [True] * len(said)


@pytest.mark.parametrize("sigmas", [(20, 5), *slow((20, 9), (10, 0))])
def test_frames_of_far_less_noise_are_no_repeats_without_a_word(rng, sigmas):
    noise = np.where(np.arange(34) < 12, *sigmas)[:, np.newaxis, np.newaxis] * rng.standard_normal((34, 160, 192))
    assert [WEAKER in one for one in watched(scene() + noise)] == [True]


def test_a_frame_shown_again_and_again_is_no_change_of_noise(rng):
    video = scene() + 10 * rng.standard_normal((8, 160, 192))
    assert watched(np.concatenate([video, np.repeat(video[-1:], 30, axis=0)])) == []


@pytest.mark.parametrize("photons", [0.02, 0.05, 0.1])
def test_single_photons_that_rounding_would_lose_are_said(rng, photons):
    assert "so faint" in warnings_of(rng.poisson(photons, (6, 64, 64)).astype(np.uint8))[0]
    assert warnings_of(np.zeros((6, 64, 64), np.uint8)) == []


@pytest.mark.parametrize("name", ["panned", "sunk", *slow("fast", "other", "faded in", "faded out")])
def test_another_scene_and_noise_that_is_clipped_are_no_change_of_noise(rng, name):
    rough = 255 - scene() + rng.choice([-20, 20], size=(160, 192))
    other = np.concatenate([np.repeat(one[np.newaxis], 17, axis=0) for one in (scene(), rough)])
    faded = np.linspace(-0.2, 1, 34).clip(0)[:, np.newaxis, np.newaxis] * scene()
    noise = rng.standard_normal((34, 160, 192))
    texture = scene() + 15 * gaussian_filter(rng.standard_normal((160, 192)), 0.8) / 0.35
    panned = np.stack([scene()] * 10 + [255 - np.roll(texture, 2 * k, axis=1) for k in range(24)])
    strong = scene() + 30 * gaussian_filter(rng.standard_normal((160, 192)), 0.8) / 0.35
    fast = np.stack([scene()] * 10 + [255 - np.roll(strong, 3 * k, axis=1) for k in range(24)])
    sunk = scene() - 15 * np.arange(-9, 25).clip(0, 11)[:, np.newaxis, np.newaxis]
    video, sigma = {
        "other": (other, 8),
        "faded in": (faded, 20),
        "faded out": (faded[::-1], 20),
        "panned": (panned, 4),
        "fast": (fast, 4),
        "sunk": (sunk, 8),
    }[name]
    assert watched(video + sigma * noise) == []
