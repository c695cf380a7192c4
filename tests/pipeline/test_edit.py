"""Corrections by hand: written beside the journal, which stays as it is, and made by every later command."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from tposecli.cli.main import cli
from tposecli.formats.corrections import corrections_path, read_corrections, write_corrections
from tposecli.formats.journal.journal import JournalWriter
from tposecli.formats.journal.provenance import describe_source
from tposecli.geometry.keypoints import COCO, KEYPOINTS, MIRROR
from tposecli.tracking.corrections import KINDS, Corrections, Merge, Name, SetJoint, Span, Split, SwapSides
from tposecli.types import Boxes, Flag, Frame, Poses, SourceInfo

FRAMES, FPS, SIZE = 60, 20, (640, 360)
NOSE, LEFT_WRIST, RIGHT_WRIST = (KEYPOINTS.index(name) for name in ("nose", "left_wrist", "right_wrist"))
GAP = range(20, 26)
"""Frames in which the walker is hidden; with --track-lost 0.1 she comes back as somebody else."""


def figure(left: float, top: float = 100.0) -> np.ndarray:
    """Return (17, 2) joints of a standing figure, its left joints on the right."""
    rows = np.linspace(0, 160, 17)
    side = np.array([0 if name == "nose" else 15 if name.startswith("left") else -15 for name in KEYPOINTS])
    return np.stack([left + 40 + side, top + rows], axis=1)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A walker who is hidden for a moment, and a bystander; the ids are 1 and 2, then 3 for the walker."""
    path = tmp_path / "clip.mp4.poses.jsonl"
    source = SourceInfo("clip.mp4", SIZE, Fraction(FPS), Fraction(1, FPS))
    options = {"track": {"activation": 0.5, "lost_s": 0.1}, "keep": {"min_person_score": 0.0, "min_joints": 0}}
    writer = JournalWriter(path, {**describe_source(source), **COCO.to_dict(), "options": options})
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for index in range(FRAMES):
        lefts = [500.0] if index in GAP else [10.0 + 4 * index, 500.0]
        boxes = Boxes([[left, 95, left + 80, 270] for left in lefts], [0.9] * len(lefts))
        poses = Poses(boxes, np.stack([figure(left) for left in lefts]), np.full((len(lefts), 17), 0.9))
        writer.write(Frame(image, index, index / FPS, "clip.mp4", index), poses)
    writer.close(complete=True)
    return path


def tpose(*words: object) -> Ran:
    return CliRunner().invoke(cli, [str(word) for word in words])


def edited(journal: Path, *words: object) -> str:
    """Run ``tpose edit``; what it said."""
    ran = tpose("edit", journal, *words)
    assert ran.exit_code == 0, ran.output
    return ran.output


def refused(journal: Path, *words: object) -> str:
    """Run ``tpose edit`` that must be refused without a trace; the reason."""
    path = corrections_path(journal)
    before = path.read_bytes() if path.exists() else None
    ran = tpose("edit", journal, *words)
    assert ran.exit_code != 0
    assert (path.read_bytes() if path.exists() else None) == before
    return str(ran.exception) if ran.exception and not isinstance(ran.exception, SystemExit) else ran.output


def frames_of(journal: Path, *words: object) -> dict[int, list[int]]:
    """Convert to CSV; the frames of each id."""
    table = journal.parent / "table.csv"
    ran = tpose("convert", journal, "--csv", table, "--overwrite", "-q", *words)
    assert ran.exit_code == 0, ran.output
    found = defaultdict(set)
    for row in csv.DictReader(table.read_text().splitlines()):
        if row["track"]:
            found[int(row["track"])].add(int(row["frame"]))
    return {track: sorted(frames) for track, frames in sorted(found.items())}


def joints_of(journal: Path, joint: str, *words: object) -> dict[tuple[int, int], dict[str, str]]:
    """Convert to CSV; the rows of a joint by frame and id."""
    table = journal.parent / "table.csv"
    assert tpose("convert", journal, "--csv", table, "--overwrite", "-q", *words).exit_code == 0
    return {
        (int(row["frame"]), int(row["track"])): row
        for row in csv.DictReader(table.read_text().splitlines())
        if row["joint"] == joint and row["track"]
    }


