"""A video that is drawn and encoded in segments plays as the one that one process makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.media import Film, sound_packets
from tests.support.runs import standing
from tests.support.segments import GROUP, SETTINGS, content, with_flags
from tposecli.drawing.style import DrawStyle
from tposecli.inference.estimator import PoseEstimator
from tposecli.pipeline.job import DrawingSettings, Outputs, Settings, VideoJob
from tposecli.pipeline.segments.draw import Piece, pieces_of
from tposecli.pipeline.segments.plan import plan_segments
from tposecli.pipeline.segments.steps import Step, Steps
from tposecli.pipeline.segments.workers import TaskRunner
from tposecli.pipeline.summary import Summary
from tposecli.sinks.scale import Scale
from tposecli.sinks.video import VideoOptions, VideoSink
from tposecli.sources import Window
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.timings import Timings

FRAMES = 64
TICK = Fraction(1, 90_000)
PTS = [number * 3003 + (number % 3) * 400 for number in range(FRAMES)]
"""Times of a variable rate."""

WORSE = {"av1": 3.0}
"""Levels of 255, averaged over a frame, by which it may be further from what was drawn than one process's; 1 else."""

APART = {"av1": 8.0}
"""Levels by which it may differ from the frame of one process; 5 else. Either is about 4 from what was drawn."""

STYLE = DrawStyle(trails=(9, 10), trail_s=1.5, ids=True, angles=True)
DRAWN = replace(SETTINGS, drawing=DrawingSettings(style=STYLE, blur_heads=True))


class Net:
    """In place of the net: one person who walks, and one who comes later; the first jumps now and then."""

    def estimate(self, frames: Sequence[Frame], boxes: Sequence[Boxes], timings: Timings) -> list[Result]:
        """Return the results of a group of frames."""
        return [Result(frame, self._people(frame.index)) for frame in frames]

    def _people(self, index: int) -> Poses:
        lefts = [20.0 + 2 * index + (3 if index % 7 == 0 else 0)]
        return standing(lefts if index < 20 else [*lefts, 230.0 - index], 30.0 + index % 5, 110)


