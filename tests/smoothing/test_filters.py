"""Filters against independent implementations; filling of gaps; how long frames are held."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from scipy.signal import savgol_filter

from tests.support.moving import Float64
from tposecli.smoothing.chain import AHEAD_S, BLOCK_S, build_smoother
from tposecli.smoothing.gaps import FillGaps
from tposecli.smoothing.lookahead import MAX_FRAMES, Lookahead, LookaheadSmoother
from tposecli.smoothing.options import MedianOptions, RtsOptions, SavgolOptions, SmoothOptions
from tposecli.smoothing.rts import Rts
from tposecli.smoothing.savgol_median import Median, Savgol
from tposecli.smoothing.track_window import Step, TrackWindow
from tposecli.types import Boxes, Flag, Poses


def person(xy: object, track: int = 1, score: object = 0.8, left: float = 0.0) -> Poses:
    """Return one person with K joints in a box 100 pixels high."""
    points = np.asarray(xy, np.float32).reshape(1, -1, 2)
    scores = np.broadcast_to(np.asarray(score, np.float32), points.shape[:2])
    return Poses(Boxes([[left, 0, left + 50, 100]], [0.9]), points, scores, np.array([track]))


def window_of(xy: Float64, times: Float64, score: float = 0.8) -> TrackWindow:
    """Return the window of (T, K, 2) joints of one person, with every frame to be finished."""
    frames = [person(points, score=score) for points in xy]
    return TrackWindow.of(frames, times.tolist(), (0, len(frames)), 0.2)


def both(first: Poses, second: Poses) -> Poses:
    boxes = Boxes(np.concatenate([first.boxes.xyxy, second.boxes.xyxy]), np.ones(2))
    names = ("xy", "score", "track_id", "flags")
    return Poses(boxes, *(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))


def pushed(smoother: LookaheadSmoother, frames: list[Poses], times: Float64) -> list[Poses]:
    done = [one for poses, at in zip(frames, times, strict=True) for one in smoother.push(poses, float(at))]
    return [*done, *smoother.flush()]


@pytest.mark.parametrize(("order", "frames"), [(0, 5), (2, 9), (3, 11), (4, 13)])
def test_savgol_at_a_constant_rate_equals_scipy(rng: np.random.Generator, order: int, frames: int) -> None:
    xy = rng.normal(50, 10, (40, 3, 2)).astype(np.float32).astype(np.float64)
    window_s = (frames - 1) / 25 + 0.01
    smoothed = Savgol(**asdict(SavgolOptions(window_s, order)))(window_of(xy, np.arange(40) / 25)).xy[:, 0]
    want = savgol_filter(xy, frames, order, axis=0)
    half = frames // 2
    np.testing.assert_allclose(smoothed[half:-half], want[half:-half], atol=1e-4)


def test_median_equals_numpy(rng: np.random.Generator) -> None:
    xy = rng.normal(50, 10, (30, 3, 2)).astype(np.float32).astype(np.float64)
    smoothed = Median(**asdict(MedianOptions(0.17)))(window_of(xy, np.arange(30) / 25)).xy[:, 0]
    for index in range(2, 28):
        np.testing.assert_allclose(smoothed[index], np.median(xy[index - 2 : index + 3], axis=0), atol=1e-9)


def test_rts_equals_the_dense_gaussian_posterior_mean(rng: np.random.Generator) -> None:
    """The posterior mean of a Gaussian with the model's covariance is computed densely."""
    count, noise, jerk = 12, 0.02, 50.0
    times = np.cumsum(rng.uniform(0.02, 0.08, count))
    xy = rng.normal(50, 10, (count, 1, 2)).astype(np.float32).astype(np.float64)
    smoothed = Rts(**asdict(RtsOptions(noise, jerk)))(window_of(xy, times)).xy[:, 0, 0, 0] / 100
    mean, covariance = np.array([xy[0, 0, 0] / 100, 0, 0]), np.diag([1e2, 1e3, 1e4])
    blocks = {(0, 0): covariance}
    moves = []
    for index, step in enumerate(np.diff(times)):
        move = np.array([[1, step, step**2 / 2], [0, 1, step], [0, 0, 1]])
        s = step
        added = [[s**5 / 20, s**4 / 8, s**3 / 6], [s**4 / 8, s**3 / 3, s**2 / 2], [s**3 / 6, s**2 / 2, s]]
        moves.append(move)
        blocks[index + 1, index + 1] = move @ blocks[index, index] @ move.T + jerk**2 * np.array(added)
    joint = np.zeros((count, count))
    for row in range(count):
        across = blocks[row, row]
        for column in range(row, count):
            if column > row:
                across = across @ moves[column - 1].T
            joint[row, column] = joint[column, row] = across[0, 0]
    prior = np.full(count, mean[0])
    gain = joint @ np.linalg.inv(joint + np.eye(count) * noise**2 / 0.8)
    want = prior + gain @ (xy[:, 0, 0] / 100 - prior)
    np.testing.assert_allclose(smoothed, want, atol=1e-5)


