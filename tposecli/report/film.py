"""The pictures of a report: the video as it is, or smaller, or as a link; photos as small JPEGs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.report.columns import Columns
from tposecli.sinks.encoding import VideoOptions
from tposecli.sinks.scale import Scale
from tposecli.sinks.video import VideoSink
from tposecli.sources import VideoInput
from tposecli.sources.time_window import WHOLE
from tposecli.sources.timestamps import timestamps
from tposecli.sources.video import VideoSource
from tposecli.sources.view import ViewedSource
from tposecli.types import Frame, Image, SourceInfo
from tposecli.utils.errors import InputError

SIDE: Final = 640
"""Longer side of a video that is made smaller, and of photos, pixels."""
CRF: Final = 27
LEAST_RATE: Final = 6_000
"""Bytes a second; a video that would need fewer to be embedded is not even tried."""
PHOTO_SIDES: Final = ((SIDE, 70_000), (400, 32_000), (240, 14_000), (120, 5_000))
"""Longer sides of photos with the bytes that one takes, at most."""
QUALITY: Final = 82
CODECS: Final = {"h264": "video/mp4", "vp8": "video/webm", "vp9": "video/webm", "av1": "video/mp4"}
"""What browsers play, and in which container."""
CONTAINERS: Final = {"video/mp4": (".mp4", ".m4v"), "video/webm": (".webm",)}
PLAYED: Final = (*CONTAINERS["video/mp4"], *CONTAINERS["video/webm"], ".mov")


@dataclass(frozen=True, slots=True)
class Film:
    """A video of the page.

    Attributes:
        kind: ``embedded``, ``linked`` or ``none``.
        data: Its bytes, if it is embedded.
        mime: Its type.
        href: Its address, if it is linked.
        first_s: Time of its first frame on the clock of the poses.
        note: What to know about it, in a sentence.
    """

    kind: str = "none"
    data: bytes = b""
    mime: str = "video/mp4"
    href: str = ""
    first_s: float = 0.0
    note: str = ""

    def head(self) -> dict[str, Any]:
        """Return everything but the bytes, for JSON."""
        facts = {"kind": self.kind, "mime": self.mime, "href": self.href, "first_s": self.first_s}
        return {**facts, "note": self.note, "bytes": len(self.data)}


def original(path: Path, source: VideoInput, columns: Columns, limit: int) -> Film | None:
    """Return the video as it is, if browsers play it, every frame of it has poses, and it is small enough."""
    if not isinstance(source, VideoSource) or not path.is_file() or path.stat().st_size > limit:
        return None
    mime = _playable(path)
    everything = source.window == WHOLE and len(columns.index) == (source.info.frames or len(columns.index))
    if mime is None or not everything or not len(columns.index):
        return None
    return Film("embedded", path.read_bytes(), mime, first_s=float(columns.time_s[0]))


def linked(path: Path, source: VideoInput, columns: Columns, page: Path) -> Film:
    """Return a link to the video, relative to the page."""
    if isinstance(source, ViewedSource):
        return Film(note=f"{path.name} is turned, cut or slowed down for its poses: the page shows them without it.")
    if not path.is_file() or path.suffix.lower() not in PLAYED:
        return Film(note=f"{path.name} is no file that browsers play: the page shows the poses without their frames.")
    note = f"The video is not part of this page: keep {path.name} where it is to see it."
    try:
        relative = os.path.relpath(os.path.abspath(path), os.path.dirname(os.path.abspath(page)))
    except ValueError:  # Another drive of Windows.
        relative = os.path.abspath(path)
    return Film("linked", href=quote(Path(relative).as_posix()), first_s=_first_s(source, columns), note=note)


def _first_s(source: VideoInput, columns: Columns) -> float:
    """Return the time of the video's own first frame on the clock of the poses, which may count from a cut."""
    if not len(columns.index) or not isinstance(source, VideoSource) or source.info.time_base is None:
        return 0.0
    whole = VideoSource(source.path)
    ticks, first = timestamps(whole), int(columns.index[0])
    if first >= len(ticks):
        return 0.0
    return float(columns.time_s[0]) - float((ticks[first] - ticks[0]) * source.info.time_base)


