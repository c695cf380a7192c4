"""Shading: the colour of a pixel from its rest position, normal and material. All light is linear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.lab.synth.arrays import Floats, Mask, smoothstep, unit
from tposecli.lab.synth.outfit import Cloth, Colour, Material, Outfit
from tposecli.lab.synth.rig import BONE, Shape, rest_joints


@dataclass(frozen=True, slots=True)
class Light:
    """A distant sun or lamp, and ambient light from sky and floor.

    Attributes:
        toward: (x, y, z) unit vector towards the sun.
        sun, sky, floor: Linear light from each, 1 white.
    """

    toward: tuple[float, float, float] = (0.43, 0.74, 0.52)
    sun: Colour = (0.95, 0.90, 0.80)
    sky: Colour = (0.42, 0.47, 0.55)
    floor: Colour = (0.22, 0.20, 0.17)

    def dimmed(self, factor: float) -> Light:
        """Return the light, ``factor`` times as bright."""
        sun, sky, floor = (tuple(factor * v for v in c) for c in (self.sun, self.sky, self.floor))
        return Light(self.toward, sun, sky, floor)  # type: ignore[arg-type]


def random_light(rng: np.random.Generator) -> Light:
    """Return a light of random direction, strength and colour: day, evening, overcast, indoors."""
    angle, lift = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.4)
    toward = (np.cos(angle) * np.cos(lift), np.sin(lift), np.sin(angle) * np.cos(lift))
    warm = rng.uniform(-0.22, 0.28)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    hard = rng.uniform(0.15, 1.1)
    sky = rng.uniform(0.22, 0.6)
    sun = hard * tint
    shade = sky * np.array([1 - 0.3 * warm, 1, 1 + 0.4 * warm])
    below = sky * rng.uniform(0.3, 0.8) * rng.uniform(0.8, 1.1, 3)
    colours = [tuple(float(v) for v in colour) for colour in (toward, sun, shade, below)]
    return Light(*colours)  # type: ignore[arg-type]


def linear(colour: Any) -> Floats:
    """Convert sRGB 0..1 to linear light."""
    return np.asarray(np.clip(np.asarray(colour, np.float32), 0, None) ** 2.2, np.float32)


def display(light: Floats) -> Floats:
    """Convert linear light to sRGB 0..1, with soft highlights."""
    soft = light / (1 + 0.12 * light * light)
    return np.asarray(np.sqrt(np.clip(soft, 0, None)) ** 0.93, np.float32)


@lru_cache(maxsize=32)
def noise(seed: int, across: float, down: float, size: int = 256) -> Floats:
    """Return (size, size) tileable smooth noise of unit deviation; ``across`` and ``down`` are blur sigmas, pixels."""
    rng = np.random.default_rng(seed)
    wide = np.tile(rng.standard_normal((size, size)).astype(np.float32), (2, 2))
    soft = cv2.GaussianBlur(wide, (0, 0), sigmaX=across, sigmaY=down)[size // 2 : -size // 2, size // 2 : -size // 2]
    return np.asarray((soft - soft.mean()) / soft.std(), np.float32)


@lru_cache(maxsize=1)
def _fold_slopes() -> Floats:
    """Return the (256, 256, 2) slopes, across and down, of crumpled cloth in a tile of 0.6 m."""
    height: Any = 1.6 * np.abs(noise(11, 7, 16)) + 0.8 * np.abs(noise(12, 14, 7)) + 0.25 * noise(13, 3, 4)
    height = cv2.GaussianBlur(np.tile(height, (3, 3)), (0, 0), 1.3)
    slopes = np.stack([np.gradient(height, axis=1), np.gradient(height, axis=0)], axis=2)[256:512, 256:512]
    return np.asarray(slopes, np.float32)


def _tile(texture: NDArray[Any], u: Floats, v: Floats) -> NDArray[Any]:
    """Sample a texture at coordinates in tiles."""
    size = texture.shape[0]
    return np.asarray(texture[(v * size).astype(np.int32) % size, (u * size).astype(np.int32) % size])


def _stripes(value: Floats) -> Mask:
    return np.asarray(np.floor(value).astype(np.int32) % 2 == 0)


def _pattern_share(cloth: Cloth, u: Floats, v: Floats, height: float) -> Floats:
    """Return the share of the second colour at cloth coordinates in metres."""
    a, b = u / cloth.size, v / cloth.size
    share: Any
    if cloth.pattern == "stripes":
        share = _stripes(b * 1.6)
    elif cloth.pattern == "pinstripes":
        share = (a * 1.7) % 1.0 < 0.22
    elif cloth.pattern == "checks":
        share = _stripes(a) ^ _stripes(b)
    elif cloth.pattern == "plaid":
        share = 0.5 * ((a * 0.8) % 1.0 < 0.4) + 0.5 * ((b * 0.8) % 1.0 < 0.4)
    elif cloth.pattern == "dots":
        share = (a % 1.0 - 0.5) ** 2 + (b % 1.0 - 0.5) ** 2 < 0.07
    elif cloth.pattern == "blobs":
        share = _tile(noise(21, 9, 9), a * 0.3, b * 0.3) > 0.4
    elif cloth.pattern == "logo":
        share = (np.abs(u) < 0.045 * height) & (np.abs(v - 0.735 * height) < 0.022 * height)
        share &= _tile(noise(22, 5, 5), a * 0.5, b * 0.5) > -0.7
    elif cloth.pattern == "block":
        share = v > 0.70 * height
    else:
        share = np.zeros(len(u))
    return np.asarray(share, np.float32)


def _cloth_colour(cloth: Cloth, rest: Floats, height: float) -> Floats:
    u, v = rest[:, 0] + 0.6 * rest[:, 2], rest[:, 1]
    base = np.broadcast_to(linear(cloth.colour), rest.shape)
    if cloth.pattern != "plain":
        share = _pattern_share(cloth, u, v, height)[:, None]
        base = base * (1 - share) + linear(cloth.second) * share
    weave = 1 + 0.05 * _tile(noise(14, 0.8, 0.8), u * 4, v * 4)
    return np.asarray(base * weave[:, None], np.float32)


def _top_colour(outfit: Outfit, rest: Floats, shape: Shape) -> Floats:
    """Return the top's colours, with skin in the neckline and on bare shoulders, and the shirt under an open jacket."""
    colour = _cloth_colour(outfit.top, rest, shape.height)
    x, y, z = (rest / shape.height).T
    drop = outfit.neckline / 1.7 + 0.012
    collar = rest_joints(shape)[BONE["neck"], 1] / shape.height + 0.008
    bare = ((x / (0.040 + 0.4 * drop)) ** 2 + ((y - collar) / drop) ** 2 < 1) & (z > -0.02)
    if outfit.sleeve < 0.02:
        bare |= (np.abs(x) > 0.075) & (y > collar - 0.09)
    if outfit.open_front:
        width = 0.018 + 0.08 * (collar - y) ** 2
        colour[(np.abs(x) < width) & (z > 0.01) & (y < collar)] = linear(outfit.bottom.second)
    colour[bare] = linear(outfit.skin)
    return colour


