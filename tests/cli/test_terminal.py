"""What reaches the terminal: names that can do no harm there, and with --quiet nothing but errors."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import tposecli.cli
from tests.support.media import Film
from tposecli.cli.download_bar import bar
from tposecli.cli.main import cli
from tposecli.cli.terminal import console, printable, say
from tposecli.cli.watchers import TerminalWatcher

HARMFUL = "\x1b[2J\x9b\r\n\u202egpj.\udcff[/red][bold]:car:"
"""Clears the screen, goes back, begins a line, reverses the direction, is no UTF-8; is markup and emoji to rich."""
SHOWN = "\\x1b[2J\\x9b\\x0d\\x0a\\u202egpj.\\udcff[/red][bold]:car:"
COMMANDS = Path(tposecli.cli.__file__).parent
FAST = ["--model", "transpose-r18-a3", "--detector", "full-frame", "--device", "cpu", "--offline"]


def tpose(*words: object, expected: int = 0) -> Result:
    ran = CliRunner().invoke(cli, [str(word) for word in words])
    assert ran.exit_code == expected, ran.output
    return ran


def test_a_name_is_shown_as_escapes_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(HARMFUL) == SHOWN
    assert printable("Ünï 日本\t{1}") == "Ünï 日本\t{1}"
    say(HARMFUL, Path("b"))
    assert capsys.readouterr().out == f"{SHOWN}\nb\n"


def test_tables_titles_and_lines_escape_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table(title=HARMFUL)
    table.add_column(HARMFUL)
    table.add_row(HARMFUL)
    console().print(table)
    console().print(HARMFUL)
    out = capsys.readouterr().out
    assert out.count(SHOWN) == 4 and not set(out) & set("\x1b\r\u202e")


def test_progress_bars_take_any_name() -> None:
    with bar(quiet=False, log_json=False)(HARMFUL, 10) as advance:
        advance(5)
    from tposecli.types import SourceInfo

    watcher = TerminalWatcher(console(stderr=True))
    watcher.begin(SourceInfo(HARMFUL, (4, 4), 25, 1), 10)  # type: ignore[arg-type]
    assert watcher.progress is not None
    watcher.progress.stop()


def test_weights_and_data_escape_the_names_they_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a[red]\x1b[2J\x07.pth"
    (tmp_path / name).write_bytes(b"x")
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path))
    for words in (["weights", "list"], ["weights", "verify"], ["data", "check", "--data-dir", tmp_path / name]):
        ran = CliRunner().invoke(cli, [str(word) for word in words])
        assert "a[red]\\x1b[2J" in ran.output and "\x1b" not in ran.output, (words, ran.output)


def test_no_command_prints_past_the_escaping() -> None:
    """All text goes through ``say`` or ``console``; what is left is JSON, and bytes for a program."""
    kept = re.compile(r"click\.echo\((?!json\.dumps|os\.fsencode|ctx\.get_help)|(?<![.\w])print\(|Console\(stderr")
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(COMMANDS.rglob("*.py"))
        if path.name != "terminal.py"
        for line in path.read_text().splitlines()
        if kept.search(line)
    ]
    assert not found


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "vp9"])
def test_encoders_keep_still(tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]) -> None:
    Film().write(tmp_path / "in.mp4")
    tpose("video", tmp_path / "in.mp4", "-o", tmp_path / "o.mkv", "--codec", codec, "--end", "0.1", "-q", *FAST)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


NOISY = """
import logging, os, sys, warnings
from tposecli.cli.watchers import watcher
watcher(quiet={quiet}, log_json={log_json})
os.write(2, b"a library in C\\n")
warnings.warn("a library in Python")
logging.getLogger("elsewhere").error("a record of a library")
logging.getLogger("tposecli").warning("a warning of ours")
logging.getLogger("tposecli").error("an error of ours")
"""


def noise(quiet: bool, log_json: bool) -> str:
    code = NOISY.format(quiet=quiet, log_json=log_json)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr


def test_with_quiet_nobody_writes_but_our_errors() -> None:
    assert noise(quiet=True, log_json=False) == "an error of ours\n"


def test_json_lines_are_nothing_but_json() -> None:
    events = [json.loads(line) for line in noise(quiet=False, log_json=True).splitlines()]
    assert [event["message"] for event in events] == ["a warning of ours", "an error of ours"]


def test_pictures_with_faults_are_read_without_a_word(tmp_path: Path) -> None:
    success, data = cv2.imencode(".jpg", np.full((60, 80, 3), 90, np.uint8))
    assert success
    (tmp_path / "junk.jpg").write_bytes(data[:-60].tobytes() + b"\xff\xd0\x12" + data[-60:].tobytes())
    words = ["images", str(tmp_path / "junk.jpg"), "--csv", str(tmp_path / "o.csv"), "-q", *FAST]
    code = f"import sys; sys.argv = ['tpose', *{words!r}]; from tposecli.cli.main import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")
    assert (tmp_path / "o.csv").stat().st_size


def test_quiet_and_log_json_from_anywhere_hold_for_the_announcement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tpose.toml").write_text('smooth = "none"\n')
    words = ["video", "missing.mp4", "--json", "o.json"]
    assert "sets smooth" in tpose(*words, expected=1).output
    assert "sets smooth" not in tpose(*words, "-qo", "o.mp4", expected=1).output
    monkeypatch.setenv("TPOSE_VIDEO_QUIET", "1")
    assert "sets smooth" not in tpose(*words, expected=1).output
    monkeypatch.delenv("TPOSE_VIDEO_QUIET")
    monkeypatch.setenv("TPOSE_VIDEO_LOG_JSON", "1")
    said = json.loads(tpose(*words, expected=1).output.splitlines()[0])
    assert "sets smooth" in said["message"] and datetime.fromisoformat(said["time"]).tzinfo
    logging.getLogger("tposecli").handlers.clear()


def test_json_lines_have_time_path_and_a_closing_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Film().write(tmp_path / "in.mp4")
    words = ["video", tmp_path / "in.mp4", tmp_path / "missing.mp4", "--csv", tmp_path / "d", "--log-json", *FAST]
    events = [json.loads(line) for line in tpose(*words, expected=1).output.splitlines()]
    events = [event for event in events if event["event"] not in ("log", "progress")]
    assert [event["event"] for event in events] == ["begin", "end", "begin", "end", "done"]
    assert all(datetime.fromisoformat(event["time"]).tzinfo for event in events)
    assert [event["path"] for event in events if event["event"] == "end"] == [str(word) for word in words[1:3]]
    assert events[-1] | {"time": ""} == {
        "event": "done",
        "time": "",
        "inputs": 2,
        "failed": [str(tmp_path / "missing.mp4")],
        "exit_status": 1,
    }
