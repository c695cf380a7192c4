"""Several processes make what one makes, whatever happens to them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import segments
from tests.support.launcher import Launcher, Run, launching, lines_of
from tests.support.poison import PoisonRunner
from tests.support.segments import BOXES, MODEL, OPTIONS, SETTINGS, assert_same
from tposecli.pipeline.job import Outputs, VideoJob
from tposecli.pipeline.segments import workers as module
from tposecli.pipeline.segments.parts import HowCut, as_before, cut_before, note_cut
from tposecli.pipeline.segments.workers import run_in_workers, workers_of
from tposecli.pipeline.summary import Summary
from tposecli.types import Result, SourceInfo
from tposecli.utils.locks import output_locks

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")

LIMIT_S = 120


class Notes:
    """Notes what a watcher is told."""

    def __init__(self) -> None:
        self.frames, self.ended = 0, 0

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        self.begun = source.name

    def seen(self, result: Result) -> None:
        raise AssertionError("frames stay in the workers")

    def advance(self, frames: int, people: int) -> None:
        self.frames += frames

    def end(self, summary: Summary) -> None:
        self.ended += 1


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launching(tmp_path_factory.mktemp("said")) as launcher:
        yield launcher


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return segments.clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def words(clip: Path, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    made = ["-o", f"{folder}/out.mp4", "--json", f"{folder}/out.json", "--csv", f"{folder}/out.csv"]
    return ["video", str(clip), *made, *OPTIONS, *BOXES]


def parts(folder: Path) -> dict[str, int]:
    """Return how many lines the journal of each segment has."""
    found = sorted((folder / "out.mp4.poses.jsonl.parts").glob("*.jsonl"))
    return {path.name: lines_of(path) for path in found}


def wait_for_parts(folder: Path, lines: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while sum(parts(folder).values()) < lines and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sum(parts(folder).values()) >= lines


def children(pid: int) -> list[int]:
    """Return the workers of a process; the one that tracks resources is none."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found if is_running(int(each)) and b"spawn_main" in command_of(int(each))]


def command_of(pid: int) -> bytes:
    """Return the command line of a process; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_running(pid: int) -> bool:
    """Return whether a process still runs; one that nobody has waited for yet has a place in /proc, but does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def resumed(run: Run) -> int:
    """Return how many frames a run took from journals of earlier ones."""
    return sum(int(number) for number in re.findall(r"resuming after (\d+) finished", run.said()))


def test_a_run_that_is_disturbed_in_every_way(tmp_path: Path, launcher: Launcher, clip: Path) -> None:
    launcher.run(*words(clip, tmp_path / "whole"))
    folder = tmp_path / "parts"
    command = [*words(clip, folder), "--workers", "2", "--resume"]

    full = launcher.start(*command, limit=12_000)
    assert full.wait() == 1
    assert "cannot be written" in full.said() and "free some space" in full.said()
    assert len(parts(folder)) == 2

    stopped = launcher.start(*command)
    wait_for_parts(folder, sum(parts(folder).values()) + 4)
    stopped.send(signal.SIGINT)
    assert stopped.wait() == 130
    assert "interrupted" in stopped.said() and "continue with: tpose video" in stopped.said()
    assert "Traceback" not in stopped.said()

    before = parts(folder)
    killed = launcher.start(*command)
    wait_for_parts(folder, sum(before.values()) + 6)
    deadline = time.monotonic() + LIMIT_S  # Messages of workers arrive a moment after what they say.
    while not resumed(killed) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = children(killed.pid)
    killed.send(signal.SIGKILL)
    killed.wait()
    deadline = time.monotonic() + LIMIT_S
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers and not any(map(is_running, workers)), "workers outlive the run"
    assert resumed(killed) >= segments.GROUP

    before = parts(folder)
    last = launcher.start(*command)
    wait_for_parts(folder, sum(before.values()) + 4)
    os.kill(children(last.pid)[0], signal.SIGKILL)
    assert last.wait() == 0, last.said()
    assert "its process ended (SIGKILL); starting another" in last.said()
    assert_same(folder, tmp_path / "whole", in_parts=True)

    done = launcher.run(*command)
    assert "finished already" in done.said()


