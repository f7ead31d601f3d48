"""Applications as filters, and what a filter is made of."""

from pde_video.filters.declarations import Option
from pde_video.filters.extent import EVERYTHING, Extent
from pde_video.filters.filter import FrozenFilter, video_filter
from pde_video.filters.frames import Frames

__all__ = ["EVERYTHING", "Extent", "Frames", "FrozenFilter", "Option", "video_filter"]
