"""Random images for training: single crops for the pose net, crowds for the detector.

Use ``image, keypoints, box = random_crop(np.random.default_rng([run, number]))`` in one worker process per core (set
``cv2.setNumThreads(1)``), and ``random_scene(rng, (640, 480)).render()`` for crowds. The same generator state gives the
same image. Bodies, walls and floors come from cached stocks; poses, colours, lights and cameras are new each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np

from tposecli.lab.synth.arrays import Floats
from tposecli.lab.synth.backdrop import flat_backdrop, random_place
from tposecli.lab.synth.body import body_mesh
from tposecli.lab.synth.mesh import Mesh
from tposecli.lab.synth.motion import Gait, Stance, stand
from tposecli.lab.synth.outfit import Outfit, random_cloth, random_outfit
from tposecli.lab.synth.poses import random_stance, seated
from tposecli.lab.synth.raster import Camera, look_at
from tposecli.lab.synth.rig import BONE, Shape, random_shape
from tposecli.lab.synth.scene import Film, Person, Scene, Shot, Thing
from tposecli.lab.synth.shade import random_light
from tposecli.lab.synth.things import box, random_thing
from tposecli.lab.synth.views import Fixed
from tposecli.types import Image

Rng = np.random.Generator
STOCK: Final = 160
"""Number of different bodies; each gets new colours every time."""


@dataclass(frozen=True, eq=False, slots=True)
class Still:
    """The motion of a person who stands still."""

    stance: Stance

    def at(self, time_s: float, shape: Shape) -> Stance:
        """Return the same stance at any time."""
        return self.stance


@lru_cache(maxsize=STOCK)
def _body(number: int, detail: float) -> tuple[Shape, Outfit, Mesh]:
    rng = np.random.default_rng([number, 4])
    shape, outfit = random_shape(rng), random_outfit(rng)
    return shape, outfit, body_mesh(shape, outfit, detail)


def random_person(rng: Rng, motion: Still | Gait, track_id: int = 1, detail: float = 0.7) -> Person:
    """Return a random body of the stock in new colours."""
    shape, outfit, mesh = _body(int(rng.integers(STOCK)), detail)
    fresh = random_outfit(rng)
    look = replace(
        outfit,
        skin=fresh.skin, hair=fresh.hair, top=fresh.top, bottom=fresh.bottom, shoe=fresh.shoe, sole=fresh.sole,
        beard=fresh.beard if shape.bust == 0 else 0.0, eye=fresh.eye,
    )  # fmt: skip
    return Person(shape, look, motion, track_id, detail, mesh)


def _seat(person: Person, stance: Stance, rng: Rng) -> list[Thing]:
    """Return a stool under a person who sits; nothing under others."""
    if not seated(stance.angles):
        return []
    pelvis = stand(person.shape, stance).start[BONE["pelvis"]]
    top = float(pelvis[1]) - 0.085 * person.shape.height
    if top < 0.15:
        return []
    size = (float(rng.uniform(0.35, 0.6)), top, float(rng.uniform(0.3, 0.4)))
    yaw = np.radians(stance.heading)
    back = 0.05
    base = (float(pelvis[0]) - back * float(np.sin(yaw)), 0.0, float(pelvis[2]) - back * float(np.cos(yaw)))
    return [box(base, size, stance.heading, random_cloth(rng).colour)]


def _aimed(rng: Rng, points: Floats, size_wh: tuple[int, int]) -> Camera:
    """Return a camera at a random height and distance, zoomed so that the points fill most of the image."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    distance, lift = float(rng.uniform(2.2, 9.0)), float(rng.normal(8, 13))
    roll = float(rng.normal(0, 12)) if rng.random() < 0.4 else 0.0
    offset = np.array([0, np.sin(np.radians(lift)), np.cos(np.radians(lift))]) * distance
    place = middle + offset
    place[1] = max(place[1], 0.15)
    focal = 1.0
    if rng.random() < 0.2:
        middle = middle + np.array([0, float(rng.uniform(0.1, 0.55)), 0]) * np.ptp(points[:, 1]) * 0.8
        focal = float(rng.uniform(1.1, 2.2))
    first = look_at(place.astype(np.float32), middle.astype(np.float32), 100.0, (1, 1), roll)
    xy = first.project(points)[:, :2]
    extent = np.ptp(xy, axis=0) / np.array(size_wh)
    focal *= 100.0 / max(float(extent.max()), 1e-3) * 0.70 * float(np.clip(rng.normal(1, 0.14), 0.6, 1.5))
    off = rng.normal(0, 0.04, 2) * np.array(size_wh) / focal * distance
    aim = middle + off[0] * first.turn[0] + off[1] * first.turn[1]
    return look_at(place.astype(np.float32), aim.astype(np.float32), focal, size_wh, roll)


def random_crop(rng: Rng, size_wh: tuple[int, int] = (192, 256)) -> tuple[Image, Floats, Floats]:
    """Render a crop of one person, upright or not, whole or cut off, alone or with others, in a random place.

    Returns:
        (H, W, 3) uint8 RGB, (17, 3) x, y, v of the person in the crop, (4,) tight x1, y1, x2, y2 of the visible pixels.
    """
    while True:
        shot = random_crop_scene(rng, size_wh).render()
        mine = np.flatnonzero(shot.track_id == 1)
        enough = len(mine) and shot.area[mine[0]] > 0.03 * size_wh[0] * size_wh[1]
        if enough and (shot.keypoints[mine[0], :, 2] == 2).sum() >= 4:
            return _degrade(rng, shot.image), shot.keypoints[mine[0]], shot.boxes.xyxy[mine[0]]


