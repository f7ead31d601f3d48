"""The network that comes with the library: small, with its record, and worth it on frames that it never saw."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.denoisers.network import Network, shipped

FILE = resources.files("pde_video.denoisers").joinpath("shipped.safetensors")


def test_it_is_small_and_says_how_it_was_made():
    assert len(FILE.read_bytes()) < 1_000_000
    record = shipped().record
    assert record["settings"]["seed"] == 0
    assert not any("carphone" in name for name in record["footage"])
    assert set(record["psnr"]) == {"10", "25", "50", "mean"}
    assert shipped().most == pytest.approx(60 / 255)


@pytest.mark.parametrize("sigma", slow(25, 10, 50))
def test_it_beats_equations_frame_by_frame_on_a_clip_it_never_saw(clips, sigma):
    frames = [frame for k, frame in enumerate(pv.read(clips["carphone_pristine"])) if 20 <= k < 28]
    clean = pv.to_gray(np.stack(frames).astype(np.float32) / 255)
    noisy = pv.gaussian_noise(clean, sigma / 255, rng=sigma)
    learned = pv.psnr(clean, pv.denoise(noisy, method="learned"))
    alone = [{"method": "perona-malik"}, {"method": "tv"}, {"radius": 0}, {"preset": "best", "radius": 0}]
    assert learned >= 0.4 + max(pv.psnr(clean, pv.denoise(noisy, **chosen)) for chosen in alone)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_same_along_a_stream_and_for_any_threads(channels, threads, rng):
    video = rng.random((4, 21, 34, channels), np.float32)
    whole = pv.denoise(video, method="learned", sigma=0.1)
    for n in (1, 3):
        threads(n)
        streamed = np.stack(list(pv.denoise(iter(video), method="learned", sigma=0.1)))
        np.testing.assert_array_equal(streamed, whole)


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 0.0), (4096.0, -700.0), (0.05, 0.4)])
def test_values_in_any_range_are_seen_alike(scale, offset, rng):
    i, j = np.mgrid[:48, :48]
    clean = 0.5 + 0.4 * np.sin(i / 9) * np.cos(j / 7) + np.zeros((3, 1, 1))
    noisy = clean + rng.normal(0, 0.1, clean.shape)
    gain = pv.psnr(clean, pv.denoise(noisy, method="learned", sigma=0.1)) - pv.psnr(clean, noisy)
    report = {}
    moved = pv.denoise(scale * noisy + offset, method="learned", sigma=0.1 * scale, report=report)
    assert pv.psnr(clean, (moved - offset) / scale) - pv.psnr(clean, noisy) > gain - 1
    low, high = np.percentile(scale * noisy + offset, (1, 99))
    assert report["contrast"] == pytest.approx(1 / (high - low))


def test_a_dim_video_of_16_bits_is_denoised(rng):
    clean = 1000 + 300 * np.sin(np.arange(48) / 5)[:, None] * np.ones((4, 1, 48))
    noisy = np.rint(clean + rng.normal(0, 80, clean.shape)).astype(np.uint16)
    report = {}
    result = pv.denoise(noisy, method="learned", report=report).astype(float)
    assert report["contrast"] > 20
    assert np.sqrt(np.mean((result - clean) ** 2)) < 0.4 * 80


def test_more_noise_than_it_was_trained_with_is_seen_at_less_contrast(rng):
    clean = np.full((3, 48, 48), 0.5)
    report = {}
    result = pv.denoise(clean + rng.normal(0, 0.3, clean.shape), method="learned", sigma=0.3, report=report)
    assert report["contrast"] == pytest.approx(60 / 255 / 0.3)
    assert result.std() < 0.1


@pytest.mark.slow  # tests/test_learn.py compares them for a smaller network.
def test_pytorch_onnx_and_the_kernels_agree(clips, tmp_path):
    torch = pytest.importorskip("torch", reason="the extra torch is not installed: its agreement is left out")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed: its agreement is left out")
    from pde_video import learn
    from pde_video.learn.model import load_model
    from pde_video.learn.training import guided

    path = tmp_path / "shipped.safetensors"
    path.write_bytes(FILE.read_bytes())
    learn.export_onnx(path, tmp_path / "shipped.onnx")
    frames = [frame for k, frame in enumerate(pv.read(clips["carphone_pristine"])) if k < 6]
    clean = pv.to_gray(np.stack(frames).astype(np.float32) / 255)
    for sigma in (0.03, 0.1, 0.2):
        noisy = pv.gaussian_noise(clean, sigma, rng=3)
        by_kernels = Network.load(path)(noisy[..., np.newaxis], sigma)[..., 0]
        by_onnx = pv.load_denoiser(tmp_path / "shipped.onnx")(noisy[..., np.newaxis], sigma)[..., 0]
        level = np.array([sigma], np.float32)
        with torch.inference_mode():
            tensors = map(torch.from_numpy, (noisy[np.newaxis], guided(noisy[np.newaxis], level), level))
            by_torch = load_model(path).along(*tensors)[0].numpy()
        assert np.abs(by_kernels - by_torch).max() < 1e-4
        assert np.abs(by_onnx - by_torch).max() < 1e-4
