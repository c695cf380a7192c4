"""Images in shares: what several processes make of them is what one makes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.media import write_image
from tests.support.runs import standing
from tests.support.segments import GROUP, SETTINGS, content, with_flags
from tposecli.detection.factory import DetectorOptions
from tposecli.formats.journal.journal import journal_path
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.options import ModelChoice
from tposecli.pipeline.job import ImagesJob, Outputs, Settings
from tposecli.pipeline.segments import images as module
from tposecli.pipeline.segments.nodes import plan_images
from tposecli.pipeline.segments.parts import parts_folder
from tposecli.pipeline.segments.plan import SegmentPlan
from tposecli.pipeline.segments.steps import Steps
from tposecli.pipeline.segments.workers import TaskRunner
from tposecli.pipeline.session import Session
from tposecli.pipeline.summary import Summary
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.errors import UsageError
from tposecli.utils.timings import Timings

COUNT, BAD = 30, 5
PEOPLE = replace(SETTINGS, inference=replace(SETTINGS.inference, detector=DetectorOptions("full-frame")))
RESUMING = with_flags(PEOPLE, resume=True)


class Net:
    """In place of the net: keypoints that depend on the pixels and on which images share a group."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def estimate(self, frames: Sequence[Frame], boxes: Sequence[Boxes], timings: Timings) -> list[Result]:
        """Return the results of a group of images."""
        self.seen += [frame.name for frame in frames]
        group = hash(tuple(frame.index for frame in frames)) % 97 / 1000
        return [self._result(frame, found, group) for frame, found in zip(frames, boxes, strict=True)]

    def _result(self, frame: Frame, found: Boxes, group: float) -> Result:
        people = standing([float(frame.image.mean()) / 10], 5, 30)
        return Result(frame, Poses(found, people.xy, people.score + np.float32(group)))


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    net = Net()
    monkeypatch.setattr(PoseEstimator, "estimate", lambda self, *given: net.estimate(*given))
    monkeypatch.setattr(module, "WHOLE", GROUP)
    return net


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small images, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "day").mkdir()
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        write_image(folder / "day" / f"{number}.png", pixels // (1 + number % 3))
    (folder / "day" / f"{BAD}.png").write_bytes(b"none")
    return folder / "day"


@pytest.fixture(scope="module")
def runner() -> TaskRunner:
    return TaskRunner(PEOPLE)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    yield Session(PEOPLE)


def job_of(photos: Path, folder: Path) -> ImagesJob:
    folder.mkdir(exist_ok=True)
    pose_files = {"coco": folder / "out.json", "csv": folder / "out.csv"}
    return ImagesJob((str(photos),), Outputs(folder / "drawn", pose_files, crops=folder / "crops"))


def go(runner: TaskRunner, plan: SegmentPlan, settings: Settings = PEOPLE, only: int = 1000) -> Summary | None:
    """Do the steps of a plan, or the first ones, and return the summary of the whole."""
    runner._settings = settings
    steps, whole = Steps([plan.job]), None
    steps.planned(steps.next(), plan)
    while steps and only:
        step = steps.next()
        whole = steps.done(step, runner(step, lambda what: None))
        only -= 1
    return whole


def all_of(folder: Path) -> dict[str, Any]:
    """Return what all files in a folder say; sizes in a journal depend on the command."""
    return {
        path.relative_to(folder).as_posix(): content(path) if path.parent == folder else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_shares_make_what_the_whole_makes(
    tmp_path: Path, photos: Path, net: Net, runner: TaskRunner, session: Session
) -> None:
    whole = session.run(job_of(photos, tmp_path / "whole"))
    job = job_of(photos, tmp_path / "shares")
    plan, images = plan_images(job, PEOPLE)
    assert images is not None and len(images) == COUNT and len(plan.segments) == 4
    summary = go(runner, plan)
    assert summary is not None and (summary.frames, summary.people) == (whole.frames, whole.people) == (29, 29)
    assert summary.failed == whole.failed and summary.failed[0][0] == f"{BAD}.png"
    assert [Path(path).name for path in summary.outputs] == [Path(path).name for path in whole.outputs]
    assert all_of(tmp_path / "shares") == all_of(tmp_path / "whole")
    net.seen.clear()
    again = Session(RESUMING)
    again._nets = session._nets
    assert again.run(job).failed == whole.failed  # One process takes all for its own.
    assert not net.seen


def test_what_is_measured_stays_when_a_run_is_resumed(
    tmp_path: Path, photos: Path, net: Net, runner: TaskRunner, session: Session
) -> None:
    session.run(job_of(photos, tmp_path / "whole"))
    job = job_of(photos, tmp_path / "shares")
    go(runner, plan_images(job, PEOPLE)[0], only=2)
    with pytest.raises(UsageError, match="an interrupted run; add --resume"):
        plan_images(job, PEOPLE)
    second = sorted(parts_folder(job.outputs).glob("*.jsonl"))[1]
    lines = second.read_bytes().replace(b'"complete":true ', b'"complete":false').splitlines(keepends=True)
    second.write_bytes(b"".join(lines[:4]))  # As if it had been killed.
    net.seen.clear()
    summary = go(runner, plan_images(job, RESUMING)[0], RESUMING)
    assert summary is not None and len(summary.failed) == 1
    assert net.seen == [f"{number}.png" for number in range(8, COUNT)]
    assert all_of(tmp_path / "shares") == all_of(tmp_path / "whole")


def test_a_run_that_ended_before_its_pose_files_makes_them_of_the_joined_journal(
    tmp_path: Path, photos: Path, net: Net, runner: TaskRunner, session: Session
) -> None:
    session.run(job_of(photos, tmp_path / "whole"))
    job = job_of(photos, tmp_path / "shares")
    plan, _ = plan_images(job, PEOPLE)
    go(runner, plan, only=4)
    (tmp_path / "shares" / "out.csv").mkdir()  # In the way.
    summary = go(runner, plan_images(job, RESUMING)[0], RESUMING)
    assert summary is not None and summary.stopped and not summary.outputs
    assert parts_folder(job.outputs).is_dir() and journal_path(job.outputs.files[0]).exists()
    (tmp_path / "shares" / "out.csv").rmdir()
    net.seen.clear()
    summary = go(runner, plan_images(job, RESUMING)[0], RESUMING)
    assert summary is not None and len(summary.failed) == 1 and not net.seen
    assert all_of(tmp_path / "shares") == all_of(tmp_path / "whole")


def test_one_bad_image_leaves_the_groups_of_others_alone_when_one_process_is_resumed(
    tmp_path: Path, photos: Path, net: Net, session: Session
) -> None:
    whole, job = (job_of(photos, tmp_path / name) for name in ("whole", "again"))
    session.run(whole)
    session.run(job)
    path = journal_path(job.outputs.files[0])
    lines = path.read_bytes().replace(b'"complete":true ', b'"complete":false').splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: 1 + 7 + 3]))  # A group of seven, and three of the next one.
    net.seen.clear()
    again = Session(RESUMING)
    again._nets = session._nets
    again.run(job)
    assert net.seen == [f"{number}.png" for number in range(8, COUNT)]
    assert all_of(tmp_path / "again") == all_of(tmp_path / "whole")


