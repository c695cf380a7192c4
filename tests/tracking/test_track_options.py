"""The tracking options take effect in a run, and when its journal is converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.tracking.test_tracker import people
from tposecli.cli.main import cli
from tposecli.cli.options.tracking import track_of
from tposecli.formats.journal.journal import JournalWriter
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.tracking.options import TrackOptions
from tposecli.types import Frame, Poses

AWAY_S = 1.0


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """One person for half a second, no one for a second, then the same person again; the box score is 0.6."""
    path = tmp_path / "out.mp4.poses.jsonl"
    header = {"time_base": "1/25", "fps": "25", "size_wh": [640, 480], "keypoint_names": list(KEYPOINTS)}
    writer = JournalWriter(path, {**header, "options": {"track": {"lost_s": 9.0}}})
    picture = np.zeros((480, 640, 3), np.uint8)
    for index in range(50):
        there = index < 12 or index >= 12 + 25 * AWAY_S
        poses = people((100, 50), box_score=0.6) if there else Poses.empty()
        writer.write(Frame(picture, index, index / 25, "in.mp4", index), poses)
    writer.close()
    return path


def convert(journal: Path, *options: str) -> dict[str, Any]:
    """Return the dataset that ``tpose convert`` makes of a journal."""
    out = journal.with_name("out.json")
    ran = tpose("convert", str(journal), "--json", str(out), "--overwrite", "--quiet", *options)
    assert ran.exit_code == 0, ran.output
    dataset: dict[str, Any] = json.loads(out.read_text())
    return dataset


def tpose(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ((), {1}),
        (("--track-lost", "0.8"), {1, 2}),
        (("--track-activation", "0.7"), {None}),
        (("--track-gate", "1"), None),
        (("--no-track",), {None}),
    ],
)
def test_a_journal_is_tracked_as_the_options_say(
    journal: Path, options: tuple[str, ...], ids: set[int | None] | None
) -> None:
    given = [person["track_id"] for person in convert(journal, "--smooth", "none", *options)["annotations"]]
    assert len(given) == 25, "people are exported with or without an id"
    if ids is None:
        assert len(set(given)) == len(given), "no affinity reaches 1, so every detection starts a track"
    else:
        assert set(given) == ids


def test_weak_detections_that_continue_no_track_are_dropped(journal: Path) -> None:
    """The journal names the score below which a detection is weak; it applies without tracking, too."""
    text = journal.read_text().replace('"options":', '"stray_score":0.65,"options":')
    journal.write_text(text)
    assert len(convert(journal, "--smooth", "none")["annotations"]) == 25
    assert convert(journal, "--track-activation", "0.7")["annotations"] == []
    assert convert(journal, "--no-track")["annotations"] == []


def test_provenance_names_the_options(journal: Path) -> None:
    options = convert(journal, "--track-lost", "0.8")["info"]["options"]
    assert options["track"]["lost_s"] == 0.8
    assert options["track"]["activation"] == TrackOptions().activation
    assert convert(journal, "--no-track")["info"]["options"]["track"] is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--track-activation=1.5", "'--track-activation': 1.5 is not in the range"),
        ("--track-lost=-1", "'--track-lost': -1.0 is not in the range"),
        ("--track-lost=inf", "'--track-lost': inf is not in the range"),
        ("--track-gate=nan", "'--track-gate': nan is not a finite number"),
    ],
)
def test_values_out_of_range_are_usage_errors_that_name_the_option(journal: Path, option: str, message: str) -> None:
    out = journal.with_name("out.csv")
    ran = tpose("convert", str(journal), "--csv", str(out), option)
    assert ran.exit_code == 2
    assert message in ran.output
    assert not out.exists()


def test_defaults_of_the_command_line_equal_those_of_the_options() -> None:
    options = {parameter.name: parameter.default for parameter in cli.get_command(None, "convert").params}
    assert track_of(options) == TrackOptions()
    assert track_of({}) is None, "commands without tracking options do not track"