@pytest.fixture(scope="module", autouse=True)
def net() -> Iterator[None]:
    """Nothing here depends on what the net finds."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PoseEstimator, "estimate", lambda self, *given: Net().estimate(*given))
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a clip of a variable rate with sound and chapters, and a key frame in every ten."""
    folder = tmp_path_factory.mktemp("clip")
    options = {"crf": "20", "preset": "ultrafast", "g": "10", "bf": "2"}
    film = Film(PTS, TICK, (256, 160), options=options, sound=("aac",), sound_s=2.2).write(folder / "film.mp4")
    with av.open(str(film)) as source, av.open(str(folder / "clip.mp4"), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        times = [(0, 900), (900, 2100)]
        target.set_chapters(
            [
                {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": "A"}}
                for number, (start, end) in enumerate(times)
            ]
        )
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return folder / "clip.mp4"


@pytest.fixture(scope="module")
def runner() -> TaskRunner:
    return TaskRunner(DRAWN)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note every image that goes to an encoder, its time, and for how long it is shown."""
    seen: list[Any] = []
    write = VideoSink.write

    def noting(self: VideoSink, image: Any, pts: Any, time_s: float, duration_s: Any = None) -> None:
        seen.append((image.copy(), pts, duration_s))
        write(self, image, pts, time_s, duration_s)

    monkeypatch.setattr(VideoSink, "write", noting)
    return seen


def job_of(clip: Path, folder: Path, name: str, **more: Any) -> VideoJob:
    folder.mkdir(parents=True, exist_ok=True)
    return VideoJob(clip, Outputs(folder / name, {"coco": folder / "out.json", "csv": folder / "out.csv"}), **more)


class Way:
    """A video on its way through its steps, which one runner does."""

    def __init__(self, runner: TaskRunner, job: VideoJob, settings: Settings = DRAWN) -> None:
        self.runner = runner
        runner._settings = settings
        self.plan = plan_segments(job, settings, frames=16, least=GROUP)
        self.pieces = pieces_of(self.plan, settings)
        self.steps = Steps([job])
        self.steps.planned(self.steps.next(), self.plan, self.pieces)
        self.kinds: list[str] = []
        self.summary: Summary | None = None

    def go(self, until: str = "") -> None:
        """Do all steps before the first of a kind."""
        while self.steps:
            step = self.steps.next()
            if step.kind == until:
                self.steps.again(step)
                return
            self.do(step)

    def do(self, step: Step) -> Summary:
        """Do a step."""
        self.kinds.append(step.kind)
        summary = self.runner(step, lambda what: None)
        self.summary = self.steps.done(step, summary)
        return summary


def packets_of(path: Path) -> tuple[list[Any], Any]:
    """Return when frames are shown and decoded, for how long, and what the container says of the stream."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        facts = stream.time_base, stream.duration, stream.frames, stream.average_rate, stream.codec_context.codec_tag
        own = {key: value for key, value in stream.metadata.items() if key != "DURATION"}
        chapters = [(each["start"], each["end"]) for each in container.chapters()]
        packets = [(packet.pts, packet.dts, packet.duration) for packet in container.demux(stream) if packet.size]
        shown, decoded, durations = zip(*packets, strict=True)  # Which frames are stored late is the encoder's choice.
        return [sorted(shown), decoded, sorted(durations)], (facts, own, chapters, container.duration)


def images_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [(frame.pts, frame.to_ndarray(format="rgb24").astype(int)) for frame in container.decode(video=0)]


def errors(decoded: list[Any], drawn: list[Any]) -> list[float]:
    """Return by how many levels of 255 each frame differs from what was drawn, averaged over it."""
    pairs = zip(decoded, drawn, strict=True)
    return [float(np.abs(image - reference.astype(int)).mean()) for (_, image), (reference, *_) in pairs]


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("out.mp4", {}),
    "cut": ("out.mp4", {"window": Window(0.2, 1.9)}),
    "source clock": ("out.mov", {"window": Window(0.2, clock="source")}),
    "every second": ("out.mkv", {"window": Window(0.1, stride=2)}),
    "half the size": ("out.mkv", {"encoding": VideoOptions(scale=Scale(0.5))}),
    "hevc": ("out.mp4", {"encoding": VideoOptions(codec="hevc", preset="ultrafast")}),
    "vp9": ("out.webm", {}),
    "av1": ("out.mp4", {"encoding": VideoOptions(codec="av1", preset="12")}),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_play_as_the_whole(tmp_path: Path, clip: Path, runner: TaskRunner, encoded: list[Any], case: str) -> None:
    name, more = CASES[case]
    whole = job_of(clip, tmp_path / "whole", name, **more)
    runner._settings = DRAWN
    assert not runner(Step(0, "whole", whole), lambda what: None).failed
    at_once, encoded[:] = list(encoded), []

    video = Way(runner, job_of(clip, tmp_path / "parts", name, **more))
    video.go()
    many = len(video.pieces)
    assert many >= 2 and video.kinds == [*["segment"] * many, "join", *["draw"] * many, "finish"]
    assert video.summary is not None and not video.summary.failed
    assert [each[1:] for each in encoded] == [each[1:] for each in at_once]
    assert all((image == other).all() for (image, *_), (other, *_) in zip(encoded, at_once, strict=True))
    assert video.summary.frames == len(at_once) and video.summary.ids == 2

    one, other = tmp_path / "whole" / name, tmp_path / "parts" / name
    assert packets_of(other) == packets_of(one)
    assert sound_packets(other) == sound_packets(one) and sound_packets(one)
    found, expected = images_of(other), images_of(one)
    assert [pts for pts, _ in found] == [pts for pts, _ in expected]
    assert max(errors(found, [(image,) for _, image in expected])) < APART.get(case, 5.0)
    if case != "half the size":
        worse = np.array(errors(found, at_once)) - errors(expected, at_once)
        assert worse.max() < WORSE.get(case, 1.0)
    for path in sorted((tmp_path / "whole").iterdir()):
        if path.name != name:
            assert content(tmp_path / "parts" / path.name) == content(path)
    assert sorted(path.name for path in other.parent.iterdir()) == sorted(path.name for path in one.parent.iterdir())


def test_whole_parts_are_not_drawn_again(tmp_path: Path, clip: Path, runner: TaskRunner, encoded: list[Any]) -> None:
    job = job_of(clip, tmp_path, "out.mp4")
    video = Way(runner, job)
    video.go("draw")
    assert not video.do(video.steps.next()).failed
    first, cut = len(encoded), video.pieces[1]
    assert 0 < first < FRAMES
    cut.path.write_bytes(b"killed before it was whole")

    again = with_flags(DRAWN, resume=True)
    video = Way(runner, job, again)
    video.go()
    assert len(encoded) == FRAMES and video.summary is not None and not video.summary.failed
    assert len(images_of(tmp_path / "out.mp4")) == FRAMES
    assert not cut.path.parent.exists()

    other = Way(runner, job, replace(again, drawing=DrawingSettings(style=replace(STYLE, boxes=True))))
    assert {piece.path for piece in other.pieces}.isdisjoint(piece.path for piece in video.pieces)


def test_a_damaged_part_is_named(tmp_path: Path, clip: Path, runner: TaskRunner) -> None:
    video = Way(runner, job_of(clip, tmp_path, "out.mp4"))
    video.go("finish")
    part = video.pieces[1].path
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    summary = video.do(video.steps.next())
    assert "a damaged part of the video; remove it" in summary.failed[0][1]
    assert not (tmp_path / "out.mp4").exists() and video.pieces[0].path.exists()


def test_making_the_outputs_again_changes_nothing(tmp_path: Path, clip: Path, runner: TaskRunner) -> None:
    """Whoever made them may be lost before it says so."""
    video = Way(runner, job_of(clip, tmp_path, "out.mp4"))
    video.go("finish")
    last = video.steps.next()
    assert not video.do(last).failed
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    summary = runner(last, lambda what: None)
    assert not summary.failed
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("out.gif", {}),
        ("out.avi", {}),
        ("%06d.png", {}),
        ("out.mp4", {"encoding": VideoOptions(rate=Fraction(10))}),
        ("out.mp4", {"encoding": VideoOptions(speed=Fraction(1, 2))}),
        ("out.mp4", {"encoding": VideoOptions(codec="mpeg4")}),
    ],
)
def test_what_one_process_draws(tmp_path: Path, clip: Path, name: str, more: dict[str, Any]) -> None:
    def pieces(job: VideoJob) -> tuple[Piece, ...]:
        plan = plan_segments(job, DRAWN, frames=16, least=GROUP)
        assert plan.segments
        return pieces_of(plan, DRAWN)

    crops = job_of(clip, tmp_path, "out.mp4")
    assert pieces(crops) and not pieces(job_of(clip, tmp_path, name, **more))
    assert not pieces(replace(crops, outputs=replace(crops.outputs, crops=tmp_path / "crops")))
