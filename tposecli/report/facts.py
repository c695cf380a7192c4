"""What the head of a report says: numbers of a run, and warnings in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np

from tposecli.geometry.angles import angles_of, joint_angles
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.hub.checkpoints.calibration import calibration_of
from tposecli.models.catalog import CATALOG
from tposecli.report.columns import SURE, Columns
from tposecli.report.moments import disagreement, switches, words
from tposecli.types import UNTRACKED, Flag
from tposecli.utils.version import __version__

MANY: Final = 0.05
"""Shares above this are worth a warning."""
RANGE: Final = (2, 98)
"""Percentiles between which an angle ranges."""


def accuracy_of(model: str) -> str:
    """Return how accurate a model is, in words; empty if unknown."""
    spec = next((spec for spec in CATALOG if spec.name == model), None)
    if spec is None:
        return ""
    if spec.ap_detected is not None:
        return f"AP {spec.ap_detected} on COCO val2017 with detected boxes, {spec.ap_truth} with true ones (published)"
    known = spec.ap_kept_back
    return "" if known is None else f"AP {known:.0f} on kept-back COCO photos with true boxes"


def counts(columns: Columns) -> dict[str, Any]:
    """Return numbers of frames, people and joints."""
    flags, joints = columns.flags, max(1, columns.flags.size)
    occupied = len(np.unique(columns.frame))
    frames = len(columns.index)
    per_frame = np.bincount(columns.frame, minlength=1)
    low = (columns.score < SURE) & columns.measured[:, None]
    return {
        "frames": frames,
        "people": len(columns),
        "most": int(per_frame.max()) if len(columns) else 0,
        "ids": len(set(columns.track.tolist()) - {UNTRACKED}),
        "empty": (frames - occupied) / max(1, frames),
        "filled": float((flags & Flag.FILLED != 0).sum() / joints),
        "repaired": float((flags & Flag.REPAIRED != 0).sum() / joints),
        "outliers": float((flags & Flag.OUTLIER != 0).sum() / joints),
        "low": float(low.sum() / joints),
        "score": float(columns.score[columns.measured].mean()) if columns.measured.any() else 0.0,
        "switches": 0 if columns.names else len(list(switches(columns))),
    }


def joint_table(columns: Columns, layout: KeypointLayout, header: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each joint: its mean score, how often it was right, low, filled and so on."""
    if not columns.measured.any():
        return []
    score, flags = columns.score[columns.measured], columns.flags
    away = disagreement(columns)
    calibration = calibration_of(header)
    right = None if calibration is None else calibration.keypoint_probability(score).mean(axis=0)
    return [
        {
            "joint": joint,
            "score": float(score[:, joint].mean()),
            "right": None if right is None else float(right[joint]),
            "low": float((score[:, joint] < SURE).mean()),
            "filled": float((flags[:, joint] & Flag.FILLED != 0).mean()),
            "repaired": float((flags[:, joint] & Flag.REPAIRED != 0).mean()),
            "outliers": float((flags[:, joint] & Flag.OUTLIER != 0).mean()),
            "away": float(away[:, joint].mean()),
        }
        for joint in range(len(layout))
    ]


def angle_table(columns: Columns, layout: KeypointLayout) -> list[dict[str, Any]]:
    """Return the range of each angle of each track, of frames in which all of its joints are sure."""
    angles = angles_of(layout)
    found = []
    for track, rows in columns.tracks():
        if track == UNTRACKED or not angles:
            continue
        values, score = joint_angles(columns.xy[rows], angles), columns.score[rows]
        for number, angle in enumerate(angles):
            sure = (score[:, list(angle.joints)] >= SURE).all(axis=1) & np.isfinite(values[:, number])
            if sure.sum() < 2:
                continue
            low, middle, high = np.percentile(values[sure, number], [RANGE[0], 50, RANGE[1]]).tolist()
            found.append(
                {"track": track, "angle": number, "low": low, "median": middle, "high": high, "frames": int(sure.sum())}
            )
    return found


