"""Smoothing of people with known truth: noise, missing joints, outliers, fast movements, odd frame rates."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from tests.support.moving import HEIGHT, Clip, Float64, clap, kick, measured, motions, truth
from tposecli.smoothing.base import Smoother
from tposecli.smoothing.chain import build_smoother
from tposecli.smoothing.options import SmoothOptions
from tposecli.types import Flag, Poses

FPS = 30
TIMES = np.arange(90) / FPS


@lru_cache
def true(name: str) -> Float64:
    return truth({**motions(), "clap": clap(), "kick": kick()}[name], TIMES)


def run(smoother: Smoother | None, clip: Clip) -> list[Poses]:
    assert smoother is not None
    done = []
    for poses, time_s in zip(clip.poses(), clip.times, strict=True):
        done += smoother.push(poses, float(time_s))
    return [*done, *smoother.flush()]


def joints(frames: list[Poses]) -> Float64:
    return np.stack([poses.xy[0] for poses in frames]).astype(np.float64)


def off(xy: Float64, clip: Clip) -> Float64:
    """(T, K) distance from the truth, in heights."""
    return np.linalg.norm(xy - clip.truth, axis=2) / HEIGHT


def jolt(xy: Float64, clip: Clip) -> float:
    """Mean error of the acceleration."""
    return float(np.linalg.norm(np.diff(xy - clip.truth, n=2, axis=0), axis=2).mean())


@pytest.mark.parametrize("name", ["walk 90.0", "run 60.0", "kick", "turn"])
def test_noise_gaps_outliers_and_slips_together(name: str) -> None:
    """1 % of the height of noise, 5 % of the joints missing, 1 % outliers, legs exchanged for 2 to 10 frames."""
    clip = measured(true(name), TIMES, 5, part="legs")
    calm = joints(run(build_smoother(SmoothOptions()), clip))
    assert off(calm, clip).mean() < 0.7 * off(clip.xy, clip).mean()
    assert jolt(calm, clip) < 0.2 * jolt(clip.xy, clip)


@pytest.mark.parametrize("name", ["clap", "kick"])
def test_fast_movements_are_never_made_worse(name: str) -> None:
    """Of noise alone, the mean error of every single joint falls."""
    clip = measured(true(name), TIMES, 6, faults=0)
    calm = joints(run(build_smoother(SmoothOptions()), clip))
    assert (off(calm, clip).mean(axis=0) < off(clip.xy, clip).mean(axis=0)).all()
    assert off(calm, clip).mean() < 0.7 * off(clip.xy, clip).mean()
    assert jolt(calm, clip) < 0.21 * jolt(clip.xy, clip)


@pytest.mark.parametrize("method", ["rts", "savgol", "median"])
def test_what_looks_ahead_does_not_lag(method: str) -> None:
    clip = measured(true("clap"), TIMES, 7, noise=0.003, faults=0)
    calm = joints(run(build_smoother(SmoothOptions(method)), clip))
    wrist, real = calm[10:-10, 9, 0], clip.truth[:, 9, 0]
    lags = [float(((wrist - real[10 + lag : 80 + lag]) ** 2).mean()) for lag in range(-4, 5)]
    assert int(np.argmin(lags)) - 4 == 0


def test_one_euro_trades_jitter_for_lag() -> None:
    clip = measured(true("clap"), TIMES, 8, faults=0)
    jolts, lags = [], []
    for cutoff in (0.5, 1.0, 4.0):
        options = SmoothOptions("one-euro", {"one-euro": replace_cutoff(cutoff)})
        calm = joints(run(build_smoother(options, live=True), clip))
        jolts.append(jolt(calm, clip))
        lags.append(float(off(calm, clip)[:, [9, 10]].mean()))
    assert jolts == sorted(jolts)
    assert jolts[-1] < jolt(clip.xy, clip)


def replace_cutoff(cutoff: float):  # type: ignore[no-untyped-def]
    from tposecli.smoothing.options import OneEuroOptions

    return OneEuroOptions(min_cutoff_hz=cutoff, beta=4.0)


@pytest.mark.parametrize("method", ["rts", "savgol", "median", "one-euro"])
def test_a_varying_frame_rate_is_smoothed_as_well(method: str) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.4, 1.6, 90)) / FPS
    clip = measured(truth(motions()["walk 90.0"], times), times, 9, faults=0)
    calm = joints(run(build_smoother(SmoothOptions(method)), clip))
    assert off(calm, clip).mean() < 0.9 * off(clip.xy, clip).mean()


def test_a_steady_movement_is_left_alone_whatever_the_times() -> None:
    """Linear motion at random times: filters that took frames for equally spaced would bend it."""
    rng = np.random.default_rng(4)
    times = np.cumsum(rng.uniform(0.2, 2.0, 90)) / FPS
    still = true("walk 0.0")[:1]
    path = still + times[:, None, None] * [60.0, -20.0]
    clip = measured(path, times, 0, noise=0, faults=0)
    for method in ("rts", "savgol"):
        calm = joints(run(build_smoother(SmoothOptions(method)), clip))
        np.testing.assert_allclose(calm[5:-5], path[5:-5], atol=0.05)


def test_sure_joints_weigh_more() -> None:
    """Of two that jitter alike, the one with the lower score is calmed more."""
    clip = measured(true("turn"), TIMES, 11, faults=0)
    results = []
    for score in (0.95, 0.25):
        unsure = Clip(clip.times, clip.truth, clip.xy, np.full_like(clip.score, score), clip.swapped, clip.outlier)
        results.append(jolt(joints(run(build_smoother(SmoothOptions()), unsure)), clip))
    assert results[1] < 0.8 * results[0]


def test_outliers_are_found_flagged_and_put_right() -> None:
    found = false = there = 0
    for seed, name in enumerate(["walk 90.0", "kick", "clap"]):
        clip = measured(true(name), TIMES, seed, faults=1)
        frames = run(build_smoother(SmoothOptions()), clip)
        flagged = np.stack([(poses.flags[0] & Flag.OUTLIER) > 0 for poses in frames])
        within = np.zeros_like(clip.outlier)
        within[3:-3] = True
        found += int((flagged & clip.outlier & within).sum())
        there += int((clip.outlier & within).sum())
        false += int((flagged & ~clip.outlier).sum())
        assert off(joints(frames), clip)[flagged].max() < 0.12
    assert found >= 0.9 * there
    assert false <= 4


def test_what_was_measured_is_not_touched() -> None:
    clip = measured(true("kick"), TIMES, 2, part="legs")
    given = clip.poses()
    copies = [poses.xy.copy() for poses in given]
    smoother = build_smoother(SmoothOptions())
    assert smoother is not None
    for poses, time_s in zip(given, clip.times, strict=True):
        smoother.push(poses, float(time_s))
    smoother.flush()
    for poses, before in zip(given, copies, strict=True):
        np.testing.assert_array_equal(poses.xy, before)
        assert (poses.flags == 0).all()
