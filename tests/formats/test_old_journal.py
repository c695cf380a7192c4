"""A journal that tposecli 0.1.0 left when it was killed: it is still converted, rendered and resumed.

It was made in a folder with ``walk.mp4`` of the sample media, by the command in its header, and killed after 10 frames.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import CliRunner

from tests import REPOSITORY
from tposecli.cli.main import cli
from tposecli.formats.journal.journal import read_journal
from tposecli.utils.version import __version__

FRAMES = 10
GROUP = 8
WHOLE_CLIP_FRAMES = 24


@pytest.fixture
def folder(tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the old run, with what it left behind."""
    (tmp_path / "walk.mp4").symlink_to(media / "walk.mp4")
    (tmp_path / "o.json.poses.jsonl").write_bytes(Path(__file__).with_name("old_journal.poses.jsonl").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tpose(*words: str) -> None:
    ran = CliRunner().invoke(cli, words)
    assert ran.exit_code == 0, f"{ran.output}{ran.exception}"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_is_converted(folder: Path) -> None:
    tpose("convert", "o.json.poses.jsonl", "--csv", "o.csv", "--smooth", "none", "-q")
    people = [entry.poses for entry in read_journal(folder / "o.json.poses.jsonl")]
    assert [len(poses) for poses in people] == [1] * FRAMES
    written = rows(folder / "o.csv")
    assert [int(row["frame"]) for row in written] == [frame for frame in range(FRAMES) for _ in range(17)]
    assert [float(row["x"]) for row in written] == pytest.approx(
        [x for poses in people for x in poses.xy[0, :, 0].tolist()], abs=0.01
    )


def test_is_rendered(folder: Path) -> None:
    tpose("render", "o.json.poses.jsonl", "-i", "walk.mp4", "-o", "o.mp4", "-q")
    with av.open(str(folder / "o.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_is_resumed(folder: Path) -> None:
    journal = folder / "o.json.poses.jsonl"
    header, *lines = journal.read_text().splitlines()
    # The bundled weights may be trained again, and the version grows; both would rightly prevent resuming.
    now: dict[str, Any] = json.loads(header)
    weights = REPOSITORY / "tests/data/weights" / f"{now['model']}.safetensors"
    now["tool_version"] = __version__
    now["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    old_start = '{"schema_version":1,"complete":false,'
    journal.write_text("\n".join([json.dumps(now, separators=(",", ":")), *lines, ""]))
    assert journal.read_text().startswith(old_start)
    words = now["command"].split()[1:]
    # What counts as a sure box depends on the bundled detector, and so has this default changed since.
    tpose(*words, "--track-activation", "0.45", "--resume", "-q")
    resumed = journal.read_text().splitlines()
    assert len(resumed) == 1 + WHOLE_CLIP_FRAMES + 1, "an ending follows the frames"
    assert resumed[1 : 1 + GROUP] == lines[:GROUP]
    assert json.loads(resumed[0])["complete"] is True
    assert len(json.loads((folder / "o.json").read_text())["images"]) == WHOLE_CLIP_FRAMES
    assert {int(row["frame"]) for row in rows(folder / "o.csv")} == set(range(WHOLE_CLIP_FRAMES))
