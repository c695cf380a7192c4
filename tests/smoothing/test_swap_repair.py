"""Short left-right swaps are repaired, and nothing else is changed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.moving import HEIGHT, PARTS, Float64, NoisyTrack, measured, motions, truth
from tposecli.smoothing.chain import AHEAD_S
from tposecli.smoothing.lookahead import Lookahead, LookaheadSmoother
from tposecli.smoothing.swap_repair import SwapRepair
from tposecli.types import Flag, Poses

TIMES = np.arange(100) / 30
MOTIONS = motions(4.0)


@lru_cache
def true(name: str) -> Float64:
    return truth(MOTIONS[name], TIMES)


def run(clip: NoisyTrack) -> list[Poses]:
    smoother = LookaheadSmoother([SwapRepair()], None, Lookahead(AHEAD_S))
    frames = zip(clip.poses(), clip.times.tolist(), strict=True)
    done = [one for poses, time_s in frames for one in smoother.push(poses, time_s)]
    return [*done, *smoother.flush()]


def repaired(frames: list[Poses]) -> NDArray[np.bool_]:
    return np.stack([(poses.flags[0] & Flag.REPAIRED) > 0 for poses in frames])


def test_swaps_are_repaired_and_flagged() -> None:
    """At least 95 % of the joints that are more than 5 % of the height away from their counterparts."""
    present = undone = wrong = frames = 0
    for number, name in enumerate(["walk 0.0", "walk 90.0", "run 60.0", "kick", "turn", "jacks"]):
        for part, pairs in PARTS.items():
            clip = measured(true(name), TIMES, 10 * number, part=part)
            flagged = repaired(run(clip))
            for left, right in pairs:
                apart = np.linalg.norm(clip.truth[:, left] - clip.truth[:, right], axis=1) > 0.05 * HEIGHT
                present += int((clip.swapped[:, left] & apart).sum())
                undone += int((clip.swapped[:, left] & apart & flagged[:, left]).sum())
            wrong += int((flagged & ~clip.swapped).any(axis=1).sum())
            frames += len(flagged)
    assert present > 500
    assert undone >= 0.95 * present
    assert wrong <= 0.01 * frames  # Seen from the side, with both legs in one place, the start of a swap is invisible.


@pytest.mark.slow
def test_nearly_all_leg_swaps_are_repaired_completely() -> None:
    """At least 95 % of the swaps, in every joint and frame, however close the legs are."""
    present = undone = 0
    times = np.arange(150) / 30
    for number, motion in enumerate(motions(5.5).values()):
        true_xy = truth(motion, times)
        for seed in range(20, 28):
            clip = measured(true_xy, times, 10 * number + seed, part="legs")
            flagged = repaired(run(clip))[:, 11:]
            present += len(clip.events)
            undone += sum(bool(flagged[start:end].all()) for start, end, _ in clip.events)
    assert present > 400
    assert undone >= 0.95 * present


def test_a_swap_across_a_block_boundary_is_repaired_completely() -> None:
    """Its last frame alone, processed with the next block, would not be sufficient evidence."""
    block = round(30 * 0.8) + 1
    for after in (1, 2):
        clip = measured(true("walk -90.0"), TIMES, 3, faults=0)
        for left, right in PARTS["legs"]:
            clip.xy[block - 5 : block + after, [left, right]] = clip.xy[block - 5 : block + after, [right, left]]
        assert np.flatnonzero(repaired(run(clip)).any(axis=1)).tolist() == list(range(block - 5, block + after))


@pytest.mark.parametrize("name", MOTIONS)
def test_clips_without_swaps_are_not_changed(name: str) -> None:
    """All motions, with and without noise, missing joints and outliers."""
    for seed, noise, faults in ((1, 0.002, 0.0), (2, 0.01, 1.0)):
        assert not repaired(run(measured(true(name), TIMES, seed, noise, faults))).any()


def test_repairs_swap_coordinates_and_scores() -> None:
    clip = measured(true("walk 0.0"), TIMES, 4, noise=0.004, faults=0, part="legs")
    frames, given = run(clip), clip.poses()
    start, end, _ = clip.events[0]
    mirrored = [*range(11), 12, 11, 14, 13, 16, 15]
    for index in range(start, end):
        np.testing.assert_array_equal(frames[index].xy, given[index].xy[:, mirrored])
        np.testing.assert_array_equal(frames[index].score, given[index].score[:, mirrored])
    assert np.linalg.norm(frames[start].xy[0] - clip.truth[start], axis=1).max() < 0.03 * HEIGHT


def test_permanent_swaps_are_left_alone() -> None:
    """The person may have turned around."""
    clip = measured(true("walk 0.0"), TIMES, 4, faults=0)
    for left, right in PARTS["all"]:
        clip.xy[40:, [left, right]] = clip.xy[40:, [right, left]]
    assert not repaired(run(clip)).any()


def test_swaps_are_repaired_at_irregular_times_and_with_missing_frames() -> None:
    rng = np.random.default_rng(8)
    times = np.cumsum(rng.uniform(0.4, 1.6, 100)) / 30
    clip = measured(truth(MOTIONS["walk 45.0"], times), times, 12, part="legs")
    smoother = LookaheadSmoother([SwapRepair()], None, Lookahead(AHEAD_S))
    done = []
    for index, (poses, time_s) in enumerate(zip(clip.poses(), times.tolist(), strict=True)):
        done += smoother.push(poses[:0] if index % 17 == 0 else poses, time_s)
    done += smoother.flush()
    seen = [index for index in range(100) if index % 17]
    flagged = np.stack([(done[index].flags[0] & Flag.REPAIRED) > 0 for index in seen])
    swapped = clip.swapped[seen]
    assert (flagged & swapped).sum() >= 0.9 * swapped.sum()
    assert (flagged & ~swapped).any(axis=1).sum() <= 2