def _bottom_colour(outfit: Outfit, rest: Floats, shape: Shape) -> Floats:
    colour = _cloth_colour(outfit.bottom, rest, shape.height)
    x, y, z = (rest / shape.height).T
    waist = rest_joints(shape)[BONE["spine"], 1] / shape.height + 0.018
    if outfit.bottom_kind in ("trousers", "shorts"):
        colour[(y > waist - 0.016) & (np.abs(x) < 0.11)] *= 0.35
        colour[(np.abs(np.abs(x) - 0.075 + 0.3 * (waist - y)) < 0.002) & (z > 0) & (y > waist - 0.06)] *= 0.5
        colour[np.abs(x) < 0.0015] *= 0.7
    return colour


def _face_colour(outfit: Outfit, rest: Floats, shape: Shape) -> Floats:
    """Return the face's colours, with eyes, brows, lips, nostrils and beard placed by position on the head."""
    f = (rest - rest_joints(shape)[BONE["head"]]) / (shape.height * shape.head)
    x, y, z = np.abs(f[:, 0]), f[:, 1], f[:, 2]
    skin, hair = linear(outfit.skin), linear(outfit.hair)
    colour = np.broadcast_to(skin, rest.shape).copy()
    front = z > 0.02
    cheek = np.exp(-(((x - 0.026) / 0.012) ** 2) - ((y - 0.036) / 0.012) ** 2)[:, None]
    colour *= 1 - cheek * np.array([0.0, 0.10, 0.10], np.float32)
    socket = np.exp(-(((x - 0.0175) / 0.012) ** 2) - ((y - 0.0625) / 0.0075) ** 2) * front
    colour *= (1 - 0.30 * socket)[:, None]
    if outfit.beard > 0:
        low = 0.036 - 0.3 * np.maximum(z - 0.052, 0) + 0.25 * np.maximum(0.034 - z, 0)
        grown = smoothstep((low - y) / 0.006) * smoothstep((z + 0.004) / 0.006)
        moustache = smoothstep((0.0045 - np.abs(y - 0.0295)) / 0.002) * (x < 0.017) * front
        share = (np.maximum(grown, moustache) * 0.85 * outfit.beard)[:, None]
        colour = np.asarray(colour * (1 - share) + hair * share)
    return _features(outfit, colour, (x, y, front))


