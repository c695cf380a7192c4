"""Sources of frames: videos are read with PyAV, images with OpenCV, both through the same interface."""

from __future__ import annotations

from fractions import Fraction

from tposecli.sources.camera import CameraSource
from tposecli.sources.find_images import IMAGE_SUFFIXES, ImageList, expand, find_images
from tposecli.sources.find_videos import NamedVideo, find_videos, kind_of
from tposecli.sources.image_sequence import SequenceSource, is_sequence
from tposecli.sources.images import ImageSource
from tposecli.sources.limits import MAX_PIXELS
from tposecli.sources.locations import InputLocation, camera_number, is_stdin, is_url, local_path, read_errors, redacted
from tposecli.sources.protocols import Source, VideoInput
from tposecli.sources.time_window import WHOLE, ZERO, Window
from tposecli.sources.video import HAS_TIMES, VideoSource
from tposecli.sources.view import PLAIN, View, ViewedSource
from tposecli.sources.webp import SUFFIX, AnimationSource
from tposecli.utils.errors import UsageError

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "WHOLE",
    "ImageList",
    "ImageSource",
    "InputLocation",
    "NamedVideo",
    "Source",
    "VideoInput",
    "VideoSource",
    "View",
    "Window",
    "expand",
    "find_images",
    "find_videos",
    "kind_of",
    "open_video",
    "open_video_input",
]


def open_video(  # noqa: PLR0913
    path: InputLocation,
    start_s: float = 0.0,
    end_s: float | None = None,
    stride: int = 1,
    *,
    stream: int | None = None,
    rate: Fraction | None = None,
    clock: str = ZERO,
) -> VideoInput:
    """Open a video for reading.

    Use it as ``with open_video("in.mp4") as video: for frame in video: ...``.

    Args:
        path: A file, a URL that FFmpeg supports, ``"-"`` for standard input, ``"0"`` for the first camera, a pattern of
            images (``%06d.png``) or a zip file of images.
        start_s: Start time in seconds; earlier frames are skipped.
        end_s: End time in seconds; the frame at this time and later ones are skipped. None reads to the end.
        stride: Yield only every n-th frame.
        stream: Index of the video stream, from 0; None selects the default one, as players do.
        rate: Frame rate of an image sequence or of a stream without timestamps; None means that of the codec's header,
            else 25.
        clock: ``"zero"``: times count from the beginning of the video, those of frames from ``start_s``.
            ``"source"``: all are times on the source's own clock.

    Raises:
        InputError: The file is missing or not a video.
        UsageError: A time, the stride, the clock or the URL is invalid, or a rate was given for a source with times.
    """
    return open_video_input(path, Window(start_s, end_s, stride, clock), stream, rate)


def open_video_input(
    location: InputLocation,
    window: Window = WHOLE,
    stream: int | None = None,
    rate: Fraction | None = None,
    max_pixels: int = MAX_PIXELS,
    view: View = PLAIN,
) -> VideoInput:
    """Open any video input, as :func:`open_video` does; frames of more than ``max_pixels`` are refused."""
    source = _open(location, window, stream, rate, max_pixels)
    return source if view.is_plain else ViewedSource(source, view)


def _open(
    location: InputLocation, window: Window, stream: int | None, rate: Fraction | None, max_pixels: int
) -> VideoInput:
    """Open a video input as it is."""
    with read_errors(location):
        number = camera_number(location)
        if number is not None:
            _refuse_rate(location, rate)
            return CameraSource(number, window)
        if not is_stdin(location) and not is_url(location):
            path = local_path(location)
            if is_sequence(path):
                return SequenceSource(path, window, rate, max_pixels)
            if path.suffix.lower() == SUFFIX:
                _refuse_rate(location, rate)
                return AnimationSource(path, window, max_pixels)
        return VideoSource(location, window, stream, max_pixels, rate)


def _refuse_rate(location: InputLocation, rate: Fraction | None) -> None:
    """Raise UsageError if a frame rate was given for a source whose frames have times."""
    if rate is not None:
        raise UsageError(f"{redacted(location)}: {HAS_TIMES}")
