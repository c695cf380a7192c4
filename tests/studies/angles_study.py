"""Knee, hip, elbow and shoulder angles of rendered walkers against the renderer's own.

``walk.mp4`` heads 42 degrees out of the image plane; a second walker is rendered from the side. For each joint: the
range, the error against the angle of the true keypoints in the image (what the model adds), and against the angle in
space (what one camera adds to that); a minute::

    python -m tests.studies.angles_study
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from click.testing import CliRunner
from numpy.typing import NDArray

from tests import REPOSITORY
from tposecli.cli.main import cli
from tposecli.geometry.angles import JOINT_ANGLES
from tposecli.geometry.facing import AngleReader
from tposecli.geometry.motion_options import AngleOptions
from tposecli.lab.synth.backdrop import Place, floor_tile, outdoor_wall
from tposecli.lab.synth.clips import QUICK_FILM, walk_scene
from tposecli.lab.synth.motion import Gait, stand
from tposecli.lab.synth.outfit import random_outfit
from tposecli.lab.synth.rig import Shape
from tposecli.lab.synth.scene import Person, Scene
from tposecli.lab.synth.views import Dolly
from tposecli.sinks.video import VideoOptions, VideoSink
from tposecli.types import Boxes, Poses, SourceInfo

FPS: Final = 30
SECONDS: Final = 3
HEADS: Final = ("measured", "in the image", "in space", "error", "bias", "95 %", "to space")
Floats = NDArray[np.float64]


def side_scene() -> Scene:
    """Return a person who walks to the right before a camera that stands still."""
    rng = np.random.default_rng(7)
    person = Person(Shape(height=1.78), random_outfit(rng), Gait(x=-1.6, z=-1.5, heading=90, cadence=0.9))
    view = Dolly((0, 1.1, 3.2), (0, 1.1, 3.2), (0, 0.92, -1.5), (0, 0.92, -1.5), 620.0, (640, 480))
    place = Place(floor_tile("paving", 1), 4.0, outdoor_wall(3, 0.8, 1.2), 24.0, 24.0)
    return Scene((person,), place, view, film=QUICK_FILM, seed=2)


def render(scene: Scene, path: Path) -> None:
    """Film a scene."""
    info = SourceInfo(path.name, (640, 480), Fraction(FPS), Fraction(1, FPS))
    with VideoSink(path, info, VideoOptions(crf=18)) as video:
        for index in range(FPS * SECONDS):
            video.write(scene.render(index / FPS).image, index, index / FPS)


def in_space(scene: Scene, times: Floats) -> Floats:
    """Return the (T, 8) unsigned joint angles in space."""
    person = scene.people[0]
    points = [stand(person.shape, person.motion.at(float(at), person.shape)).keypoints(person.shape) for at in times]
    xyz = np.stack(points).astype(np.float64)
    found = []
    for angle in JOINT_ANGLES:
        assert angle.second is not None
        first, second = (
            xyz[:, list(end)].mean(axis=1) - xyz[:, list(start)].mean(axis=1)
            for start, end in (angle.first, angle.second)
        )
        length = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        found.append(np.degrees(np.arccos((first * second).sum(axis=1) / length)))
    return np.stack(found, axis=1)


def in_image(scene: Scene, times: Floats) -> Floats:
    """Return the (T, 8) angles of the true keypoints in the image, told as those of a run are."""
    reader, found = AngleReader(AngleOptions(), JOINT_ANGLES), []
    for at in times.tolist():
        xy = scene.measure(at).keypoints[:1, :, :2]
        poses = Poses(Boxes(np.zeros((1, 4), np.float32), np.ones(1, np.float32)), xy, np.ones((1, 17)), np.array([1]))  # type: ignore[arg-type]
        found.append(reader.read(poses, at)[0][0])
    return np.array(found)


def study(name: str, scene: Scene, clip: Path, folder: Path, words: tuple[str, ...]) -> None:
    """Measure the angles of a clip and print how far off they are."""
    table = folder / f"{name}.csv"
    ran = CliRunner().invoke(cli, ["video", str(clip), "--angles", str(table), "-q", *words], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    rows = [row for row in csv.DictReader(table.read_text().splitlines()) if row["track"] == "1"]
    times = np.array([float(row["time_s"]) for row in rows])
    image, space = in_image(scene, times), in_space(scene, times)
    lines = [f"\n{name}: {len(rows)} frames, facing {sorted({row['facing'] or 'neither' for row in rows})}"]
    lines.append(("{:16}{:>14}{:>16}{:>14}" + "{:>9}" * 4).format("", *HEADS))
    for column, angle in enumerate(JOINT_ANGLES):
        values = np.array([float(row[angle.name] or "nan") for row in rows])
        off, far = values - image[:, column], np.abs(np.abs(values) - space[:, column])
        series = values, image[:, column], space[:, column]
        spans = [f"{np.nanmin(each):.0f} to {np.nanmax(each):.0f}" for each in series]
        errors = np.nanmean(np.abs(off)), np.nanmean(off), np.nanpercentile(np.abs(off), 95), np.nanmean(far)
        lines.append(("{:16}{:>14}{:>16}{:>14}" + "{:9.1f}" * 4).format(angle.name, *spans, *errors))
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="More options of tpose video, after --.")
    words = tuple(parser.parse_args().words)
    with tempfile.TemporaryDirectory() as folder:
        study("walk", walk_scene(), REPOSITORY / "sample_media" / "walk.mp4", Path(folder), words)
        clip = Path(folder) / "side.mp4"
        render(side_scene(), clip)
        study("side", side_scene(), clip, Path(folder), words)


if __name__ == "__main__":
    main()