def test_two_ids_become_one_and_the_gap_between_them_is_filled(journal: Path) -> None:
    before = journal.read_bytes()
    said = edited(journal, "--merge", "3=1", "--name", "1=Ana")
    assert "person 3 is person 1: 34 frames, from 1.3 to 2.95 s" in said
    found = frames_of(journal, "--fill-gaps", "1")
    assert list(found) == [1, 2]
    assert found[1] == list(range(FRAMES)), "the frames without her are filled, over the seam"
    assert list(frames_of(journal, "--no-edits", "--track-lost", "0.1")) == [1, 2, 3]
    assert journal.read_bytes() == before

    ran = tpose("convert", journal, "--json", journal.parent / "o.json", "-q")
    assert ran.exit_code == 0
    info = json.loads((journal.parent / "o.json").read_text())["info"]
    assert info["track_names"] == {"1": "Ana"}
    assert info["corrections"][0] == {"kind": "merge", "person": 3, "into": 1}


def test_people_are_listed_as_corrected(journal: Path) -> None:
    rows = [line.split() for line in edited(journal).splitlines()[1:]]
    assert rows == [["1", "20", "0.00", "0.95"], ["2", "60", "0.00", "2.95"], ["3", "34", "1.30", "2.95"]]
    edited(journal, "--merge", "3=1", "--name", "1=Ana")
    said = edited(journal)
    assert ["1", "Ana", "54", "0.00", "2.95"] in [line.split() for line in said.splitlines()]
    assert "correction 1: person 3 is person 1" in said


def test_split_exchange_drop_and_only(journal: Path) -> None:
    edited(journal, "--split", "2@1.51", "--drop", "2@0-0.5")
    found = frames_of(journal)
    assert found[2] == list(range(10, 31)) and found[4] == list(range(31, FRAMES)), "the new id is the next free one"
    edited(journal, "--exchange", "3=4@2-", "--only", "3,4")
    found = frames_of(journal)
    assert list(found) == [3, 4]
    noses = joints_of(journal, "nose")
    assert float(noses[50, 3]["x"]) == pytest.approx(540, abs=1), "the bystander from 2 s on"
    assert float(noses[35, 3]["x"]) == pytest.approx(10 + 4 * 35 + 40, abs=1)


def test_undo_takes_back_one_after_the_other(journal: Path) -> None:
    edited(journal, "--merge", "3=1", "--drop", "2")
    assert "undone: person 2 is left out" in edited(journal, "--undo")
    assert list(frames_of(journal)) == [1, 2]
    edited(journal, "--undo")
    assert list(frames_of(journal)) == [1, 2, 3]
    assert "no correction to undo" in refused(journal, "--undo")


def test_undo_takes_back_as_many_as_it_is_given(journal: Path) -> None:
    edited(journal, "--merge", "3=1", "--drop", "2", "--name", "1=Ana")
    said = edited(journal, "--undo", "--undo")
    assert said.index("undone: person 1 is called Ana") < said.index("undone: person 2 is left out")
    assert said.endswith(": 1 correction\n")
    assert [step.kind for step in read_corrections(corrections_path(journal)).steps] == ["merge"]
    assert "cannot undo 2 of 1 correction; undo fewer" in refused(journal, "--undo", "--undo")


def test_people_are_meant_by_their_names_wherever_by_ids(journal: Path) -> None:
    edited(journal, "--name", "1=Ana", "--name", "2=Bo", "--merge", "3=ana")
    edited(journal, "--name", "Ana=Cleo")
    assert "person 1 is called Cleo already" in edited(journal, "--name", "cleo=Cleo")
    assert len(read_corrections(corrections_path(journal)).steps) == 4, "what changes nothing is not stored"
    words = ("--exchange", "Bo=Cleo@2-", "--swap-sides", "Bo@1-2", "--drop-joint", "Bo:nose@0-0.2")
    edited(journal, *words, "--set-joint", "Bo:nose@1=5,5", "--split", "Cleo@1.5", "--only", "Bo,Cleo")
    found = [(step.kind, step.person) for step in read_corrections(corrections_path(journal)).steps[4:]]
    assert found == [
        *(("exchange", 2), ("swap-sides", 2), ("drop-joint", 2), ("set-joint", 2)),
        *(("split", 1), ("drop", 4)),
    ]


def test_a_name_is_free_again_when_its_person_is_merged(journal: Path) -> None:
    edited(journal, "--name", "3=Ana", "--merge", "Ana=1")
    edited(journal, "--name", "1=Bo", "--name", "2=Ana")
    rows = [line.split()[:2] for line in edited(journal).splitlines()[1:3]]
    assert rows == [["1", "Bo"], ["2", "Ana"]]


