"""Fading trails of where joints were a moment ago."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.drawing.labels import SUBPIXEL_BITS, Float64
from tposecli.drawing.style import Colour
from tposecli.types import UNTRACKED, Image, Poses

MAX_POINTS: Final = 1024
"""Maximum number of points of a trail, whatever the frame rate."""

TrailPoints = tuple[float, Float64, NDArray[np.bool_]]
"""Seconds; (J, 2) pixels; (J,) which of the joints are shown."""

TrailPoint = tuple[float, Float64, bool]
"""Likewise for one joint."""


class Trails:
    """The recent positions of some joints of every tracked person.

    Args:
        joints: Indices of the J keypoints.
        keep_s: Length of the trails, seconds.
        min_score: A trail has a gap where its joint scores lower.
    """

    def __init__(self, joints: Sequence[int], keep_s: float, min_score: float) -> None:
        self._joints = list(joints)
        self._keep_s = keep_s
        self._min_score = min_score
        self._points: dict[int, deque[TrailPoints]] = {}
        self._now_s = 0.0

    def update(self, poses: Poses, time_s: float) -> None:
        """Add the next frame; drop points older than the trail, and all points if time runs backwards."""
        if time_s < self._now_s:
            self._points.clear()
        self._now_s = time_s
        for track, xy, score in zip(poses.track_id.tolist(), poses.xy, poses.score, strict=True):
            if track != UNTRACKED:
                points = self._points.setdefault(track, deque(maxlen=MAX_POINTS))
                points.append((time_s, xy[self._joints].astype(np.float64), score[self._joints] >= self._min_score))
        for points in self._points.values():
            while points and points[0][0] < time_s - self._keep_s:
                points.popleft()
        self._points = {track: points for track, points in self._points.items() if points}

    def draw(self, image: Image, colours: Callable[[int], Sequence[Colour]], width: float = 1.0) -> None:
        """Draw on ``image`` itself, older parts thinner and fainter.

        Args:
            image: (H, W, 3) uint8 RGB.
            colours: Maps a track id to the colours of the K keypoints.
            width: Thickness relative to the default for the size of the image.
        """
        thickness = max(2.0, 0.0075 * min(image.shape[:2]) * width)
        for track, points in self._points.items():
            joint_colours = colours(track)
            for place, joint in enumerate(self._joints):
                trail = [(time_s, xy[place], bool(shown[place])) for time_s, xy, shown in points]
                self._draw_trail(image, trail, joint_colours[joint], thickness)

    def _draw_trail(self, image: Image, points: list[TrailPoint], colour: Colour, thickness: float) -> None:
        """Draw one trail, blended within the smallest window that holds it."""
        far = 4 * max(image.shape)
        pairs = [pair for pair in pairwise(points) if all(shown and (np.abs(xy) < far).all() for _, xy, shown in pair)]
        if not pairs:
            return
        ends = np.array([[xy for _, xy, _ in pair] for pair in pairs])
        low = np.maximum(ends.min(axis=(0, 1)) - thickness - 2, 0).astype(int)
        high = np.minimum(ends.max(axis=(0, 1)) + thickness + 3, image.shape[1::-1]).astype(int)
        if (low >= high).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        subpixels = np.rint((ends - low) * (1 << SUBPIXEL_BITS)).astype(int).tolist()
        for (before, now), (_, (time_s, _, _)) in zip(subpixels, pairs, strict=True):
            freshness = 1 - min((self._now_s - time_s) / self._keep_s, 1)
            opacity, width = round(40 + 200 * freshness), max(1, round(thickness * (0.25 + 0.75 * freshness)))
            cv2.line(mask, before, now, opacity, width, cv2.LINE_AA, SUBPIXEL_BITS)
        part = image[low[1] : high[1], low[0] : high[0]]
        share = mask[:, :, None].astype(np.float32) / 255
        part[:] = np.rint(part + (np.array(colour, np.float32) - part) * share).astype(np.uint8)
