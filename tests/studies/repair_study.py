"""How many exchanges of left and right are undone: run with seeds of your own, ``python repair_study.py 700 708``.

Twelve ways of moving, five seconds each at 30 frames a second, as joints without pixels. With each seed three times:
exchanged legs of 2 to 10 frames among 1 % of noise, 5 % of joints missing and 1 % outliers; the same exchanges without
missing joints and outliers; and four clean clips, of 0.2, 0.5, 1 and 2 % of noise, every other one with both.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.smoothing.test_swap_repair import repaired, run
from tests.support.moving import Float64, measured, motions, truth

SECONDS = 5.0
CLEAN = ((0.002, 0.0), (0.005, 1.0), (0.01, 0.0), (0.02, 1.0))


def exchanged(true: Float64, times: Float64, seed: int, faults: float) -> tuple[int, int, int, int]:
    """Exchanges, those undone to the last joint and frame, frames, those of them that were wrongly changed."""
    clip = measured(true, times, seed, faults=faults, part="legs")
    flagged = repaired(run(clip))
    undone = sum(bool(flagged[start:end, 11:].all()) for start, end, _ in clip.events)
    return len(clip.events), undone, len(flagged), int((flagged & ~clip.swapped).any(axis=1).sum())


def main(first: int, last: int) -> None:
    """Print the figures of some seeds."""
    times = np.arange(round(SECONDS * 30)) / 30
    tracks = [truth(motion, times) for motion in motions(SECONDS + 0.5).values()]
    numbers = range(first, last)
    for faults, name in ((1.0, "with"), (0.0, "without")):
        every = [exchanged(true, times, 100 * seed + n, faults) for seed in numbers for n, true in enumerate(tracks)]
        there, undone, frames, wrong = np.sum(every, axis=0)
        share = f"{undone} of {there} exchanges undone ({undone / there:.1%})"
        print(f"{name} missing joints and outliers: {share}, {wrong} of {frames} frames wrong")  # noqa: T201
    clean = [
        repaired(run(measured(true, times, 100 * seed + n, noise, faults))).any()
        for seed in numbers
        for n, true in enumerate(tracks)
        for noise, faults in CLEAN
    ]
    print(f"clean: {sum(clean)} of {len(clean)} clips touched")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
