"""The scenes of the sample clips."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.synth.backdrop import Place, floor_tile, outdoor_wall
from tposecli.synth.motion import Gait
from tposecli.synth.outfit import Cloth, Outfit
from tposecli.synth.rig import Shape
from tposecli.synth.scene import Dolly, Film, Person, Scene
from tposecli.synth.shade import Light

WALK_GAIT: Final = Gait(x=-2.0, z=-2.3, heading=42, cadence=0.9, phase=0.05, swing=0.9, stride=0.9)


def walk_scene() -> Scene:
    """One person who walks towards and across the camera over paving, houses and trees behind."""
    look = Outfit(
        top=Cloth((0.80, 0.34, 0.27), (0.93, 0.91, 0.85), "plain", 0.05, 0.9, 3),
        bottom=Cloth((0.20, 0.25, 0.36), folds=0.8),
        shoe=(0.85, 0.84, 0.80),
        sole=(0.95, 0.95, 0.93),
        hair=(0.20, 0.13, 0.08),
        loose=0.014,
        hem=0.75,
    )
    person = Person(Shape(height=1.78, belly=0.15), look, WALK_GAIT, detail=1.4)
    place = Place(floor_tile("paving", 1), 4.0, outdoor_wall(3, 0.8, 1.2), 24.0, 24.0)
    view = Dolly((-0.9, 1.3, 2.4), (0.9, 1.3, 5.6), (-1.7, 0.92, -2.3), (1.3, 0.9, 1.2), 860.0, (640, 480), 4.5, 0.006)
    return Scene((person,), place, view, Light((0.35, 0.72, 0.60)), film=Film(blur=0.35), flicker=0.05, seed=1)


def crossing_scene(seed: int = 0, people: int = 5) -> Scene:
    raise NotImplementedError


def portrait_scene() -> Scene:
    raise NotImplementedError
