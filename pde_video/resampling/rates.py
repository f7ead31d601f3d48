"""Factors and rates as exact numbers, and the times at which a video is shown with them."""

import math
import re
from fractions import Fraction
from typing import TypeAlias

from pde_video.errors import InputError, ParameterError
from pde_video.video.timing import Timing

MOST = 8  # Frames made of one: motion between frames that are further apart in time than that is not known.
Exact: TypeAlias = float | str | Fraction
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?|\d{1,9}/0*[1-9]\d{0,8}", re.ASCII)
_WHOLE = 24, 30, 48, 60, 120  # Rates of which 1000/1001 are in use.
_FINEST = 1_000_000  # Denominator of a rate or factor, at most.


def resampled(
    timing: Timing, factor: Exact | None, rate: Exact | None, slow: Exact | None
) -> tuple[Fraction | None, Timing]:
    """Return the time from frame to frame, on the clock of a video, at which it is wanted, and how it is shown then.

    The first is None where the video stays as it is. Without times, that from frame to frame is 1.
    """
    given = {name: value for name, value in (("factor", factor), ("rate", rate), ("slow", slow)) if value is not None}
    if len(given) > 1:
        raise ParameterError(f"{' and '.join(given)} are given; give only one of factor, rate and slow")
    name, value = next(iter(given.items()), ("factor", 2))
    number, told = exact(value, name), f"{value:g}" if isinstance(value, float) else value
    if name == "rate":
        if timing.rate is None:
            raise InputError("the video has no rate, so that it cannot be given another; give a factor")
        times, shown = number / timing.rate, number
        if times > MOST:
            raise ParameterError(
                f"rate is {told}, {float(times):g} times the {timing.rate} frames/s of the video; at most {MOST} times"
                " as many can be made: motion is not known so finely"
            )
    else:
        if not 1 <= number <= MOST:
            less = "for fewer frames, give a rate; 1 changes nothing"
            more = "motion is not known so finely"
            raise ParameterError(f"{name} is {told}; it must be from 1 to {MOST}: {less if number < 1 else more}")
        if number == 1:
            return None, timing
        times, shown = number, (timing.rate or Fraction(1)) * (number if name == "factor" else 1)
    count = timing.count
    if count is not None:
        count = math.ceil(count * times) if timing.rate else max(0, math.floor((count - 1) * times)) + 1
    pace = times if name == "slow" else Fraction(1)
    return 1 / (times * (timing.rate or 1)), timing.evenly(shown if timing.rate else None, count, pace=pace)


def exact(value: Exact, name: str) -> Fraction:
    """Return a positive number, or a text such as 60000/1001, exactly; a rate such as 59.94 is 60000/1001."""
    text = str(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ParameterError(f"{name} is {value!r}; it must be a number such as 2.5, 5/2 or 60000/1001")
    given = Fraction(value if isinstance(value, str | Fraction) else float(value))
    if given < Fraction(1, _FINEST):
        raise ParameterError(f"{name} is {value}; it must be {'above 0' if given <= 0 else '0.000001 or more'}")
    number = given.limit_denominator(_FINEST)
    decimals = len(text.partition(".")[2])
    if name == "rate" and decimals > 1 and number.denominator > 1:
        for whole in _WHOLE:
            near = whole * Fraction(1000, 1001)
            if round(near, decimals) == round(Fraction(text), decimals):
                return near
    return number
