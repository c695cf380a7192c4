"""How the frames of a video are looked at before anything is measured: turned, cut, and at their true rate."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from tposecli.sources.demuxer import SideStreams
from tposecli.sources.protocols import VideoInput
from tposecli.types import Frame, Image, SourceInfo
from tposecli.utils.errors import UsageError

TURNS: Final = (0, 90, 180, 270)


@dataclass(frozen=True, slots=True)
class View:
    """A view of a video: first turned, then cut.

    Attributes:
        rotate: Degrees clockwise: 0, 90, 180 or 270.
        crop: Left, top, width and height of the part that is kept, pixels of the turned frame; None for all of it.
        true_fps: Frames a second with which the video was filmed, if its file plays slower or faster.

    Raises:
        UsageError: A value is not allowed.
    """

    rotate: int = 0
    crop: tuple[int, int, int, int] | None = None
    true_fps: Fraction | None = None

    def __post_init__(self) -> None:
        if self.rotate not in TURNS:
            raise UsageError(f"rotate: expected one of {', '.join(map(str, TURNS))} degrees, got {self.rotate}")
        if self.crop is not None and (min(self.crop[:2]) < 0 or min(self.crop[2:]) < 1):
            raise UsageError(f"crop: expected left and top of 0 or more, and a size above 0, got {self._crop_text}")
        if self.true_fps is not None and not 0 < self.true_fps <= 100_000:
            raise UsageError(f"true-fps: expected more than 0 frames per second, got {self.true_fps}")

    @property
    def _crop_text(self) -> str:
        return ",".join(map(str, self.crop or ()))

    @property
    def is_plain(self) -> bool:
        """Whether frames are taken as they are."""
        return self == PLAIN

    @classmethod
    def of_header(cls, header: Mapping[str, Any]) -> Self:
        """Return the view of a journal's header."""
        given = header.get("view") or {}
        crop, rate = given.get("crop"), given.get("true_fps")
        return cls(
            int(given.get("rotate", 0)),
            None if crop is None else (crop[0], crop[1], crop[2], crop[3]),
            None if rate is None else Fraction(rate),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the view for a journal's header; nothing if frames are taken as they are."""
        entries: dict[str, Any] = {
            "rotate": self.rotate,
            "crop": None if self.crop is None else list(self.crop),
            "true_fps": None if self.true_fps is None else str(self.true_fps),
        }
        view = {name: value for name, value in entries.items() if value}
        return {"view": view} if view else {}

    def size_wh(self, size_wh: tuple[int, int], name: str) -> tuple[int, int]:
        """Return the size of a frame of this size as it is seen.

        Raises:
            UsageError: The part to be kept is not inside it.
        """
        width, height = size_wh if self.rotate % 180 == 0 else size_wh[::-1]
        if self.crop is None:
            return width, height
        left, top, wide, high = self.crop
        if left + wide > width or top + high > height:
            turned = " after --rotate" if self.rotate else ""
            raise UsageError(
                f"{name}: --crop {self._crop_text} reaches outside the frame of {width}x{height}{turned}; choose a "
                "part of it, as X,Y,WIDTH,HEIGHT"
            )
        return wide, high

    def image(self, image: Image) -> Image:
        """Return a frame's pixels as they are seen, contiguous and writable."""
        seen = np.rot90(image, -self.rotate // 90) if self.rotate else image
        if self.crop is not None:
            left, top, wide, high = self.crop
            seen = seen[top : top + high, left : left + wide]
        return np.ascontiguousarray(seen) if seen is not image else image


PLAIN: Final = View()


class ViewedSource:
    """A video that is looked at in a certain way; times are those of the true rate.

    Attributes:
        info: Metadata of what is seen.
        start_s: Start of the time window, on the clock of the file.
        end_s: End of the window on the same clock, or None.
        live: The source is endless.
        corrupt: Frames lost in the latest iteration.
        time_factor: True seconds of a second of the file.
    """

    def __init__(self, source: VideoInput, view: View) -> None:
        """Look at a source.

        Raises:
            UsageError: The view does not fit its frames, or it has no rate of its own.
        """
        self._source, self._view = source, view
        info = source.info
        self.start_s, self.end_s = source.start_s, source.end_s
        self.live, self.corrupt = source.live, 0
        self.time_factor = Fraction(1)
        if view.true_fps is not None:
            if info.fps is None or source.live:
                raise UsageError(f"{info.name}: --true-fps is for files, which say how fast they play; leave it out")
            self.time_factor = info.fps / view.true_fps
        self.info: SourceInfo = replace(
            info,
            size_wh=None if info.size_wh is None else view.size_wh(info.size_wh, info.name),
            fps=view.true_fps or info.fps,
            time_base=None if info.time_base is None else info.time_base * self.time_factor,
        )

    @property
    def expected(self) -> int | None:
        """Approximate number of frames of an iteration; None if unknown."""
        return self._source.expected

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read, for fingerprints."""
        return self._source.files

    def side_streams(self) -> SideStreams | None:
        """Return the audio and subtitle streams, on the clock of the file."""
        return self._source.side_streams()

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._source.__exit__(*exception)

    def __iter__(self) -> Iterator[Frame]:
        factor = float(self.time_factor)
        frames = iter(self._source)
        try:
            for frame in frames:
                yield self._seen(frame, factor)
        finally:
            self.corrupt = self._source.corrupt
            if isinstance(frames, Generator):
                frames.close()

    def _seen(self, frame: Frame, factor: float) -> Frame:
        """Return a frame as it is seen, at its true time."""
        exact = frame.pts is not None and self.info.time_base is not None
        time_s = float(frame.pts * self.info.time_base) if exact else frame.time_s * factor  # type: ignore[operator]
        shown_s = None if frame.duration_s is None else frame.duration_s * factor
        return replace(frame, image=self._view.image(frame.image), time_s=time_s, duration_s=shown_s)


def time_factor(source: VideoInput) -> Fraction:
    """Return the true seconds of a second of a source's file."""
    return source.time_factor if isinstance(source, ViewedSource) else Fraction(1)