def random_crop_scene(rng: Rng, size_wh: tuple[int, int]) -> Scene:
    """Return the scene of a crop: the first person is the one whom it shows."""
    stance = random_stance(rng)
    person = random_person(rng, Still(stance))
    points = stand(person.shape, stance).start
    camera = _aimed(rng, points, size_wh)
    things = _seat(person, stance, rng)
    people = [person]
    if rng.random() < 0.25:
        x, z = _beside(rng, 0.35, 1.0)
        people.append(random_person(rng, Still(replace(random_stance(rng), x=x, z=z)), 2))
    if rng.random() < 0.25:
        things.append(random_thing(rng, float(rng.normal(0, 0.7)), float(rng.uniform(0.35, 1.2))))
    place: Any = random_place(rng) if rng.random() < 0.4 else flat_backdrop(rng, size_wh)
    film = Film(
        1.0,
        float(rng.uniform(0.3, 0.9)),
        float(rng.exponential(0.012)),
        float(rng.uniform(0.75, 1.25)),
        0.0,
        False,
        2.0,
    )
    return Scene(
        tuple(people), place, Fixed(camera), random_light(rng), tuple(things), film, seed=int(rng.integers(1 << 30))
    )


def _beside(rng: Rng, near: float, far: float) -> tuple[float, float]:
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(near, far)
    return float(away * np.cos(angle)), float(away * np.sin(angle))


def _degrade(rng: Rng, crop: Image) -> Image:
    """Reduce the resolution, add motion blur, or compress as JPEG, each with some probability."""
    image: Any = crop
    height, width = crop.shape[:2]
    kind = rng.random(3)
    if kind[0] < 0.25:
        small = max(0.3, float(rng.uniform(0.35, 0.9)))
        little = cv2.resize(image, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(little, (width, height), interpolation=cv2.INTER_LINEAR)
    if kind[1] < 0.10:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        image = cv2.filter2D(image, -1, kernel if rng.random() < 0.7 else kernel.T)
    if kind[2] < 0.3:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])[1]
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)


def random_scene(
    rng: Rng, size_wh: tuple[int, int] = (640, 480), people: tuple[int, int] = (1, 8), film: Film | None = None
) -> Scene:
    """Return a scene of a crowd in various poses, near and far, partly hidden by objects and cut off by the edges.

    Args:
        rng: Source of chance.
        size_wh: Width and height of the image.
        people: Minimum and maximum number of people; some may not be visible.
        film: Camera effects; by default without supersampling, with random blur and grain.
    """
    high = float(np.clip(rng.lognormal(0.35, 0.35), 0.5, 4.0))
    focal = float(rng.uniform(0.75, 1.9)) * max(size_wh)
    nearest = float(rng.uniform(1.4, 4.0)) * max(1.0, focal / size_wh[1] * 0.55)
    down = float(rng.normal(0.95, 0.25))
    start = (0.0, high, 5.0)
    camera = look_at(
        np.array(start), np.array([0, down, 5.0 - nearest * 1.6]), focal, size_wh, float(rng.normal(0, 2.0))
    )
    spots = _spots(rng, int(rng.integers(people[0], people[1] + 1)), nearest, 0.5 * size_wh[0] / focal)
    crowd, things = [], []
    for number, (x, z) in enumerate(spots, 1):
        stance = replace(random_stance(rng, 0.03), x=x, z=z)
        gait = Gait(x, z, float(rng.uniform(-180, 180)), float(rng.uniform(0.75, 1.05)), float(rng.random()))
        person = random_person(rng, gait if rng.random() < 0.3 else Still(stance), number, 1.0 if film else 0.7)
        crowd.append(person)
        if isinstance(person.motion, Still):
            things += _seat(person, stance, rng)
    for _ in range(int(rng.poisson(0.8))):
        x, z = _spots(rng, 1, nearest * 1.1, 0.5 * size_wh[0] / focal)[0]
        things.append(random_thing(rng, x, z))
    quick = Film(
        1.0, float(rng.uniform(0.3, 0.8)), float(rng.exponential(0.01)), float(rng.uniform(0.8, 1.2)), 0.05, False, 1.5
    )
    place, seed = random_place(rng), int(rng.integers(1 << 30))
    return Scene(tuple(crowd), place, Fixed(camera), random_light(rng), tuple(things), film or quick, seed=seed)


def _spots(rng: Rng, count: int, nearest: float, slope: float) -> list[tuple[float, float]]:
    """Return up to ``count`` places at least 0.5 m apart, before a camera at z = 5 that looks along -z."""
    spots: list[tuple[float, float]] = []
    for _ in range(count * 12):
        if len(spots) == count:
            break
        away = nearest * float(rng.uniform(0.9, 1.2) if not spots else rng.uniform(0.8, 3.0))
        x, z = away * slope * float(rng.uniform(-0.95, 0.95)), 5.0 - away
        if all((x - a) ** 2 + (z - b) ** 2 > 0.5**2 for a, b in spots):
            spots.append((x, z))
    return spots


def visible_people(shot: Shot, min_area: float = 60.0) -> Shot:
    """Return the shot with only those people of whom at least ``min_area`` pixels are visible."""
    keep = shot.area >= min_area
    return Shot(
        shot.image, shot.boxes[keep], shot.keypoints[keep], shot.track_id[keep], shot.area[keep], shot.full_xyxy[keep]
    )
