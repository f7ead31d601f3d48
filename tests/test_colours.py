"""The planes of brightness and of two differences of colours: a rotation of red, green and blue."""

from __future__ import annotations

import numpy as np
import pytest

from pde_video.arrays.colours import from_opponent, opponent


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_opponent_planes_are_a_rotation_of_colours(dtype, rng):
    rounding = 4 * np.finfo(dtype).eps
    matrix = opponent(np.eye(3, dtype=dtype)[np.newaxis])[:, 0]  # Three pixels: red, green, blue.
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), rtol=0, atol=rounding)  # White noise stays white.
    np.testing.assert_allclose(matrix[0], np.sqrt(1 / 3), rtol=rounding)  # Of grey there is nothing in the others.
    frame = rng.random((5, 7, 3)).astype(dtype)
    planes = opponent(frame)
    assert planes.dtype == dtype
    np.testing.assert_allclose(planes, np.einsum("pc,ijc->pij", matrix, frame), rtol=0, atol=rounding)
    np.testing.assert_allclose(from_opponent(planes), frame, rtol=0, atol=rounding)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_are_planes_as_they_are(channels, rng):
    frame = rng.random((5, 7, channels))
    np.testing.assert_array_equal(opponent(frame), np.moveaxis(frame, -1, 0))
    np.testing.assert_array_equal(from_opponent(opponent(frame)), frame)
