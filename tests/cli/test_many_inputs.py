"""Many videos in one command, outputs that are not named, and what is said about them."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tposecli.cli.main import cli
from tposecli.cli.terminal import console
from tposecli.cli.watchers import LineWatcher
from tposecli.pipeline.summary import Summary, duration
from tposecli.types import SourceInfo

FAST = ("--detector", "full-frame", "--model", "transpose-s-a4", "--end", "0.1")


def tpose(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def tree(tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two cameras whose files have one name, and a video that is broken."""
    for folder in ("cam1", "cam2"):
        (tmp_path / "clips" / folder).mkdir(parents=True)
        shutil.copy(media / "walk.mp4", tmp_path / "clips" / folder / "a.mp4")
    (tmp_path / "clips" / "bad.mp4").write_text("no video")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_tree_keeps_its_names_and_failures_are_said_once_more(tree: Path) -> None:
    result = tpose("video", "clips", "-r", "-o", "out/", "--csv", "all.csv", "--json", "-", *FAST)
    assert "all.csv: " in result.stderr and ".parts" not in result.stderr
    assert result.exit_code == 1
    assert (tree / "out/cam1/a.mp4").is_file() and (tree / "out/cam2/a.mp4").is_file()
    found = rows(tree / "all.csv")
    assert {row["file"] for row in found} == {"cam1/a.mp4", "cam2/a.mp4"}
    assert len({(row["file"], row["frame"], row["joint"]) for row in found}) == len(found) == 2 * 3 * 17
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["file"] for line in lines] == ["cam1/a.mp4"] * 3 + ["cam2/a.mp4"] * 3
    said = result.stderr.splitlines()
    assert sum("bad.mp4" in line for line in said) == 2 and "bad.mp4" in said[-1]
    assert "3 inputs: 2 done, 1 failed" in said[-2] and any(line.startswith("[3 of 3] cam2/a.mp4") for line in said)


def test_a_shared_table_is_resumed_and_never_replaced_unasked(tree: Path) -> None:
    words = ("video", "clips", "-r", "--csv", "all.csv", *FAST)
    assert tpose(*words).exit_code == 1
    first = (tree / "all.csv").read_bytes()
    assert "already exists" in str(tpose(*words).exception)
    shutil.copy(tree / "clips/cam1/a.mp4", tree / "clips/bad.mp4")
    resumed = tpose(*words, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert {row["file"] for row in rows(tree / "all.csv")} == {"bad.mp4", "cam1/a.mp4", "cam2/a.mp4"}
    assert len((tree / "all.csv").read_bytes()) > len(first)
    (tree / "all.csv").write_text("mine")
    assert "already exists" in str(tpose(*words, "--resume").exception)
    assert (tree / "all.csv").read_text() == "mine"


def test_a_table_on_standard_output_has_one_header(tree: Path) -> None:
    result = tpose("video", "clips/cam1", "clips/cam2", "--csv", "-", *FAST, "-q")
    found = list(csv.DictReader(result.stdout.splitlines()))
    assert len(found) == 2 * 3 * 17 and {row["file"] for row in found} == {"cam1/a.mp4", "cam2/a.mp4"}


@pytest.mark.parametrize(
    ("option", "path"), [("-o", "all.mp4"), ("--json", "all.json"), ("--npz", "all.npz"), ("-o", "-")]
)
def test_several_inputs_are_not_written_to_one_file(tree: Path, option: str, path: str) -> None:
    result = tpose("video", "clips", "-r", option, path)
    assert result.exit_code == 2 and "name a folder" in result.output
    assert not (tree / path).exists()


def test_outputs_that_are_not_named_are_beside_the_input(tree: Path) -> None:
    assert tpose("clips/cam1/a.mp4", *FAST, "-q").exit_code == 0
    made = {"a.mp4", "a_pose.mp4", "a_pose.json", "a_pose.mp4.poses.jsonl"}
    assert {path.name for path in (tree / "clips/cam1").iterdir()} == made
    again = tpose("video", "clips/cam1/a.mp4", *FAST)
    assert "already exists" in str(again.exception)
    assert tpose("video", "clips/cam1", *FAST, "--overwrite", "-q").exit_code == 0
    assert {path.name for path in (tree / "clips/cam1").iterdir()} == made


def test_an_image_alone_does_what_is_meant(tmp_path: Path, media: Path) -> None:
    photo = shutil.copy(next((media / "stills").glob("*.jpg")), tmp_path / "photo.jpg")
    assert tpose(photo, *FAST[:4], "-q").exit_code == 0
    made = {"photo.jpg", "photo_pose.jpg", "photo_pose.json", "photo_pose.jpg.poses.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == made
    assert tpose("images", photo, "-o", tmp_path / "named.png", *FAST[:4], "-q").exit_code == 0
    assert (tmp_path / "named.png").read_bytes().startswith(b"\x89PNG")
    refused = tpose("images", tmp_path / "photo.jpg", tmp_path / "named.png", "-o", tmp_path / "x.jpg", *FAST[:4])
    assert "name a folder" in str(refused.exception)


def test_a_folder_of_images_has_its_outputs_beside_it(tmp_path: Path, media: Path) -> None:
    shutil.copytree(media / "stills", tmp_path / "shots")
    assert tpose("images", tmp_path / "shots", *FAST[:4], "-q").exit_code == 0
    count = len(list((tmp_path / "shots").glob("*.jpg")))
    assert len(list((tmp_path / "shots_pose").glob("*.jpg"))) == count and (tmp_path / "shots_pose.json").is_file()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tposecli", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["video", "--smoth", "none"], "tpose: no option is called --smoth; did you mean --smooth?"),
        (["video", "a.mp4", "--start", "1m"], "tpose: --start: '1m' is not a time"),
        (["score"], "tpose: missing argument 'FILE'; see"),
        (["vidoe"], "tpose: no command is called 'vidoe'; did you mean 'video'?"),
        (["video"], "tpose: no input; name a video"),
        (["video", "nosuch.mp4", "-o", "x.xyz"], "tpose: x.xyz: "),
    ],
)
def test_all_errors_have_one_shape(words: list[str], said: str) -> None:
    result = run(*words)
    assert result.returncode == 2 and result.stderr.startswith(said) and len(result.stderr.splitlines()) == 1


