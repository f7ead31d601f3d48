"""What a source says and its output does not, for want of room: told, so that nothing vanishes unnoticed."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from pde_video.video.source import FileVideo, Target

# What readers find in files besides frames, by its key in `details`, as users call it.
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
    """Report, after writing, what `like` says and the output does not.

    A writer answers for what its format `holds`: the keys above, ``rate``, ``times`` and ``streams``. Only the rate
    is its business where frames are given a rate of their own, since then it does not know `like`.
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
        target.told.setdefault("not_copied", []).extend(omitted)
    if target.like is None or "times" in holds:
        return
    off, tick = _off(target.like.timestamps, target.rate), target.like.details.get("time_base") or Fraction(0)
    if off > tick:
        target.told.setdefault("warnings", []).append(
            f"{name} has no timestamps: those of the source, which differ from {target.rate} frames/s by up to "
            f"{float(off):.3g} s, are not in it"
        )


def _off(stamps: list[Fraction], rate: Fraction) -> Fraction:
    """Return by how many seconds frames at that rate are shown at other times, at most."""
    return max((abs(stamp - stamps[0] - number / rate) for number, stamp in enumerate(stamps)), default=Fraction(0))
