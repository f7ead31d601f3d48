"""Filters as values: with options, or chained; they pickle, print as the call that makes them, and have an extent."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from pde_video.arrays.values import Call, Value, times_as_code
from pde_video.filters.declarations import checked, documented
from pde_video.filters.extent import EVERYTHING, Extent
from pde_video.filters.frames import Frames, Report
from pde_video.filters.lift import lifted
from pde_video.protocols import Array
from pde_video.video.timing import Timing

_NO_VIDEO: Any = object()


class VideoFilter:
    """A filter made of a function of `Frames`: called with a video it filters, without one it keeps the options."""

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[..., Iterable[Array]],
        extent: Extent | Callable[..., Extent],
        examples: Sequence[str],
        timing: Callable[..., Timing] | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.__doc__ = documented(function)
        self.function, self.examples, self._extent, self._timing = function, tuple(examples), extent, timing
        self._options = list(inspect.signature(function).parameters.values())[1:]
        every = {one.name: None for one in self._options}
        if callable(extent):
            inspect.signature(extent).bind(**every)  # It takes every option.
        if timing is not None:
            inspect.signature(timing).bind(None, **every)

    def __call__(
        self, video: Any = _NO_VIDEO, /, *args: Any, report: Report = None, out: Array | None = None, **options: Any
    ) -> Any:
        """Return the filtered video, or without a video the filter with these options."""
        positional = [one.name for one in self._options if one.kind is one.POSITIONAL_OR_KEYWORD]
        if len(args) > len(positional) or options.keys() & positional[: len(args)]:
            some = ", ".join(positional) or "no option"
            raise TypeError(f"{self.__name__} takes {some} by position; give each option once, others by keyword")
        given = checked(self.function, dict(zip(positional, args, strict=False)) | options, self.__name__)
        if video is _NO_VIDEO:
            return Configured(self, tuple(given.items()))
        timing = functools.partial(self.timing_with, given)
        return lifted(lambda frames: self.function(frames, **given), video, report, out, timing)

    @property
    def extent(self) -> Extent:
        """How far it looks with its default options."""
        return self.extent_with({})

    def extent_with(self, options: Mapping[str, Any]) -> Extent:
        """Return how far it looks with these options."""
        if isinstance(self._extent, Extent):
            return self._extent
        return self._extent(**{one.name: options.get(one.name, one.default) for one in self._options})

    def retimed(self, timing: Timing) -> Timing:
        """Return when the frames of a video are shown after it, with its default options."""
        return self.timing_with({}, timing)

    def timing_with(self, options: Mapping[str, Any], timing: Timing) -> Timing:
        """Return when the frames of a video are shown after it, with these options."""
        if self._timing is None:
            return timing if self.extent_with(options).after is not None else replace(timing, is_sure=False)
        return self._timing(timing, **{one.name: options.get(one.name, one.default) for one in self._options})

    def __repr__(self) -> str:
        return self.__name__

    def __reduce__(self) -> str:
        return self.__qualname__


@dataclass(frozen=True, eq=False, repr=False)
class FrozenFilter(Value, ABC):
    """A filter that is a value: it pickles, compares, prints as the call that makes it, and has an extent."""

    @abstractmethod
    def _apply(self, frames: Frames) -> Iterable[Array]:
        """Return the filtered frames."""

    @property
    @abstractmethod
    def extent(self) -> Extent:
        """How far it looks."""

    def retimed(self, timing: Timing) -> Timing:
        """Return when the frames of a video are shown after it."""
        return timing if self.extent.after is not None else replace(timing, is_sure=False)

    def __call__(self, video: Any, *, report: Report = None, out: Array | None = None) -> Any:
        """Return the filtered video."""
        return lifted(self._apply, video, report, out, self.retimed)

    def _call(self) -> Call:
        """Return the call that makes this filter, with required arguments by position."""
        name, _, keywords = super()._call()
        given = {key: times_as_code(value) if key == "times" else value for key, value in keywords.items()}
        required = [given.pop(field.name) for field in fields(self) if field.default is MISSING]
        return name, required, given


@dataclass(frozen=True, eq=False, repr=False)
class Configured(FrozenFilter):
    """A filter with its options."""

    of: VideoFilter
    options: tuple[tuple[str, Any], ...]

    def _apply(self, frames: Frames) -> Iterable[Array]:
        return self.of.function(frames, **dict(self.options))

    @property
    def extent(self) -> Extent:
        """How far it looks."""
        return self.of.extent_with(dict(self.options))

    def retimed(self, timing: Timing) -> Timing:
        """Return when the frames of a video are shown after it."""
        return self.of.timing_with(dict(self.options), timing)

    def _call(self) -> Call:
        return self.of.__name__, (), dict(self.options)


def video_filter(
    function: Callable[..., Iterable[Array]] | None = None,
    /,
    *,
    extent: Extent | Callable[..., Extent] = EVERYTHING,
    examples: Sequence[str] = (),
    timing: Callable[..., Timing] | None = None,
) -> Any:
    """Make a filter of ``function(frames, ...)``, which maps `Frames` to float frames (H, W, C).

    The filter then accepts an array (T, H, W) or (T, H, W, C), a video, or any iterable of frames (H, W) or
    (H, W, C), and returns an array for an array and an iterator for everything else, with dtype and range kept.
    Integers become float32 in [0, 1] (signed ones in [−1, 1]) once on the way in and are rounded and saturated
    once on the way out. Called with options and no video, it returns the filter with these options. Keyword
    ``report``: a dict that receives what was estimated and done, including ``saturated``, the number of values that
    saturated. Keyword ``out``, for arrays: an array of the shape and dtype of the result, which receives it.

    Options with a plain value (number, text, bool) are declared by the signature: type, default, and unit and range in
    ``Annotated[float, Option(...)]``, with a line of help in the docstring. They are checked at every call.

    Parameters
    ----------
    function : callable (Frames, ...) -> iterable of frames
        Usually a generator function.
    extent : Extent, or callable (**options) -> Extent
        How far a result looks. Default: anything may depend on the whole video.
    examples : sequence of str
        Arguments of its command, for the help.
    timing : callable (Timing, **options) -> Timing, optional
        When frames are shown after it, and how many there are, for filters that change this.

    Returns
    -------
    Filter

    Raises
    ------
    InputError, TypeError
        By the filter, for a video that cannot be used as it is: empty, not finite, of another dtype or shape.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> @pv.video_filter(extent=pv.Extent())
    ... def brighten(frames, *, by):
    ...     for frame in frames:
    ...         yield frame + by / frames.scale
    >>> brighten(np.full((2, 1, 3), 200, np.uint8), by=100).tolist()
    [[[255, 255, 255]], [[255, 255, 255]]]
    >>> pv.pipeline(brighten(by=5), pv.to_gray)
    pipeline(brighten(by=5), to_gray)
    """
    if function is None:
        return functools.partial(video_filter, extent=extent, examples=examples, timing=timing)
    return VideoFilter(function, extent, examples, timing)


def as_filter(a_filter: Any) -> Any:
    """Return a filter as a value, if it is one of this library or a ``functools.partial`` of one; else unchanged."""
    if not isinstance(a_filter, functools.partial) or not isinstance(a_filter.func, VideoFilter) or a_filter.args:
        return a_filter
    if {"report", "out"} & a_filter.keywords.keys():  # These belong to a call, not to a filter.
        return a_filter
    return a_filter.func(**a_filter.keywords)


def extent(a_filter: Any) -> Extent:
    """Return which neighbouring frames and cells a result of a filter depends on.

    Parameters
    ----------
    a_filter : Filter
        A filter of this library, with or without options (``functools.partial`` of one too), or any other callable, of
        which nothing is known: it may depend on the whole video.

    Returns
    -------
    Extent

    Examples
    --------
    >>> import pde_video as pv
    >>> pv.extent(pv.to_gray)
    Extent(before=0, after=0, period=1, cells=0, first=0)
    >>> pv.extent(lambda frames: frames).before is None
    True
    """
    return getattr(as_filter(a_filter), "extent", EVERYTHING)


def retimed(a_filter: Any, timing: Timing) -> Timing:
    """Return when the frames of a video are shown after a filter; of other callables nothing is known."""
    known = getattr(as_filter(a_filter), "retimed", None)
    return replace(timing, is_sure=False) if known is None else known(timing)


def check_filter(a_filter: Any) -> Any:
    """Return a filter as a value, or raise TypeError if it is none."""
    if not callable(a_filter):
        video = hasattr(a_filter, "__iter__") and not isinstance(a_filter, str)
        remedy = (
            "this is a video: pass the filter without it, such as denoise or denoise(preset='fast')"
            if video
            else "pass a filter such as denoise"
        )
        raise TypeError(f"{a_filter!r} is not a filter, a callable from frames to frames; {remedy}")
    return as_filter(a_filter)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class pipeline(FrozenFilter):
    """Filter that applies `filters` one after the other, frame by frame, in one pass.

    pipeline(f, g)(video) = g(f(video)), with dtype converted once on the way in and once on the way out.

    Parameters
    ----------
    *filters : Filter
        Filters of this library, or functions from an iterable of float frames (H, W, C) to an iterator of such frames.

    Raises
    ------
    TypeError
        If one of `filters` is not callable.

    Examples
    --------
    >>> both = pv.pipeline(pv.denoise, pv.extrapolate(frames=2))
    >>> both(np.zeros((3, 8, 8), np.uint8)).shape
    (5, 8, 8)
    """

    filters: tuple[Callable[..., Any], ...]

    def __init__(self, *filters: Callable[..., Any]) -> None:
        object.__setattr__(self, "filters", tuple(map(check_filter, filters)))

    def _apply(self, frames: Frames) -> Iterable[Array]:
        for a_filter in self.filters:
            timing = retimed(a_filter, frames.timing)
            frames = Frames(a_filter(frames), frames.scale, frames.report, timing=timing)
        return frames

    @property
    def extent(self) -> Extent:
        """How far they look together."""
        return functools.reduce(Extent.then, map(extent, self.filters), Extent())

    def retimed(self, timing: Timing) -> Timing:
        """Return when the frames of a video are shown after them."""
        return functools.reduce(lambda before, one: retimed(one, before), self.filters, timing)

    def _call(self) -> Call:
        return "pipeline", self.filters, {}