def _features(outfit: Outfit, colour: Floats, where: tuple[Floats, Floats, Mask]) -> Floats:
    x, y, front = where
    skin, hair = linear(outfit.skin), linear(outfit.hair)
    lips = (x / 0.0150) ** 2 + ((y - 0.0215) / (0.0046 - 0.06 * x)) ** 2 < 1
    colour[lips & front] = skin * np.array([0.80, 0.50, 0.48], np.float32)
    colour[(x < 0.0145) & (np.abs(y - 0.0217 - 4 * x * x) < 0.0007) & front] = skin * 0.22
    colour[((x - 0.0042) ** 2 + (y - 0.0352) ** 2 < 0.0019**2) & front] = skin * 0.25
    ex, ey = (x - 0.0180) / 0.0086, (y - 0.0605) / 0.0046
    lid = (ex**2 + (ey - 0.32) ** 2 < 1.12) & (ey > 0) & front
    colour[lid] = skin * 0.18
    white = (ex**2 + ey**2 < 1) & front
    colour[white] = (0.72, 0.70, 0.68)
    round_ = (x - 0.0180) ** 2 + (y - 0.0608) ** 2
    colour[white & (round_ < 0.0041**2)] = linear(outfit.eye)
    colour[white & (round_ < 0.0019**2)] = 0.01
    arch = y - 0.0735 + 14 * (x - 0.021) ** 2
    colour[(np.abs(arch) < 0.0022) & (np.abs(x - 0.0185) < 0.0115) & front] = hair * 0.7 + skin * 0.06
    return colour


def _hair_colour(outfit: Outfit, rest: Floats, height: float) -> Floats:
    around = np.arctan2(rest[:, 0], rest[:, 2])
    strand = _tile(noise(15, 1.2, 18), around * 0.8, rest[:, 1] * 2.2)
    return np.asarray(linear(outfit.hair) * np.clip(1 + 0.28 * strand, 0.3, 2)[:, None], np.float32)


def albedo(outfit: Outfit, shape: Shape, material: NDArray[Any], rest: Floats) -> Floats:
    """Return the (P, 3) linear albedo for (P,) materials and (P, 3) rest positions."""
    skin = linear(outfit.skin)
    table = np.zeros((len(Material), 3), np.float32)
    table[Material.SKIN] = skin
    table[Material.SHOE] = linear(outfit.shoe)
    table[Material.SOCK] = linear(outfit.sole)
    table[Material.HAT] = linear(outfit.top.second)
    table[Material.BAG] = linear(outfit.top.second) * 0.6 + 0.02
    table[Material.GLASSES] = 0.015
    colour = table[material]
    painters: dict[Material, Callable[[Floats], Floats]] = {
        Material.FACE: lambda part: _face_colour(outfit, part, shape),
        Material.HAIR: lambda part: _hair_colour(outfit, part, shape.height),
        Material.TOP: lambda part: _top_colour(outfit, part, shape),
        Material.BOTTOM: lambda part: _bottom_colour(outfit, part, shape),
    }
    for kind, paint in painters.items():
        chosen = np.flatnonzero(material == kind)
        if len(chosen):
            colour[chosen] = paint(rest[chosen])
    sole = (material == Material.SHOE) & (rest[:, 1] < 0.011 * shape.height)
    colour[sole] = linear(outfit.sole)
    return np.asarray(colour, np.float32)


def crumpled(outfit: Outfit, material: NDArray[Any], rest: Floats, normal: Floats) -> Floats:
    """Bend (P, 3) normals by the folds of the clothes."""
    depth = np.zeros(len(Material), np.float32)
    depth[Material.TOP], depth[Material.BOTTOM] = outfit.top.folds, outfit.bottom.folds
    amount = depth[material] * 1.1
    u = (rest[:, 0] + 0.7 * rest[:, 2]) / 0.6 + outfit.top.seed % 97 / 97
    slope = _tile(_fold_slopes(), u, rest[:, 1] / 0.6) * amount[:, None]
    side = np.stack([normal[:, 2], np.zeros(len(normal), np.float32), -normal[:, 0]], axis=1)
    bent = normal + side * slope[:, :1]
    bent[:, 1] += slope[:, 1]
    return unit(bent)


def lit(light: Light, colour: Floats, normal: Floats, view: Floats, sunlit: Floats | None = None) -> Floats:
    """Return the (P, 3) linear light that leaves the surface.

    Args:
        light: Sun, sky and floor.
        colour: (P, 3) albedo.
        normal: (P, 3) unit normals in the world.
        view: (P, 3) unit directions from the surface to the camera.
        sunlit: (P,) share of the sunlight that arrives; None for all of it.
    """
    facing = normal @ np.asarray(light.toward, np.float32)
    direct = np.clip((facing + 0.15) / 1.15, 0, None)
    if sunlit is not None:
        direct = direct * sunlit
    up = (normal[:, 1:2] * 0.5 + 0.5) ** 1.2
    ambient = np.asarray(light.sky, np.float32) * up + np.asarray(light.floor, np.float32) * (1 - up)
    edge = (1 - np.clip(np.einsum("pc,pc->p", normal, view), 0, 1)) ** 3
    ambient = ambient * (1 - 0.35 * edge)[:, None]
    rim = (0.05 * edge)[:, None] * np.asarray(light.sky, np.float32)
    return np.asarray(colour * (direct[:, None] * np.asarray(light.sun, np.float32) + ambient) + rim, np.float32)
