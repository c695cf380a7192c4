"""Smoothing of people with known ground truth: noise, missing joints, outliers, fast movements, varying frame rates."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from tests.support.moving import HEIGHT, Float64, NoisyTrack, clap, kick, measured, motions, truth
from tposecli.smoothing.base import Smoother
from tposecli.smoothing.chain import build_smoother
from tposecli.smoothing.options import SmoothOptions
from tposecli.types import Flag, Poses

FPS = 30
TIMES = np.arange(90) / FPS


@lru_cache
def true(name: str) -> Float64:
    return truth({**motions(), "clap": clap(), "kick": kick()}[name], TIMES)


def run(smoother: Smoother | None, clip: NoisyTrack) -> list[Poses]:
    assert smoother is not None
    done = []
    for poses, time_s in zip(clip.poses(), clip.times, strict=True):
        done += smoother.push(poses, float(time_s))
    return [*done, *smoother.flush()]


def joints(frames: list[Poses]) -> Float64:
    return np.stack([poses.xy[0] for poses in frames]).astype(np.float64)


def off(xy: Float64, clip: NoisyTrack) -> Float64:
    """Return the (T, K) distances from the truth, in body heights."""
    return np.linalg.norm(xy - clip.truth, axis=2) / HEIGHT


def acceleration_error(xy: Float64, clip: NoisyTrack) -> float:
    """Return the mean error of the acceleration."""
    return float(np.linalg.norm(np.diff(xy - clip.truth, n=2, axis=0), axis=2).mean())


@pytest.mark.parametrize("name", ["walk 90.0", "run 60.0", "kick", "turn"])
def test_noise_gaps_outliers_and_swaps_are_reduced_together(name: str) -> None:
    """Noise of 1 % of the height, 5 % missing joints, 1 % outliers, legs swapped for 2 to 10 frames."""
    clip = measured(true(name), TIMES, 5, part="legs")
    smoothed = joints(run(build_smoother(SmoothOptions()), clip))
    assert off(smoothed, clip).mean() < 0.7 * off(clip.xy, clip).mean()
    assert acceleration_error(smoothed, clip) < 0.2 * acceleration_error(clip.xy, clip)


@pytest.mark.parametrize("name", ["clap", "kick"])
def test_smoothing_reduces_the_error_of_every_joint_in_fast_movements(name: str) -> None:
    """With noise only, the mean error of every joint falls."""
    clip = measured(true(name), TIMES, 6, faults=0)
    smoothed = joints(run(build_smoother(SmoothOptions()), clip))
    assert (off(smoothed, clip).mean(axis=0) < off(clip.xy, clip).mean(axis=0)).all()
    assert off(smoothed, clip).mean() < 0.7 * off(clip.xy, clip).mean()
    assert acceleration_error(smoothed, clip) < 0.21 * acceleration_error(clip.xy, clip)


@pytest.mark.parametrize("method", ["rts", "savgol", "median"])
def test_look_ahead_filters_do_not_lag(method: str) -> None:
    clip = measured(true("clap"), TIMES, 7, noise=0.003, faults=0)
    smoothed = joints(run(build_smoother(SmoothOptions(method)), clip))
    wrist, real = smoothed[10:-10, 9, 0], clip.truth[:, 9, 0]
    lags = [float(((wrist - real[10 + lag : 80 + lag]) ** 2).mean()) for lag in range(-4, 5)]
    assert int(np.argmin(lags)) - 4 == 0


def test_one_euro_trades_jitter_for_lag() -> None:
    clip = measured(true("clap"), TIMES, 8, faults=0)
    acceleration_errors, lags = [], []
    for cutoff in (0.5, 1.0, 4.0):
        options = SmoothOptions("one-euro", {"one-euro": replace_cutoff(cutoff)})
        smoothed = joints(run(build_smoother(options, live=True), clip))
        acceleration_errors.append(acceleration_error(smoothed, clip))
        lags.append(float(off(smoothed, clip)[:, [9, 10]].mean()))
    assert acceleration_errors == sorted(acceleration_errors)
    assert acceleration_errors[-1] < acceleration_error(clip.xy, clip)


def replace_cutoff(cutoff: float):  # type: ignore[no-untyped-def]
    from tposecli.smoothing.options import OneEuroOptions

    return OneEuroOptions(min_cutoff_hz=cutoff, beta=4.0)


@pytest.mark.parametrize("method", ["rts", "savgol", "median", "one-euro"])
def test_smoothing_works_at_a_varying_frame_rate(method: str) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.4, 1.6, 90)) / FPS
    clip = measured(truth(motions()["walk 90.0"], times), times, 9, faults=0)
    smoothed = joints(run(build_smoother(SmoothOptions(method)), clip))
    assert off(smoothed, clip).mean() < 0.9 * off(clip.xy, clip).mean()


def test_linear_movements_are_unchanged_at_irregular_times() -> None:
    """Filters that assumed equally spaced frames would distort linear motion at random times."""
    rng = np.random.default_rng(4)
    times = np.cumsum(rng.uniform(0.2, 2.0, 90)) / FPS
    min_noise = true("walk 0.0")[:1]
    path = min_noise + times[:, None, None] * [60.0, -20.0]
    clip = measured(path, times, 0, noise=0, faults=0)
    for method in ("rts", "savgol"):
        smoothed = joints(run(build_smoother(SmoothOptions(method)), clip))
        np.testing.assert_allclose(smoothed[5:-5], path[5:-5], atol=0.05)


def test_low_scoring_joints_are_smoothed_more() -> None:
    """Of two joints with equal jitter, the one with the lower score is smoothed more."""
    clip = measured(true("turn"), TIMES, 11, faults=0)
    results = []
    for score in (0.95, 0.25):
        unsure = NoisyTrack(
            clip.times, clip.truth, clip.xy, np.full_like(clip.score, score), clip.swapped, clip.outlier
        )
        results.append(acceleration_error(joints(run(build_smoother(SmoothOptions()), unsure)), clip))
    assert results[1] < 0.8 * results[0]


def test_outliers_are_found_flagged_and_corrected() -> None:
    found = false = present = 0
    for seed, name in enumerate(["walk 90.0", "kick", "clap"]):
        clip = measured(true(name), TIMES, seed, faults=1)
        frames = run(build_smoother(SmoothOptions()), clip)
        flagged = np.stack([(poses.flags[0] & Flag.OUTLIER) > 0 for poses in frames])
        within = np.zeros_like(clip.outlier)
        within[3:-3] = True
        found += int((flagged & clip.outlier & within).sum())
        present += int((clip.outlier & within).sum())
        false += int((flagged & ~clip.outlier).sum())
        assert off(joints(frames), clip)[flagged].max() < 0.12
    assert found >= 0.9 * present
    assert false <= 4


def test_the_given_poses_are_not_modified() -> None:
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
