"""Rendered people to measure with, so that no external data is needed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.lab.synth.clips import QUICK_FILM, crossing_scene
from tposecli.lab.synth.film import Reel, write_clip
from tposecli.lab.synth.scene import Scene
from tposecli.lab.synth.views import Dolly
from tposecli.types import Boxes, Frame

SIZE_WH: Final = (1280, 720)
RATE: Final = Fraction(25)
START_S: Final = 2.4
"""Time at which all people are in the image."""
RENDERED_FRAMES: Final = 12
"""Number of frames that are rendered; they are played back and forth."""


def people_scene(people: int) -> Scene:
    """Return a scene of people who cross the image, in 720p."""
    scene = crossing_scene(people=people, film=QUICK_FILM)
    view = scene.view
    if isinstance(view, Dolly):
        larger = replace(view, focal=view.focal * SIZE_WH[0] / view.size_wh[0], size_wh=SIZE_WH)
        scene = replace(scene, view=larger)
    return scene


def crowd(people: int) -> tuple[Frame, Boxes]:
    """Return one frame, and as many true boxes as requested, each slightly shifted."""
    shot = people_scene(3).render(START_S)
    rng = np.random.default_rng(people)
    picked = np.resize(np.arange(len(shot.boxes)), people)
    moved = shot.boxes.xyxy[picked] + rng.uniform(-4, 4, (people, 1)).astype(np.float32)
    limit = np.array([*SIZE_WH, *SIZE_WH], np.float32) - 1
    return Frame(shot.image, 0, 0.0, "rendered", 0), Boxes(np.clip(moved, 0, limit), np.ones(people, np.float32))


def rendered_clip(path: Path, people: int, frames: int) -> list[Boxes]:
    """Write an MP4 in 720p at 25 frames per second, and return the true boxes of each frame."""
    scene = people_scene(people)
    shots = [scene.render(START_S + index / float(RATE)) for index in range(min(RENDERED_FRAMES, frames))]
    shown = list(islice(cycle([*shots, *shots[-2:0:-1]]), frames))
    write_clip(path, Reel(RATE, 1 / RATE), enumerate(shot.image for shot in shown))
    return [shot.boxes for shot in shown]