def test_the_path_through_a_gap_stays_near_the_straight_line_where_the_joint_was_wrong_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two wrong positions before a gap would throw the path far off; what is measured is as without the limit."""
    times = np.arange(24) / 25
    places = np.tile([50.0, 50.0], (24, 1))
    places[[9, 10]] = [[48, 54], [46, 60]]
    frames = [person(place) for place in places]
    for index in range(11, 16):
        frames[index] = person([[999, 999]], score=0.05)
    rts = Rts(**asdict(RtsOptions()))
    window = FillGaps(0.3)(TrackWindow.of(frames, times.tolist(), (0, 24), 0.2))
    smooth = rts(window).xy[:, 0, 0]
    monkeypatch.setattr("tposecli.smoothing.rts.MAX_BEND", 99)
    free = rts(window).xy[:, 0, 0]
    gap = np.arange(24)[11:16]
    np.testing.assert_array_equal(np.delete(smooth, gap, axis=0), np.delete(free, gap, axis=0))
    assert np.linalg.norm(free[gap] - 50, axis=1).max() > 12
    ends = smooth[[10, 16]]
    share = (gap[:, None] - 10) / 6
    bend = np.linalg.norm(smooth[gap] - (ends[0] + share * (ends[1] - ends[0])), axis=1)
    assert 0 < bend.max() <= 2 + 0.15 * np.linalg.norm(ends[1] - ends[0]) + 1e-6


@pytest.mark.parametrize(
    "filter_step",
    [Savgol(**asdict(SavgolOptions())), Median(**asdict(MedianOptions())), Rts(**asdict(RtsOptions())), None],
)
def test_results_do_not_depend_on_the_block_length(rng: np.random.Generator, filter_step: Step | None) -> None:
    """Frames after the look-ahead hardly change the result."""
    times = np.arange(80) / 30
    frames = [person(points) for points in 50 + np.cumsum(rng.normal(0, 1, (80, 17, 2)), axis=0)]
    whole = pushed(LookaheadSmoother([], filter_step, Lookahead(0.5, 99)), frames[:60], times[:60])
    parts = pushed(LookaheadSmoother([], filter_step, Lookahead(0.5, 0.2)), frames[:60], times[:60])
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.xy, other.xy, atol=0.05)


def test_missing_joints_are_interpolated_over_time_and_flagged() -> None:
    times = np.array([0, 0.04, 0.1, 0.12, 0.2, 0.24])
    frames = [person([[10 + 100 * at, 5], [0, 0]], score=[[0.8, 0.8]]) for at in times]
    for index in (2, 3):
        frames[index] = person([[999, 999], [0, 0]], score=[[0.05, 0.8]])
    done = pushed(LookaheadSmoother([FillGaps(0.2)], None, Lookahead()), frames, times)
    for index, at in enumerate(times):
        np.testing.assert_allclose(done[index].xy[0, 0], [10 + 100 * at, 5], atol=1e-4)
        assert done[index].flags[0].tolist() == [Flag.FILLED if index in (2, 3) else 0, 0]
        assert done[index].score[0, 0] == pytest.approx(0.8)
    longer = pushed(LookaheadSmoother([FillGaps(0.15)], None, Lookahead()), frames, times)
    assert longer[2].xy[0, 0].tolist() == [999, 999]
    assert longer[2].flags[0, 0] == 0


def test_briefly_missed_people_are_added_after_the_others() -> None:
    times = np.arange(30) / 30
    frames = []
    for index in range(30):
        stays, goes = person([[5, 5]], 7), person([[100 + index, 50]], 3, left=100.0 + index)
        frames.append(stays if 10 <= index < 14 or index >= 20 else both(stays, goes))
    done = pushed(LookaheadSmoother([FillGaps(0.3)], None, Lookahead()), frames, times)
    for index, poses in enumerate(done):
        assert poses.track_id.tolist() == ([7] if index >= 20 else [7, 3])
        if index < 20:
            np.testing.assert_allclose(poses.xy[1, 0], [100 + index, 50], atol=1e-4)
            np.testing.assert_allclose(poses.boxes.xyxy[1], [100 + index, 0, 150 + index, 100], atol=1e-4)
            assert poses.flags[1, 0] == (Flag.FILLED if 10 <= index < 14 else 0)


def test_people_without_an_id_pass_through_and_keep_their_position() -> None:
    times = np.arange(20) / 30
    frames = [both(person([[3, 4]], -1), person([[50 + index, 5]], 2)) for index in range(20)]
    done = pushed(LookaheadSmoother([FillGaps(0.3)], Rts(**asdict(RtsOptions())), Lookahead()), frames, times)
    for poses in done:
        assert poses.track_id.tolist() == [-1, 2]
        assert poses.xy[0, 0].tolist() == [3, 4]


@pytest.mark.parametrize("fps", [8.0, 30.0, 240.0])
def test_frames_are_held_no_longer_than_documented(fps: float) -> None:
    smoother = build_smoother(SmoothOptions())
    assert smoother is not None
    waiting, max_pair_cost = 0, 0
    for index in range(300):
        waiting += 1 - len(smoother.push(person(np.full((17, 2), index)), index / fps))
        max_pair_cost = max(max_pair_cost, waiting)
    assert max_pair_cost <= min(MAX_FRAMES, (AHEAD_S + BLOCK_S) * fps + 2)
    assert len(smoother.flush()) == waiting


def test_the_first_frame_is_held_only_for_the_look_ahead() -> None:
    smoother, came = LookaheadSmoother([], None, Lookahead(0.5, 0.75)), []
    for index in range(60):
        came += [index] * len(smoother.push(person(np.full((17, 2), index)), index / 32))
    assert came[:3] == [16, 41, 41]


def test_frames_of_live_sources_are_not_held() -> None:
    smoother = build_smoother(SmoothOptions(), live=True)
    assert smoother is not None
    for index in range(5):
        assert len(smoother.push(person(np.full((17, 2), index)), index / 30)) == 1


def test_empty_frames_and_time_running_backwards_lose_no_frame() -> None:
    smoother = build_smoother(SmoothOptions())
    assert smoother is not None
    done = []
    for time_s in (0.0, 0.1, 0.1, 0.05, 3.0, 3.1):
        done += smoother.push(Poses.empty(), time_s)
    assert [len(poses) for poses in [*done, *smoother.flush()]] == [0] * 6
    times = [0.0, 0.1, 0.2, 0.0, 0.1, 0.2]
    frames = [person(np.full((17, 2), index)) for index in range(6)]
    done = [one for poses, at in zip(frames, times, strict=True) for one in smoother.push(poses, at)]
    assert len([*done, *smoother.flush()]) == 6


def test_options_resolve_to_the_expected_steps() -> None:
    assert build_smoother(SmoothOptions("none")) is None
    assert build_smoother(SmoothOptions("none", repair=True)) is not None
    assert SmoothOptions().to_dict(live=True)["smooth"] == "one-euro"
    assert SmoothOptions().to_dict(live=False) == {
        "smooth": "rts",
        "smoothing": {"fill_gaps_s": 0.3, "repair": True, "noise": 0.01, "jerk": 130.0},
    }


def test_options_are_checked() -> None:
    for make, name in (
        (lambda: SavgolOptions(2.0), "window_s"),
        (lambda: SavgolOptions(order=9), "order"),
        (lambda: MedianOptions(0), "window_s"),
        (lambda: RtsOptions(noise=0), "noise"),
        (lambda: SmoothOptions(fill_gaps_s=9), "fill_gaps_s"),
    ):
        with pytest.raises(ValueError, match=name):
            make()
