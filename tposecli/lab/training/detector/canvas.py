"""A canvas on which training images are composed of annotated photos and of people cut out of them.

The canvas records to which person each visible pixel belongs, so that boxes enclose what is still visible after later
layers and the canvas's edges have hidden the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tposecli.lab.training.detector.dataset import BoxedPerson, Photo
from tposecli.types import Float32, Image

CELL = 8
"""Side of a cell of the weight map, canvas pixels."""
MIN_PERSON_SIDE = 10.0
"""People whose longer side is shorter, in pixels, are ignored: they count neither as people nor as background."""
MIN_VISIBLE = 0.25
"""People of whom a smaller share is visible are ignored, too."""
UNANNOTATED_WEIGHT = 0.25
"""Weight of a false positive where people may be unannotated."""

Window = tuple[int, int, int, int]
"""Left, top, right, bottom on the canvas, pixels."""


@dataclass(frozen=True)
class ComposedScene:
    """One training image.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) visible boxes, pixels.
        weight: (H / 8, W / 8) weight of a false positive at each cell.
    """

    image: Image
    boxes: Float32
    weight: Float32


class Canvas:
    """An image under construction, of a plain colour at first."""

    def __init__(self, size_wh: tuple[int, int], colour: Float32) -> None:
        width, height = size_wh
        self.image: Image = np.empty((height, width, 3), np.uint8)
        self.image[:] = colour.astype(np.uint8)
        self.weight = np.ones((height, width), np.float32)
        self._owner = np.zeros((height, width), np.int32)
        self._area: list[float] = []

    @property
    def size_wh(self) -> tuple[int, int]:
        """The width and height, pixels."""
        return self.image.shape[1], self.image.shape[0]

    def place(self, photo: Photo, place: Placement, window: Window) -> None:
        """Draw the part of a placed photo that lies inside ``window``."""
        image, (x0, y0, x1, y1) = place.visible(photo.image, window)
        visible = (slice(y0, y1), slice(x0, x1))
        self.image[visible] = image
        self._owner[visible] = 0
        self.weight[visible] = 1.0 if photo.complete else UNANNOTATED_WEIGHT
        for box in place.boxes(photo.crowds):
            self._set_weight(box, 0.0, (x0, y0, x1, y1))
        for person in photo.people:
            if not photo.complete:
                self._set_weight(_grown(place.boxes(person.box[None])[0]), 1.0, (x0, y0, x1, y1))
            self._add_person(place.mask(person, self.size_wh), person, place, (x0, y0, x1, y1))

    def paste(self, photo: Photo, person: BoxedPerson, place: Placement, soft: float) -> None:
        """Paste one person, cut out along the outline, with the edge blurred over ``soft`` pixels."""
        mask = place.mask(person, self.size_wh)
        image, (x0, y0, x1, y1) = place.visible(photo.image, (0, 0, *self.size_wh))
        full = np.zeros_like(self.image)
        full[y0:y1, x0:x1] = image
        inside = np.zeros(mask.shape, np.uint8)
        inside[y0:y1, x0:x1] = mask[y0:y1, x0:x1]
        alpha = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), soft)[..., None]
        self.image = (self.image * (1 - alpha) + full * alpha).astype(np.uint8)
        self._add_person(inside, person, place, (x0, y0, x1, y1))

    def finish(self) -> ComposedScene:
        """Return the image with the boxes of the people who are still visible."""
        boxes = []
        for number, whole in enumerate(self._area, start=1):
            ys, xs = np.nonzero(self._owner == number)
            if not len(xs):
                continue
            box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)
            if (box[2:] - box[:2]).max() < MIN_PERSON_SIDE or len(xs) < MIN_VISIBLE * whole:
                self._set_weight(box, 0.0, (0, 0, *self.size_wh))
            else:
                boxes.append(box)
        width, height = self.size_wh
        weight = cv2.resize(self.weight, (width // CELL, height // CELL), interpolation=cv2.INTER_AREA)
        return ComposedScene(self.image, np.array(boxes, np.float32).reshape(-1, 4), np.asarray(weight, np.float32))

    def _add_person(self, mask: Image, person: BoxedPerson, place: Placement, window: Window) -> None:
        x0, y0, x1, y1 = window
        self._area.append(place.area(person))
        self._owner[y0:y1, x0:x1][mask[y0:y1, x0:x1] > 0] = len(self._area)

    def _set_weight(self, box: Float32, weight: float, window: Window) -> None:
        left, top = np.maximum(np.floor(box[:2]), window[:2]).astype(int)
        right, bottom = np.minimum(np.ceil(box[2:]), window[2:]).astype(int)
        self.weight[top : max(top, bottom), left : max(left, right)] = weight


@dataclass(frozen=True)
class Placement:
    """Where a photo lies on the canvas: mirrored, then scaled, then shifted.

    Attributes:
        size_wh: Width and height of the photo, pixels.
        scale: (2,) canvas pixels per photo pixel, in x and y.
        shift: (2,) position of the photo's top-left corner, canvas pixels.
        mirror: Whether left and right are swapped.
    """

    size_wh: tuple[int, int]
    scale: Float32
    shift: Float32
    mirror: bool

    def points(self, xy: Float32) -> Float32:
        """Map (P, 2) points of the photo to the canvas."""
        x = self.size_wh[0] - xy[:, 0] if self.mirror else xy[:, 0]
        return np.stack([x, xy[:, 1]], axis=1) * self.scale + self.shift

    def boxes(self, xyxy: Float32) -> Float32:
        """Map (N, 4) boxes of the photo to the canvas."""
        first, second = self.points(xyxy[:, :2]), self.points(xyxy[:, 2:])
        return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)

    def visible(self, image: Image, window: Window) -> tuple[Image, Window]:
        """Return the part of the photo inside the window, scaled to the canvas, and its position; it may be empty."""
        size = np.array(self.size_wh, np.float32)
        first = np.clip(np.floor((np.array(window[:2]) - self.shift) / self.scale), 0, size).astype(int)
        last = np.clip(np.ceil((np.array(window[2:]) - self.shift) / self.scale), 0, size).astype(int)
        left, top = np.round(first * self.scale + self.shift).astype(int)
        right, bottom = np.round(last * self.scale + self.shift).astype(int)
        x0, y0, x1, y1 = max(window[0], left), max(window[1], top), min(window[2], right), min(window[3], bottom)
        if x1 <= x0 or y1 <= y0:
            return np.zeros((0, 0, 3), np.uint8), (0, 0, 0, 0)
        part = (image[:, ::-1] if self.mirror else image)[first[1] : last[1], first[0] : last[0]]
        shrink = cv2.INTER_AREA if self.scale.max() < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(part, (int(right - left), int(bottom - top)), interpolation=shrink)
        return np.asarray(scaled[y0 - top : y1 - top, x0 - left : x1 - left], np.uint8), (x0, y0, x1, y1)

    def mask(self, person: BoxedPerson, size_wh: tuple[int, int]) -> Image:
        """Return (H, W) uint8, 1 where the person's outline covers the canvas."""
        mask = np.zeros((size_wh[1], size_wh[0]), np.uint8)
        for polygon in person.outline:
            cv2.fillPoly(mask, [np.round(self.points(polygon) - 0.5).astype(np.int32)], 1)
        return mask

    def area(self, person: BoxedPerson) -> float:
        """Return the number of canvas pixels that the whole person inside the photo would cover."""
        photo = np.array(self.size_wh, np.float32)
        shift = Placement(self.size_wh, self.scale, np.zeros(2, np.float32), self.mirror)
        size = np.maximum(1, np.round(photo * self.scale)).astype(int)
        return float(shift.mask(person, (int(size[0]), int(size[1]))).sum())


def _grown(box: Float32, part: float = 0.2) -> Float32:
    margin = (box[2:] - box[:2]).max() * part
    return np.concatenate([box[:2] - margin, box[2:] + margin])
