"""Count how many left-right swaps are repaired, for a range of seeds: ``python -m tests.studies.repair_study 700 708``.

Uses twelve motions of five seconds at 30 frames a second, as joints without pixels. Each is measured three times per
seed: with legs swapped for 2 to 10 frames amid 1 % noise, 5 % missing joints and 1 % outliers; with the same swaps but
no missing joints or outliers; and as four clips without swaps, with 0.2, 0.5, 1 and 2 % noise, every other one with
missing joints and outliers.
"""

from __future__ import annotations

import argparse

import numpy as np

from tests.smoothing.test_swap_repair import repaired, run
from tests.support.moving import Float64, measured, motions, truth

SECONDS = 5.0
CLEAN = ((0.002, 0.0), (0.005, 1.0), (0.01, 0.0), (0.02, 1.0))


def swap_counts(true: Float64, times: Float64, seed: int, faults: float) -> tuple[int, int, int, int]:
    """Return the numbers of swaps, of completely repaired swaps, of frames, and of frames wrongly changed."""
    clip = measured(true, times, seed, faults=faults, part="legs")
    flagged = repaired(run(clip))
    undone = sum(bool(flagged[start:end, 11:].all()) for start, end, _ in clip.events)
    return len(clip.events), undone, len(flagged), int((flagged & ~clip.swapped).any(axis=1).sum())


def main(first: int, last: int) -> None:
    """Print the figures for seeds ``first`` to ``last - 1``."""
    times = np.arange(round(SECONDS * 30)) / 30
    tracks = [truth(motion, times) for motion in motions(SECONDS + 0.5).values()]
    numbers = range(first, last)
    for faults, name in ((1.0, "with"), (0.0, "without")):
        every = [swap_counts(true, times, 100 * seed + n, faults) for seed in numbers for n, true in enumerate(tracks)]
        present, undone, frames, wrong = np.sum(every, axis=0)
        share = f"{undone} of {present} swaps repaired ({undone / present:.1%})"
        print(f"{name} missing joints and outliers: {share}, {wrong} of {frames} frames wrong")  # noqa: T201
    clean = [
        repaired(run(measured(true, times, 100 * seed + n, noise, faults))).any()
        for seed in numbers
        for n, true in enumerate(tracks)
        for noise, faults in CLEAN
    ]
    print(f"clean: {sum(clean)} of {len(clean)} clips touched")  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=int, help="first seed")
    parser.add_argument("last", type=int, help="end of the seeds, not included")
    given = parser.parse_args()
    main(given.first, given.last)
