"""The scenes of the sample clips."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from tposecli.lab.synth.backdrop import Place, floor_tile, indoor_wall, outdoor_wall
from tposecli.lab.synth.motion import Gait, Keyframes, Stance
from tposecli.lab.synth.outfit import Cloth, Outfit, random_outfit
from tposecli.lab.synth.poses import BASE, mirrored_pose
from tposecli.lab.synth.rig import Shape, random_shape
from tposecli.lab.synth.scene import Film, Person, Scene
from tposecli.lab.synth.shade import Light
from tposecli.lab.synth.views import Dolly

WALK_GAIT: Final = Gait(x=-2.0, z=-2.3, heading=42, cadence=0.9, phase=0.05, swing=0.9, stride=0.9)


CLIP_FILM: Final = Film(blur=0.35, gain=1.07)
QUICK_FILM: Final = Film(magnify=1.0, blur=0.35, shadows=False)


def walk_scene() -> Scene:
    """Return a scene of one person who walks on paving towards and past the camera, before houses and trees."""
    look = Outfit(
        top=Cloth((0.72, 0.29, 0.23), (0.93, 0.91, 0.85), "plain", 0.05, 0.9, 3),
        bottom=Cloth((0.20, 0.25, 0.36), folds=0.8),
        shoe=(0.62, 0.61, 0.58),
        sole=(0.95, 0.95, 0.93),
        hair=(0.20, 0.13, 0.08),
        loose=0.014,
        hem=0.75,
    )
    person = Person(Shape(height=1.78, belly=0.15), look, WALK_GAIT, detail=1.4)
    place = Place(floor_tile("paving", 1), 4.0, outdoor_wall(3, 0.8, 1.2), 24.0, 24.0)
    view = Dolly((-0.9, 1.3, 2.4), (0.9, 1.3, 5.6), (-1.7, 0.92, -2.3), (1.3, 0.9, 1.2), 950.0, (640, 480), 4.5, 0.006)
    return Scene((person,), place, view, Light((0.35, 0.72, 0.60)), film=CLIP_FILM, flicker=0.05, seed=1)


def crossing_scene(seed: int = 1, people: int = 5, seconds: float = 5.6, film: Film = CLIP_FILM) -> Scene:
    """Return a scene of people who walk in both directions on lanes at different depths and occlude each other.

    All of them meet near the middle of the clip; no one is completely hidden for longer than a second.

    Args:
        seed: Determines looks, lanes, speeds, light and the camera's path.
        people: Number of people; their track ids start at 1.
        seconds: Duration of the camera's path and of the crossing.
        film: Camera effects; ``QUICK_FILM`` renders several times faster, for tests that need many clips.
    """
    rng = np.random.default_rng([seed, people, 6])
    view = _passing_view(rng, seconds)
    shapes = [random_shape(rng) for _ in range(people)]
    gaits = _lanes(rng, shapes, seconds)
    while _longest_hiding(gaits, shapes, view, seconds) > 0.85:
        gaits = _lanes(rng, shapes, seconds)
    crowd = tuple(
        Person(shape, random_outfit(rng), gait, number, 1.2)
        for number, (shape, gait) in enumerate(zip(shapes, gaits, strict=True), 1)
    )
    kind = str(rng.choice(("paving", "asphalt", "grass", "sand")))
    wall = outdoor_wall(int(rng.integers(40)), float(rng.uniform(0.5, 1.1)), float(rng.uniform(0, 1.6)))
    place = Place(floor_tile(kind, int(rng.integers(5))), 4.0, wall, 24.0, 24.0)
    light = Light((float(rng.uniform(-0.6, 0.6)), 0.72, float(rng.uniform(0.2, 0.6))))
    return Scene(crowd, place, view, light, film=film, flicker=0.08, seed=seed)


def _passing_view(rng: np.random.Generator, seconds: float) -> Dolly:
    side = float(rng.choice((-1.0, 1.0)))
    drift, high = float(rng.uniform(0.5, 1.1)) * side, float(rng.uniform(1.3, 1.9))
    start, end = (-drift, high, 6.6), (drift, high + 0.15, float(rng.uniform(5.6, 6.3)))
    return Dolly(start, end, (-0.6 * drift, 0.98, 0.0), (0.6 * drift, 0.95, 0.0), 760.0, (768, 432), seconds, 0.008)


def _lanes(rng: np.random.Generator, shapes: list[Shape], seconds: float) -> list[Gait]:
    """Return gaits on lanes 0.7 m apart, each passing the middle of the image near the middle of the clip."""
    people = len(shapes)
    lanes = rng.permutation(people) * 0.7 - 0.35 * (people - 1) - 0.4
    gaits = []
    for number, shape in enumerate(shapes):
        way = 1 if number % 2 == 0 else -1
        gait = Gait(
            z=float(lanes[number]),
            heading=float(90 * way + rng.uniform(-3.5, 3.5)),
            cadence=float(rng.uniform(0.82, 1.0)),
            phase=float(rng.random()),
            swing=float(rng.uniform(0.6, 1.2)),
            stride=float(rng.uniform(0.85, 1.0)),
        )
        meet = seconds * float(rng.uniform(0.34, 0.66))
        gaits.append(replace(gait, x=-way * meet * gait.speed(shape) + float(rng.normal(0, 0.2))))
    return gaits


def _longest_hiding(gaits: list[Gait], shapes: list[Shape], view: Dolly, seconds: float) -> float:
    """Return the longest time, seconds, for which anyone is directly behind a nearer person."""
    step = 0.04
    times = np.arange(0, seconds, step)
    eyes = np.array([view.at(float(time_s)).position for time_s in times])
    ends = [[gait.place(t, shape) for t in (0.0, 1.0)] for gait, shape in zip(gaits, shapes, strict=True)]
    start, pace = np.array(ends)[:, 0], np.diff(np.array(ends), axis=1)[:, 0]
    place = start + pace * times[:, None, None]
    away = eyes[:, 2, None] - place[:, :, 1]
    slope = (place[:, :, 0] - eyes[:, 0, None]) / away
    behind = away[:, :, None] > away[:, None, :] + 0.1
    apart = np.abs(slope[:, :, None] - slope[:, None, :]) * away[:, :, None]
    hidden = (behind & (apart < 0.2)).any(axis=2)
    run, longest = np.zeros(len(gaits)), 0.0
    for row in hidden:
        run = np.where(row, run + step, 0)
        longest = max(longest, float(run.max()))
    return longest


_STEPS: Final = (
    (0.0, "stand", 0.0), (0.45, "wave", -6.0), (0.75, "wave", 4.0), (1.2, "up", 0.0), (1.7, "dance", 10.0),
    (2.15, "mirror dance", -12.0), (2.6, "goal", 0.0), (3.1, "cross", 6.0), (3.6, "hips", 0.0), (4.2, "wave", 0.0),
)  # fmt: skip


def portrait_scene() -> Scene:
    """Return a scene of one person who waves, stretches and dances in a room, filmed in portrait format."""
    times, stances = [], []
    for time_s, name, heading in _STEPS:
        angles = BASE[name.removeprefix("mirror ")]
        angles = mirrored_pose(angles) if name.startswith("mirror") else angles
        times.append(time_s)
        stances.append(Stance(angles, 0.02 * heading, 0.0, heading))
    look = Outfit(
        skin=(0.62, 0.43, 0.31), hair=(0.08, 0.06, 0.05), hair_style="tail",
        top=Cloth((0.93, 0.80, 0.34), (0.25, 0.32, 0.48), "stripes", 0.055, 0.8, 5),
        bottom=Cloth((0.30, 0.38, 0.50), folds=0.7), shoe=(0.66, 0.66, 0.66),
        sleeve=0.42, hem=0.5, loose=0.010,
    )  # fmt: skip
    shape = Shape(height=1.68, girth=0.95, shoulders=0.96, hips=1.06, bust=0.6, belly=0.1, head=1.04)
    person = Person(shape, look, Keyframes(tuple(times), tuple(stances), 1.2), detail=1.4)
    place = Place(floor_tile("boards", 1), 4.0, indoor_wall(2), 6.0, 3.0)
    view = Dolly((0.05, 1.25, 3.9), (-0.1, 1.3, 3.6), (0, 0.98, 0), (0.02, 0.98, 0), 960.0, (480, 848), 4.2, 0.015)
    light = Light((0.45, 0.70, 0.75), (0.80, 0.76, 0.70), (0.45, 0.46, 0.48), (0.28, 0.24, 0.2))
    return Scene((person,), place, view, light, film=Film(blur=0.35, grain=0.01), flicker=0.04, seed=3)
