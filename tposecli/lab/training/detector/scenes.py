"""Compose training images for the person detector from annotated photos: zooms, mosaics, pasted people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.lab.training.detector.canvas import Canvas, ComposedScene, Placement
from tposecli.lab.training.detector.dataset import BoxedPerson, Photo, PhotoSource, turned
from tposecli.types import Float32, Image

TURNED = 0.06
"""Share of photos turned by one to three quarters of a circle: people who tumble lie, or stand on their head."""


class Composer:
    """Composes training images from sources; each depends only on the generator that is passed in."""

    def __init__(self, sources: Sequence[PhotoSource]) -> None:
        self._photos = [source.photos for source in sources]
        share = np.array([source.weight for source in sources], np.float64)
        self._share = share / share.sum()
        self._scenes = [photo for photos in self._photos for photo in photos if photo.complete]
        self._cuttable = [
            [(photo, person) for photo in photos for person in photo.people if person.cuttable]
            for photos in self._photos
        ]

    def __call__(self, rng: np.random.Generator, size_wh: tuple[int, int]) -> ComposedScene:
        """Compose one image of ``size_wh`` pixels, both multiples of 32."""
        canvas = Canvas(size_wh, rng.uniform(0, 255, 3).astype(np.float32))
        kinds: list[Callable[[np.random.Generator, Canvas], None]] = [
            self._scene,
            self._mosaic,
            self._zoom,
            self._whole,
        ]
        kinds[rng.choice(4, p=(0.3, 0.2, 0.3, 0.2))](rng, canvas)
        sample = canvas.finish()
        return ComposedScene(disturb(rng, sample.image), sample.boxes, sample.weight)

    def _draw(self, rng: np.random.Generator) -> Photo:
        photos = self._photos[rng.choice(len(self._photos), p=self._share)]
        photo = photos[rng.integers(len(photos))]
        return turned(photo, int(rng.integers(1, 4))) if rng.random() < TURNED else photo

    def _scene(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Place a completely annotated photo at a random zoom, with people pasted in."""
        photo = self._scenes[rng.integers(len(self._scenes))] if self._scenes else self._draw(rng)
        longest = max(photo.image.shape[:2])
        zoom = max(canvas.size_wh) / longest * float(np.exp(rng.uniform(np.log(0.7), np.log(2.2))))
        canvas.place(photo, _over(rng, photo, canvas.size_wh, zoom), (0, 0, *canvas.size_wh))
        self._paste(rng, canvas, int(rng.choice(5, p=(0.3, 0.25, 0.2, 0.15, 0.1))))

    def _mosaic(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Place four photos around a random corner."""
        width, height = canvas.size_wh
        x, y = int(rng.uniform(0.3, 0.7) * width), int(rng.uniform(0.3, 0.7) * height)
        for window in ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)):
            photo = self._draw(rng)
            side = max(window[2] - window[0], window[3] - window[1])
            zoom = side / max(photo.image.shape[:2]) * float(np.exp(rng.uniform(np.log(0.8), np.log(2.5))))
            place = _over(rng, photo, (window[2] - window[0], window[3] - window[1]), zoom)
            corner = np.array(window[:2], np.float32)
            canvas.place(photo, Placement(place.size_wh, place.scale, place.shift + corner, place.mirror), window)
        self._paste(rng, canvas, int(rng.integers(2)))

    def _zoom(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Place one photo over a blurred or plain background, with its person small, full-size or cut by the edges."""
        photo = self._draw(rng)
        if rng.random() < 0.5:
            ground = self._draw(rng).image
            small = cv2.resize(ground, (8, 8), interpolation=cv2.INTER_AREA)
            canvas.image[:] = cv2.resize(small, canvas.size_wh, interpolation=cv2.INTER_CUBIC)
        extent = max(photo.image.shape[:2])
        if photo.people:
            box = photo.people[rng.integers(len(photo.people))].box
            extent = max(float((box[2:] - box[:2]).max()), 0.15 * extent)
        zoom = max(canvas.size_wh) / extent * float(np.exp(rng.uniform(np.log(0.35), np.log(2.4))))
        canvas.place(photo, _over(rng, photo, canvas.size_wh, zoom), (0, 0, *canvas.size_wh))

    def _whole(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Place one whole photo, letterboxed as in inference, slightly larger or smaller."""
        photo = self._draw(rng)
        height, width = photo.image.shape[:2]
        fit = min(canvas.size_wh[0] / width, canvas.size_wh[1] / height)
        zoom = fit * float(np.exp(rng.uniform(np.log(0.75), np.log(1.15))))
        canvas.place(photo, _over(rng, photo, canvas.size_wh, zoom), (0, 0, *canvas.size_wh))

    def _paste(self, rng: np.random.Generator, canvas: Canvas, people: int) -> None:
        for _ in range(people):
            stock = self._cuttable[rng.choice(len(self._cuttable), p=self._share)]
            if not stock:
                continue
            photo, person = stock[rng.integers(len(stock))]
            extent = float((person.box[2:] - person.box[:2]).max())
            zoom = max(canvas.size_wh) * float(np.exp(rng.uniform(np.log(0.12), np.log(0.9)))) / extent
            place = _at(rng, photo, person, canvas.size_wh, min(zoom, 3.0))
            canvas.paste(photo, person, place, soft=float(rng.uniform(0.6, 2.0)))


def _scale(rng: np.random.Generator, zoom: float) -> Float32:
    stretch = float(np.exp(rng.normal(0, 0.08)))
    return np.array([zoom * stretch, zoom / stretch], np.float32)


def _over(rng: np.random.Generator, photo: Photo, size_wh: tuple[int, int], zoom: float) -> Placement:
    """Return a placement with the largest possible overlap; one of the photo's people, if any, is likely visible."""
    photo_wh = (photo.image.shape[1], photo.image.shape[0])
    place = Placement(photo_wh, _scale(rng, min(zoom, 4.0)), np.zeros(2, np.float32), bool(rng.random() < 0.5))
    slack = np.array(size_wh, np.float32) - np.array(photo_wh) * place.scale
    shift = rng.uniform(np.minimum(slack, 0), np.maximum(slack, 0))
    if photo.people and rng.random() < 0.7:
        box = place.boxes(photo.people[rng.integers(len(photo.people))].box[None])[0]
        overhang = rng.uniform(-0.15, 0.15, 2) * (box[2:] - box[:2])
        shift = np.clip(shift, np.minimum(-box[:2] + overhang, shift), np.array(size_wh) - box[2:] + overhang)
    return Placement(photo_wh, place.scale, shift.astype(np.float32), place.mirror)


def _at(
    rng: np.random.Generator, photo: Photo, person: BoxedPerson, size_wh: tuple[int, int], zoom: float
) -> Placement:
    """Return a placement that puts this person's centre at a random point of the canvas."""
    photo_wh = (photo.image.shape[1], photo.image.shape[0])
    place = Placement(photo_wh, _scale(rng, zoom), np.zeros(2, np.float32), bool(rng.random() < 0.5))
    box = place.boxes(person.box[None])[0]
    shift = rng.uniform(0, 1, 2) * np.array(size_wh) - (box[:2] + box[2:]) / 2
    return Placement(photo_wh, place.scale, shift.astype(np.float32), place.mirror)


def disturb(rng: np.random.Generator, image: Image) -> Image:
    """Change colour and contrast, and sometimes add blur and noise."""
    values = image.astype(np.float32)
    grey = values @ np.full(3, 1 / 3, np.float32)
    colour = 0.0 if rng.random() < 0.1 else float(rng.uniform(0.6, 1.4))
    contrast = rng.uniform(0.88, 1.12, 3) * rng.uniform(0.7, 1.3)
    values = (values * colour + grey[..., None] * (1 - colour) - 127) * contrast.astype(np.float32)
    values += np.float32(127 + rng.uniform(-30, 30))
    if rng.random() < 0.15:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), rng.uniform(0.4, 1.4)), np.float32)
    if rng.random() < 0.15:
        values += rng.standard_normal(values.shape, np.float32) * np.float32(rng.uniform(2, 10))
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def stack(samples: Sequence[ComposedScene]) -> tuple[Image, NDArray[np.float32], NDArray[np.bool_], Float32]:
    """Return a batch: images (B, H, W, 3), padded boxes (B, M, 4), which are real (B, M), weights (B, H / 8, W / 8)."""
    max_boxes = max(1, max(len(sample.boxes) for sample in samples))
    boxes = np.zeros((len(samples), max_boxes, 4), np.float32)
    real = np.zeros((len(samples), max_boxes), bool)
    for row, sample in enumerate(samples):
        boxes[row, : len(sample.boxes)] = sample.boxes
        real[row, : len(sample.boxes)] = True
    return np.stack([s.image for s in samples]), boxes, real, np.stack([s.weight for s in samples])
