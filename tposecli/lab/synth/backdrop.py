"""Places: a textured floor inside a wide cylindrical wall painted with sky, trees and houses, or a room's walls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from tposecli.lab.synth.arrays import Floats, Mask
from tposecli.lab.synth.outfit import random_cloth
from tposecli.lab.synth.raster import Camera
from tposecli.lab.synth.shade import Light, noise
from tposecli.types import Image


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """A round place centred on the world's origin.

    Attributes:
        floor: (S, S, 3) uint8 RGB tile that repeats.
        tile: Side of the tile, metres.
        wall: (h, w, 3) uint8 RGB: the full circle, from ``tall`` down to the floor.
        radius: Distance from the origin to the wall, metres.
        tall: Height of the wall's image, metres; above it the top row continues.
        haze: Share of the wall's mean colour that is mixed into the floor at the wall.
    """

    floor: Image
    tile: float
    wall: Image
    radius: float
    tall: float
    haze: float = 0.5

    def paint(self, camera: Camera) -> tuple[Floats, Mask]:
        """Render the empty place: (H, W, 3) float32 sRGB 0..1, and the (H, W) mask of the visible floor."""
        ray = camera.rays()
        x0, y0, z0 = (float(v) for v in camera.position)
        dx, dy, dz = (np.ascontiguousarray(ray[..., k]) for k in range(3))
        flat = dx * dx + dz * dz + 1e-9
        along = x0 * dx + z0 * dz
        inner = max(self.radius**2 - x0 * x0 - z0 * z0, 1e-3)
        reach = (np.sqrt(along * along + flat * inner) - along) / flat
        height = y0 + dy * reach
        on_floor = height < 0
        down = np.where(on_floor, -y0 / np.minimum(dy, -1e-6), reach)
        image = self._wall(x0 + dx * reach, height, z0 + dz * reach)
        floor = self._floor(x0 + dx * down, z0 + dz * down, down * np.sqrt(flat + dy * dy))
        return np.where(on_floor[..., None], floor, image), on_floor

    def _wall(self, x: Floats, y: Floats, z: Floats) -> Floats:
        rows, columns = self.wall.shape[:2]
        u = (np.arctan2(x, -z) / (2 * np.pi) + 0.5) * columns
        v = np.clip((1 - y / self.tall) * rows - 0.5, 0, rows - 1)
        image = cv2.remap(
            self.wall, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        return image.astype(np.float32) / 255

    def _floor(self, x: Floats, z: Floats, far: Floats) -> Floats:
        size = self.floor.shape[0]
        u, v = (np.asarray((t - np.floor(t)) * size, np.float32) for t in (x / self.tile, z / self.tile))
        fine = cv2.remap(self.floor, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP).astype(np.float32) / 255
        mean = np.array(cv2.mean(self.floor)[:3], np.float32) / 255
        smooth = np.clip(far / (self.tile * 9), 0, 1)[..., None]
        horizon = np.array(cv2.mean(self.wall[-self.wall.shape[0] // 6 :: 4, ::4])[:3], np.float32) / 255
        mist = (self.haze * np.clip(far / self.radius, 0, 1) ** 2)[..., None]
        return np.asarray((fine * (1 - smooth) + mean * smooth) * (1 - mist) + horizon * mist, np.float32)


def _bytes(image: Any) -> Image:
    return np.asarray(np.clip(image * 255 + 0.5, 0, 255), np.uint8)


def _grain(rng: np.random.Generator, shape: tuple[int, int], across: float, down: float) -> Floats:
    """Return smooth noise with unit standard deviation that tiles horizontally."""
    low = (max(2, int(shape[1] / across)), max(2, int(shape[0] / down)))
    rough = rng.standard_normal((low[1], low[0])).astype(np.float32)
    wide = cv2.resize(np.tile(rough, (1, 3)), (shape[1] * 3, shape[0]), interpolation=cv2.INTER_CUBIC)
    part = wide[:, shape[1] : 2 * shape[1]]
    return np.asarray((part - part.mean()) / max(float(part.std()), 1e-6), np.float32)


FLOORS = ("grass", "asphalt", "paving", "boards", "carpet", "sand")


@lru_cache(maxsize=24)
def floor_tile(kind: str, seed: int, size: int = 512) -> Image:
    """Return a tileable floor texture, about 4 m wide."""
    rng = np.random.default_rng([seed, 1])
    base = {
        "grass": (0.30, 0.42, 0.18), "asphalt": (0.42, 0.42, 0.43), "paving": (0.62, 0.58, 0.53),
        "boards": (0.58, 0.42, 0.27), "carpet": (0.40, 0.36, 0.42), "sand": (0.76, 0.68, 0.52),
    }[kind]  # fmt: skip
    colour = np.array(base) * rng.uniform(0.8, 1.15) + rng.normal(0, 0.025, 3)
    grain = {"grass": 0.10, "asphalt": 0.05, "paving": 0.03, "boards": 0.02, "carpet": 0.04, "sand": 0.03}[kind]
    fine = (
        noise(31, 0.9, 0.9, size) * grain + noise(32, 9, 9, size) * grain * 0.6 + noise(33, 40, 40, size) * grain * 0.5
    )
    image = colour[None, None] * (1 + fine[..., None])
    if kind in ("paving", "boards"):
        rows, columns = (8, 8) if kind == "paving" else (24, 2)
        y, x = np.mgrid[0:size, 0:size] / size
        shift = 0.5 * (np.floor(y * rows) % 2)
        cell = (np.floor(y * rows) * 31 + np.floor((x * columns + shift) % columns) * 17).astype(int)
        image *= (1 + rng.normal(0, 0.06, 997)[cell % 997])[..., None]
        joint = ((y * rows) % 1 < 0.035 * rows / 8) | ((x * columns + shift) % 1 < 0.035 * columns / 8)
        image[joint] *= 0.72
    return _bytes(image)


@lru_cache(maxsize=12)
def outdoor_wall(seed: int, trees: float = 1.0, houses: float = 0.5) -> Image:
    """Return a panorama of sky over trees and houses, 24 m tall at a radius of 24 m."""
    rng = np.random.default_rng([seed, 2])
    rows, columns = 512, 3072
    image = _sky(rng, rows, columns)
    height = np.arange(rows, 0, -1)[:, None] / rows * 24
    far = 4.0 + 1.4 * _grain(rng, (1, columns), 200, 1) + 0.5 * _grain(rng, (1, columns), 30, 1)
    hills = np.array([0.42, 0.52, 0.50]) * rng.uniform(0.85, 1.1)
    image = np.where((height < far)[..., None], hills, image)
    for _ in range(int(rng.poisson(9 * houses))):
        _house(rng, image)
    crowns = (
        np.maximum(0, 4.5 + 2.6 * _grain(rng, (1, columns), 90, 1) + 0.9 * _grain(rng, (1, columns), 24, 1)) * trees
    )
    edge = _grain(rng, (rows, columns), 7, 7) * 0.5
    leaves = _grain(rng, (rows, columns), 26, 20) * 0.20 + _grain(rng, (rows, columns), 6, 6) * 0.16
    green = np.array([0.23, 0.34, 0.15]) * rng.uniform(0.8, 1.2) + rng.normal(0, 0.02, 3)
    tone = np.clip(0.72 + leaves + 0.05 * height / 4, 0.25, 1.6)[..., None]
    image = np.where((height + edge < crowns)[..., None], green * tone, image)
    hedge = 0.9 + 0.25 * _grain(rng, (1, columns), 60, 1)
    image = np.where((height + 0.3 * edge < hedge)[..., None], green * 0.75 * tone, image)
    return np.asarray(cv2.GaussianBlur(_bytes(image), (0, 0), float(rng.uniform(2.0, 3.5))))


def _sky(rng: np.random.Generator, rows: int, columns: int) -> Any:
    up = np.linspace(1, 0, rows)[:, None, None]
    grey = rng.uniform(0, 1) ** 2
    top = np.array([0.36, 0.56, 0.86]) * (1 - grey) + np.array([0.72, 0.74, 0.78]) * grey
    low = np.array([0.80, 0.88, 0.95]) * (1 - grey) + np.array([0.88, 0.88, 0.88]) * grey
    image = low + (top - low) * up**0.8
    clouds = _grain(rng, (rows, columns), 300, 60) + 0.5 * _grain(rng, (rows, columns), 90, 25)
    share = np.clip(clouds * 0.5 - rng.uniform(-0.2, 0.6), 0, 1)[..., None] * 0.8
    return image * (1 - share) + np.array([0.95, 0.95, 0.96]) * share


def _house(rng: np.random.Generator, image: Any) -> None:
    """Paint one house front with rows of windows, in place."""
    rows, columns = image.shape[:2]
    scale = rows / 24
    wide, tall = int(rng.uniform(4, 13) * scale), int(rng.uniform(4, 12) * scale)
    left = int(rng.integers(0, columns - wide))
    front = image[rows - tall :, left : left + wide]
    base = np.array([(0.70, 0.60, 0.50), (0.62, 0.36, 0.28), (0.80, 0.78, 0.72), (0.52, 0.53, 0.56)][rng.integers(4)])
    front[:] = base * rng.uniform(0.85, 1.1)
    step, storey = int(rng.uniform(1.4, 2.6) * scale), int(3 * scale)
    for y in range(storey // 3, tall - storey // 3, storey):
        for x in range(step // 3, wide - step // 2, step):
            front[y : y + storey // 2, x : x + step // 2] = np.array([0.30, 0.36, 0.42]) * rng.uniform(0.7, 1.3)
    front[: int(0.4 * scale)] = base * 0.5


@lru_cache(maxsize=12)
def indoor_wall(seed: int) -> Image:
    """Return the walls of a room, 3 m tall at a radius of 6 m, with pictures, doors, windows and shelves."""
    rng = np.random.default_rng([seed, 3])
    rows, columns = 256, 3072
    base = np.array([0.80, 0.77, 0.72]) * rng.uniform(0.55, 1.15) + rng.normal(0, 0.06, 3)
    y, x = np.mgrid[0:rows, 0:columns]
    image = np.broadcast_to(base, (rows, columns, 3)) * (0.9 + 0.12 * (1 - y / rows))[..., None]
    image *= 1 + 0.05 * _grain(rng, (rows, columns), 400, 300)[..., None]
    kind = rng.random()
    if kind < 0.25:
        image *= (1 - 0.12 * ((x // 24) % 2))[..., None]
    elif kind < 0.5:
        joint = (y % 10 < 1) | ((x + 12 * (y // 10 % 2)) % 24 < 1)
        image = np.where(
            joint[..., None],
            image * 0.8,
            image * (1 + rng.normal(0, 0.05, 991)[(y // 10 * 57 + x // 24) % 991])[..., None],
        )
    for left in range(0, columns - 260, int(rng.uniform(180, 330))):
        _furnish(rng, image[:, left : left + int(rng.uniform(60, 240))])
    image[int(rows * 0.965) :] = np.array([0.9, 0.89, 0.87]) * rng.uniform(0.3, 1)
    return np.asarray(cv2.GaussianBlur(_bytes(image), (0, 0), float(rng.uniform(0.6, 2.0))))


def _furnish(rng: np.random.Generator, part: Any) -> None:
    """Paint a picture, a window, a door or shelves on one stretch of wall, in place."""
    rows, columns = part.shape[:2]
    colour = np.array(random_cloth(rng).colour)
    kind = rng.random()
    if kind < 0.35:
        frame = part[int(rows * 0.25) : int(rows * 0.6), 4 : max(20, columns // 2)]
        frame[:] = 0.15
        inner = frame[4:-4, 4:-4]
        inner[:] = np.clip(colour + 0.12 * _grain(rng, inner.shape[:2], 20, 20)[..., None], 0, 1)
    elif kind < 0.55:
        part[int(rows * 0.15) : int(rows * 0.65), 6:-6] = 0.95
        part[int(rows * 0.17) : int(rows * 0.63), 10:-10] = np.linspace(
            [0.7, 0.82, 0.95], [0.55, 0.65, 0.5], int(rows * 0.63) - int(rows * 0.17)
        )[:, None]
    elif kind < 0.7:
        part[int(rows * 0.3) :, : min(columns, 90)] = colour * 0.8 + 0.1
    elif kind < 0.88:
        for top in range(int(rows * 0.3), rows - 20, 30):
            shelf = part[top : top + 28]
            shelf[:] = 0.20
            books = (
                rng.uniform(0.1, 0.8, (columns // 5 + 1, 1)) * rng.uniform(0.6, 1.2, (columns // 5 + 1, 3))
            ).repeat(5, axis=0)[:columns]
            shelf[4:25] = books[None]


OUTDOORS = (24.0, 24.0)
INDOORS = (6.0, 3.0)


def random_place(rng: np.random.Generator, variety: int = 8) -> Place:
    """Return a random outdoor or indoor place; floors and walls are drawn from ``variety`` cached ones of each kind."""
    seed = int(rng.integers(variety))
    if rng.random() < 0.6:
        kind = str(rng.choice(FLOORS[:3] + FLOORS[5:]))
        wall, (radius, tall) = outdoor_wall(seed, (0.3, 0.7, 1.0, 1.3)[seed % 4], (0.2, 0.8, 1.6)[seed % 3]), OUTDOORS
    else:
        kind = str(rng.choice(FLOORS[2:5]))
        wall, (radius, tall) = indoor_wall(seed), INDOORS
    return Place(floor_tile(kind, seed % 3), float(rng.uniform(2.5, 5.0)), wall, radius, tall)


def flat_backdrop(rng: np.random.Generator, size_wh: tuple[int, int]) -> Floats:
    """Return an (H, W, 3) sRGB background without depth, quickly: a gradient with noise, blobs and boxes."""
    width, height = size_wh
    corners = rng.uniform(0.05, 0.95, (2, 2, 3)).astype(np.float32)
    if rng.random() < 0.5:
        corners = corners.mean(axis=2, keepdims=True) + rng.normal(0, 0.06, (2, 2, 3)).astype(np.float32)
    else:
        corners = 0.5 * corners + 0.5 * corners.mean(axis=2, keepdims=True)
    small = (width // 2, height // 2)
    image: Any = cv2.resize(corners.astype(np.float32), small, interpolation=cv2.INTER_LINEAR)
    for cells, amount in ((4, 0.16), (14, 0.10), (48, 0.08)):
        rough = rng.normal(0, amount * rng.random(), (cells, cells, 1)).astype(np.float32)
        if rng.random() < 0.3:
            rough = rough * rng.uniform(0.2, 1.6, 3).astype(np.float32)
        grain: Any = cv2.resize(rough, small, interpolation=cv2.INTER_CUBIC if cells < 40 else cv2.INTER_LINEAR)
        image += grain.reshape(small[1], small[0], -1)
    image = cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, 9))):
        colour = tuple(float(v) for v in random_cloth(rng).colour)
        x, y = int(rng.integers(width)), int(rng.integers(height))
        a, b = (int(v) for v in rng.integers(4, max(width // 2, 5), 2))
        if rng.random() < 0.5:
            cv2.rectangle(image, (x, y), (x + a, y + b), colour, -1)
        else:
            cv2.ellipse(image, (x, y), (a, b), float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    if rng.random() < 0.7:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 4.0)))
    return np.asarray(np.clip(image, 0, 1))


def tinted(image: Floats, light: Light) -> Floats:
    """Apply a light's colour and brightness to the image of a place, at reduced strength."""
    whole = np.array(light.sun) * 0.45 + np.array(light.sky) + 0.15 * np.array(light.floor)
    gain = np.clip(np.asarray(whole, np.float32) / 0.9, 0.3, 1.25) ** 0.4
    return np.asarray(image * gain, np.float32)
