"""What ``tpose check`` says of runs whose faults are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests import REPOSITORY
from tests.support.runs import PeopleOf, long_columns, made_up_journal, standing
from tposecli.cli.main import cli
from tposecli.formats.align import PoseInput
from tposecli.geometry.keypoints import COCO, KEYPOINTS
from tposecli.report.quality.check import RunQuality, check_run
from tposecli.report.quality.evidence import wrong_probability
from tposecli.types import Poses

WRIST, OTHER_WRIST = KEYPOINTS.index("left_wrist"), KEYPOINTS.index("right_wrist")


def quality(path: Path, frames: int, people: PeopleOf, **header: object) -> RunQuality:
    return check_run(PoseInput(made_up_journal(path / "run.poses.jsonl", frames, people, **header)))


def tpose_check(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, arguments)])


def strolling(frame: int, score: float = 0.95) -> Poses:
    """Return one person who walks slowly in mid-picture."""
    return standing([40 + frame / 10], top=20, score=score)


class TestJoints:
    def test_a_joint_that_the_net_doubts_is_suspected(self) -> None:
        columns = long_columns(60)
        score = np.full_like(columns.score, 0.9)
        score[:, WRIST] = 0.15
        wrong = wrong_probability(replace(columns, score=score), COCO, None)
        assert wrong[:, WRIST].min() > 0.5 > wrong[:, OTHER_WRIST].max()

    def test_a_joint_that_trembles_is_suspected(self) -> None:
        columns = long_columns(60)
        raw = columns.xy.copy()
        raw[::2, WRIST] += 6
        wrong = wrong_probability(replace(columns, raw=raw), COCO, None)
        assert wrong[:, WRIST].min() > 2 * wrong[:, OTHER_WRIST].max()

    def test_a_joint_at_another_persons_joint_is_suspected(self) -> None:
        columns = long_columns(2)
        xy = columns.xy.copy()
        xy[1] = xy[0] + 40
        pair = replace(columns, frame=np.array([0, 0]), track=np.array([1, 2]), score=np.full_like(columns.score, 0.95))
        met = xy.copy()
        met[1, OTHER_WRIST] = met[0, WRIST]
        apart, together = (wrong_probability(replace(pair, xy=each, raw=each), COCO, None) for each in (xy, met))
        assert together[0, WRIST] > 3 * apart[0, WRIST]
        assert together[0, OTHER_WRIST] == pytest.approx(apart[0, OTHER_WRIST], rel=0.05)

    @pytest.mark.slow  # The nets run over the clip, half a minute.
    @pytest.mark.parametrize("model", ["transpose-m-a3", "transpose-s-a4"])
    def test_suspicion_agrees_with_the_truth_of_the_crossing(self, tmp_path: Path, model: str) -> None:
        from tests.studies.check_study import area_under_roc, errors_of
        from tposecli.formats.align import read_aligned
        from tposecli.formats.read import read_poses
        from tposecli.hub.checkpoints.calibration import calibration_of
        from tposecli.report.quality.evidence import WRONG
        from tposecli.report.read_run import collect

        clip = REPOSITORY / "sample_media" / "crossing.mp4"
        given = PoseInput(tmp_path / "poses.json.poses.jsonl")
        done = CliRunner().invoke(
            cli, ["video", str(clip), "--json", str(tmp_path / "poses.json"), "--model", model, "--offline"]
        )
        assert done.exit_code == 0, done.output
        recording, truth = read_aligned(given), read_poses(clip.with_suffix(".json"))
        columns = collect(recording, COCO, given).columns(stills=False)
        errors = errors_of(columns, [truth.poses.get(ref.id, Poses.empty()) for ref in truth.frames])
        known = np.isfinite(errors)
        wrong = wrong_probability(columns, COCO, calibration_of(recording.header))
        assert known.sum() > 8000 and area_under_roc(wrong[known], errors[known] > WRONG) >= 0.85
        assert wrong[known].mean() == pytest.approx((errors[known] > WRONG).mean(), abs=0.04)


class TestTracks:
    def test_a_steady_walker_is_good(self, tmp_path: Path) -> None:
        found = quality(tmp_path, 60, strolling)
        [track] = found.tracks
        assert (track.verdict, track.frames, track.remarks()) == ("good", 60, [])
        assert found.verdict.endswith("tracks: 1 good")

    def test_unsure_joints_make_a_track_poor(self, tmp_path: Path) -> None:
        found = quality(tmp_path, 60, lambda frame: strolling(frame, 0.15))
        assert found.tracks[0].verdict == "poor" and found.tracks[0].low == 1
        assert any(each.startswith("often wrong: ") for each in found.tracks[0].remarks())

    def test_who_begins_in_mid_picture_and_who_may_be_the_same(self, tmp_path: Path) -> None:
        def people(frame: int) -> Poses:
            return standing([20] if frame < 30 or frame >= 200 else [], top=20)

        tracks = quality(tmp_path, 260, people, options={"track": {"lost_s": 0.1}}).tracks
        assert [(each.track, each.appears, each.continues) for each in tracks] == [(1, False, None), (2, True, None)]

        def hidden_for_a_second(frame: int) -> Poses:
            return standing([20] if not 30 <= frame < 60 else [], top=20)

        tracks = quality(tmp_path, 90, hidden_for_a_second, options={"track": {"lost_s": 0.1}}).tracks
        assert tracks[1].continues == 1
        assert "begins at 2.0 s where id 1 had just ended: one person?" in tracks[1].remarks()

    def test_gaps_are_counted_in_seconds(self, tmp_path: Path) -> None:
        def people(frame: int) -> Poses:
            return standing([40] if not 30 <= frame < 59 else [], top=20)

        [track] = quality(tmp_path, 90, people).tracks
        assert track.gaps == 1 and track.missing_s == pytest.approx(1.0)
        assert "missing once, for 1.0 s in all" in track.remarks()

    def test_joints_that_are_too_fast_and_bones_that_vary(self, tmp_path: Path) -> None:
        def people(frame: int) -> Poses:
            poses = strolling(frame)
            xy = poses.xy.copy()
            xy[:, WRIST, 0] += 12 * (frame % 2)
            return replace(poses, xy=xy)

        [track] = quality(tmp_path, 60, people).tracks
        assert track.fast == pytest.approx(1 / 17, abs=0.01)
        assert "left wrist" in track.worst

    def test_the_border_cuts_people_off(self, tmp_path: Path) -> None:
        [track] = quality(tmp_path, 30, lambda frame: standing([-4], top=20)).tracks
        assert track.cut == 1 and "100 % of its frames are cut by the border" in track.remarks()

    def test_nobody(self, tmp_path: Path) -> None:
        found = quality(tmp_path, 5, lambda frame: standing([]))
        assert found.verdict == "nobody was found in 5 frames" and not found.tracks

    def test_scores_without_calibration_are_pointed_out(self, tmp_path: Path) -> None:
        assert any("not calibrated" in each for each in quality(tmp_path, 5, strolling).remarks)


class TestCommand:
    def test_the_status_says_whether_it_is_good_enough(self, tmp_path: Path) -> None:
        journal = made_up_journal(tmp_path / "a.poses.jsonl", 30, lambda frame: strolling(frame, 0.3))
        assert tpose_check(journal, "--max-wrong", 90).exit_code == 0
        done = tpose_check(journal, "--max-wrong", 1)
        assert done.exit_code == 1 and "more than the 1 % of --max-wrong" in done.stderr
        assert tpose_check(journal, "--max-wrong", 1, "--quiet").output == ""

    def test_a_report_for_machines(self, tmp_path: Path) -> None:
        journal = made_up_journal(tmp_path / "a.poses.jsonl", 30, strolling)
        assert tpose_check(journal, "--report", tmp_path / "a.json").exit_code == 0
        found = json.loads((tmp_path / "a.json").read_text())
        assert found["frames"] == 30 and [each["verdict"] for each in found["tracks"]] == ["good"]
        assert tpose_check(journal, "--report", tmp_path / "a.md").exit_code == 0
        assert "| 1 | 0.0-1.0 | good |" in (tmp_path / "a.md").read_text()
        assert "--overwrite" in str(tpose_check(journal, "--report", tmp_path / "a.json").exception)

    def test_names_and_merged_ids(self, tmp_path: Path) -> None:
        journal = made_up_journal(tmp_path / "a.mp4.poses.jsonl", 30, strolling)
        assert CliRunner().invoke(cli, ["edit", str(journal), "--name", "1=Ana"]).exit_code == 0
        assert " 1 Ana " in tpose_check(journal).output

    def test_poses_of_another_tool_need_the_times_of_their_frames(self, tmp_path: Path) -> None:
        person = {"category_id": 1, "keypoints": [10, 10, 0.9] * 17, "score": 0.9, "bbox": [0, 0, 20, 20]}
        results = tmp_path / "results.json"
        results.write_text(json.dumps([{"image_id": number, **person} for number in range(30)]))
        assert "--input-fps" in str(tpose_check(results).exception)
        done = tpose_check(results, "--input-fps", 30, "--size", "64x64")
        assert done.exit_code == 0 and "not calibrated" in done.output