def test_sides_are_exchanged_in_a_range_only(journal: Path) -> None:
    plain = joints_of(journal, "left_wrist")
    edited(journal, "--swap-sides", "2@1-2")
    left, right = joints_of(journal, "left_wrist"), joints_of(journal, "right_wrist")
    for index in (5, 19, 41, 55):
        assert float(left[index, 2]["x"]) == pytest.approx(float(plain[index, 2]["x"]), abs=6)
    for index in (22, 30, 38):
        assert float(left[index, 2]["x"]) == pytest.approx(540 - 15, abs=2)
        assert float(right[index, 2]["x"]) == pytest.approx(540 + 15, abs=2)
        assert int(left[index, 2]["flag"]) & Flag.CORRECTED
        assert float(left[index, 2]["raw_x"]) == pytest.approx(540 + 15), "as measured stays as measured"


@pytest.mark.parametrize("smooth", ["rts", "one-euro", "none"])
def test_a_joint_lies_exactly_where_it_was_set(journal: Path, smooth: str) -> None:
    edited(journal, "--set-joint", "2:nose@1.012=600,50")
    rows = joints_of(journal, "nose", "--smooth", smooth)
    assert (rows[20, 2]["x"], rows[20, 2]["y"], rows[20, 2]["score"]) == ("600.0", "50.0", "1.0")
    assert int(rows[20, 2]["flag"]) == Flag.CORRECTED
    assert float(rows[10, 2]["x"]) == pytest.approx(540, abs=1)


def test_a_dropped_joint_is_filled_like_any_other_gap(journal: Path) -> None:
    edited(journal, "--drop-joint", "2:nose@1-1.15")
    rows = joints_of(journal, "nose")
    for index in (20, 21, 22):
        assert int(rows[index, 2]["flag"]) & Flag.FILLED
        assert float(rows[index, 2]["x"]) == pytest.approx(540, abs=1)
    unfilled = joints_of(journal, "nose", "--smooth", "none")
    assert float(unfilled[21, 2]["score"]) == 0


def test_a_joint_keeps_its_place_when_its_person_gets_another_id(journal: Path) -> None:
    edited(journal, "--set-joint", "3:nose@2=1,2")
    edited(journal, "--merge", "3=1")
    row = joints_of(journal, "nose")[40, 1]
    assert (row["x"], row["y"]) == ("1.0", "2.0")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--merge", "9=1"), "there is no person 9 (after the corrections before); there are: 1, 2, 3"),
        (("--merge", "1=9"), "there is no person 9"),
        (("--merge", "1=1"), "cannot be merged into itself"),
        (("--exchange", "1=1"), "cannot exchange ids with itself; name two people"),
        (("--name", "1=Ana", "--name", "2=ana"), "person 1 is; if they are one, merge them (--merge 2=1)"),
        (("--name", "1=2"), "the id of another; choose another name"),
        (("--name", "1=Ana", "--drop", "Bo"), "no person Bo (after the corrections before); there are: 1 (Ana), 2, 3"),
        (("--merge", "1=2"), "both are in 20 frames between 0 and 0.95 s"),
        (("--merge", "3=1", "--drop", "3"), "there is no person 3"),
        (("--split", "1@2"), "person 1 cannot be split at 2 s, only from 0 to 0.95 s"),
        (("--drop", "1@2-3"), "person 1 is not there then, only from 0 to 0.95 s"),
        (("--only", "1,8"), "there is no person 8"),
        (("--drop-joint", "1:left_toe"), "there is no joint 'left_toe'"),
        (("--set-joint", "1:nose@2=5,5"), "person 1 is not there at 2 s"),
        (("--set-joint", "1:nose@0.5=700,5"), "outside the frame of 640x360"),
        (("--set-joint", "2:nose@1=5,5", "--set-joint", "2:nose@1=6,6"), "already; take that back first"),
        (("--merge", "1"), "expected ID=ID"),
        (("--split", "1@soon"), "is not a time"),
        (("--drop", "1@5-3"), "the end must be after the beginning"),
        (("--name", "1=\x1b[31m"), "printable"),
        (("--set-joint", "2:nose@1=nan,5"), "outside the frame"),
    ],
)
def test_what_cannot_be_corrected_is_refused_and_nothing_is_written(
    journal: Path, words: tuple[str, ...], reason: str
) -> None:
    assert reason in refused(journal, *words)
    edited(journal, "--drop", "2@0-0.5")
    assert reason.replace("20 frames between 0 and", "10 frames between 0.5 and") in refused(journal, *words)


