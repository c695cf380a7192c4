"""From measured poses to what is written: raw stays raw, flags and people put in reach every output."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.support.moving import NoisyTrack, measured, motions, truth
from tposecli.cli.main import cli
from tposecli.formats.base import WriteOptions
from tposecli.formats.journal.journal import JournalWriter, read_journal
from tposecli.formats.jsonlines import JsonLinesSink
from tposecli.pipeline.job import FileSettings, Outputs
from tposecli.pipeline.outputs import open_pose_files
from tposecli.pipeline.postprocess import PostOptions, PostProcessor
from tposecli.smoothing.options import SmoothOptions
from tposecli.tracking.tracker import Tracker
from tposecli.types import Boxes, Flag, Frame, Poses, Result

TIMES = np.arange(45) / 30
PICTURE = np.zeros((720, 1280, 3), np.uint8)
MISSED = range(20, 23)


@pytest.fixture(scope="module")
def clip() -> NoisyTrack:
    return measured(truth(motions()["walk 0.0"], TIMES), TIMES, 3, part="legs")


@pytest.fixture
def results(clip: NoisyTrack) -> list[Result]:
    """One who walks, with all that can go wrong; the detector misses them in three frames."""
    frames = [Frame(PICTURE, index, float(at), "walk.mp4", 512 * index) for index, at in enumerate(TIMES)]
    found = [poses[:0] if index in MISSED else poses for index, poses in enumerate(clip.poses(track=-1))]
    return [Result(frame, poses) for frame, poses in zip(frames, found, strict=True)]


def followed(results: list[Result], options: SmoothOptions | None = None, live: bool = False) -> list[Result]:
    post = PostProcessor.build(PostOptions(smooth=options or SmoothOptions()), live)
    return list(post.process(results))


def test_every_frame_comes_once_with_its_picture(results: list[Result]) -> None:
    done = followed(results)
    assert [result.frame for result in done] == [result.frame for result in results]
    for before, after in zip(results, done, strict=True):
        np.testing.assert_array_equal(before.poses.xy, after.poses.xy)
        assert (after.poses.flags == 0).all()
        assert after.smoothed is not None
        assert len(after.smoothed) == 1
        assert np.isnan(after.raw_xy).all() == (after.frame.index in MISSED)
    flags = np.stack([result.final.flags[0] for result in done])
    for flag in (Flag.FILLED, Flag.REPAIRED, Flag.OUTLIER):
        assert ((flags & flag) > 0).any(), flag
    assert (flags[list(MISSED)] & Flag.FILLED > 0).all()


def test_strays_go_with_all_that_belongs_to_them() -> None:
    """People of too low a score stay as long as they continue a track."""
    weak, strong, other = 0.35, 0.6, 0.5
    frames = []
    for index, scores in enumerate([(strong, weak), (weak, other), (weak, weak)]):
        away = 300 * (1 + index)
        boxes = Boxes(np.array([[0, 0, 80, 200], [away, 0, away + 80, 200]]), np.array(scores))
        xy = np.full((2, 17, 2), 50) + boxes.xyxy[:, None, :2]
        poses = Poses(boxes, xy, np.full((2, 17), 0.9))
        columns = np.arange(2.0)[:, None, None, None, None], np.arange(2.0)[:, None, None]
        frames.append(Result(Frame(PICTURE, index, index / 25), poses, None, *columns))
    done = list(PostProcessor(Tracker(), weak_score=0.45).process(frames))
    assert [result.poses.track_id.tolist() for result in done] == [[1], [1, 2], [1]]
    assert [result.attention.shape[0] for result in done if result.attention is not None] == [1, 2, 1]
    assert [result.matrices.ravel().tolist() for result in done if result.matrices is not None] == [[0], [0, 1], [0]]
    untracked = PostProcessor(weak_score=0.45).process(frames)
    assert [len(result.poses) for result in untracked] == [1, 1, 0]


def test_live_sources_get_one_euro_and_nothing_put_in(results: list[Result]) -> None:
    for result in followed(results, live=True):
        assert result.smoothed is not None
        assert len(result.smoothed) == len(result.poses)
        assert (result.smoothed.flags == 0).all()


def test_flags_and_people_put_in_reach_every_output(tmp_path: Path, results: list[Result]) -> None:
    done = followed(results)
    names = {"coco": "o.json", "csv": "o.csv", "openpose": "o.openpose", "mmpose": "o.mmpose", "npz": "o.npz"}
    outputs = Outputs(poses={key: tmp_path / name for key, name in names.items()})
    for sink in open_pose_files(outputs, FileSettings(), WriteOptions({})):
        for result in done:
            sink.write(result)
        sink.close(complete=True)
    flags = [result.final.flags[0].tolist() for result in done]
    people = json.loads((tmp_path / "o.json").read_text())["annotations"]
    assert [person["keypoint_flags"] for person in people] == flags
    assert [person["raw_keypoints"] is None for person in people] == [index in MISSED for index in range(45)]
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["flag"]) for row in rows] == [flag for frame in flags for flag in frame]
    assert {row["frame"] for row in rows if not row["raw_x"]} == {str(index) for index in MISSED}
    with np.load(tmp_path / "o.npz") as arrays:
        assert arrays["flags"].tolist() == flags
        assert np.isnan(arrays["raw_xy"]).all(axis=(1, 2)).tolist() == [index in MISSED for index in range(45)]
    frames = json.loads((tmp_path / "o.mmpose").read_text())
    assert [frame["instances"][0]["keypoint_flags"] for frame in frames] == flags
    assert frames[20]["instances"][0]["raw_keypoints"] is None
    pose = json.loads((tmp_path / "o.openpose" / "walk_000000000021_keypoints.json").read_text())["people"][0]
    assert pose["raw_pose_keypoints_2d"] == []
    assert pose["coco_keypoint_flags"] == flags[21]
    assert CliRunner().invoke(cli, ["validate", str(tmp_path / "o.json")]).exit_code == 0


def test_lines_of_json_have_both(results: list[Result], capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLinesSink()
    for result in followed(results)[19:21]:
        sink.write(result)
    seen, missed = (json.loads(line)["people"][0] for line in capsys.readouterr().out.splitlines())
    assert len(seen["keypoints"]) == len(seen["smoothed"]) == len(seen["flags"]) == 17
    assert "keypoints" not in missed
    assert missed["track_id"] == seen["track_id"]
    assert set(missed["flags"]) == {int(Flag.FILLED)}


def test_a_journal_stays_as_measured_and_is_smoothed_as_asked(tmp_path: Path, results: list[Result]) -> None:
    path = tmp_path / "o.mp4.poses.jsonl"
    header = {"size_wh": [1280, 720], "fps": "30", "time_base": "1/15360", "options": {}}
    writer = JournalWriter(path, {**header, "tool": "tposecli", "source": "walk.mp4"})
    for result in results:
        writer.write(result.frame, result.poses)
    writer.close()
    out = tmp_path / "o.npz"
    arguments = ["convert", str(path), "--npz", str(out), "--smooth", "savgol", "--savgol-window", "0.4", "--no-repair"]
    ran = CliRunner().invoke(cli, arguments)
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    with np.load(out) as arrays:
        info, flags = json.loads(str(arrays["info"])), arrays["flags"]
    assert info["options"]["smooth"] == "savgol"
    assert info["options"]["smoothing"] == {"fill_gaps_s": 0.3, "repair": False, "window_s": 0.4, "order": 2}
    assert not (flags & Flag.REPAIRED).any()
    for entry, result in zip(read_journal(path), results, strict=True):
        np.testing.assert_array_equal(entry.poses.xy, result.poses.xy)
