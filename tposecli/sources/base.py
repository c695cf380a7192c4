"""Moving pictures that do not come out of a container: sequences of stills, animated pictures, cameras."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Self, TypeAlias

import cv2
import numpy as np

from tposecli.sources.demuxer import SideStreams
from tposecli.sources.time_window import Window
from tposecli.types import Frame, Image, SourceInfo

log = logging.getLogger("tposecli")

Picture: TypeAlias = tuple[int, str, Callable[[], Image | None]]
"""Timestamp, name, and what makes the pixels when they are wanted: None where they are damaged."""

_EPSILON_S = 1e-6


class BaseSequence(ABC):
    """What such sources have in common: a window, one size for all frames, counted losses.

    Attributes:
        info: Its ``time_base`` is that of the timestamps.
        start_s: Beginning of the window, seconds.
        end_s: End of the window, None without one.
        live: It goes on for ever.
        files: The files that are read, for fingerprints.
        corrupt: Frames lost inside the window in the latest iteration.
        resized: Frames that had another size than the first and were scaled to it.
    """

    info: SourceInfo
    live = False
    files: tuple[Path, ...] = ()

    def __init__(self, window: Window) -> None:
        self.window = window
        self.start_s, self.end_s = window.start_s, window.end_s
        self.corrupt, self.resized = 0, 0

    @abstractmethod
    def _pictures(self) -> Generator[Picture, None, None]:
        """All pictures from the beginning on."""

    @property
    def expected(self) -> int | None:
        """About how many frames an iteration gives."""
        frames, fps = self.info.frames, self.info.fps
        return None if not frames or not fps else self.window.expected(frames, fps, float(frames / fps))

    def beside(self) -> SideStreams | None:
        """There is no sound."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing stays open but what a subclass says."""
        return None

    def __iter__(self) -> Iterator[Frame]:
        self.corrupt, self.resized = 0, 0
        time_base, wanted = self.info.time_base or 1, 0
        with closing(self._pictures()) as pictures:
            for index, (pts, name, make) in enumerate(pictures):
                time_s = float(pts * time_base)
                if self.end_s is not None and time_s >= self.end_s - _EPSILON_S:
                    break
                if time_s < self.start_s - _EPSILON_S:
                    continue
                if wanted % self.window.stride == 0:
                    image = make()
                    self.corrupt += image is None
                    if image is not None:
                        yield Frame(self._fitted(image), index, time_s, name, pts)
                wanted += 1
        if self.resized:
            log.warning("%s: %d frames changed size and were scaled to the first one's", self.info.name, self.resized)

    def _fitted(self, image: Image) -> Image:
        """(H, W, 3) pixels in the size of the first."""
        if self.info.size_wh in (None, (image.shape[1], image.shape[0])):
            return image
        self.resized += 1
        return np.asarray(cv2.resize(image, self.info.size_wh, interpolation=cv2.INTER_AREA), np.uint8)
