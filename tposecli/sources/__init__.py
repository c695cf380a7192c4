"""Where frames come from: videos through PyAV, stills through OpenCV; all are read the same way."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

from tposecli.sources.camera import CameraSource
from tposecli.sources.demuxer import SideStreams
from tposecli.sources.find_images import IMAGE_SUFFIXES, ImageList, expand, find_images
from tposecli.sources.image_sequence import SequenceSource, is_sequence
from tposecli.sources.images import ImageSource
from tposecli.sources.limits import MAX_PIXELS
from tposecli.sources.locations import InputLocation, camera_number, is_address, is_stdin, local_path, readable
from tposecli.sources.time_window import WHOLE, Window
from tposecli.sources.video import VideoSource
from tposecli.sources.webp import SUFFIX, AnimationSource
from tposecli.types import Frame, SourceInfo

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "WHOLE",
    "ImageList",
    "ImageSource",
    "InputLocation",
    "Source",
    "VideoInput",
    "VideoSource",
    "Window",
    "expand",
    "find_images",
    "open_moving",
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


class VideoInput(Source, Protocol):
    """A source whose frames follow one another in time.

    Attributes:
        start_s: Beginning of the window on the source's own clock.
        end_s: End of the window on the same clock, None without one.
        live: It goes on for ever.
        corrupt: Frames lost in the latest iteration.
    """

    start_s: float
    end_s: float | None
    live: bool
    corrupt: int

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read, for fingerprints; none for what cannot be read twice."""

    def beside(self) -> SideStreams | None:
        """Sound and subtitles, for outputs that carry them over; ask before iterating."""


def open_video(
    path: InputLocation,
    start_s: float = 0.0,
    end_s: float | None = None,
    stride: int = 1,
    *,
    stream: int | None = None,
    rate: Fraction | None = None,
) -> VideoInput:
    """Open a video for reading, as ``with open_video("in.mp4") as video: for frame in video: ...``.

    Args:
        path: A file, an address that FFmpeg understands, ``"-"`` for standard input, ``"0"`` for the first camera, a
            pattern of stills (``%06d.png``) or a zip file of them.
        start_s: Seconds from the beginning; earlier frames are left out.
        end_s: Seconds from the beginning; frames from there on are left out. None: to the end.
        stride: Give every n-th frame only.
        stream: Which of several video streams, from 0; None: the one that players choose.
        rate: Pictures a second of stills, 25 if None.

    Raises:
        InputError: The file is missing, or no video.
        UsageError: A time, the stride or the address makes no sense.
    """
    return open_moving(path, Window(start_s, end_s, stride), stream, rate)


def open_moving(
    medium: InputLocation,
    window: Window = WHOLE,
    stream: int | None = None,
    rate: Fraction | None = None,
    max_pixels: int = MAX_PIXELS,
) -> VideoInput:
    """Open whatever ``medium`` names, as :func:`open_video` does; frames of more than ``max_pixels`` are refused."""
    with readable(medium):
        number = camera_number(medium)
        if number is not None:
            return CameraSource(number, window)
        if not is_stdin(medium) and not is_address(medium):
            path = local_path(medium)
            if is_sequence(path):
                return SequenceSource(path, window, rate, max_pixels)
            if path.suffix.lower() == SUFFIX:
                return AnimationSource(path, window, max_pixels)
        return VideoSource(medium, window, stream, max_pixels)
