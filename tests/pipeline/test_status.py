"""Shards of many videos need not know of one another, and what is done of all of them can be asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.media import Film
from tests.support.runs import journal_of
from tposecli.cli.commands import video as command
from tposecli.cli.main import cli
from tposecli.cli.options.many_videos import Shard
from tposecli.formats.journal.journal import JournalWriter
from tposecli.pipeline.job import VideoJob
from tposecli.pipeline.summary import Summary
from tposecli.utils.locks import output_locks

PINNED = [0, 4, 3]
NAMES = [f"{letter}{number}" for letter in "abc" for number in range(4)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    film = Film(pts=range(4)).write(folder / f"{NAMES[0]}.mp4")
    for name in NAMES[1:]:
        (folder / f"{name}.mp4").write_bytes(film.read_bytes())
    return folder


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[VideoJob]:
    """The jobs that commands ask for, which are not run."""
    found: list[VideoJob] = []

    def note(jobs: Sequence[VideoJob], *_: object) -> list[Summary]:
        found.extend(jobs)
        return [Summary(job.label) for job in jobs]

    monkeypatch.setattr(command, "run_jobs", note)
    return found


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_video_is_in_one_shard(clips: Path, tmp_path: Path, jobs: list[VideoJob], count: int) -> None:
    words = ["video", str(clips), "--json", f"{tmp_path}/out/"]
    CliRunner().invoke(cli, words)
    whole = {job.label: job for job in jobs}
    assert len(whole) == len(NAMES)
    sizes = []
    jobs.clear()
    for number in range(count):
        before = len(jobs)
        assert CliRunner().invoke(cli, [*words, "--shard", f"{number}/{count}"]).exit_code == 0
        sizes.append(len(jobs) - before)
    assert sorted(job.label for job in jobs) == sorted(whole)
    assert all(job == whole[job.label] for job in jobs)
    assert count == 1 or max(sizes) < len(NAMES)


def test_which_shard_a_name_is_in_never_changes() -> None:
    """Runs that are resumed with a later version go on with the same videos."""
    assert [next(part for part in range(7) if Shard(part, 7).has(name)) for name in ("a.mp4", "b/c.mov", "é")] == PINNED


@pytest.mark.parametrize("shard", ["3/3", "1", "-1/2", "a/b", "1/0"])
def test_shards_that_cannot_be(clips: Path, tmp_path: Path, shard: str) -> None:
    result = CliRunner().invoke(cli, ["video", str(clips), "--json", f"{tmp_path}/out/", "--shard", shard])
    assert result.exit_code == 2 and "expected I/N" in result.output


def test_shards_share_no_table(clips: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["video", str(clips), "--csv", f"{tmp_path}/all.csv", "--shard", "0/2"])
    assert result.exit_code == 2 and "name a folder" in result.output


def status(*words: Any) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(cli, ["status", *map(str, words), "--json", "-"])
    return result.exit_code, json.loads(result.stdout)


def test_status_of_every_kind(tmp_path: Path) -> None:
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    out.mkdir()
    film = Film(pts=range(4)).write(clips / "done.mp4")
    for name in ("stopped", "cut", "running", "waiting"):
        (clips / f"{name}.mp4").write_bytes(film.read_bytes())
    (clips / "broken.mp4").write_bytes(b"none")

    def journal(path: Path, complete: bool) -> Path:
        path.parent.mkdir(exist_ok=True)
        journal_of(film, path)
        JournalWriter.resume(path, 4).close(complete, {"files": {}} if complete else None)
        return path

    journal(out / "done.json.poses.jsonl", True)
    journal(out / "stopped.json.poses.jsonl", False)
    journal(out / "running.json.poses.jsonl", False)
    journal(out / "cut.json.poses.jsonl.parts" / "000000000-000000004.poses.jsonl", True)
    with output_locks([out / "running.json"]):
        code, found = status(out, "-i", clips)
        states = {entry["name"]: entry["state"] for entry in found["inputs"]}
        assert code == 1
        assert states == {
            "done.mp4": "done",
            "stopped.mp4": "interrupted",
            "cut.mp4": "interrupted",
            "running.mp4": "running",
            "waiting.mp4": "missing",
            "broken.mp4": "failed",
        }
        assert sum(found["counts"].values()) == 6
        assert {entry["frames"] for entry in found["inputs"] if entry["state"] in ("done", "interrupted")} == {4}
        assert "cannot be opened" in next(e["reason"] for e in found["inputs"] if e["name"] == "broken.mp4")
    plain = CliRunner().invoke(cli, ["status", str(out)])
    assert plain.exit_code == 1 and "4 videos: 1 done, 3 interrupted" in plain.stdout
    assert status(out, "-i", clips / "done.mp4")[0] == 0
    assert CliRunner().invoke(cli, ["status", str(tmp_path / "none")]).exit_code != 0