def test_attention_is_drawn_by_shares(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a net, which has another precision if it is asked for attention."""
    monkeypatch.setattr(module, "WHOLE", GROUP)
    model = ModelChoice("transpose-r18-a3", backend="torch", threads=1)
    settings = Settings(replace(PEOPLE.inference, model=model))
    folders = [tmp_path / name for name in ("whole", "shares")]
    jobs = [replace(job_of(photos, folder), inputs=(str(photos / "[0-8].png"),)) for folder in folders]
    jobs = [
        replace(job, outputs=replace(job.outputs, attention=job.outputs.files[0].with_name("maps"))) for job in jobs
    ]
    Session(settings).run(jobs[0])
    plan, _ = plan_images(jobs[1], settings)
    assert len(plan.segments) == 2
    summary = go(TaskRunner(settings), plan, settings)
    assert summary is not None and not summary.stopped and len(list((folders[1] / "maps").iterdir())) == 8
    assert all_of(folders[1]) == all_of(folders[0])


def test_making_the_pose_files_again_changes_nothing(
    tmp_path: Path, photos: Path, net: Net, runner: TaskRunner
) -> None:
    """Whoever made them may be lost before it says so."""
    plan, _ = plan_images(job_of(photos, tmp_path / "out"), PEOPLE)
    steps = Steps([plan.job])
    steps.planned(steps.next(), plan)
    runner._settings = PEOPLE
    while steps:
        step = steps.next()
        steps.done(step, runner(step, lambda what: None))
    made = all_of(tmp_path / "out")
    summary = runner(step, lambda what: None)
    assert not summary.failed and all_of(tmp_path / "out") == made


def test_a_share_that_ends_early_ends_the_run(
    tmp_path: Path, photos: Path, net: Net, runner: TaskRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(photos, tmp_path / "out")
    plan, _ = plan_images(job, PEOPLE)
    (tmp_path / "out" / "drawn").write_text("in the way")
    summary = go(runner, plan)
    assert summary is not None and summary.failed and not summary.outputs
    assert "drawn is a file; name a folder" in summary.failed[0][1]


def test_what_is_not_cut(tmp_path: Path, photos: Path, net: Net) -> None:
    def is_cut(**more: Any) -> bool:
        job = replace(
            job_of(photos, tmp_path / "out"), **{key: value for key, value in more.items() if key != "outputs"}
        )
        job = replace(job, outputs=replace(job.outputs, **more.get("outputs", {})))
        found = bool(plan_images(job, PEOPLE)[0].segments)
        shutil.rmtree(parts_folder(job.outputs), ignore_errors=True)
        return found

    assert is_cut() and is_cut(outputs={"attention": tmp_path / "maps"})
    assert not is_cut(outputs={"attention": tmp_path / "maps.npz"})
    assert not is_cut(outputs={"attention_matrix": tmp_path / "matrix.csv"})
    assert not is_cut(inputs=(str(photos / "[0-7].png"),))
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", photos)
    assert not is_cut(inputs=(packed,))
    shutil.copytree(photos, tmp_path / "twins")
    shutil.copy(photos / "0.png", tmp_path / "twins" / "0.jpg")
    assert not is_cut(inputs=(str(tmp_path / "twins"),)), "names of crops depend on the images before"


def test_a_share_is_named_by_its_images(tmp_path: Path, photos: Path, net: Net) -> None:
    plan, _ = plan_images(job_of(photos, tmp_path / "out"), PEOPLE)
    assert [share.title for share in plan.segments][:2] == ["0.png to 7.png", "8.png to 15.png"]
    assert json.loads((parts_folder(plan.job.outputs) / "plan.json").read_text()) == {"frames": 8, "threads": 1}
