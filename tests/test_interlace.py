"""Interlaced video is told from progressive video, whatever its texture and noise."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from cases import CLIPS

import pde_video as pv
from pde_video.estimate.interlace import is_interlaced

FIRST = {"bikes": 100, "bigbuckbunny": 60, "carphone_pristine": 20}


@pytest.fixture(scope="module")
def moving(clips):
    """Ten frames of each clip, grey, float."""
    read = {name: np.stack(list(islice(pv.read(clips[name]), FIRST[name], FIRST[name] + 10))) for name in FIRST}
    return {name: pv.to_gray(video)[..., np.newaxis].astype(float) for name, video in read.items()}


def woven(video, parity):
    """Frames whose rows of one parity show the frame that follows."""
    out = video[::2].copy()
    out[:, parity::2] = video[1::2, parity::2]
    return out


def with_rows(video, rng):
    return video + 8 * rng.standard_normal((*video.shape[:2], 1, 1))


@pytest.mark.parametrize("sigma", [0, 20])
@pytest.mark.parametrize("name", CLIPS)
def test_fields_of_different_times_are_found(name, sigma, moving, rng):
    video = moving[name] + sigma * rng.standard_normal(moving[name].shape)
    for parity in (0, 1):
        assert is_interlaced(woven(video, parity))
        assert is_interlaced(woven(video, parity)[:, :-1])
    for progressive in (video[:5], video[::2], video[::-1], video[[0, 0, 1, 1, 2]], with_rows(video[:5], rng)):
        assert not is_interlaced(progressive)


def test_waves_that_move_across_are_interlaced_only_if_their_rows_are():
    rows, columns = np.mgrid[:200, :320]
    waves = np.stack([np.sin((columns - 2.0 * k) / 9) + 0 * rows for k in np.arange(0, 5, 0.5)])[..., np.newaxis]
    assert is_interlaced(woven(waves, 1))
    assert not is_interlaced(waves[::2])
    assert not is_interlaced(woven(waves[::-1], 1)[:2])
    assert not is_interlaced(waves[:, :10, :8])


@pytest.mark.parametrize("sigma", [0, 5, 20])
@pytest.mark.parametrize("period", [2, 3, 4, 7])
def test_blinds_are_not_interlaced(period, sigma, rng):
    rows, columns = np.mgrid[:160, :200]
    for speed in (0, 0.5, 1, 2, 3):  # Also where the blinds scroll.
        scene = [
            128 + 60 * np.sin(2 * np.pi * (rows - speed * k) / period + 1) + 20 * np.sin((columns - 3 * k) / 9)
            for k in range(5)
        ]
        video = np.stack(scene)[..., np.newaxis]
        assert not is_interlaced(video + sigma * rng.standard_normal(video.shape))


def test_denoise_warns_of_it(moving):
    video = woven(moving["carphone_pristine"], 1).astype(np.uint8)
    report = {}
    pv.denoise(video, report=report)
    assert "bwdif" in report["warnings"][0]
    report = {}
    pv.denoise(moving["carphone_pristine"][:5].astype(np.uint8), report=report)
    assert "warnings" not in report
