"""Long runs: memory, open files and threads stay as they are; one bad input among many costs itself only."""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fakes import FakeDetector, FakeEstimator
from tposecli.models.catalog import CATALOG
from tposecli.pipeline import run, session
from tposecli.pipeline.job import ImagesJob, Outputs, Settings, Summary
from tposecli.types import Frame, Result, SourceInfo

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
RATE = 25

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")


def memory_mb() -> float:
    """What the process holds of the machine's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@dataclass
class Curve:
    """A watcher that looks at the process now and then, and writes what it sees to the file ``TPOSE_CURVE``, if any.

    Attributes:
        every: Frames between two looks.
        looks: Frames so far, MB, open files, threads.
    """

    every: int
    frames: int = 0
    looks: list[tuple[int, float, int, int]] = field(default_factory=list)

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Nothing yet."""

    def seen(self, result: Result) -> None:
        """Look, every so many frames."""
        self.frames += 1
        if self.frames % self.every == 0:
            gc.collect()
            self.looks.append((self.frames, memory_mb(), open_files(), threading.active_count()))
            if "TPOSE_CURVE" in os.environ:
                with Path(os.environ["TPOSE_CURVE"]).open("a") as file:
                    file.write(json.dumps([time.monotonic(), *self.looks[-1]]) + "\n")

    def end(self, summary: Summary) -> None:
        """Nothing more."""

    def assert_flat(self, most_mb: float) -> None:
        """From the second quarter to the last nothing grows.

        A look may come upon files that are being read, and so only the least of each quarter counts: what leaks stays.
        """
        looks = np.array(self.looks)
        quarter = len(looks) // 4
        first, last = looks[quarter : 2 * quarter, 1:], looks[-quarter:, 1:]
        assert np.median(last[:, 0]) - np.median(first[:, 0]) < most_mb, looks[:, 1]
        assert (last[:, 1:].min(axis=0) <= first[:, 1:].min(axis=0)).all(), looks[:, 2:]


class Simulated:
    """A video that nobody decodes: grey frames with the times of a real one."""

    live, corrupt, files = False, 0, ()
    start_s, end_s = 0.0, None

    def __init__(self, frames: int) -> None:
        self.expected = frames
        self.info = SourceInfo("simulated", (64, 48), Fraction(RATE), Fraction(1, RATE))

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.expected):
            yield Frame(np.full((48, 64, 3), index % 256, np.uint8), index, index / RATE, "simulated", index)


class WalkInCircles(FakeDetector):
    """Two people who come and go, for ever."""

    def detect(self, frames: Any) -> Any:
        """Never out of the picture, and nothing is remembered."""
        found = super().detect([Frame(frame.image, frame.index % 40) for frame in frames])
        self.calls.clear()
        return [boxes if frame.index % 97 else boxes[:0] for boxes, frame in zip(found, frames, strict=True)]


class FakeNets(run.Nets):
    """The tests' own nets in place of real ones."""

    def __init__(self, settings: Settings, attention: bool) -> None:
        estimator: Any = FakeEstimator()
        estimator.spec, estimator.sha256, estimator.flip_test, estimator.attention = CATALOG[0], "0" * 64, False, None
        estimator.groups = Forgetful()
        self.estimator, self.detector, self.weak_score = estimator, WalkInCircles(), 0.0
        self.detector_options = settings.inference.detector
        self.attention_style = settings.drawing.attention


class Forgetful(list[int]):
    """Keeps nothing."""

    def append(self, item: int) -> None:
        """Not even that."""


def simulate(folder: Path, seconds: int, watcher: Curve) -> Summary:
    """Run so many seconds of video through everything but a decoder and a net."""
    from tposecli.sinks.encoding import VideoOptions
    from tposecli.sinks.video import VideoSink

    settings = Settings()
    nets = FakeNets(settings, False)
    source: Any = Simulated(seconds * RATE)

    def video(path: Path) -> VideoSink:
        return VideoSink(path, source.info, VideoOptions(preset="ultrafast"))

    outputs = Outputs(folder / "o.mp4", {"coco": folder / "o.json", "csv": folder / "o.csv"})
    sinks = run.SinkFactory(outputs, settings.drawing, settings.files, nets.attention_style, CATALOG[0].stride, video)
    summary = Summary("simulated")
    run.run_input(run.OpenedInput(source, (), sinks, True, {}), run.RunContext(settings, nets), watcher, summary)
    return summary


def test_a_minute_of_simulated_video_holds_nothing(tmp_path: Path) -> None:
    curve = Curve(every=300)
    summary = simulate(tmp_path, 60, curve)
    assert summary.frames == 60 * RATE
    curve.assert_flat(most_mb=25)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hours_of_simulated_video_holds_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    curve = Curve(every=2000)
    summary = simulate(tmp_path, 2 * 3600, curve)
    assert summary.frames == 2 * 3600 * RATE
    curve.assert_flat(most_mb=25)
    assert threading.active_count() == before


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_minutes_of_real_inference_holds_nothing(tmp_path: Path, media: Path) -> None:
    """The bundled nets, on a clip that begins again and again."""
    from tposecli.sources import open_video

    most_s = float(os.environ.get("TPOSE_LONG_S", "600"))
    settings = Settings()
    nets, curve, start = run.Nets(settings, False), Curve(every=60), time.monotonic()

    class Again(Simulated):
        def __iter__(self) -> Iterator[Frame]:
            index = 0
            while time.monotonic() - start < most_s:
                with open_video(media / "crossing.mp4") as video:
                    for frame in video:
                        yield Frame(frame.image, index, index / RATE, "again", index)
                        index += 1

    source: Any = Again(0)
    with open_video(media / "crossing.mp4") as video:
        source.info = video.info
    outputs = Outputs(poses={"coco": tmp_path / "o.json", "csv": tmp_path / "o.csv"})
    sinks = run.SinkFactory(outputs, settings.drawing, settings.files, nets.attention_style, CATALOG[0].stride)
    opened_input = run.OpenedInput(source, (), sinks, True, {})
    run.run_input(opened_input, run.RunContext(settings, nets), curve, Summary("again"))
    curve.assert_flat(most_mb=60)


def pictures(folder: Path, count: int) -> list[str]:
    """So many small pictures, one in a hundred of them broken; the names of those."""
    import cv2

    folder.mkdir()
    data = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    broken = []
    for number in range(count):
        bad = number % 100 == 37
        (folder / f"{number:05d}.jpg").write_bytes(data[: len(data) // 9] if bad else data)
        broken += [f"{number:05d}.jpg"] * bad
    return broken


def many_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    broken = pictures(tmp_path / "in", count)
    monkeypatch.setattr(session, "Nets", FakeNets)
    curve = Curve(every=max(25, count // 100))
    job = ImagesJob((str(tmp_path / "in"),), Outputs(poses={"coco": tmp_path / "o.json"}))
    summary = session.Session(Settings(), curve).run(job)
    assert [name for name, _ in summary.failed] == broken
    assert summary.frames == count - len(broken)
    names = {image["file_name"] for image in json.loads((tmp_path / "o.json").read_text())["images"]}
    assert len(names) == count - len(broken) and not names & set(broken)
    curve.assert_flat(most_mb=25)


@pytest.mark.slow
def test_of_many_pictures_the_broken_ones_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many_pictures(tmp_path, monkeypatch, 400)


@pytest.mark.slow
def test_of_ten_thousand_pictures_the_broken_ones_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many_pictures(tmp_path, monkeypatch, 10_000)