def warnings_of(
    numbers: Mapping[str, Any], joints: list[dict[str, Any]], layout: KeypointLayout, stills: bool
) -> list[str]:
    """Return what to know before trusting the poses, in sentences."""
    if not numbers["people"]:
        what = "images" if stills else "frames"
        return [f"Nobody was found in any of the {numbers['frames']} {what}."]
    checks = {
        "empty": "{} of the {} show nobody.".format("{}", "images" if stills else "frames"),
        "low": "{} of the joints have a score below 0.2: they are hardly more than guesses.",
        "filled": "{} of the joints were not seen but filled in from the frames around.",
        "repaired": "In {} of the joints left and right were exchanged and put right.",
        "outliers": "{} of the joints were left out as outliers.",
    }
    found = [text.format(share(numbers[key])) for key, text in checks.items() if numbers[key] > MANY]
    if numbers["switches"]:
        plural = "track begins" if numbers["switches"] == 1 else "tracks begin"
        found.append(f"{numbers['switches']} {plural} where another has just ended: maybe one person with two ids.")
    weak = [words(layout, row["joint"]) for row in joints if row["low"] > 3 * MANY]
    if weak:
        found.append(f"Rarely sure: {', '.join(weak[:6])}{' and others' if len(weak) > 6 else ''}.")
    return found


def verdict(numbers: Mapping[str, Any], joints: list[dict[str, Any]], layout: KeypointLayout) -> str:
    """Return one sentence on whether the poses are good."""
    if not joints:
        return "There is nobody to look at."
    expected = [row["right"] for row in joints]
    worst = min(joints, key=lambda row: row["score"])
    weakest = f"the weakest joint is the {words(layout, worst['joint'])} (mean score {worst['score']:.2f})"
    if None not in expected:
        right = float(np.mean(expected))
        word, text = "Good" if right > 0.85 else "Fair" if right > 0.65 else "Poor", share(right)
        return f"{word}: {text} of the joints are expected to be right, by the model's calibration; {weakest}."
    sure = 1 - numbers["low"]
    word = "Good" if sure > 0.95 else "Fair" if sure > 0.8 else "Poor"
    return f"{word}: {share(sure)} of the joints score 0.2 or more; {weakest}."


def part_of(overview: Sequence[Sequence[float]], columns: Columns) -> list[str]:
    """Return which part of a run that is too long the page shows, in a sentence."""
    if not overview or not len(columns.time_s):
        return []
    begin, end = (timedelta(seconds=round(float(columns.time_s[at]))) for at in (0, -1))
    hours = (overview[-1][0] - overview[0][0]) / 3600
    return [
        f"The recording is {hours:.1f} hours long: besides the overview, this page shows its part with most trouble, "
        f"from {begin} to {end}, and its numbers are of that part."
    ]


def share(value: float) -> str:
    """Return a share in whole percent, as the page writes it; halves are rounded up."""
    return f"{math.floor(100 * value + 0.5)} %"


def provenance_of(header: Mapping[str, Any], path: str) -> list[list[str]]:
    """Return names and values of where the poses come from, as text."""
    model = str(header.get("model") or "")
    entries = {
        "Input": header.get("source"),
        "Model": f"{model}: {accuracy_of(model)}" if accuracy_of(model) else model,
        "Weights": header.get("weights_sha256"),
        "Detector": header.get("detector"),
        "Ran on": " ".join(str(header[key]) for key in ("device", "backend", "precision") if header.get(key)),
        "Command": header.get("command"),
        "Corrected by hand": _corrections(header),
        "Poses": path,
        "Made by": f"{header.get('tool') or 'another tool'} {header.get('tool_version') or ''}".strip(),
        "Page by": f"tposecli {__version__}",
    }
    return [[name, str(value)] for name, value in entries.items() if value]


def _corrections(header: Mapping[str, Any]) -> str:
    """Return how many corrections were made by hand, and of which kinds."""
    kinds = Counter(str(step.get("kind") or "correction") for step in header.get("corrections") or ())
    return ", ".join(f"{kind} {number}x" if number > 1 else kind for kind, number in kinds.items())
