"""Report metadata of a source that the format of the output cannot hold."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from pde_video.video.source import FileVideo, Target

# Metadata that readers find, by key in `details`, in the words of users.
_CALLED = {
    "comment": "comment",
    "side_data": "side data",
    "dpi": "resolution",
    "resolution": "resolution",
    "icc_profile": "ICC profile",
    "pixel_size": "pixel size and units",
    "spacing": "pixel size and units",
    "description": "description",
    "artist": "artist",
    "date_time": "date",
}


def tell_omitted(target: Target, like: FileVideo | None, holds: Collection[str]) -> None:
    """Report, after writing, which metadata of `like` are not in the output.

    What its format `holds` (the keys above, ``rate``, ``times`` and ``streams``), the writer reports itself. With a
    rate of their own, frames are written without `like`, and the writer answers for the rate alone.
    """
    holds = holds if target.like is like else [key for key in holds if key == "rate"]
    name, omitted = target.suffix or target.path, []
    if target.known_rate is not None and "rate" not in holds:
        omitted.append(f"rate of {target.known_rate} frames/s")
    if like is not None:
        if "streams" not in holds:
            omitted += [f"{kind} stream: {name} gets frames alone" for kind in like.details.get("other_streams", ())]
        omitted += dict.fromkeys(_CALLED[key] for key in _CALLED if key not in holds and like.details.get(key))
        omitted += like.details.get("not_kept", ())
    if omitted:
        target.omit(*omitted)
    if target.like is None or "times" in holds:
        return
    off, tick = _off(target.like.timestamps, target.rate), target.like.details.get("time_base") or Fraction(0)
    if off > tick:
        target.warn(
            f"{name} has no timestamps: those of the source, which differ from {target.rate} frames/s by up to "
            f"{float(off):.3g} s, are not in it"
        )


def _off(stamps: list[Fraction], rate: Fraction) -> Fraction:
    """Return the largest difference in seconds between the timestamps and those at a constant rate."""
    return max((abs(stamp - stamps[0] - number / rate) for number, stamp in enumerate(stamps)), default=Fraction(0))
