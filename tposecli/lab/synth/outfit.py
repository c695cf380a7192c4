"""The look of a person: skin, hair, clothes and their patterns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

import numpy as np

Colour = tuple[float, float, float]
"""sRGB, each component 0..1."""


class Material(IntEnum):
    """The material of a triangle of a person."""

    SKIN = 0
    FACE = 1
    HAIR = 2
    TOP = 3
    BOTTOM = 4
    SHOE = 5
    SOCK = 6
    HAT = 7
    BAG = 8
    GLASSES = 9


PATTERNS: Final = ("plain", "stripes", "pinstripes", "checks", "plaid", "logo", "dots", "blobs", "block")
HAIR_STYLES: Final = ("short", "bald", "long", "tail", "bun", "curly")
BOTTOMS: Final = ("trousers", "shorts", "skirt", "leggings")


@dataclass(frozen=True, slots=True)
class Cloth:
    """A fabric: two colours, a pattern with its size in metres, and the depth of its folds."""

    colour: Colour
    second: Colour = (0.9, 0.9, 0.9)
    pattern: str = "plain"
    size: float = 0.05
    folds: float = 0.5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outfit:
    """The look of one person.

    Attributes:
        skin, hair, shoe, sole: Colours.
        hair_style: One of ``HAIR_STYLES``.
        top, bottom: Fabrics.
        sleeve: Length of the sleeves: 0 none, 0.5 to the elbow, 1 to the wrist.
        hem: Length of the top below the waist: 0 tucked in, 1 over the hips.
        loose: Distance between clothes and body, metres.
        neckline: Distance from the neck to the top's upper edge in front, metres.
        open_front: Whether the top is an open jacket over a shirt of the colour ``bottom.second``.
        bottom_kind: One of ``BOTTOMS``.
        leg: Length of the bottom: 0.5 to the knee, 1 to the ankle.
        beard: 0 none to 1 full.
        hat, bag, glasses: Whether they are worn.
        eye: Colour of the iris.
    """

    skin: Colour = (0.86, 0.67, 0.55)
    hair: Colour = (0.18, 0.12, 0.08)
    hair_style: str = "short"
    top: Cloth = field(default_factory=lambda: Cloth((0.75, 0.2, 0.18)))
    bottom: Cloth = field(default_factory=lambda: Cloth((0.16, 0.2, 0.33)))
    shoe: Colour = (0.2, 0.2, 0.22)
    sole: Colour = (0.9, 0.9, 0.88)
    sleeve: float = 0.45
    hem: float = 1.0
    loose: float = 0.012
    neckline: float = 0.03
    open_front: bool = False
    bottom_kind: str = "trousers"
    leg: float = 1.0
    beard: float = 0.0
    hat: bool = False
    bag: bool = False
    glasses: bool = False
    eye: Colour = (0.25, 0.16, 0.1)


SKINS: Final = (
    (0.96, 0.82, 0.73),
    (0.90, 0.73, 0.61),
    (0.84, 0.64, 0.50),
    (0.74, 0.53, 0.38),
    (0.58, 0.39, 0.27),
    (0.42, 0.27, 0.19),
    (0.30, 0.19, 0.14),
)
HAIRS: Final = (
    (0.06, 0.05, 0.05),
    (0.13, 0.09, 0.07),
    (0.25, 0.16, 0.10),
    (0.42, 0.28, 0.16),
    (0.68, 0.52, 0.30),
    (0.52, 0.24, 0.12),
    (0.62, 0.60, 0.58),
)


def _colour(rng: np.random.Generator) -> Colour:
    """Return a random colour of clothes: often grey, blue, white or black, sometimes bright."""
    value = float(rng.beta(1.2, 1.1)) * 0.9 + 0.05
    saturation = float(rng.beta(1.0, 1.6)) if rng.random() < 0.7 else 0.05
    hue = float(rng.normal(0.6, 0.08)) if rng.random() < 0.3 else float(rng.random())
    wheel = np.clip(np.abs((hue % 1.0 * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    r, g, b = value * (1 - saturation * (1 - wheel))
    return float(r), float(g), float(b)


def random_cloth(rng: np.random.Generator, plain: float = 0.45) -> Cloth:
    """Return a random fabric; plain with the given probability."""
    pattern = "plain" if rng.random() < plain else str(rng.choice(PATTERNS[1:]))
    size = float(np.exp(rng.uniform(np.log(0.02), np.log(0.12))))
    folds = float(rng.uniform(0.15, 1.0))
    return Cloth(_colour(rng), _colour(rng), pattern, size, folds, int(rng.integers(1 << 30)))


def _tinted(rng: np.random.Generator, table: tuple[Colour, ...]) -> Colour:
    r, g, b = np.clip(np.array(table[rng.integers(len(table))]) * rng.uniform(0.9, 1.1, 3), 0.02, 1)
    return float(r), float(g), float(b)


def random_outfit(rng: np.random.Generator) -> Outfit:
    """Return a random look; all styles and colours can be combined."""
    warm = rng.random() < 0.55
    kind = str(rng.choice(BOTTOMS, p=(0.5, 0.23, 0.13, 0.14)))
    look = Outfit(
        skin=_tinted(rng, SKINS),
        hair=_tinted(rng, HAIRS),
        hair_style=str(rng.choice(HAIR_STYLES, p=(0.42, 0.06, 0.2, 0.12, 0.08, 0.12))),
        top=random_cloth(rng),
        bottom=random_cloth(rng, 0.85),
        shoe=_colour(rng),
        sole=(0.9, 0.9, 0.88) if rng.random() < 0.6 else (0.12, 0.11, 0.1),
        sleeve=float(rng.choice((0.0, 0.3, 0.4, 0.5))) if warm else float(rng.choice((0.85, 1.0))),
        hem=float(rng.uniform(0, 1)),
        loose=float(rng.uniform(0.004, 0.024)),
        neckline=float(rng.uniform(0.0, 0.08)),
        open_front=bool(not warm and rng.random() < 0.3),
        bottom_kind=kind,
        leg={"shorts": float(rng.uniform(0.28, 0.55)), "skirt": float(rng.uniform(0.3, 0.8))}.get(kind, 1.0),
    )
    extra = rng.random(5)
    return replace(
        look,
        beard=float(rng.uniform(0.3, 1)) if extra[0] < 0.3 and look.hair_style in ("short", "bald", "curly") else 0.0,
        hat=bool(extra[1] < 0.12),
        bag=bool(extra[2] < 0.1),
        glasses=bool(extra[3] < 0.15),
        eye=((0.25, 0.16, 0.1), (0.3, 0.42, 0.55), (0.35, 0.4, 0.25))[int(extra[4] * 2.99)],
    )
