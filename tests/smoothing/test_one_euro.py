"""One-Euro smoothing against the paper's algorithm, and its documented properties."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pytest

from tposecli.smoothing.one_euro import OneEuro
from tposecli.smoothing.options import OneEuroOptions
from tposecli.types import Boxes, Float32, Poses


def one_euro(**options: float) -> OneEuro:
    return OneEuro(**asdict(OneEuroOptions(**options)))


def pose(xy: object, track: int = 1, score: float = 0.9, height: float = 400.0) -> Poses:
    """Return one person with K joints in a box of the given height."""
    joints = np.asarray(xy, np.float32).reshape(1, -1, 2)
    box = np.array([[0, 0, height / 2, height]], np.float32)
    return Poses(Boxes(box, np.ones(1)), joints, np.full(joints.shape[:2], score), np.array([track]))


def smoothed(signal: Iterable[object], times: Iterable[float], **options: float) -> Float32:
    """Return the smoothed (T, K, 2) signal of one person."""
    smoother = one_euro(**options)
    return np.stack([smoother.push(pose(xy), t)[0].xy[0] for xy, t in zip(signal, times, strict=True)])


def test_it_equals_the_algorithm_of_the_paper() -> None:
    """Algorithm 1 of Casiez et al., scalar, with the speed divided by the person's size of 400 pixels."""

    def alpha(cutoff: float, dt: float) -> float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff) / dt)

    rng = np.random.default_rng(0)
    values, times = rng.normal(200, 30, 40), np.cumsum(rng.uniform(0.01, 0.08, 40))
    want, speed = [values[0]], 0.0
    for value, dt in zip(values[1:], np.diff(times), strict=True):
        speed += alpha(2.0, dt) * ((value - want[-1]) / dt / 400 - speed)
        want.append(want[-1] + alpha(1.0 + 20.0 * abs(speed), dt) * (value - want[-1]))
    got = smoothed([[[v, 7.0]] for v in values], times, min_cutoff_hz=1.0, beta=20.0, speed_cutoff_hz=2.0)
    np.testing.assert_allclose(got[:, 0, 0], want, rtol=1e-5)
    assert (got[:, 0, 1] == 7).all()


def test_jitter_at_rest_is_reduced_without_lag_at_speed() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(150) / 30
    noise = rng.normal(0, 2, (150, 17, 2))
    rest = smoothed(300 + noise, times)[30:]
    assert np.diff(rest, axis=0).std() < 0.4 * np.diff(noise, axis=0).std()
    swing = 300 + 60 * np.sin(2 * np.pi * times)[:, None, None] + noise
    lag = smoothed(swing, times)[30:] - (swing - noise)[30:]
    assert np.sqrt((lag**2).mean()) < 0.1 * 60


def test_parameters_are_independent_of_resolution() -> None:
    rng = np.random.default_rng(2)
    signal, times = rng.normal(100, 10, (30, 17, 2)), np.arange(30) / 25
    small, large = one_euro(), one_euro()
    for xy, t in zip(signal, times, strict=True):
        a = small.push(pose(xy, height=200), t)[0]
        b = large.push(pose(xy * 4.5, height=900), t)[0]
    np.testing.assert_allclose(a.xy * 4.5, b.xy, rtol=1e-5)


def test_results_are_independent_of_direction() -> None:
    rng = np.random.default_rng(3)
    signal, times = rng.normal(0, 40, (30, 5, 2)), np.arange(30) / 25
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    np.testing.assert_allclose(smoothed(signal, times) @ turn.T, smoothed(signal @ turn.T, times), atol=1e-3)


def test_frames_are_returned_at_once_with_only_xy_changed() -> None:
    smoother = one_euro()
    for time_s in (0.0, 0.04):
        given = pose(np.full((17, 2), 100 * time_s))
        before = given.xy.copy()
        (got,) = smoother.push(given, time_s)
        assert (given.xy == before).all()
        assert got.boxes is given.boxes
        assert (got.score == given.score).all()
        assert (got.track_id == given.track_id).all()
    assert smoother.flush() == []


def test_people_are_identified_by_id_not_by_order() -> None:
    rng = np.random.default_rng(4)
    both, alone = one_euro(), one_euro()
    for frame in range(20):
        a, b = pose(rng.normal(100, 5, (17, 2)), 1), pose(rng.normal(500, 5, (17, 2)), 2)
        pair = (a, b) if frame % 2 else (b, a)
        joined = Poses(
            Boxes(np.concatenate([p.boxes.xyxy for p in pair]), np.ones(2)),
            np.concatenate([p.xy for p in pair]),
            np.concatenate([p.score for p in pair]),
            np.concatenate([p.track_id for p in pair]),
        )
        (got,) = both.push(joined, frame / 25)
        (want,) = alone.push(a, frame / 25)
        assert (got[got.track_id == 1].xy == want.xy).all()


def test_untracked_people_pass_through() -> None:
    smoother = one_euro()
    for frame in range(3):
        given = pose(np.full((17, 2), 50.0 * frame), track=-1)
        assert smoother.push(given, frame / 25)[0] is given
    assert len(smoother.push(Poses.empty(), 1.0)[0]) == 0


@pytest.mark.parametrize("gap_s", [0.6, -1.0])
def test_smoothing_restarts_after_a_gap(gap_s: float) -> None:
    smoother = one_euro(forget_s=0.5)
    for frame in range(5):
        smoother.push(pose(np.zeros((17, 2))), frame / 25)
    (got,) = smoother.push(pose(np.full((17, 2), 300.0)), 4 / 25 + gap_s)
    assert (got.xy == 300).all()


def test_tracks_unseen_for_long_are_dropped() -> None:
    smoother = one_euro(forget_s=0.5)
    for track in range(1, 200):
        smoother.push(pose(np.zeros((17, 2)), track), track / 10)
    assert len(smoother._ids) <= 7


def test_low_scoring_joints_pass_through_without_affecting_later_frames() -> None:
    smoother = one_euro()
    for frame in range(10):
        smoother.push(pose(np.full((17, 2), 100.0)), frame / 25)
    (weak,) = smoother.push(pose(np.full((17, 2), 900.0), score=0.05), 10 / 25)
    (back,) = smoother.push(pose(np.full((17, 2), 100.0)), 11 / 25)
    assert (weak.xy == 900).all()
    np.testing.assert_allclose(back.xy, 100)


@pytest.mark.parametrize("wrong", [{"min_cutoff_hz": 0.0}, {"beta": -1.0}, {"forget_s": 0.0}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OneEuroOptions(**wrong)
