"""The run for a GPU keeps to its time, brings what it has measured, and its parts can be started."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.studies.gpu_run.__main__ import Run, run_all, run_part
from tests.studies.gpu_run.plan import LARGE, SMALL, Part, Sizes, parts
from tposecli.cli.commands.bench import bench


def script(code: str, limit_s: float = 30.0, least_s: float = 1.0) -> Part:
    return Part("script", "A script", [sys.executable, "-uc", code], limit_s, least_s)


def a_run(folder: Path, seconds: float = 60.0) -> Run:
    return Run(folder / "report.md", folder / "log.txt", time.monotonic() + seconds)


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


HANGING = """
import subprocess, sys, time
print("| a row |")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, file=sys.stderr)
time.sleep(60)
"""


def test_a_part_that_hangs_is_ended_with_its_children_and_its_rows_stay(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert run_part(script(HANGING, limit_s=2.0), run, {}).endswith("its limit")
    assert run.report.read_text() == "| a row |\n"
    child = int(run.log.read_text().split()[-1])
    deadline = time.monotonic() + 20  # The signal was sent; when it arrives is up to the system.
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def test_a_part_that_fails_says_why_and_the_next_one_runs(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    run_all([script("raise SystemExit('no such device')"), script("print('| 1 |')")], run, "cpu")
    text = run.report.read_text()
    assert "failed with status 1" in text and "no such device" in text
    assert "## A script\n\n| 1 |\n" in text
    assert "cpu (" in text.partition("\n")[0]


def test_what_no_longer_fits_is_skipped_and_said_to_be(tmp_path: Path) -> None:
    run = a_run(tmp_path, seconds=10)
    assert "not measured" in run_part(script("print('here')", least_s=60), run, {})
    assert not run.report.exists()


@pytest.mark.parametrize("sizes", [LARGE, SMALL], ids=["large", "small"])
def test_every_part_is_a_command_that_exists(sizes: Sizes) -> None:
    planned = parts("cpu", sizes)
    assert len({part.name for part in planned}) == len(planned)
    assert [part.name for part in planned][:2] == ["tests", f"nets {sizes.models[0]}"]
    for part in planned:
        assert part.command[:2] == [sys.executable, "-m"] and find_spec(part.command[2]) is not None
        assert part.least_s < part.limit_s
        if part.command[2] == "tposecli":
            assert part.command[3] == "bench"
            bench.make_context("bench", list(part.command[4:]))


def test_eight_minutes_hold_the_first_parts_even_at_their_limits() -> None:
    planned = parts("cuda:0", LARGE)
    names = [part.name for part in planned]
    begun = sum(part.limit_s for part in planned[: names.index("first frame")])
    assert begun < 8 * 60


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_all_of_it_runs_on_a_cpu(tmp_path: Path) -> None:
    unhurried = [replace(part, limit_s=1200) for part in parts("cpu", SMALL)]
    run_all(unhurried, a_run(tmp_path, 2400), "cpu")
    text = (tmp_path / "report.md").read_text()
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        assert "failed" not in body and "not measured:" not in body and "its limit" not in body, section
        assert "\n| " in body or title == "Tests"