def seen(watcher: LineWatcher, frames: int) -> None:
    for _ in range(frames):
        watcher.seen(None)  # type: ignore[arg-type]


def test_a_line_a_minute_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 30.0, 61.0, 90.0, 122.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    watcher = LineWatcher(console(stderr=True))
    watcher.plan(5)
    watcher.begin(SourceInfo("a.mp4", (4, 4), 25, 1), 8)  # type: ignore[arg-type]
    seen(watcher, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "[1 of 5] a.mp4: 2 of 8 frames (25%), 0.0 frames/s, 3 min 03 s left",
        "[1 of 5] a.mp4: 4 of 8 frames (50%), 0.0 frames/s, 2 min 02 s left",
    ]


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (
            {"frames": 135, "people": 135, "most": 1, "ids": 2},
            "a: 135 frames, 1 person, 2 ids in 10.0 s (13.5 frames/s)",
        ),
        ({"frames": 1, "people": 3, "most": 3}, "a: 1 frame, up to 3 people in 10.0 s (0.1 frames/s)"),
        ({"frames": 8, "people": 1, "most": 1, "stills": True}, "8 images, 1 person in 10.0 s (0.8 images/s)"),
        ({"frames": 8}, "a: 8 frames, no people in 10.0 s (0.8 frames/s)"),
    ],
)
def test_summary(facts: dict[str, Any], line: str) -> None:
    assert Summary("a", wall_s=10.0, seconds={"net": 1.0}, **facts).lines() == [line]
    assert "net 1.0 s" in Summary("a", wall_s=10.0, seconds={"net": 1.0}, **facts).lines(verbose=True)[1]


def test_summary_says_what_was_left_out() -> None:
    lost = Summary("a", frames=8, skipped=2, corrupt=1, failed=[("b", "broken")])
    assert lost.lines()[1] == "  1 failed, see above; 2 skipped: not images; 1 damaged and left out"
    assert [duration(seconds) for seconds in (4.23, 185.0, 7805.0)] == ["4.2 s", "3 min 05 s", "2 h 10 min"]


def test_json_events_have_times_paths_and_an_end(tree: Path) -> None:
    result = tpose("video", "clips", "-r", "-o", "out/", "--log-json", *FAST)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert all(event["time"] for event in events)
    ends = [event for event in events if event["event"] == "end"]
    assert [Path(event["path"]).is_file() for event in ends] == [True] * 3
    assert (events[-1]["event"], events[-1]["inputs"], events[-1]["failed"]) == ("done", 3, ["clips/bad.mp4"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_once_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    for name in ("HOME", "ZDOTDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    startup = tmp_path / f".{shell}rc"
    startup.write_text("mine")
    for _ in range(2):
        result = tpose("completion", "install")
        assert result.exit_code == 0, result.output
    script = next(path for path in tmp_path.rglob("*") if path.is_file() and path != startup)
    assert "_TPOSE_COMPLETE" in script.read_text()
    text = startup.read_text()
    assert text.startswith("mine") and text.count(str(script)) == (0 if shell == "fish" else 2)
    assert tpose("completion", "show", shell).stdout.strip() == script.read_text().strip()


def test_completion_of_an_unknown_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert tpose("completion", "install").exit_code == 2
