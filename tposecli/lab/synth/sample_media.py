"""Create the clips and still images of ``sample_media/``, with their ground truth, using only this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.formats.frame_names import default_name
from tposecli.lab.synth.clips import WALK_GAIT, crossing_scene, portrait_scene, walk_scene
from tposecli.lab.synth.film import Reel, write_clip, write_jpeg
from tposecli.lab.synth.scene import Film, Scene, Shot
from tposecli.lab.synth.sound import footsteps, strikes
from tposecli.lab.synth.training import random_scene, visible_people
from tposecli.lab.synth.truth import Record, dataset, person_records
from tposecli.types import Image
from tposecli.utils.files import check_output, write_text

LogCallback = Callable[[str], None]
NTSC: Final = Fraction(30000, 1001)
WALK_FRAMES: Final = 135
CROSSING_FRAMES: Final = 140
PORTRAIT_FRAMES: Final = 100
STILLS: Final = tuple(
    (f"still_{number:02d}", size_wh, seed, people, orientation)
    for number, (size_wh, seed, people, orientation) in enumerate(
        (
            ((640, 480), 2, (3, 3), 1),
            ((480, 640), 12, (1, 1), 1),
            ((640, 480), 11, (4, 4), 1),
            ((480, 640), 36, (1, 1), 6),
            ((640, 480), 26, (3, 3), 1),
            ((640, 480), 13, (2, 2), 1),
            ((640, 480), 18, (3, 3), 1),
            ((480, 640), 21, (2, 2), 1),
            ((640, 480), 34, (3, 3), 1),
            ((640, 480), 9, (2, 2), 1),
        ),
        1,
    )
)
"""Name, size, seed, minimum and maximum number of people, EXIF orientation."""


@dataclass(slots=True)
class TruthCollector:
    """Collects the ground truth of one clip or folder while it is written."""

    images: list[Record]
    people: list[Record]

    def add(self, shot: Shot, record: Record) -> None:
        """Add one image and its people."""
        height, width = shot.image.shape[:2]
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, **record, "width": width, "height": height})
        self.people += person_records(shot, image_id, len(self.people) + 1)


def _filmed(
    scene: Scene, reel: Reel, ticks: list[int], truth: TruthCollector, name: str
) -> Iterator[tuple[int, Image]]:
    """Yield timestamps and stored images of a clip, and add the ground truth of the upright images."""
    for index, pts in enumerate(ticks):
        time_s = float(pts * reel.time_base)
        shot = scene.render(time_s)
        names = {"file_name": default_name(name, index), "video": name}
        truth.add(shot, {**names, "frame_index": index, "pts": pts, "time_s": round(time_s, 6)})
        yield pts, np.ascontiguousarray(np.rot90(shot.image, -(reel.rotation // 90)))


def _save(path: Path, description: str, truth: TruthCollector) -> None:
    write_text(path, dataset(description, truth.images, truth.people))


def make_walk(folder: Path) -> None:
    """Write ``walk.mp4``, one person at 30000/1001 frames per second with sound of steps, and ``walk.json``."""
    reel = Reel(NTSC, Fraction(1, 30000), quality=22)
    seconds = float(WALK_FRAMES / NTSC)
    sound = footsteps(strikes(WALK_GAIT, seconds), seconds)
    ticks = [1001 * index for index in range(WALK_FRAMES)]
    truth = TruthCollector([], [])
    write_clip(folder / "walk.mp4", reel, _filmed(walk_scene(), reel, ticks, truth, "walk.mp4"), sound)
    _save(folder / "walk.json", "One person walking", truth)


def make_crossing(folder: Path) -> None:
    """Write ``crossing.mp4``, five people who occlude each other at 25 frames per second, and ``crossing.json``."""
    reel = Reel(Fraction(25), Fraction(1, 12800), quality=23)
    truth = TruthCollector([], [])
    ticks = [512 * index for index in range(CROSSING_FRAMES)]
    frames = _filmed(crossing_scene(), reel, ticks, truth, "crossing.mp4")
    write_clip(folder / "crossing.mp4", reel, frames)
    _save(folder / "crossing.json", "Five people crossing", truth)


def make_portrait(folder: Path) -> None:
    """Write ``portrait.mp4``, stored on its side with 20 to 60 ms between frames, and the upright ``portrait.json``."""
    gaps = np.random.default_rng(9).integers(20, 61, PORTRAIT_FRAMES - 1)
    ticks = [0, *(int(tick) for tick in np.cumsum(gaps))]
    reel = Reel(Fraction(25), Fraction(1, 1000), quality=24, rotation=-90)
    truth = TruthCollector([], [])
    frames = _filmed(portrait_scene(), reel, ticks, truth, "portrait.mp4")
    write_clip(folder / "portrait.mp4", reel, frames)
    _save(folder / "portrait.json", "One person dancing, filmed upright", truth)


def make_stills(folder: Path) -> None:
    """Write ``stills/``, JPEG images of one to four people, and ``stills.json``.

    One image is stored on its side with an EXIF orientation; its ground truth is upright, as viewers show it.
    """
    (folder / "stills").mkdir(exist_ok=True)
    truth = TruthCollector([], [])
    for name, size_wh, seed, people, orientation in STILLS:
        film = Film(2.0, 0.3, 0.008, 1.0, 0.06, True)
        shot = visible_people(random_scene(np.random.default_rng([seed, 8]), size_wh, people, film).render())
        extra = {} if orientation == 1 else {"exif_orientation": orientation}
        truth.add(shot, {"file_name": f"stills/{name}.jpg", **extra})
        write_jpeg(folder / "stills" / f"{name}.jpg", shot.image, orientation)
    _save(folder / "stills.json", "Stills of one to four people", truth)


MAKERS: Final = {"walk": make_walk, "crossing": make_crossing, "portrait": make_portrait, "stills": make_stills}


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files that are made."""
    for name in MAKERS:
        yield folder / f"{name}.json"
        if name != "stills":
            yield folder / f"{name}.mp4"
    for name, *_ in STILLS:
        yield folder / "stills" / f"{name}.jpg"


def make_all(folder: Path, overwrite: bool = False, log: LogCallback = lambda line: None) -> None:
    """Create all sample media.

    Args:
        folder: Folder for the files.
        overwrite: Whether to replace existing files.
        log: Receives the name of each item before it is made.

    Raises:
        UsageError: A file exists and ``overwrite`` is off.
    """
    for path in _files(folder):
        check_output(path, overwrite)
    for name, make in MAKERS.items():
        log(name)
        make(folder)
