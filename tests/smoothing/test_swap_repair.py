"""Left and right exchanged for some frames: undone where that is so, and nothing else touched."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.moving import HEIGHT, PARTS, Clip, Float64, measured, motions, truth
from tposecli.smoothing.chain import AHEAD_S
from tposecli.smoothing.lookahead import LookaheadSmoother, Reach
from tposecli.smoothing.swap_repair import SwapRepair
from tposecli.types import Flag, Poses

TIMES = np.arange(100) / 30
MOTIONS = motions(4.0)


@lru_cache
def true(name: str) -> Float64:
    return truth(MOTIONS[name], TIMES)


def run(clip: Clip) -> list[Poses]:
    smoother = LookaheadSmoother([SwapRepair()], None, Reach(AHEAD_S))
    frames = zip(clip.poses(), clip.times.tolist(), strict=True)
    done = [one for poses, time_s in frames for one in smoother.push(poses, time_s)]
    return [*done, *smoother.flush()]


def repaired(frames: list[Poses]) -> NDArray[np.bool_]:
    return np.stack([(poses.flags[0] & Flag.REPAIRED) > 0 for poses in frames])


def test_exchanges_are_undone_and_flagged() -> None:
    """Of the joints that stand more than 5 % of the height apart from their counterparts, at least 95 %."""
    there = undone = wrong = frames = 0
    for number, name in enumerate(["walk 0.0", "walk 90.0", "run 60.0", "kick", "turn", "jacks"]):
        for part, pairs in PARTS.items():
            clip = measured(true(name), TIMES, 10 * number, part=part)
            flagged = repaired(run(clip))
            for left, right in pairs:
                apart = np.linalg.norm(clip.truth[:, left] - clip.truth[:, right], axis=1) > 0.05 * HEIGHT
                there += int((clip.swapped[:, left] & apart).sum())
                undone += int((clip.swapped[:, left] & apart & flagged[:, left]).sum())
            wrong += int((flagged & ~clip.swapped).any(axis=1).sum())
            frames += len(flagged)
    assert there > 500
    assert undone >= 0.95 * there
    assert wrong <= 0.01 * frames  # Side on, when both legs are in one place, the beginning of an exchange is not seen.


@pytest.mark.slow
def test_nearly_all_exchanged_legs_come_back_to_the_last_frame() -> None:
    """At least 95 % of the exchanges, every joint in every frame, however little apart the legs are."""
    there = undone = 0
    times = np.arange(150) / 30
    for number, motion in enumerate(motions(5.5).values()):
        true_xy = truth(motion, times)
        for seed in range(20, 28):
            clip = measured(true_xy, times, 10 * number + seed, part="legs")
            flagged = repaired(run(clip))[:, 11:]
            there += len(clip.events)
            undone += sum(bool(flagged[start:end].all()) for start, end, _ in clip.events)
    assert there > 400
    assert undone >= 0.95 * there


def test_an_exchange_across_the_edge_of_a_block_is_undone_to_the_last_frame() -> None:
    """Its last frame alone, looked at with the next block, would not be evidence enough."""
    block = round(30 * 0.8) + 1
    for after in (1, 2):
        clip = measured(true("walk -90.0"), TIMES, 3, faults=0)
        for left, right in PARTS["legs"]:
            clip.xy[block - 5 : block + after, [left, right]] = clip.xy[block - 5 : block + after, [right, left]]
        assert np.flatnonzero(repaired(run(clip)).any(axis=1)).tolist() == list(range(block - 5, block + after))


@pytest.mark.parametrize("name", MOTIONS)
def test_clean_clips_are_not_touched(name: str) -> None:
    """Walking past, turning round, clapping, kicking: with noise, missing joints and outliers, and without."""
    for seed, noise, faults in ((1, 0.002, 0.0), (2, 0.01, 1.0)):
        assert not repaired(run(measured(true(name), TIMES, seed, noise, faults))).any()


def test_both_joints_get_all_that_belongs_to_them() -> None:
    clip = measured(true("walk 0.0"), TIMES, 4, noise=0.004, faults=0, part="legs")
    frames, given = run(clip), clip.poses()
    start, end, _ = clip.events[0]
    mirrored = [*range(11), 12, 11, 14, 13, 16, 15]
    for index in range(start, end):
        np.testing.assert_array_equal(frames[index].xy, given[index].xy[:, mirrored])
        np.testing.assert_array_equal(frames[index].score, given[index].score[:, mirrored])
    assert np.linalg.norm(frames[start].xy[0] - clip.truth[start], axis=1).max() < 0.03 * HEIGHT


def test_an_exchange_that_stays_is_left_alone() -> None:
    """It may be somebody who turned round."""
    clip = measured(true("walk 0.0"), TIMES, 4, faults=0)
    for left, right in PARTS["all"]:
        clip.xy[40:, [left, right]] = clip.xy[40:, [right, left]]
    assert not repaired(run(clip)).any()


def test_frames_at_odd_times_and_people_out_of_sight() -> None:
    rng = np.random.default_rng(8)
    times = np.cumsum(rng.uniform(0.4, 1.6, 100)) / 30
    clip = measured(truth(MOTIONS["walk 45.0"], times), times, 12, part="legs")
    smoother = LookaheadSmoother([SwapRepair()], None, Reach(AHEAD_S))
    done = []
    for index, (poses, time_s) in enumerate(zip(clip.poses(), times.tolist(), strict=True)):
        done += smoother.push(poses[:0] if index % 17 == 0 else poses, time_s)
    done += smoother.flush()
    seen = [index for index in range(100) if index % 17]
    flagged = np.stack([(done[index].flags[0] & Flag.REPAIRED) > 0 for index in seen])
    swapped = clip.swapped[seen]
    assert (flagged & swapped).sum() >= 0.9 * swapped.sum()
    assert (flagged & ~swapped).any(axis=1).sum() <= 2
