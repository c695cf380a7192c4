"""The table of angles: read back, with gaps, speeds, names and metres."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from tests.geometry.test_facing import SHAPE, seen, walker
from tposecli.cli.main import cli
from tposecli.formats.journal.journal import JournalWriter
from tposecli.formats.journal.provenance import describe_source
from tposecli.geometry.keypoints import COCO
from tposecli.types import Boxes, Frame, Poses, SourceInfo

FPS, SIZE = 30, (1200, 700)
PX_PER_M = 150.0


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A walker to the right at 150 pixels a metre, without left ankle in frames 10 to 24, and one to the camera."""
    path = tmp_path / "clip.mp4.poses.jsonl"
    source = SourceInfo("clip.mp4", SIZE, Fraction(FPS), Fraction(1, FPS))
    writer = JournalWriter(path, {**describe_source(source), **COCO.to_dict()})
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    side = seen(walker(90), PX_PER_M) - np.array([300, 0])
    front = seen(walker(0), PX_PER_M) + np.array([500, 0])
    for index in range(60):
        xy = np.stack([side[index], front[index]])
        score = np.full((2, 17), 0.9)
        score[0, 15] = 0.05 if 10 <= index < 25 else 0.9
        corners = np.concatenate([xy.min(axis=1) - 8, xy.max(axis=1) + 8], axis=1)
        writer.write(Frame(image, index, index / FPS, "clip.mp4", index), Poses(Boxes(corners, [0.9, 0.9]), xy, score))
    writer.close(complete=True)
    return path


def tpose(*words: object) -> Ran:
    return CliRunner().invoke(cli, [str(word) for word in words])


def rows_of(journal: Path, *words: object) -> list[dict[str, str]]:
    table = journal.parent / "a.csv"
    ran = tpose("convert", journal, "--angles", table, "--overwrite", "-q", *words)
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    return list(csv.DictReader(table.read_text().splitlines()))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) if row[name] else np.nan for row in rows])


def test_a_row_for_each_person_and_frame_with_gaps_and_speeds(journal: Path) -> None:
    rows = rows_of(journal, "--smooth", "none")
    assert len(rows) == 120
    side = [row for row in rows if row["track"] == "1"]
    assert {row["facing"] for row in side} == {"right"}
    assert {row["facing"] for row in rows if row["track"] == "2"} == {""}
    knee, speed = column(side, "left_knee"), column(side, "left_knee_speed")
    assert (
        np.isnan(knee[10:25]).all()
        and np.isnan(speed[10:25]).all()
        and np.isfinite(np.delete(knee, range(10, 25))).all()
    )
    assert speed[30:58] == pytest.approx((knee[31:59] - knee[29:57]) * FPS / 2, abs=0.5)
    assert speed[0] == pytest.approx((knee[1] - knee[0]) * FPS, abs=0.5)
    hip = column(side, "right_hip")
    assert hip.min() < -5 and hip.max() > 20


def test_what_was_filled_in_is_named(journal: Path) -> None:
    side = [row for row in rows_of(journal, "--fill-gaps", "0.6") if row["track"] == "1"]
    assert np.isfinite(column(side, "left_knee")).all()
    assert [row["filled"] for row in side] == [""] * 10 + ["left_ankle"] * 15 + [""] * 35


def test_metres_from_a_height_or_a_known_length(journal: Path) -> None:
    walked = walker(90)[:, [11, 12]].mean(axis=1)
    truth = float(walked[-1, 0] - walked[0, 0])
    pixels = [row for row in rows_of(journal) if row["track"] == "1"]
    assert column(pixels, "pelvis_x_px")[[0, -1]] @ [-1, 1] == pytest.approx(truth * PX_PER_M, rel=0.02)
    known = [row for row in rows_of(journal, "--scale-px-per-m", PX_PER_M) if row["track"] == "1"]
    assert column(known, "pelvis_x_m")[[0, -1]] @ [-1, 1] == pytest.approx(truth, rel=0.02)
    assert np.median(column(known, "pelvis_speed_m_s")) == pytest.approx(truth / (59 / FPS), rel=0.1)
    assert {row["px_per_m"] for row in known} == {"150.000"}
    assert tpose("edit", journal, "--name", "1=Ana").exit_code == 0
    tall = [row for row in rows_of(journal, "--person-height", f"Ana={SHAPE.height}") if row["track"] == "1"]
    assert column(tall, "px_per_m")[0] == pytest.approx(PX_PER_M, rel=0.05)
    assert {row["name"] for row in tall} == {"Ana"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--person-height", "1.8"), "people are 1, 2; say whose height it is and give --person-height 1=1.8"),
        (("--person-height", "9=1.8"), "there is no person 9; choose of: 1, 2"),
        (("--person-height", "180"), "expected a height of 0.3 to 3 m"),
        (("--person-height", "Ana=tall"), "expected a height of 0.3 to 3 m"),
        (("--scale-px-per-m", "0"), "0"),
        (("--person-height", "1=1.8", "--scale-px-per-m", "100"), "give one of them"),
        (
            ("--person-height", "1=1.8", "--min-score", "0.95"),
            "in 0 frames, and the scale needs 5; give --scale",
        ),
        (("--facing", "up"), "'up' is not one of"),
    ],
)
def test_what_cannot_be_told_is_refused(journal: Path, words: tuple[str, ...], reason: str) -> None:
    ran = tpose("convert", journal, "--angles", journal.parent / "none.csv", *words)
    assert ran.exit_code != 0 and reason in ran.output + str(ran.exception)
    assert not (journal.parent / "none.csv").exists()


def test_images_have_angles_without_speeds(tmp_path: Path, media: Path) -> None:
    table = tmp_path / "a.csv"
    ran = tpose("images", media / "stills" / "still_01.jpg", "--angles", table, "--detector", "bundled", "-q")
    assert ran.exit_code == 0, ran.output
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert rows and rows[0]["name"] == "still_01.jpg" and rows[0]["left_knee"]
    assert not any("speed" in name for name in rows[0])
