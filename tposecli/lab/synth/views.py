"""Cameras over time: moving, hand-held or fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tposecli.lab.synth.raster import Camera, look_at


class View(Protocol):
    """A camera that may move."""

    def at(self, time_s: float) -> Camera:
        """Return the camera at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Dolly:
    """A camera that moves from one point to another while its target moves, too, both with easing.

    Attributes:
        start, end: (x, y, z) positions of the camera, metres.
        look_start, look_end: (x, y, z) positions of the target, metres.
        focal: Focal length, pixels.
        size_wh: Width and height of the image.
        seconds: Duration of the movement.
        shake: Amplitude of hand shake, metres.
        roll: Roll angle, degrees.
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
        """Return the camera at a time."""
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
        """Return the same camera at any time."""
        return self.camera
