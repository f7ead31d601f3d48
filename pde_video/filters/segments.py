"""Videos in pieces."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from pde_video.checks import check_whole
from pde_video.errors import InputError
from pde_video.protocols import Array


def split(video: Iterable[Array], length: int) -> Iterator[Array]:
    """Yield segments of `length` frames; the last may be shorter.

    segment k = video[k · length : (k + 1) · length]

    Parameters
    ----------
    video : array or iterable of frames
        Array (T, H, W) or (T, H, W, C), or an iterable of frames, of which one segment at a time is held.
    length : int
        Frames in a segment, ≥ 1.

    Yields
    ------
    ndarray
        Segments (length, H, W) or (length, H, W, C): views of an array, new arrays from a stream.

    Raises
    ------
    ParameterError
        If `length` is out of range.

    Examples
    --------
    >>> [segment.shape for segment in pv.split(np.zeros((5, 2, 3)), 2)]
    [(2, 2, 3), (2, 2, 3), (1, 2, 3)]
    """
    check_whole(1, length=length)
    return _segments(video, int(length))


def _segments(video: Iterable[Array], length: int) -> Iterator[Array]:
    if isinstance(video, np.ndarray):
        yield from (video[k : k + length] for k in range(0, len(video), length))
        return
    frames = iter(video)
    while segment := list(islice(frames, length)):
        yield np.stack(segment)


def merge(segments: Iterable[Any]) -> Any:
    """Join segments end to end: the inverse of `split`.

    video = segment 0, segment 1, ...

    Parameters
    ----------
    segments : sequence of arrays, or iterable of iterables of frames
        A list or tuple of arrays gives an array; anything else gives a stream of frames.

    Returns
    -------
    ndarray or iterator of frames

    Raises
    ------
    InputError
        If a list of arrays is empty or their frames differ in shape or dtype.

    Examples
    --------
    >>> video = np.arange(10).reshape(5, 1, 2)
    >>> bool((pv.merge(list(pv.split(video, 2))) == video).all())
    True
    """
    if not isinstance(segments, (list, tuple)) or not all(isinstance(s, np.ndarray) for s in segments):
        return chain.from_iterable(segments)
    kinds = {(s.shape[1:], s.dtype) for s in segments}
    if len(kinds) != 1:
        raise InputError(f"segments differ in frame shape or dtype: {sorted(map(str, kinds)) or 'there are none'}")
    return np.concatenate(segments)
