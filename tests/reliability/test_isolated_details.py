"""What an isolated decoder says of a file is of the kinds that writers use."""

from fractions import Fraction

import pytest

from pde_video.video import facts

WRONG = {
    "codec": [5, None, b"x", "\udcff"],
    "not_kept": [5, "text", [5], None],
    "bits": [0, 65, 8.0, True, "8"],
    "stream_index": [-1, 2**16, 0.0],
    "duration": [float("nan"), float("inf"), "1", 10**400],
    "interval": [0, -1.0, "1"],
    "aspect": [1.0, "1:1"],
    "time_base": [Fraction(0), Fraction(-1, 30), 0.1],
    "axes": ["", "T" * 65, 5],
    "date_time": ["yesterday", "2024:01:01", 5],
    "dpi": ["x", (72,), (72, "72"), 72],
    "pixel_size": [[0.0, 1.0], [1.0], ["1", "1"]],
    "resolution": [5, [[1, 0], [1, 1]], [[1, 1]], [[1, 1], 5], [[1, 2**32], [1, 1]]],
    "extra_samples": [5, [2**16], ["1"]],
    "icc_profile": ["text", [1]],
    "imagej": ["text", {"unit": 5}],
    "geotiff": [5, {"GeoKeyDirectory": [70000]}, {"GeoAsciiParams": 5}, {"ModelPixelScale": ["1"]}],
    "made": ["text", []],
    "y4m": ["YUV4MPEG2", {}],
}


@pytest.mark.parametrize("key", WRONG)
def test_details_of_an_isolated_decoder_are_of_their_kind(key):
    for value in WRONG[key]:
        with pytest.raises((ValueError, OverflowError)):
            facts.check_kinds({"unknown": object(), key: value})
