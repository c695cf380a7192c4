"""Cameras in time: on rails, in a hand, or fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tposecli.lab.synth.raster import Camera, look_at


class View(Protocol):
    """A camera that may move."""

    def at(self, time_s: float) -> Camera:
        """The camera at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Dolly:
    """A camera that goes from one place to another while it looks from one point to another, both eased.

    Attributes:
        start, end: (x, y, z) metres of the camera.
        look_start, look_end: Where it looks.
        focal: Pixels.
        size_wh: Width and height of the picture.
        seconds: How long the way takes.
        shake: Metres by which a hand trembles.
        roll: Degrees.
    """

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    look_start: tuple[float, float, float]
    look_end: tuple[float, float, float]
    focal: float
    size_wh: tuple[int, int]
    seconds: float = 5.0
    shake: float = 0.0
    roll: float = 0.0

    def at(self, time_s: float) -> Camera:
        """The camera at a time."""
        t = float(np.clip(time_s / self.seconds, 0, 1))
        t = 0.5 * (t + t * t * (3 - 2 * t))
        tremble = self.shake * np.sin(time_s * np.array([2.1, 3.3, 1.3]) + [0.3, 1.7, 4.0])
        place = np.array(self.start) * (1 - t) + np.array(self.end) * t + tremble
        aim = np.array(self.look_start) * (1 - t) + np.array(self.look_end) * t
        return look_at(place.astype(np.float32), aim.astype(np.float32), self.focal, self.size_wh, self.roll)


@dataclass(frozen=True, slots=True)
class Fixed:
    """A camera that does not move."""

    camera: Camera

    def at(self, time_s: float) -> Camera:
        """The camera, whatever the time."""
        return self.camera
