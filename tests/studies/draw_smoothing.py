"""Draw the documentation's images about smoothing, and print its tables.

    tpose video sample_media/portrait.mp4 --json portrait.json --smooth none --offline
    python -m tests.studies.draw_smoothing portrait.json.poses.jsonl sample_media

writes ``smoothing.png`` and ``smoothing.jpg`` into the folder ``sample_media``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests import REPOSITORY
from tests.support.moving import HEIGHT, Float64, NoisyTrack, clap, measured, motions, truth
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.formats.journal.journal import read_journal
from tposecli.formats.with_frames import blank
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.pipeline.postprocess import PostOptions, PostProcessor
from tposecli.sinks.images import write_image
from tposecli.smoothing.chain import build_smoother
from tposecli.smoothing.options import OneEuroOptions, SmoothOptions
from tposecli.sources import open_video
from tposecli.types import Flag, Frame, Image, Result

MEDIA = REPOSITORY / "sample_media"
SHOWN = (50, 55, 56, 57, 63, 64)
"""Indices of the frames shown before and after smoothing."""

GREY, BLUE, RED = "0.55", "#1f77d0", "#d0452a"


def followed(journal: Path) -> list[Result]:
    """Return the portrait clip, tracked and smoothed, without its pixels."""
    entries = [entry for entry in read_journal(journal) if len(entry.poses)]
    results = [Result(Frame(blank(e.size_wh), e.index, e.time_s, e.name, e.pts), e.poses) for e in entries]
    return list(PostProcessor.build(PostOptions()).process(results))


def film_strip(done: list[Result]) -> Image:
    """Return an image with frames of the clip as measured above the same frames as smoothed."""
    poses = {result.frame.index: (result.poses, result.final) for result in done}
    rows: list[list[Image]] = [[], []]
    with open_video(MEDIA / "portrait.mp4") as video:
        for frame in video:
            if frame.index in SHOWN:
                for row, people in zip(rows, poses[frame.index], strict=True):
                    picture = SkeletonDrawer().draw(frame.image.copy(), people)[140:700, 40:-20]
                    row.append(np.asarray(cv2.resize(picture, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)))
    return np.vstack([np.hstack(row) for row in rows])


def wrist(done: list[Result], axes: Any) -> None:
    """Plot the x coordinate of the left wrist in the portrait clip."""
    joint = KEYPOINTS.index("left_wrist")
    times = [result.frame.time_s for result in done]
    who = [int(result.poses.boxes.score.argmax()) for result in done]
    raw = [result.poses.xy[i, joint, 0] for result, i in zip(done, who, strict=True)]
    smoothed = [result.final.xy[i, joint, 0] for result, i in zip(done, who, strict=True)]
    true = json.loads((MEDIA / "portrait.json").read_text())
    at = {image["id"]: image["time_s"] for image in true["images"]}
    axes.plot([at[p["image_id"]] for p in true["annotations"]],
              [p["keypoints"][3 * joint] for p in true["annotations"]], color=GREY, lw=3, label="truth")  # fmt: skip
    axes.plot(times, raw, color=RED, lw=0.9, marker=".", ms=3, label="measured")
    axes.plot(times, smoothed, color=BLUE, lw=1.6, label="smoothed (auto)")
    axes.set_title("left wrist of portrait.mp4, bundled model")
    axes.set_ylabel("x, pixels")


def ankle(axes: Any) -> None:
    """Plot an ankle of a person who walks past, with noise, missing joints, outliers and swaps."""
    times = np.arange(75) / 30
    clip = measured(truth(motions()["walk 45.0"], times), times, 3, part="legs")
    done = run(SmoothOptions(), clip, live=False)
    flags = np.stack([poses.flags[0, 15] for poses in done])
    smoothed = np.stack([poses.xy[0, 15, 0] for poses in done])
    axes.plot(times, clip.truth[:, 15, 0], color=GREY, lw=3, label="truth")
    axes.plot(times, clip.xy[:, 15, 0], color=RED, lw=0.9, marker=".", ms=3, label="measured")
    axes.plot(times, smoothed, color=BLUE, lw=1.6, label="smoothed (auto)")
    for flag, mark in ((Flag.REPAIRED, "s"), (Flag.FILLED, "o"), (Flag.OUTLIER, "^")):
        chosen = (flags & flag) > 0
        if chosen.any():
            axes.plot(
                times[chosen], smoothed[chosen], mark, color=BLUE, mfc="white", ms=5, label=str(flag.name).lower()
            )
    axes.set_title("left ankle: 1 % noise, missing, outliers, legs swapped")


def run(options: SmoothOptions, clip: Any, live: bool) -> list[Any]:
    """Return the frames of a clip, smoothed."""
    smoother = build_smoother(options, live)
    assert smoother is not None
    frames = zip(clip.poses(), clip.times.tolist(), strict=True)
    done = [one for poses, at in frames for one in smoother.push(poses, at)]
    return [*done, *smoother.flush()]


def print_one_euro_table() -> None:
    """Print jitter, lag and error of several One-Euro settings, on clapping hands."""
    times = np.arange(240) / 30
    clip = measured(truth(clap(1.5), times), times, 1, faults=0)
    print("| setting | jitter left | lag, ms | error |\n|---|---|---|---|")  # noqa: T201
    rows = [(f"cutoff {cutoff:g}, beta {beta:g}", SmoothOptions("one-euro", {"one-euro": OneEuroOptions(cutoff, beta)}))
            for cutoff, beta in ((0.3, 5), (1, 5), (1, 20), (1, 60), (3, 20))]  # fmt: skip
    for name, options in [*rows, ("rts (files)", SmoothOptions())]:
        done = run(options, clip, live=name != "rts (files)")
        smoothed = np.stack([poses.xy[0] for poses in done]).astype(np.float64)
        left = acceleration_error(smoothed - clip.truth) / acceleration_error(clip.xy - clip.truth)
        error = mean_error(smoothed - clip.truth) / mean_error(clip.xy - clip.truth)
        print(f"| {name} | {100 * left:.0f} % | {1000 * lag(smoothed, clip.truth, times):.0f} | {100 * error:.0f} % |")  # noqa: T201


def print_method_table() -> None:
    """Print how much each method reduces the error and the acceleration error: median and worst of all motions."""
    times = np.arange(150) / 30
    head = "| | error, faults | acceleration, faults | error, noise alone | acceleration, noise alone |"
    print(f"\n{head}\n|---|---|---|---|---|")  # noqa: T201
    tracks = [truth(motion, times) for motion in motions(5.5).values()]
    sets = [
        [measured(true, times, 900 + n, faults=faults, part=part) for n, true in enumerate(tracks)]
        for faults, part in ((1.0, "legs"), (0.0, ""))
    ]
    methods: tuple[str, ...] = ("rts", "savgol", "median", "one-euro")
    for method in methods:
        less = np.array([[gains(method, clip) for clip in clips] for clips in sets])
        cells = zip(np.median(less, axis=1).ravel(), np.min(less, axis=1).ravel(), strict=True)
        print(f"| `{method}` | {' | '.join(f'{100 * median:.0f} ({100 * worst:.0f}) %' for median, worst in cells)} |")  # noqa: T201


def gains(method: str, clip: NoisyTrack) -> list[float]:
    """Return by which share a method reduces the mean error and the acceleration error."""
    smoothed = np.stack([poses.xy[0] for poses in run(SmoothOptions(method), clip, live=False)])
    return [1 - of(smoothed - clip.truth) / of(clip.xy - clip.truth) for of in (mean_error, acceleration_error)]


def mean_error(off: Float64) -> float:
    """Return the mean length of an error."""
    return float(np.linalg.norm(off, axis=2).mean())


def acceleration_error(off: Float64) -> float:
    """Return the mean length of an error's second difference, relative to the person's height."""
    return float(np.linalg.norm(np.diff(off, n=2, axis=0), axis=2).mean()) / HEIGHT


def lag(smoothed: Float64, true: Float64, times: Float64) -> float:
    """Return the delay of the wrists, seconds, at which the delayed true path fits best."""
    lags = np.arange(-60, 200) / 1000
    misfit = []
    for late in lags:
        moved = np.stack([np.interp(times - late, times, true[:, j, c]) for j in (9, 10) for c in (0, 1)], axis=1)
        misfit.append(((smoothed[30:-30, 9:11].reshape(-1, 4) - moved[30:-30]) ** 2).sum())
    return float(lags[int(np.argmin(misfit))])


def main(journal: Path, folder: Path) -> None:
    """Draw the images and print the tables."""
    done = followed(journal)
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    wrist(done, left)
    ankle(right)
    for axes in (left, right):
        axes.set_xlabel("seconds")
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "smoothing.png", dpi=100)
    write_image(folder / "smoothing.jpg", film_strip(done))
    print_one_euro_table()
    print_method_table()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    main(given.journal, given.folder)