def _playable(path: Path) -> str | None:
    """Return the type of a video whose frames browsers show as they are stored; None if they may not."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            codec = stream.codec_context
            mime = CODECS.get(codec.name.removeprefix("lib"))
            square = stream.sample_aspect_ratio in (None, 0, 1)
            plain = codec.pix_fmt in ("yuv420p", "yuvj420p") and square and len(container.streams.video) == 1
    except (av.FFmpegError, IndexError, OSError):
        return None
    fits = mime is not None and path.suffix.lower() in CONTAINERS[mime]
    return mime if plain and fits else None


def can_be_embedded(columns: Columns, limit: int) -> bool:
    """Return whether a smaller copy of the video has a chance of staying below the limit."""
    seconds = float(columns.time_s[-1] - columns.time_s[0]) if len(columns.time_s) else 0.0
    return limit > 0 and limit >= LEAST_RATE * seconds


class SmallVideo:
    """Encodes a smaller copy of a video, frame by frame, until it is too large.

    Args:
        info: The video.
        limit: Bytes.
        index: Numbers of the frames that are wanted.
    """

    def __init__(self, info: SourceInfo, limit: int, index: NDArray[np.int64]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tpose-report-")
        self._path = Path(self._folder.name) / "small.mp4"
        self._limit, self._first_s = limit, 0.0
        self._span = (int(index[0]), int(index[-1])) if len(index) else (0, -1)
        width, height = info.size_wh or (SIDE, SIDE)
        self.size_wh = small_wh(width, height, even=True)
        scale = None if self.size_wh == (width, height) else Scale(1.0, *self.size_wh)
        tick = info.time_base or Fraction(1, 90_000)
        sized = SourceInfo(info.name, info.size_wh, info.fps, tick)
        # Any start above 0 makes the copy begin at 0, whatever the time of its first frame.
        self._sink: VideoSink | None = VideoSink(self._path, sized, VideoOptions(crf=CRF, scale=scale, start_s=1.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._sink is not None:
            self._sink.close(complete=False)
            self._sink = None
        self._folder.cleanup()

    @property
    def given_up(self) -> bool:
        """Whether it became too large."""
        return self._sink is None

    def write(self, frame: Frame) -> None:
        """Encode the next frame, unless the copy is too large already."""
        if self._sink is None or not self._span[0] <= frame.index <= self._span[1]:
            return
        if not self._sink.frames:
            self._first_s = frame.time_s
        self._sink.write(frame.image, frame.pts, frame.time_s, frame.duration_s)
        if self._sink.frames % 100 == 0 and self._written() > self._limit:
            self._sink.close(complete=False)
            self._sink = None

    def _written(self) -> int:
        return sum(file.stat().st_size for file in Path(self._folder.name).iterdir())

    def finish(self, name: str) -> Film | None:
        """Return the copy; None if it is too large."""
        if self._sink is None:
            return None
        done, self._sink = self._sink.close(), None
        if done is None or done.stat().st_size > self._limit:
            return None
        note = f"{name} as a smaller copy, {self.size_wh[0]}x{self.size_wh[1]}, without sound."
        return Film("embedded", done.read_bytes(), first_s=self._first_s, note=note)


def small_wh(width: int, height: int, side: int = SIDE, even: bool = False) -> tuple[int, int]:
    """Return a size with the same aspect whose longer side is at most ``side``."""
    factor = min(1.0, side / max(width, height))
    step = 2 if even else 1
    return tuple(max(step, round(length * factor / step) * step) for length in (width, height))  # type: ignore[return-value]


def photo_side(count: int, limit: int) -> int:
    """Return the longer side of photos so that all of them stay below the limit; 0 if they cannot."""
    return next((side for side, size in PHOTO_SIDES if count * size <= limit), 0)


def small_photo(image: Image, side: int) -> bytes:
    """Return a (H, W, 3) uint8 RGB photo as JPEG with longer sides of at most ``side`` pixels."""
    size = small_wh(image.shape[1], image.shape[0], side)
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(smaller, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    if not done:
        raise InputError(f"a photo of {image.shape[1]}x{image.shape[0]} pixels cannot be encoded as JPEG; leave it out")
    return bytes(np.asarray(data).tobytes())


def missing(inputs: Sequence[str]) -> list[str]:
    """Return the local inputs that are not there."""
    return [
        name
        for name in inputs
        if "://" not in name and not any(ch in name for ch in "*?[%") and not Path(name).exists()
    ]
