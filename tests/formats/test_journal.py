"""The journal survives, and gives back what was measured, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests import REPOSITORY
from tposecli.formats.journal.journal import JournalWriter, journal_path, read_journal
from tposecli.formats.journal.records import shortest
from tposecli.types import Boxes, Frame, Poses
from tposecli.utils.errors import InputError, OutputError

HEADER: dict[str, Any] = {"tool_version": "0", "keypoint_names": ["a", "b", "c"]}
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def frame(index: int = 0, **fields: Any) -> Frame:
    return Frame(np.zeros((4, 6, 3), np.uint8), index, **fields)


def some(people: int, seed: int = 0) -> Poses:
    rng = np.random.default_rng(seed)
    boxes = Boxes(rng.uniform(0, 4000, (people, 4)), rng.random(people))
    return Poses(boxes, rng.uniform(-10, 4000, (people, 3, 2)), rng.random((people, 3)))


def same(first: Poses, second: Poses) -> bool:
    pairs = [(first.xy, second.xy), (first.score, second.score)]
    pairs += [(first.boxes.xyxy, second.boxes.xyxy), (first.boxes.score, second.boxes.score)]
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def write(path: Path, frames: int) -> list[bytes]:
    """A journal of so many frames, the n-th with n % 3 people; its lines."""
    writer = JournalWriter(path, HEADER)
    for index in range(frames):
        writer.write(frame(index, time_s=index / 30, name="é.mp4", pts=1001 * index), some(index % 3, index))
    writer.close()
    return path.read_bytes().splitlines(keepends=True)


def test_frames_are_read_back_exactly(tmp_path: Path) -> None:
    path = journal_path(tmp_path / "out.mp4")
    assert path.name == "out.mp4.poses.jsonl"
    write(path, 7)
    journal = read_journal(path)
    assert journal.header == {"schema_version": 1, "complete": False, "outputs": [], "checksum": "crc32", **HEADER}
    assert journal.provenance == HEADER
    for _ in range(2):
        frames = list(journal)
        assert [f.index for f in frames] == list(range(7))
        assert [f.time_s for f in frames] == [index / 30 for index in range(7)]
        assert {f.name for f in frames} == {"é.mp4"}
        assert frames[2].pts == 2002
        assert frames[2].size_wh == (6, 4)
        assert all(same(f.poses, some(f.index % 3, f.index)) for f in frames)


def test_a_line_looks_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writer = JournalWriter(path, HEADER)
    pose = Poses(Boxes([[0.1, 2, 3.25, 1e-3]], [0.7]), [[[1 / 3, 2], [3, 4], [5, 6]]], [[0.5, 0.6, 1e-9]])
    writer.write(frame(4, name="a.jpg", time_s=0.5), pose)
    writer.close()
    assert path.read_text().splitlines()[1] == (
        '{"frame":4,"name":"a.jpg","pts":null,"time_s":0.5,"width":6,"height":4,"people":[{"box":[0.1,2.0,3.25,0.001],'
        '"score":0.7,"keypoints":[[0.33333334,2.0,0.5],[3.0,4.0,0.6],[5.0,6.0,1e-09]]}],"crc32":1018933139}'
    )


@given(hnp.arrays(np.float32, st.integers(0, 30), elements=FINITE))
def test_any_finite_number_survives_json(values: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    text = json.dumps(shortest(values).tolist(), allow_nan=False)
    assert np.array(json.loads(text), np.float32).tobytes() == values.tobytes()


def test_numbers_have_as_few_digits_as_possible() -> None:
    values = np.random.default_rng(0).uniform(0, 4000, 3000).astype(np.float32)
    assert [repr(value) for value in shortest(values).tolist()] == [str(value) for value in values]


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", HEADER)
    with pytest.raises(ValueError, match="JSON"):
        writer.write(frame(), Poses(Boxes([[0, 0, 1, 1]], [1]), np.full((1, 3, 2), np.nan), np.ones((1, 3))))
    writer.close()
    assert list(read_journal(tmp_path / "j")) == []


def test_a_truncated_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "j"
    lines = write(path, 3)
    whole = b"".join(lines[:3])
    for cut in range(len(lines[3])):
        path.write_bytes(whole + lines[3][:cut])
        assert len(list(read_journal(path))) == 2
    path.write_bytes(whole + b"\0" * 50 + b"\n")
    assert len(list(read_journal(path))) == 2


@pytest.mark.parametrize("damage", [b'{"frame":\n', b"{}\n", b"\xff\xfe\n", b"\n", b"[NaN]\n"])
def test_damage_in_the_middle_names_file_and_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "j"
    lines = write(path, 4)
    lines[2] = damage
    path.write_bytes(b"".join(lines))
    frames = iter(read_journal(path))
    assert next(frames).index == 0
    with pytest.raises(InputError, match=r"j, line 3: damaged"):
        next(frames)


@pytest.mark.parametrize("start", [b"", b"{}\n", b"hello\n", b'{"schema_version":1', b'{"schema_version":99}\n'])
def test_other_files_are_refused(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(start)
    with pytest.raises(InputError, match="j: "):
        read_journal(path)
    with pytest.raises(InputError):
        JournalWriter.resume(path)
    assert path.read_bytes() == start


def test_a_resumed_journal_equals_an_undisturbed_one(tmp_path: Path) -> None:
    path = tmp_path / "j"
    whole = b"".join(write(path, 6))
    for torn in (b"", b'{"frame":', b'{"frame":\n'):
        path.write_bytes(b"".join(whole.splitlines(keepends=True)[:4]) + torn)
        done = [f.index for f in read_journal(path)]
        writer = JournalWriter.resume(path)
        for index in range(len(done), 6):
            writer.write(frame(index, time_s=index / 30, name="é.mp4", pts=1001 * index), some(index % 3, index))
        writer.close()
        assert path.read_bytes() == whole


def test_resume_can_go_back_to_a_frame(tmp_path: Path) -> None:
    lines = write(tmp_path / "j", 6)
    for frames in (4, 9, 0):
        JournalWriter.resume(tmp_path / "j", frames).close()
        lines = lines[: frames + 1]
        assert (tmp_path / "j").read_bytes() == b"".join(lines)


def test_lines_survive_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, signal, numpy as np; from pathlib import Path; "
        "from tposecli.formats.journal.journal import JournalWriter;"
        "from tposecli.types import *; w = JournalWriter(Path('j'), {});"
        "f = Frame(np.zeros((2, 2, 3), np.uint8), 0); [w.write(f, Poses.empty()) for _ in range(3)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = str(REPOSITORY)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": root}, check=False, timeout=60)
    assert len(list(read_journal(tmp_path / "j"))) == 3


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        JournalWriter(tmp_path / "missing" / "j", {})
    with pytest.raises(InputError, match="none"):
        read_journal(tmp_path / "none")


@pytest.mark.parametrize("field", ["options", "outputs", "keypoint_names"])
def test_fields_that_are_null_are_damage(tmp_path: Path, field: str) -> None:
    path = journal_path(tmp_path / "out.mp4")
    lines = write(path, 2)
    path.write_bytes(json.dumps({**json.loads(lines[0]), field: None}).encode() + b"\n" + lines[1])
    with pytest.raises(InputError, match=f"damaged .invalid {field} in its header"):
        read_journal(path)
