"""Public docstrings pass numpydoc's validation."""

from __future__ import annotations

import pytest

import pde_video as pv

validation = pytest.importorskip("numpydoc.validate", reason="numpydoc is not installed: pip install '.[test]'")

CHECKS = {
    *("GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10"),  # a docstring, its sections in order
    *("SS01", "SS02", "SS03", "SS04", "SS06"),  # a summary: one line, one sentence
    *("PR01", "PR02", "PR03", "PR05", "PR06", "PR07", "PR10"),  # the parameters of the signature, in its order
    *("RT01", "RT02", "RT05"),  # what is returned
    "EX01",  # an example, which the doctests run
}
# What is not documented on purpose. An entry that is no longer needed fails the test.
EXEMPT = {
    **{name: {"PR01", "EX01"} for name in ("Denoiser", "Filter", "Step", "Term", "Video")},  # Protocols are not called.
    **{name: {"EX01"} for name in pv.__all__ if name.endswith("Error")},
    **{name: {"EX01"} for name in ("Bound", "Certificate", "StoppingTime")},  # Results: see what returns them.
    "Frames": {"PR01", "EX01"},  # The library makes them; filters receive them.
    "History": {"PR01"},  # The loop fills its fields,
    "Source": {"PR01"},  # and binds this one to the layout of the state.
}


def faults(name: str) -> dict[str, str]:
    found = validation.validate(f"pde_video.{name}")
    codes = {code: message for code, message in found["errors"] if code in CHECKS}
    if codes.get("PR02") == "Unknown parameters {'report'}":
        del codes["PR02"]  # `video_filter` takes `report` for every filter.
    if "\nYields\n" in found["docstring"]:
        codes.pop("RT01", None)
    return codes


@pytest.mark.parametrize("name", pv.__all__)
def test_a_public_docstring_is_complete(name):
    found = faults(name)
    exempt = EXEMPT.get(name, set())
    assert set(found) == exempt, {code: message for code, message in found.items() if code not in exempt}


def test_the_validation_sees_a_parameter_that_is_missing_from_the_docstring(monkeypatch):
    monkeypatch.setattr(pv.uniform, "__doc__", pv.uniform.__doc__.replace("dt : float", "tau : float"))
    assert {"PR01", "PR02"} <= set(faults("uniform"))
