"""Ids persist from frame to frame."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tposecli.geometry.similarity import oks, weighted_oks
from tposecli.tracking.options import TrackOptions
from tposecli.tracking.tracker import Tracker
from tposecli.types import Boxes, Poses

BODY = np.random.default_rng(3).uniform((0, 0), (80, 200), (17, 2))


def people(*at: tuple[float, float], score: float = 0.9, box_score: float = 1.0) -> Poses:
    """Return the same body at several positions (left, top), 80 x 200 pixels."""
    corners = np.array(at, np.float32).reshape(-1, 2)
    boxes = Boxes(np.concatenate([corners, corners + np.array([80, 200])], axis=1), np.full(len(at), box_score))
    return Poses(boxes, corners[:, None] + BODY.astype(np.float32), np.full((len(at), 17), score))


def ids(tracker: Tracker, poses: Poses, time_s: float) -> list[int]:
    return [int(track) for track in tracker.update(poses, time_s).track_id]


def test_ids_start_at_one_and_do_not_depend_on_the_order_of_people() -> None:
    tracker = Tracker()
    assert ids(tracker, people((0, 0), (300, 0)), 0.0) == [1, 2]
    assert ids(tracker, people((302, 0), (4, 0)), 0.04) == [2, 1]
    assert ids(tracker, people((304, 0), (8, 0), (600, 0)), 0.08) == [2, 1, 3]


def test_only_the_ids_change() -> None:
    poses = people((0, 0), (300, 0))
    tracked = Tracker().update(poses, 0.0)
    assert (tracked.xy == poses.xy).all()
    assert (tracked.score == poses.score).all()
    assert (tracked.boxes.xyxy == poses.boxes.xyxy).all()
    assert (poses.track_id == -1).all()


def test_each_tracker_counts_its_own_ids() -> None:
    assert ids(Tracker(), people((0, 0)), 0.0) == ids(Tracker(), people((0, 0)), 0.0) == [1]


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_people_who_cross_keep_their_ids(fps: int) -> None:
    tracker = Tracker()
    for frame in range(2 * fps + 1):
        time_s = frame / fps
        got = ids(tracker, people((400 * time_s, 0), (800 - 400 * time_s, 30)), time_s)
        assert got == [1, 2], f"frame {frame}"


@pytest.mark.parametrize("hidden_s", [0.3, 1.0])
def test_people_who_occlude_each_other_keep_their_ids(hidden_s: float) -> None:
    tracker = Tracker()
    for frame in range(101):
        time_s = frame / 25
        behind = abs(time_s - 2) < hidden_s / 2
        at = [(400 + 120 * (time_s - 2), 0.0), (400 - 120 * (time_s - 2), 10.0)]
        got = ids(tracker, people(*at[: 1 if behind else 2]), time_s)
        assert got == [1, 2][: len(got)], f"frame {frame}"


def test_ids_persist_at_a_variable_frame_rate() -> None:
    tracker = Tracker()
    time_s = 0.0
    for step in [0.02, 0.02, 0.02, 0.15, 0.02, 0.2, 0.02, 0.1]:
        assert ids(tracker, people((500 * time_s, 0), (500 * time_s + 200, 0)), time_s) == [1, 2]
        time_s += step


@pytest.mark.parametrize(("away_s", "same"), [(0.5, True), (1.5, False)])
@pytest.mark.parametrize("frames", [0, 3, 30])
def test_lost_s_is_measured_in_seconds_whatever_the_frame_rate(away_s: float, same: bool, frames: int) -> None:
    tracker = Tracker(TrackOptions(lost_s=1.0))
    ids(tracker, people((0, 0)), 0.0)
    ids(tracker, people((0, 0)), 0.2)
    for frame in range(frames):
        assert ids(tracker, people(), 0.2 + away_s * (frame + 1) / (frames + 1)) == []
    assert ids(tracker, people((0, 0)), 0.2 + away_s) == ([1] if same else [2])


@pytest.mark.parametrize(("seen_s", "same"), [(0.04, False), (0.2, True)])
def test_tracks_shorter_than_birth_s_are_dropped_when_out_of_sight(seen_s: float, same: bool) -> None:
    tracker = Tracker(TrackOptions(birth_s=0.1))
    ids(tracker, people((0, 0)), 0.0)
    ids(tracker, people((0, 0)), seen_s)
    ids(tracker, people(), seen_s + 0.04)
    assert ids(tracker, people((0, 0)), seen_s + 0.6) == ([1] if same else [2])


def test_ids_are_never_reused() -> None:
    tracker = Tracker(TrackOptions(lost_s=0.1))
    assert [ids(tracker, people((0, 0)), float(second)) for second in range(4)] == [[1], [2], [3], [4]]


def test_an_occluded_person_is_predicted_along_their_motion() -> None:
    tracker = Tracker()
    for frame in range(26):
        ids(tracker, people((300 * frame / 25, 0)), frame / 25)
    assert ids(tracker, people(), 1.2) == []
    assert ids(tracker, people((280, 0), (390, 0)), 1.3) == [2, 1]


def test_a_person_far_from_all_tracks_gets_a_new_id() -> None:
    tracker = Tracker()
    ids(tracker, people((0, 0)), 0.0)
    assert ids(tracker, people((400, 0)), 0.04) == [2]


def test_a_returning_person_is_recognised_by_pose() -> None:
    """Two people appear where one vanished: the one with the same pose keeps the id."""
    tracker = Tracker()
    for frame in range(26):
        ids(tracker, people((100, 0)), frame / 25)
    for frame in range(26, 45):
        ids(tracker, people(), frame / 25)
    other = people((104, 0), (96, 0))
    turned = other.xy.copy()
    turned[1] = turned[1][::-1]
    assert ids(tracker, Poses(other.boxes, turned, other.score), 1.8) == [1, 2]


def test_a_returning_person_is_recognised_by_size() -> None:
    tracker = Tracker()
    for frame in range(26):
        ids(tracker, people((100, 0)), frame / 25)
    for frame in range(26, 45):
        ids(tracker, people(), frame / 25)
    both = people((100, 0), (100, 0))
    middle = np.array([140, 100], np.float32)
    xyxy = np.stack([(both.boxes.xyxy[0] - np.tile(middle, 2)) * 0.6 + np.tile(middle, 2), both.boxes.xyxy[1]])
    xy = np.stack([(both.xy[0] - middle) * 0.6 + middle, both.xy[1]])
    assert ids(tracker, Poses(Boxes(xyxy, both.boxes.score), xy, both.score), 1.8) == [2, 1]


def test_weak_detections_continue_tracks_but_start_none() -> None:
    tracker = Tracker(TrackOptions(activation=0.5))
    assert ids(tracker, people((0, 0), box_score=0.3), 0.0) == [-1]
    assert ids(tracker, people((0, 0), box_score=0.6), 0.04) == [1]
    assert ids(tracker, people((2, 0), (300, 0), box_score=0.3), 0.08) == [1, -1]


def test_strong_detections_are_assigned_before_weak_ones() -> None:
    tracker = Tracker()
    for frame in range(5):
        ids(tracker, people((0, 0)), frame / 25)
    strong, weak = people((12, 0)), people((0, 0))
    boxes = Boxes(np.concatenate([weak.boxes.xyxy, strong.boxes.xyxy]), np.array([0.3, 0.9]))
    both = Poses(boxes, np.concatenate([weak.xy, strong.xy]), np.concatenate([weak.score, strong.score]))
    assert ids(tracker, both, 0.2) == [-1, 1]


def test_weak_detections_do_not_revive_tracks_lost_for_long() -> None:
    tracker = Tracker()
    for frame in range(10):
        ids(tracker, people((0, 0)), frame / 25)
    ids(tracker, people(), 0.6)
    assert ids(tracker, people((0, 0), box_score=0.3), 1.0) == [-1]
    assert ids(tracker, people((0, 0)), 1.04) == [1]


def test_a_higher_gate_makes_more_ids() -> None:
    def numbers(gate: float) -> int:
        tracker = Tracker(TrackOptions(gate=gate))
        rng = np.random.default_rng(1)
        places = np.cumsum(rng.normal(0, 12, (40, 2)), axis=0)
        return max(max(ids(tracker, people((x, y)), frame / 25)) for frame, (x, y) in enumerate(places.tolist()))

    counts = [numbers(gate) for gate in (0.05, 0.5, 0.9)]
    assert counts[0] == 1
    assert all(first <= second for first, second in pairwise(counts))
    assert counts[0] < counts[-1]


def test_keypoints_below_the_minimum_score_are_ignored() -> None:
    tracker = Tracker()
    first = people((0, 0), (60, 0))
    ids(tracker, first, 0.0)
    scattered = first.xy.copy()
    scattered[:, 9:] = scattered[::-1, 9:]
    score = first.score.copy()
    score[:, 9:] = 0.1
    assert ids(tracker, Poses(first.boxes, scattered, score), 0.04) == [1, 2]


def test_without_keypoints_the_boxes_decide() -> None:
    tracker = Tracker()
    ids(tracker, people((0, 0), (300, 0), score=0.0), 0.0)
    assert ids(tracker, people((305, 0), (5, 0), score=0.0), 0.04) == [2, 1]


def test_ids_persist_if_time_stands_still_or_runs_backwards() -> None:
    tracker = Tracker()
    assert ids(tracker, people((0, 0)), 5.0) == [1]
    assert ids(tracker, people((1, 0)), 5.0) == [1]
    assert ids(tracker, people((2, 0)), 4.0) == [1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 400)), max_size=5), max_size=8))
def test_ids_are_distinct_in_a_frame_and_runs_repeat(frames: list[list[tuple[float, float]]]) -> None:
    runs = []
    for _ in range(2):
        tracker = Tracker()
        runs.append([ids(tracker, people(*at), index / 25) for index, at in enumerate(frames)])
    assert runs[0] == runs[1]
    assert all(len(set(frame)) == len(frame) and min(frame, default=1) >= 1 for frame in runs[0])


@pytest.mark.parametrize(
    "wrong", [{"gate": 1.5}, {"oks_weight": -0.1}, {"lost_s": -1.0}, {"min_score": 2.0}, {"activation": float("nan")}]
)
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrackOptions(**wrong)


def test_weighted_oks_is_oks_where_weights_are_equal() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 100, (3, 17, 2)), rng.uniform(0, 100, (4, 17, 2))
    areas = rng.uniform(5e3, 2e4, 3), rng.uniform(5e3, 2e4, 4)
    size = (areas[0][:, None] + areas[1][None]) / 2
    got = weighted_oks(first, second, size, np.full((3, 4, 17), 0.7))
    np.testing.assert_allclose(got, oks(first, second, *areas), rtol=1e-9)
    assert (weighted_oks(first, second, size, np.zeros((3, 4, 17))) == 0).all()


def test_a_person_alone_keeps_the_id_through_an_abrupt_move() -> None:
    """A leap of nearly half a body width between two frames, with other arms, and nobody else in sight."""
    tracker = Tracker()
    for index in range(10):
        first = tracker.update(people((100, 50)), index / 25)
    leap = people((135, 55))
    leap.xy[:, 7:11] += 40
    found = tracker.update(leap, 10 / 25)
    assert first.track_id.tolist() == found.track_id.tolist() == [1]


def test_where_two_compete_a_low_affinity_starts_a_track() -> None:
    tracker = Tracker()
    for index in range(10):
        tracker.update(people((100, 50), (150, 50)), index / 25)
    found = tracker.update(people((128, 130)), 10 / 25)
    assert found.track_id.tolist() == [3]