def test_a_run_in_segments_goes_on_without_workers(tmp_path: Path, launcher: Launcher, clip: Path) -> None:
    launcher.run(*words(clip, tmp_path / "whole"))
    folder = tmp_path / "parts"
    killed = launcher.start(*words(clip, folder), "--workers", "2")
    wait_for_parts(folder, 2 * segments.GROUP + 4)
    killed.send(signal.SIGKILL)
    killed.wait()
    refused = launcher.start(*words(clip, folder))
    assert refused.wait() == 2 and "out.mp4.poses.jsonl.parts: an interrupted run; add --resume" in refused.said()
    deadline = time.monotonic() + LIMIT_S
    while (again := launcher.start(*words(clip, folder), "--resume")).wait() and time.monotonic() < deadline:
        assert "is writing it" in again.said()  # A worker has not ended yet.
    assert resumed(again) >= segments.GROUP
    assert_same(folder, tmp_path / "whole", in_parts=True)


def test_a_worker_is_killed_while_it_draws(tmp_path: Path, launcher: Launcher, clip: Path) -> None:
    launcher.run(*words(clip, tmp_path / "whole"))
    folder = tmp_path / "parts"
    run = launcher.start(*words(clip, folder), "--workers", "2")
    deadline = time.monotonic() + LIMIT_S
    while not (locks := list(folder.glob("*.parts/*.nut.lock"))) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(int(json.loads(locks[0].read_text().splitlines()[0])["process"]), signal.SIGKILL)
    assert run.wait() == 0, run.said()
    assert "its process ended (SIGKILL); starting another" in run.said()
    assert_same(folder, tmp_path / "whole", in_parts=True)


def test_a_run_that_is_resumed_has_the_threads_of_the_first(tmp_path: Path) -> None:
    job = VideoJob(tmp_path / "in.mp4", Outputs(poses={"csv": tmp_path / "out.csv"}))
    free = replace(SETTINGS, inference=replace(SETTINGS.inference, model=replace(MODEL, threads=None)))
    resuming = segments.with_flags(free, resume=True)
    note_cut(job.outputs, HowCut(20, 3))
    assert cut_before(job.outputs) == HowCut(20, 3)
    assert as_before([job], resuming).inference.model.threads == 3
    assert as_before([job], free).inference.model.threads is None
    assert as_before([job], segments.with_flags(SETTINGS, resume=True)).inference.model.threads == 1


def test_many_videos_of_which_one_is_broken_and_one_is_taken(tmp_path: Path, launcher: Launcher, clip: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(clip, folder / f"{name}.mp4")
    (folder / "broken.mp4").write_bytes(b"none")
    given = ["video", str(folder), "--json", f"{tmp_path}/out/", "--csv", f"{tmp_path}/all.csv", "--end", "0.3"]
    with output_locks([tmp_path / "out" / "c.json"]):
        (tmp_path / "out").mkdir(exist_ok=True)
        run = launcher.start(*given, *OPTIONS, *BOXES, "--workers", "2")
        assert run.wait() == 2
        assert "another run" in run.said()
    run = launcher.start(*given, *OPTIONS, *BOXES, "--workers", "2")
    assert run.wait() == 1
    assert "broken.mp4: cannot be opened as a video" in run.said()
    assert "4 inputs: 3 done, 1 failed" in run.said()
    made = [json.loads((tmp_path / "out" / f"{name}.json").read_text())["annotations"] for name in ("a", "b", "c")]
    assert made[0] and made[0] == made[1] == made[2]
    assert (tmp_path / "all.csv").read_text().count("\n") > 20


def test_an_input_that_kills_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "TaskRunner", PoisonRunner)
    names = ("good", "poison", "fine")
    jobs = [VideoJob(tmp_path / name, Outputs(poses={"csv": tmp_path / f"{name}.csv"}), label=name) for name in names]
    notes = Notes()
    summaries = run_in_workers(jobs, SETTINGS, 2, notes)
    assert [summary.name for summary in summaries] == list(names)
    assert [bool(summary.failed) for summary in summaries] == [False, True, False]
    assert "ended 3 times (SIGSEGV)" in summaries[1].failed[0][1]
    assert caplog.text.count("starting another") == 2
    assert (notes.frames, notes.ended, notes.begun) == (14, 3, "3 inputs in 2 processes")


def test_threads_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 16)
    monkeypatch.setattr(module, "cpu_quota", lambda: None)
    monkeypatch.setattr(module, "memory_bytes", lambda: 8 << 30)
    model = replace(SETTINGS.inference.model, threads=None, device="cpu")
    settings = replace(SETTINGS, inference=replace(SETTINGS.inference, model=model))
    count, mine = workers_of(4, settings)
    assert (count, mine.inference.model.threads) == (4, 4)
    count, mine = workers_of(None, settings)
    assert (count, mine.inference.model.threads) == (8, 2)
