"""The comparison with other programs measures what it says: the same frames, whole processes, true accuracy."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.studies.compare_programs.__main__ import Measured, accuracy, measure, repeated, report, write_boxes
from tests.studies.compare_programs.peers import results
from tests.studies.compare_programs.programs import Choice, Files, Program, programs
from tests.studies.spent import Spent, spend
from tests.support.media import number_of, numbered
from tposecli.detection.boxes_file import BoxesFile
from tposecli.geometry.similarity import box_iou
from tposecli.lab.bench.scene import crowd
from tposecli.lab.synth.film import Reel, write_clip
from tposecli.sources import open_video

BUSY = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"


def test_a_command_is_measured_with_its_children() -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}]); import time; time.sleep(0.3)"
    spent = spend([sys.executable, "-c", code])
    assert spent.cpu_s >= 0.4 and spent.wall_s >= 0.7 and spent.peak_mib > 5


def test_a_command_that_fails_is_named_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no weights"):
        spend([sys.executable, "-c", "print('a'); raise SystemExit('no weights')"], log=tmp_path / "log.txt")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve frames, with times that are not those of whole milliseconds."""
    path = tmp_path / "twelve.mp4"
    base = Fraction(1001, 30000)
    write_clip(path, Reel(1 / base, base), ((index, numbered(index)) for index in range(12)))
    return path


def test_a_repeated_clip_has_each_frame_so_many_times(clip: Path, tmp_path: Path) -> None:
    assert repeated(clip, 25, tmp_path / "long.mp4") == 36
    with open_video(tmp_path / "long.mp4") as source:
        every = [(frame.time_s, number_of(frame.image)) for frame in source]
    assert [number for _, number in every] == [*range(12)] * 3
    assert np.allclose(np.diff([time_s for time_s, _ in every]), 1001 / 30000, atol=1e-3)


def test_the_people_of_programs_that_find_none_are_those_of_the_detector(tmp_path: Path) -> None:
    frame, boxes = crowd(1)
    write_clip(tmp_path / "one.mp4", Reel(Fraction(25), Fraction(1, 25)), [(0, frame.image)])
    write_boxes(tmp_path / "one.mp4", tmp_path / "boxes.json")
    found = BoxesFile(tmp_path / "boxes.json").detect([frame])
    assert box_iou(boxes.xyxy, found[0].xyxy).max() > 0.5


def truth_as_results(media: Path, shift: float) -> list[dict[str, object]]:
    people = json.loads((media / "walk.json").read_text())["annotations"]
    rows = [(person["image_id"], np.array(person["keypoints"], float).reshape(-1, 3)) for person in people]
    return [
        results.entry(image - 1, [(x + shift, y, 1.0) for x, y, _ in keypoints.tolist()], 0.9)
        for image, keypoints in rows
    ]


def test_accuracy_is_that_of_the_first_time_and_of_what_is_in_the_file(media: Path, tmp_path: Path) -> None:
    exact, off = tmp_path / "exact.json", tmp_path / "off.json"
    results.write(str(exact), truth_as_results(media, 0.0))
    results.write(str(off), truth_as_results(media, 400.0))
    ((precision, share),) = accuracy(exact, media / "walk.json")
    assert precision == pytest.approx(1.0) and share == 1.0
    assert accuracy(off, media / "walk.json") == [(0.0, 0.0)]


def test_programs_are_begun_as_people_begin_them(tmp_path: Path) -> None:
    choice = Choice(models=("transpose-s-a4",), yolo=("yolo11n-pose", "mine.pt"), mediapipe="no-such-python")
    own, random, given, mediapipe, authors = programs(choice, tmp_path)
    assert "--model" in own.command(files(tmp_path)) and "-o" in own.command(files(tmp_path))
    assert not random.trained and given.trained and "yolo11n-pose.yaml" in random.command(files(tmp_path))
    assert mediapipe.missing is not None and "pip install" in mediapipe.missing
    assert authors.trained and not authors.draws


def files(folder: Path) -> Files:
    return Files(folder / "clip.mp4", folder / "poses.json", folder / "drawn.mp4", folder / "boxes.json")


def copying(name: str, path: Path, **options: object) -> Program:
    """A program that finds what is in a file."""
    copy = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"
    return Program(name, lambda files: [sys.executable, "-c", copy, path, files.poses], "MIT", **options)  # type: ignore[arg-type]


def test_the_table_has_medians_accuracy_and_what_went_wrong(media: Path, tmp_path: Path) -> None:
    exact = tmp_path / "exact.json"
    results.write(str(exact), truth_as_results(media, 0.0))
    chosen = [copying("exact", exact, draws=False), copying("gone", tmp_path / "gone.json")]
    found = measure(chosen, tmp_path / "clip.mp4", tmp_path / "boxes.json", media / "walk.json", 2)
    assert [len(of_kind) for of_kind in found[0].runs.values()] == [2, 0]
    missing = Program("absent", lambda files: [], "MIT", missing="pip install absent")
    lines = report(found, [missing], 100)
    (row,) = [line for line in lines if line.startswith("| exact")]
    assert "| - | - |" in row and "| 1.000 | 100.0% | MIT |" in row
    assert any(line.startswith("- gone: failed") and "gone.json" in line for line in lines)
    assert "- absent: not there; pip install absent." in lines


def test_the_shown_rate_is_the_median() -> None:
    runs = {False: [Spent(wall, 2 * wall, 100.0, 0.0) for wall in (1.0, 2.0, 8.0)], True: []}
    (row,) = [line for line in report([Measured(copying("a", Path()), runs)], [], 20) if line.startswith("| a ")]
    assert row == "| a | 10.0 | 200.0 | - | - | 100 | - | - | MIT |"
