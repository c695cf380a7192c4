"""Ctrl-C, SIGTERM, closed pipes, stalled inputs: an orderly end, in time, with nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tests.support.launcher import Launcher, Run, launching, wait_for
from tposecli.formats.journal.journal import read_journal
from tposecli.utils.signals import Stopped, deferred, stop_on_signals
from tposecli.utils.threads import AbandonedError, Stop, prefetch

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the launcher forks")

IN_TIME_S = 20.0
"""To exit after a signal; a quiet machine takes well under one second."""


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launching(tmp_path_factory.mktemp("said")) as launcher:
        yield launcher


@pytest.fixture
def words(media: Path, tmp_path: Path) -> list[str]:
    """A run that is long enough to be stopped in its middle."""
    source = ["video", f"{media}/crossing.mp4", "--detector", f"boxes:{media}/crossing.json"]
    small = ["--end", "3.2", "--model", "transpose-r18-a3"]
    return [*source, *small, "-o", f"{tmp_path}/a b.mp4", "--json", f"{tmp_path}/o.json"]


def stopped(run: Run, *numbers: int) -> int:
    """Send the signals; the exit status, which must come in time."""
    start = time.monotonic()
    for number in numbers:
        run.send(number)
    status = run.wait()
    assert time.monotonic() - start < IN_TIME_S
    assert "Traceback" not in run.said()
    return status


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_ends_in_order_and_says_how_to_go_on(
    launcher: Launcher, words: list[str], tmp_path: Path, number: int, status: int
) -> None:
    journal = tmp_path / "a b.mp4.poses.jsonl"
    run = launcher.start(*words)
    wait_for(journal, 50)  # Smoothing looks ahead: the video lags behind the journal.
    assert stopped(run, number) == status
    assert {path.name for path in tmp_path.iterdir()} == {"a b.partial.mp4", "a b.mp4.poses.jsonl"}
    assert journal.read_bytes().endswith(b"\n") and not read_journal(journal).complete
    done = len(list(read_journal(journal)))
    with av.open(str(tmp_path / "a b.partial.mp4")) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert 1 <= frames <= done and done >= 49
    said = run.said().strip().splitlines()[-1]
    assert said.startswith("tpose: ") and said.endswith("--resume") and f"'{tmp_path}/a b.mp4'" in said
    launcher.run(*words, "--resume")
    assert {path.name for path in tmp_path.iterdir()} == {"a b.mp4", "a b.mp4.poses.jsonl", "o.json"}


def test_a_second_signal_ends_at_once(launcher: Launcher, words: list[str], tmp_path: Path) -> None:
    run = launcher.start(*words)
    wait_for(tmp_path / "a b.mp4.poses.jsonl", 10)
    assert stopped(run, signal.SIGINT, signal.SIGINT) == 130
    assert len(list(read_journal(tmp_path / "a b.mp4.poses.jsonl"))) >= 9


def test_a_signal_while_the_net_is_loaded(launcher: Launcher, words: list[str], tmp_path: Path) -> None:
    run = launcher.start(*words)
    assert stopped(run, signal.SIGTERM) in (143, -signal.SIGTERM)
    assert not (tmp_path / "a b.mp4").exists()


def test_pictures_end_in_order_too(launcher: Launcher, words: list[str], tmp_path: Path) -> None:
    still = (Path(words[1]).parent / "stills" / "still_01.jpg").read_bytes()
    many = tmp_path / "in"
    many.mkdir()
    for number in range(200):
        (many / f"{number:03d}.jpg").write_bytes(still)
    run = launcher.start("images", many, "--json", tmp_path / "o.json", "--detector", "full-frame", "-q")
    wait_for(tmp_path / "o.json.poses.jsonl", 10)
    assert stopped(run, signal.SIGINT) == 130
    assert "--resume" in run.said()
    assert {path.name for path in tmp_path.iterdir()} == {"in", "o.json.poses.jsonl"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_source_that_gives_nothing_any_more_is_no_hang(
    launcher: Launcher, tmp_path: Path, media: Path, number: int
) -> None:
    """Standard input stays open, but nobody writes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    source = tmp_path / "in.mkv"
    with av.open(str(media / "walk.mp4")) as read, av.open(str(source), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                write.mux(packet)
    begun, ended = threading.Event(), threading.Event()

    def trickle() -> None:
        with pipe.open("wb", buffering=0) as file:
            data = source.read_bytes()
            file.write(data[: len(data) // 2])
            begun.set()
            ended.wait(60)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        command = ["video", "-", "--detector", "full-frame", "--json", tmp_path / "o.json", "-q"]
        run = launcher.start(*command, stdin=str(pipe))
        assert begun.wait(60)
        wait_for(tmp_path / "o.json.poses.jsonl", 10)
        time.sleep(0.5)
        status = stopped(run, number)
    finally:
        ended.set()
        thread.join()
    assert status == 128 + number
    assert "--resume" not in run.said()


@pytest.mark.parametrize("streams", [">&-", "2>&1 | head -c 1 > /dev/null", "2>&-"])
def test_closed_streams_are_no_traceback(tmp_path: Path, media: Path, streams: str) -> None:
    """Standard output that nobody reads, or that is not there at all."""
    source = f"video {media}/walk.mp4 --end 0.2 --detector full-frame --json {tmp_path}/o.json --log-json"
    command = f"{sys.executable} -c 'from tposecli.cli.main import main; main()' {source} {streams}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr


def test_deferred_signals_take_effect_at_the_end_of_the_block() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    done = []
    try:
        for number in before:
            stop_on_signals()
            with pytest.raises(Stopped) as stop, deferred():
                signal.raise_signal(number)
                done.append(number)
            assert stop.value.status == 128 + number
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert done == list(before)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop_on_signals()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_reader_in_another_thread_is_woken() -> None:
    stop, never = Stop(), threading.Event()

    def hanging() -> Iterator[int]:
        yield 0
        never.wait(30)

    items = prefetch(hanging(), 1, "hanging", stop=stop, patience_s=0.2)
    assert next(items) == 0
    threading.Timer(0.2, stop.set).start()
    start = time.monotonic()
    with pytest.raises(AbandonedError):
        next(items)
    assert time.monotonic() - start < 5
    never.set()


def test_no_run_leaves_a_process(launcher: Launcher) -> None:
    """All that was started in this file is in the launcher's session, and has ended."""
    command = ["ps", "-o", "pid=", "-s", str(launcher.process.pid)]
    left = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert left == [str(launcher.process.pid)]
