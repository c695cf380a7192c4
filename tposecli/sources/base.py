"""Base class of video inputs that are not container files: image sequences, animated WebP, cameras."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Self

import cv2
import numpy as np

from tposecli.sources.demuxer import SideStreams
from tposecli.sources.time_window import Window
from tposecli.types import Frame, Image, SourceInfo

log = logging.getLogger("tposecli")


class LazyImage(NamedTuple):
    """An image that is decoded when it is needed.

    Attributes:
        pts: Timestamp.
        name: Name of the image.
        decode: Returns the pixels, or None for a damaged image.
        duration: Ticks for which it is shown; None if unknown.
    """

    pts: int
    name: str
    decode: Callable[[], Image | None]
    duration: int | None = None


_EPSILON_S = 1e-6


class BaseSequence(ABC):
    """Common behaviour: a time window, one size for all frames, and a count of lost frames.

    Attributes:
        info: Metadata; ``time_base`` is that of the timestamps.
        start_s: Start of the time window, in seconds.
        end_s: End of the window, or None.
        live: The source is endless.
        files: The files that are read, for fingerprints.
        cut: Timestamp of the first frame in the window if times count from it, else 0; known once it was read.
        corrupt: Frames lost inside the window in the latest iteration.
        resized: Frames whose size differed from the first one's and that were scaled to it.
    """

    info: SourceInfo
    live = False
    files: tuple[Path, ...] = ()

    def __init__(self, window: Window) -> None:
        self.window = window
        self.start_s, self.end_s = window.start_s, window.end_s
        self.corrupt, self.resized, self.cut = 0, 0, 0

    @abstractmethod
    def _lazy_images(self) -> Generator[LazyImage, None, None]:
        """Yield all images from the beginning."""

    @property
    def expected(self) -> int | None:
        """Approximate number of frames of an iteration; None if unknown."""
        frames, fps = self.info.frames, self.info.fps
        return None if not frames or not fps else self.window.expected(frames, fps, float(frames / fps))

    def side_streams(self) -> SideStreams | None:
        """Return None: these sources have neither audio nor subtitles."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing; subclasses that hold a resource release it here."""
        return None

    def __iter__(self) -> Iterator[Frame]:
        self.corrupt, self.resized = 0, 0
        time_base, wanted, cut = self.info.time_base or 1, 0, 0
        with closing(self._lazy_images()) as lazy_images:
            for index, (pts, name, decode, duration) in enumerate(lazy_images):
                time_s = float(pts * time_base)
                if self.end_s is not None and time_s >= self.end_s - _EPSILON_S:
                    break
                if time_s < self.start_s - _EPSILON_S:
                    continue
                if not wanted and self.window.is_cut:
                    cut = self.cut = pts
                if wanted % self.window.stride == 0:
                    image = decode()
                    self.corrupt += image is None
                    if image is not None:
                        shown_s = None if duration is None else float(duration * time_base)
                        time_s = float((pts - cut) * time_base)
                        yield Frame(self._fitted(image), index, time_s, name, pts - cut, shown_s)
                wanted += 1
        if self.resized:
            log.warning("%s: %d frames changed size and were scaled to the first one's", self.info.name, self.resized)

    def _fitted(self, image: Image) -> Image:
        """Return (H, W, 3) pixels scaled to the size of the first frame."""
        if self.info.size_wh in (None, (image.shape[1], image.shape[0])):
            return image
        self.resized += 1
        return np.asarray(cv2.resize(image, self.info.size_wh, interpolation=cv2.INTER_AREA), np.uint8)