def test_corrections_of_another_state_of_the_journal_are_refused(journal: Path) -> None:
    edited(journal, "--merge", "3=1")
    journal.write_bytes(journal.read_bytes() + b"\n")
    for words in (("edit", journal), ("convert", journal, "--csv", journal.parent / "x.csv")):
        ran = tpose(*words)
        assert ran.exit_code != 0 and "which has changed since" in str(ran.exception)
    assert not (journal.parent / "x.csv").exists()
    assert list(frames_of(journal, "--no-edits", "--track-lost", "0.1")) == [1, 2, 3]


def test_options_that_give_other_ids_are_refused(journal: Path) -> None:
    edited(journal, "--merge", "3=1")
    for words in (("--track-lost", "1"), ("--no-track",), ("--min-joints", "3")):
        ran = tpose("convert", journal, "--csv", journal.parent / "x.csv", *words)
        assert ran.exit_code != 0 and "--no-edits" in str(ran.exception)
    assert list(frames_of(journal, "--track-lost", "0.1")) == [1, 2], "the same ones are fine"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"schema_version = 2", b'schema_version = 1\njournal_sha256 = "a"\ncorrections = 3',
        b'schema_version = 1\njournal_sha256 = "a"\ncorrections = [3]',
        b'schema_version = 1\njournal_sha256 = "a"\n[[corrections]]\nkind = "explode"\nperson = 1',
        b'schema_version = 1\njournal_sha256 = "a"\n[[corrections]]\nkind = "merge"\nperson = "1"\ninto = 2',
        b'schema_version = 1\njournal_sha256 = "a"\n[[corrections]]\nkind = "merge"\nperson = 1\ninto = 2\nmore = 3',
        b'schema_version = 1\njournal_sha256 = "a"\n[[corrections]]\nkind = "drop"\nperson = 1\nfrom_s = nan',
        b'schema_version = 1\njournal_sha256 = "a"\n[[corrections]]\nkind = "drop"\nperson = true',
        b"a = " + b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_broken_file_of_corrections_is_a_sentence_with_the_remedy(journal: Path, content: bytes) -> None:
    corrections_path(journal).write_bytes(content)
    ran = tpose("convert", journal, "--csv", journal.parent / "x.csv")
    assert ran.exit_code != 0 and "--no-edits" in str(ran.exception)
    assert not (journal.parent / "x.csv").exists()


def test_the_file_keeps_every_kind_to_the_digit(journal: Path) -> None:
    words = ["--merge", "3=1", "--split", "2@1.5", "--exchange", "1=2@0.1-0.7", "--drop", "2@0-0.05"]
    words += ["--name", "1=Zoë 'Z' \"q\" ☃", "--swap-sides", "1@-0.3", "--drop-joint", "1:nose"]
    edited(journal, *words, "--set-joint", "4:nose@2=1.25,3.5")
    path = corrections_path(journal)
    found = read_corrections(path)
    assert {step.kind for step in found.steps} == set(KINDS)
    write_corrections(path, found)
    assert read_corrections(path) == found


def test_images_have_no_ids_to_correct(tmp_path: Path) -> None:
    path = tmp_path / "shots.poses.jsonl"
    JournalWriter(path, {**describe_source(SourceInfo("shots")), **COCO.to_dict()}).close(complete=True)
    assert "images" in refused(path, "--drop", "1")


def test_joints_are_corrected_by_name() -> None:
    poses = Poses(Boxes([[0, 0, 9, 9]], [1]), np.arange(34).reshape(1, 17, 2), np.full((1, 17), 0.5), np.array([5]))
    steps = (SwapSides(4, Span(1, 2)), SetJoint(4, "left_wrist", 1.5, 3, 4), Merge(4, 5), Split(9, 0, 10), Name(5, "x"))
    by_hand = Corrections(steps)
    assert by_hand.joints(poses, 0.9).xy.tolist() == poses.xy.tolist()
    swapped = by_hand.joints(poses, 1.0)
    assert swapped.xy[0].tolist() == poses.xy[0, list(MIRROR)].tolist()
    assert swapped.flags[0, NOSE] == 0 and swapped.flags[0, RIGHT_WRIST] == Flag.CORRECTED
    placed = by_hand.joints(poses, 1.5)
    assert placed.xy[0, LEFT_WRIST].tolist() == [3, 4] and placed.score[0, LEFT_WRIST] == 1
    assert by_hand.names() == {5: "x"}
