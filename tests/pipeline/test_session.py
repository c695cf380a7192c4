"""One session runs many jobs with nets that are loaded once, with the results of the command line."""

from __future__ import annotations

import json
import pickle
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tposecli.cli.main import cli
from tposecli.detection.factory import DetectorOptions
from tposecli.inference.options import ModelChoice
from tposecli.pipeline import session as module
from tposecli.pipeline.job import ImagesJob, InferenceSettings, Outputs, RunFlags, Settings, VideoJob
from tposecli.pipeline.session import Session
from tposecli.pipeline.summary import Summary
from tposecli.sources import Window
from tposecli.types import Result, SourceInfo
from tposecli.utils.errors import InputError, UsageError

SETTINGS = Settings(InferenceSettings(ModelChoice("transpose-s-a4"), DetectorOptions("bundled")))


class Notes:
    """Notes what a watcher is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        self.told.append(f"begin {source.name}")

    def seen(self, result: Result) -> None:
        self.told.append("seen")

    def end(self, summary: Summary) -> None:
        self.told.append(f"end {summary.name}")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Filled with an entry for each pair of nets that is loaded."""
    found: list[bool] = []
    nets = module.Nets

    def counted(settings: Settings, attention: bool) -> Any:
        found.append(attention)
        return nets(settings, attention)

    monkeypatch.setattr(module, "Nets", counted)
    return found


def clip(media: Path, outputs: Outputs) -> VideoJob:
    return VideoJob(media / "walk.mp4", outputs, Window(end_s=0.2))


def test_nets_are_loaded_once_and_results_are_the_command_lines(media: Path, tmp_path: Path, loads: list[bool]) -> None:
    notes = Notes()
    session = Session(SETTINGS, notes)
    assert not loads
    first = session.run(clip(media, Outputs(poses={"csv": tmp_path / "a.csv"})))
    second = session.run(clip(media, Outputs(poses={"csv": tmp_path / "b.csv"})))
    stills = session.run(ImagesJob((str(media / "stills"),), Outputs(poses={"coco": tmp_path / "c.json"})))
    assert loads == [False]
    assert (first.frames, first.people) == (second.frames, second.people) and first.frames and first.people
    assert first.outputs[0] == tmp_path / "a.csv"
    assert stills.frames == len(list((media / "stills").iterdir()))
    assert notes.told.count("begin walk.mp4") == 2 and notes.told.count("end walk.mp4") == 2

    same = ["--model", "transpose-s-a4", "--detector", "bundled", "-q"]
    with pytest.raises(SystemExit) as stopped:
        cli(["video", str(media / "walk.mp4"), "--end", "0.2", "--csv", str(tmp_path / "d.csv"), *same])
    assert not stopped.value.code
    a, b, d = ((tmp_path / name).read_bytes() for name in ("a.csv", "b.csv", "d.csv"))
    assert a == b == d


def test_a_broken_video_is_in_the_summary_and_the_session_goes_on(media: Path, tmp_path: Path) -> None:
    session = Session(SETTINGS)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    broken = VideoJob(tmp_path / "broken.mp4", Outputs(poses={"csv": tmp_path / "x.csv"}))
    [(name, reason)] = session.run(broken).failed
    assert name.endswith("broken.mp4") and "cannot be opened" in reason
    assert session.run(clip(media, Outputs(poses={"csv": tmp_path / "y.csv"}))).frames


def test_what_cannot_be_done_is_refused_before_nets_are_loaded(media: Path, tmp_path: Path, loads: list[bool]) -> None:
    session = Session(SETTINGS)
    (tmp_path / "there.csv").touch()
    with pytest.raises(UsageError, match="exists"):
        session.run(clip(media, Outputs(poses={"csv": tmp_path / "there.csv"})))
    with pytest.raises(UsageError, match="nothing to write"):
        session.run(clip(media, Outputs()))
    with pytest.raises(InputError, match="no such file"):
        session.run(ImagesJob((str(tmp_path / "nothing"),), Outputs(poses={"csv": tmp_path / "z.csv"})))
    assert not loads


def test_jobs_and_settings_can_be_sent_to_another_process(media: Path, tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    jobs = [
        VideoJob(media / "walk.mp4", Outputs(tmp_path / "o.mp4", {"coco": tmp_path / "o.json"}), rate=rate),
        ImagesJob((str(media),), Outputs(poses={"csv": tmp_path / "o.csv"}), recursive=True),
    ]
    settings = Settings(flags=RunFlags(overwrite=True))
    assert pickle.loads(pickle.dumps((jobs, settings))) == (jobs, settings)


def test_attention_has_nets_of_its_own_that_are_kept_too(media: Path, tmp_path: Path, loads: list[bool]) -> None:
    shutil.copy(next((media / "stills").glob("*.jpg")), tmp_path / "one.jpg")
    session = Session(SETTINGS)
    images = (str(tmp_path / "one.jpg"),)
    session.run(ImagesJob(images, Outputs(poses={"coco": tmp_path / "a.json"})))
    session.run(ImagesJob(images, Outputs(attention=tmp_path / "b.npz")))
    session.run(ImagesJob(images, Outputs(attention=tmp_path / "c.npz", poses={"coco": tmp_path / "c.json"})))
    assert loads == [False, True]
    assert [len(json.loads((tmp_path / name).read_text())["annotations"]) for name in ("a.json", "c.json")] != [0, 0]
