"""Scenes of moving people, objects, a place, a light and a camera, rendered with ground truth at any time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.lab.synth.arrays import Floats, Ints, unit
from tposecli.lab.synth.backdrop import Place, tinted
from tposecli.lab.synth.body import body_mesh
from tposecli.lab.synth.mesh import Mesh
from tposecli.lab.synth.motion import Motion, stand
from tposecli.lab.synth.outfit import Colour, Outfit
from tposecli.lab.synth.raster import Camera, Hits, rasterise
from tposecli.lab.synth.rig import KEYPOINT_DEPTH, Shape
from tposecli.lab.synth.shade import Light, albedo, crumpled, display, linear, lit, noise
from tposecli.lab.synth.shadow import SunMap, floor_shadow
from tposecli.lab.synth.views import View
from tposecli.types import Boxes, Image

NO_TRIANGLE: Final = -1


@dataclass(frozen=True, eq=False, slots=True)
class Person:
    """One person: build, look, motion and track id; the mesh is made on creation unless it is given."""

    shape: Shape
    outfit: Outfit
    motion: Motion
    track_id: int = 1
    detail: float = 1.0
    mesh: Mesh = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.mesh is None:
            object.__setattr__(self, "mesh", body_mesh(self.shape, self.outfit, self.detail))


@dataclass(frozen=True, eq=False, slots=True)
class Thing:
    """An object that may hide people; its mesh is in world metres."""

    mesh: Mesh
    colour: Colour


@dataclass(frozen=True, slots=True)
class Film:
    """The camera's effects on the image.

    Attributes:
        magnify: Supersampling factor in each direction.
        blur: Standard deviation of the lens blur, pixels.
        grain: Standard deviation of the sensor noise, relative to white.
        gain: Brightness factor.
        vignette: Darkening of the corners.
        shadows: Whether to draw the sun's shadows on people, too, not only on the floor.
        coarse: Factor by which the backdrop's resolution is reduced, for speed.
    """

    magnify: float = 2.0
    blur: float = 0.0
    grain: float = 0.008
    gain: float = 1.0
    vignette: float = 0.08
    shadows: bool = True
    coarse: float = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class Shot:
    """An image and the ground truth of the N people who are at least partly visible.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: Tight boxes around the visible pixels (score 1).
        keypoints: (N, 17, 3) x, y in pixels and v: 0 outside the image, 1 hidden, 2 visible.
        track_id: (N,) int64.
        area: (N,) numbers of visible pixels.
        full_xyxy: (N, 4) boxes of the whole bodies, hidden parts included, not clipped to the image.
    """

    image: Image
    boxes: Boxes
    keypoints: Floats
    track_id: NDArray[np.int64]
    area: Floats
    full_xyxy: Floats

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """Everything needed to render an image at any time; the same scene and time give the same pixels.

    Attributes:
        people, things: The people and objects.
        place: Floor and walls, or an (H, W, 3) sRGB image without depth.
        view: The camera.
        light: Sun and sky at time 0.
        film: The camera's effects.
        flicker: Relative amplitude of the light's slow variation.
        seed: Seeds the sensor noise.
    """

    people: tuple[Person, ...]
    place: Place | Floats
    view: View
    light: Light = field(default_factory=Light)
    things: tuple[Thing, ...] = ()
    film: Film = field(default_factory=Film)
    flicker: float = 0.0
    seed: int = 0

    def render(self, time_s: float = 0.0) -> Shot:
        """Render the image and the ground truth at a time in seconds."""
        camera = self.view.at(time_s)
        fine = camera.magnified(self.film.magnify)
        light = self.light.dimmed(1 + self.flicker * float(np.sin(1.9 * time_s + 0.5)))
        stage = Stage.of(self, time_s, fine)
        canvas = self._backdrop(camera, light, stage)
        canvas = cv2.resize(canvas, fine.size_wh, interpolation=cv2.INTER_LINEAR).reshape(-1, 3)
        sun = SunMap.of(stage.meshes, light) if self.film.shadows else None
        for index in range(len(stage.meshes)):
            stage.paint(self, canvas, index, (light, sun))
        image = canvas.reshape(fine.size_wh[1], fine.size_wh[0], 3)
        if self.film.magnify != 1:
            image = cv2.resize(image, camera.size_wh, interpolation=cv2.INTER_AREA)
        return _truth(self, camera, stage, _developed(self, image, time_s))

    def measure(self, time_s: float = 0.0) -> Shot:
        """Return the ground truth at a time with a black image, in a fifth of the time of ``render``."""
        camera = self.view.at(time_s)
        stage = Stage.of(self, time_s, camera.magnified(self.film.magnify))
        return _truth(self, camera, stage, np.zeros((camera.size_wh[1], camera.size_wh[0], 3), np.uint8))

    def _backdrop(self, camera: Camera, light: Light, stage: Stage) -> Floats:
        if not isinstance(self.place, Place):
            return np.array(self.place, np.float32)
        camera = camera.magnified(1 / self.film.coarse)
        image, floor = self.place.paint(camera)
        shade = floor_shadow(
            camera, light, [(mesh.points, part) for mesh, part in zip(stage.meshes, stage.parts, strict=True)]
        )
        image = tinted(image, light)
        return np.asarray(image * (1 - shade * floor)[..., None])


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """The meshes in the world at one time, people first, and which of them each pixel shows."""

    camera: Camera
    meshes: list[Mesh]
    parts: list[Ints]
    hits: Hits
    owner: Ints
    first: Ints
    keypoints: list[Floats]

    @classmethod
    def of(cls, scene: Scene, time_s: float, camera: Camera) -> Stage:
        """Pose all people and rasterise the meshes."""
        bones = [stand(person.shape, person.motion.at(time_s, person.shape)) for person in scene.people]
        meshes = [person.mesh.skinned(frame) for person, frame in zip(scene.people, bones, strict=True)]
        parts = [mesh.weights.argmax(axis=1) for mesh in meshes]
        meshes += [thing.mesh for thing in scene.things]
        parts += [np.zeros(len(thing.mesh.points), np.int64) for thing in scene.things]
        first = np.cumsum([0, *(len(mesh.triangles) for mesh in meshes)])
        start = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
        triangles = np.concatenate([mesh.triangles + s for mesh, s in zip(meshes, start[:-1], strict=True)])
        points = camera.project(np.concatenate([mesh.points for mesh in meshes]))
        hits = rasterise(points, triangles, np.concatenate([mesh.two_sided for mesh in meshes]), camera.size_wh)
        owner = np.searchsorted(first, hits.triangle, "right") - 1
        joints = [b.keypoints(person.shape) for b, person in zip(bones, scene.people, strict=True)]
        return cls(camera, meshes, parts, hits, owner, first, joints)

    def paint(self, scene: Scene, canvas: Floats, index: int, rays: tuple[Light, SunMap | None]) -> None:
        """Shade the pixels of one mesh on the (P, 3) canvas."""
        mine = np.flatnonzero(self.owner == index)
        if not len(mine):
            return
        mesh = self.meshes[index]
        face = self.hits.triangle[mine] - self.first[index]
        source = scene.people[index].mesh.points if index < len(scene.people) else mesh.points
        table = np.concatenate([mesh.points, mesh.normals, source], axis=1)
        corners, share = mesh.triangles[face], self.hits.weights[:, mine, None]
        blend: Any = sum(share[k] * table[corners[:, k]] for k in range(3))
        place, normal, rest = (np.ascontiguousarray(blend[:, 3 * k : 3 * k + 3]) for k in range(3))
        view, normal = unit(self.camera.position - place), unit(normal)
        if mesh.two_sided.any():
            behind = mesh.two_sided[face] & ((normal * view).sum(axis=1) < 0)
            normal[behind] *= -1
        if index < len(scene.people):
            person, material = scene.people[index], mesh.material[face]
            normal = crumpled(person.outfit, material, rest, normal)
            colour = albedo(person.outfit, person.shape, material, rest)
        else:
            grain = noise(41, 3, 3)[
                (place[:, 1] * 150).astype(int) % 256, ((place[:, 0] + place[:, 2]) * 150).astype(int) % 256
            ]
            colour = linear(scene.things[index - len(scene.people)].colour) * (1 + 0.12 * grain[:, None])
        light, sun = rays
        sunlit = None if sun is None else sun.share(place, normal)
        canvas[self.hits.pixel[mine]] = display(lit(light, colour, normal, view, sunlit))


@lru_cache(maxsize=1)
def _sensor_noise() -> Floats:
    """Return (1024, 1024) noise with unit standard deviation."""
    return np.random.default_rng(51).standard_normal((1024, 1024), np.float32)


def _developed(scene: Scene, image: Floats, time_s: float) -> Image:
    """Apply lens blur, exposure, vignette and grain, and convert to eight bits."""
    film = scene.film
    height, width = image.shape[:2]
    if film.blur > 0.05:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), film.blur))
    gain: Any = np.float32(film.gain)
    if film.vignette > 0:
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
        gain = gain * (1 - np.float32(film.vignette) * (x[None] ** 2 + y[:, None] ** 2))[..., None]
    image = image * gain
    if film.grain > 0:
        down, right = np.random.default_rng([scene.seed, round(time_s * 1e4)]).integers(0, 1024, 2)
        rows, columns = (np.arange(height) + down) % 1024, (np.arange(width) + right) % 1024
        image = image + _sensor_noise()[rows[:, None], columns[None], None] * np.float32(film.grain)
    return np.asarray(np.clip(image * np.float32(255) + np.float32(0.5), 0, 255), np.uint8)


def _truth(scene: Scene, camera: Camera, stage: Stage, image: Image) -> Shot:
    """Derive boxes, areas and visibility from the rasterised pixels."""
    scale = stage.camera.size_wh[0] / camera.size_wh[0]
    limit = np.array([*camera.size_wh, *camera.size_wh]) - 1
    wide = stage.camera.size_wh[0]
    shown = np.full(stage.hits.depth.size, NO_TRIANGLE, np.int32)
    shown[stage.hits.pixel] = stage.hits.triangle
    boxes, areas, full, joints, ids = [], [], [], [], []
    for index, person in enumerate(scene.people):
        mine = stage.hits.pixel[stage.owner == index]
        if not len(mine):
            continue
        x, y = mine % wide, mine // wide
        edges = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) / scale - 0.5
        boxes.append(np.clip(edges, 0, limit))
        areas.append(len(mine) / scale**2)
        outline = camera.project(stage.meshes[index].points)[:, :2]
        full.append([*outline.min(axis=0), *outline.max(axis=0)])
        joints.append(_keypoints(camera, stage, index, shown))
        ids.append(person.track_id)
    if not ids:
        return Shot(
            image,
            Boxes.empty(),
            np.zeros((0, 17, 3), np.float32),
            np.zeros(0, np.int64),
            np.zeros(0, np.float32),
            np.zeros((0, 4), np.float32),
        )
    found = Boxes(np.array(boxes, np.float32), np.ones(len(ids), np.float32))
    return Shot(
        image, found, np.stack(joints), np.array(ids, np.int64), np.array(areas, np.float32), np.array(full, np.float32)
    )


def _keypoints(camera: Camera, stage: Stage, index: int, shown: Ints) -> Floats:
    """Return the (17, 3) x, y and visibility of one person; ``shown`` is the triangle of each supersampled pixel."""
    world = stage.keypoints[index]
    seen = camera.project(world)
    width, height = camera.size_wh
    inside = (seen[:, 2] > 0.1) & (seen[:, 0] >= 0) & (seen[:, 0] <= width - 1)
    inside &= (seen[:, 1] >= 0) & (seen[:, 1] <= height - 1)
    fine = stage.camera.project(world)
    limit = np.array(stage.camera.size_wh) - 1
    x, y = np.clip(np.rint(fine[:, :2]), 0, limit).astype(int).T
    face = shown[y * stage.camera.size_wh[0] + x] - stage.first[index]
    mesh = stage.meshes[index]
    own = (face >= 0) & (face < len(mesh.triangles))
    bone = stage.parts[index][mesh.triangles[np.where(own, face, 0), 0]]
    margin = np.where(own, KEYPOINT_DEPTH[np.arange(17), bone], 0.0)
    hidden = stage.hits.depth[y, x] < fine[:, 2] - margin
    level = np.where(inside, np.where(hidden, 1, 2), 0)
    return np.concatenate([seen[:, :2], level[:, None]], axis=1).astype(np.float32)
