"""A video in segments: what is made of the joined journal is what one run over the whole makes."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.support import segments
from tests.support.media import damage
from tests.support.runs import standing
from tests.support.segments import FRAMES, GROUP, SETTINGS, assert_same, content, with_flags
from tposecli.cli.main import cli
from tposecli.formats.journal.journal import journal_path, read_journal
from tposecli.inference.estimator import PoseEstimator
from tposecli.pipeline.job import Outputs, VideoJob
from tposecli.pipeline.segments.join import join_journals
from tposecli.pipeline.segments.plan import SegmentPlan, plan_segments
from tposecli.pipeline.session import Session
from tposecli.sources import Window
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.timings import Timings

WINDOWS = {
    "whole": Window(),
    "late": Window(0.3),
    "middle": Window(0.2, 2.1),
    "source": Window(0.3, clock="source"),
    "every third": Window(0.1, stride=3),
}


class Net:
    """In place of the net: keypoints that depend on the pixels and, if asked for, on which frames share a group."""

    grouped = True

    def estimate(self, frames: Sequence[Frame], boxes: Sequence[Boxes], timings: Timings) -> list[Result]:
        """Return the results of a group of frames."""
        group = hash(tuple(frame.index for frame in frames)) % 97 / 1000 if self.grouped else 0.0
        return [self._result(frame, found, group) for frame, found in zip(frames, boxes, strict=True)]

    def _result(self, frame: Frame, found: Boxes, group: float) -> Result:
        shift = float(frame.image.mean()) / 10
        people = standing(found.xyxy[:, 0].tolist(), float(found.xyxy[0, 1]) + shift, 100)
        return Result(frame, Poses(found, people.xy, people.score + np.float32(group)))


@pytest.fixture(scope="module", autouse=True)
def net() -> Iterator[Net]:
    """Nothing here depends on what the net finds."""
    net = Net()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PoseEstimator, "estimate", lambda self, *given: net.estimate(*given))
        yield net


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return segments.clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(SETTINGS)


def outputs(folder: Path, picture: bool = False) -> Outputs:
    folder.mkdir(parents=True, exist_ok=True)
    video = folder / "out.mp4" if picture else None
    return Outputs(video, {"coco": folder / "out.json", "csv": folder / "out.csv"})


def cut(job: VideoJob) -> SegmentPlan:
    return plan_segments(job, SETTINGS, frames=20, least=GROUP)


@pytest.mark.parametrize("window", WINDOWS)
def test_segments_make_what_the_whole_makes(tmp_path: Path, clip: Path, session: Session, window: str) -> None:
    picture = window in ("whole", "late")
    whole = VideoJob(clip, outputs(tmp_path / "whole", picture), WINDOWS[window])
    session.run(whole)
    job = replace(whole, outputs=outputs(tmp_path / "parts", picture))
    plan = cut(job)
    assert len(plan.segments) >= 2 and plan == cut(job)
    for segment in pickle.loads(pickle.dumps(plan.segments[::-1])):
        assert not session.run(segment).failed
    journal = journal_path(job.outputs.files[0])
    frames = join_journals(plan.journals, journal, job.outputs.files)
    assert frames == plan.frames == len(list(read_journal(journal)))
    shutil.rmtree(plan.journals[0].parent)
    again = Session(with_flags(SETTINGS, resume=True))
    again._nets = session._nets
    summary = again.run(job)
    assert not summary.failed and summary.frames == frames and summary.ids == 1
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_segments_are_whole_groups_soon_after_key_frames(clip: Path, tmp_path: Path) -> None:
    job = VideoJob(clip, outputs(tmp_path), Window(0.2))
    first = [int(path.name[:9]) for path in cut(job).journals]
    assert all((start - first[0]) % GROUP == 0 for start in first)
    assert all(start % segments.PICTURES < GROUP for start in first[1:])
    assert cut(replace(job, window=Window(0, 0.5))).segments == ()


def test_what_is_not_cut(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    shutil.copy(clip, broken)
    damage(broken, [30])
    made = outputs(tmp_path / "out")
    assert cut(VideoJob(broken, made)).segments == ()
    assert cut(VideoJob(clip, replace(made, attention=tmp_path / "a.npz"))).segments == ()
    assert plan_segments(VideoJob(clip, made), SETTINGS, frames=FRAMES).segments == ()
    (tmp_path / "none.mp4").write_bytes(b"none")
    with pytest.raises(InputError):
        cut(VideoJob(tmp_path / "none.mp4", made))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, clip: Path, session: Session, net: Net) -> Path:
    """Journals of segments as a user makes them; none of the cuts is at a whole group."""
    net.grouped = False
    folder = tmp_path_factory.mktemp("parts")
    spans = {"a": (0.0, 0.7), "b": (0.7, 1.3), "c": (1.3, None), "later": (1.5, None)}
    for name, (start, end) in spans.items():
        session.run(VideoJob(clip, Outputs(poses={"csv": folder / name}), Window(start, end)))
    flipped = replace(SETTINGS, post=replace(SETTINGS.post, track=None))
    Session(flipped).run(VideoJob(clip, Outputs(poses={"csv": folder / "other"}), Window(0.7, 1.3)))
    session.run(VideoJob(clip, Outputs(poses={"csv": folder / "whole", "coco": folder / "whole.json"})))
    return folder


def join(folder: Path, *names: str) -> Any:
    words = ["join", *(f"{folder}/{name}.poses.jsonl" for name in names), "-o", f"{folder}/joined.poses.jsonl"]
    return CliRunner().invoke(cli, [*words, "--overwrite"])


def test_join_of_segments_made_by_hand(parts: Path, tmp_path: Path) -> None:
    result = join(parts, "b", "c", "a")
    assert result.exit_code == 0 and f"{FRAMES} frames of 3 journals" in result.stderr
    joined, whole = read_journal(parts / "joined.poses.jsonl"), read_journal(parts / "whole.json.poses.jsonl")
    assert joined.path.read_bytes().splitlines()[1:-1] == whole.path.read_bytes().splitlines()[1:-1]
    assert joined.complete and joined.header["window"] == whole.header["window"]
    for journal in (joined, whole):
        folder = tmp_path / journal.path.stem
        folder.mkdir()
        CliRunner().invoke(
            cli, ["convert", str(journal.path), "--json", f"{folder}/a.json", "--csv", f"{folder}/a.csv"]
        )
    one, other = (tmp_path / journal.path.stem for journal in (joined, whole))
    assert content(one / "a.csv") == content(other / "a.csv")
    assert CliRunner().invoke(cli, ["validate", str(joined.path)]).exit_code == 0


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "two or more segments"),
        (["a", "c"], "a gap from 0.7 s to 1.3 s"),
        (["a", "b", "later"], "a gap from 1.3 s to 1.5 s"),
        (["c", "a", "b", "later"], "overlap"),
        (["a", "other", "c"], "not of one run: options.track"),
        (["a", "none"], "cannot be read"),
    ],
)
def test_what_cannot_be_joined(parts: Path, names: list[str], said: str) -> None:
    (parts / "joined.poses.jsonl").unlink(missing_ok=True)
    result = join(parts, *names)
    assert isinstance(result.exception, UsageError | InputError) and said in str(result.exception)
    assert not (parts / "joined.poses.jsonl").exists()


def test_a_run_that_has_not_ended_is_not_joined(parts: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(parts / f"{name}.poses.jsonl", tmp_path)
    path = tmp_path / "b.poses.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"complete":true ', b'"complete":false', 1))
    with pytest.raises(InputError, match="has not ended"):
        join_journals([tmp_path / "a.poses.jsonl", path], tmp_path / "joined.poses.jsonl")
