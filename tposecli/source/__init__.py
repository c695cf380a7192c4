"""Where frames come from: videos through PyAV, stills through OpenCV; both are read the same way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

from tposecli.source.images import ImageSource
from tposecli.source.listing import IMAGE_SUFFIXES, ImageList, expand, find_images
from tposecli.source.video import VideoSource
from tposecli.source.window import WHOLE, Window
from tposecli.types import Frame, SourceInfo

__all__ = [
    "IMAGE_SUFFIXES",
    "WHOLE",
    "ImageList",
    "ImageSource",
    "Source",
    "VideoSource",
    "Window",
    "expand",
    "find_images",
    "open_video",
]


class Source(Protocol):
    """What every source offers; each ``iter`` starts again from the beginning."""

    @property
    def info(self) -> SourceInfo:
        """What the source says of itself before its first frame."""

    @property
    def expected(self) -> int | None:
        """About how many frames an iteration will give, for progress bars; None where nobody knows."""

    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def open_video(path: Path | str, start_s: float = 0.0, end_s: float | None = None, stride: int = 1) -> VideoSource:
    """Open a video for reading, as ``with open_video("in.mp4") as video: for frame in video: ...``.

    Args:
        path: A file, or an address that FFmpeg understands.
        start_s: Seconds from the beginning; earlier frames are left out.
        end_s: Seconds from the beginning; frames from there on are left out. None: to the end.
        stride: Give every n-th frame only.

    Raises:
        InputError: The file is missing, or no video.
        UsageError: A time or the stride makes no sense.
    """
    return VideoSource(path, Window(start_s, end_s, stride))
