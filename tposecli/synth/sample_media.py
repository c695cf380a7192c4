"""The clips and stills of ``sample_media/`` with their truth, made from nothing but this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.files import write_text
from tposecli.synth.clips import WALK_GAIT, crossing_scene, portrait_scene, walk_scene
from tposecli.synth.film import Reel, write_clip
from tposecli.synth.scene import Scene, Shot
from tposecli.synth.sound import footsteps, strikes
from tposecli.synth.truth import Record, annotations, dataset
from tposecli.types import Image

Say = Callable[[str], None]
NTSC: Final = Fraction(30000, 1001)
WALK_FRAMES: Final = 135


@dataclass(slots=True)
class Ledger:
    """Collects the truth of one clip or folder while it is written."""

    images: list[Record]
    people: list[Record]

    def add(self, shot: Shot, record: Record) -> None:
        """Note one picture and its people."""
        height, width = shot.image.shape[:2]
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, **record, "width": width, "height": height})
        self.people += annotations(shot, image_id, len(self.people) + 1)


def _filmed(scene: Scene, reel: Reel, ticks: list[int], ledger: Ledger, name: str) -> Iterator[tuple[int, Image]]:
    """Timestamps and stored pictures of a clip; the truth goes to the ledger, in the upright picture."""
    for index, pts in enumerate(ticks):
        time_s = float(pts * reel.time_base)
        shot = scene.render(time_s)
        ledger.add(shot, {"file_name": name, "frame_index": index, "pts": pts, "time_s": round(time_s, 6)})
        yield pts, np.ascontiguousarray(np.rot90(shot.image, -(reel.rotation // 90)))


def _clip(folder: Path, name: str, scene: Scene, reel: Reel, ticks: list[int]) -> Ledger:
    ledger = Ledger([], [])
    write_clip(folder / f"{name}.mp4", reel, _filmed(scene, reel, ticks, ledger, f"{name}.mp4"))
    return ledger


def make_walk(folder: Path) -> None:
    """``walk.mp4``: one person, 30000/1001 frames a second, sound of steps; ``walk.json``."""
    reel = Reel(NTSC, 1 / NTSC, quality=22)
    seconds = float(WALK_FRAMES / NTSC)
    sound = footsteps(strikes(WALK_GAIT, seconds), seconds)
    ledger = Ledger([], [])
    # MP4 keeps the ticks of its own time base; 1/30000 holds 1001 ticks a frame exactly.
    fine = Reel(NTSC, Fraction(1, 30000), reel.quality)
    ticks = [1001 * index for index in range(WALK_FRAMES)]
    write_clip(folder / "walk.mp4", fine, _filmed(walk_scene(), fine, ticks, ledger, "walk.mp4"), sound)
    _save(folder / "walk.json", "One person walking", ledger)


def _save(path: Path, description: str, ledger: Ledger) -> None:
    write_text(path, dataset(description, ledger.images, ledger.people))


def make_all(folder: Path, say: Say) -> None:
    """Make everything again.

    Args:
        folder: Where it goes; made if missing, files of the same names are replaced.
        say: Told the name of each thing as it is begun.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (("walk", make_walk),):
        say(name)
        make(folder)
