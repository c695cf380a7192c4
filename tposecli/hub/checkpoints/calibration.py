"""What scores say: maps from the scores of a model to probabilities, stored beside its weights.

``tpose eval --calibrate`` fits them. Each is monotone and has two or three numbers:

- of a keypoint, by beta calibration (Kull, Silva Filho and Flach, AISTATS 2017): ``logit p = a ln s - b ln(1 - s) + c``
  with the score ``s``: the probability that the joint lies within 0.2 torso lengths of the true one;
- of a person, by logistic regression (Platt 1999): ``logit p = w0 + w1 logit(box score) + w2 logit(pose score)``: the
  probability that there is a person. The pose score is the mean of the better half of the keypoints' scores: half of a
  person may be hidden or outside the picture. Boxes of detectors other than the one of the fit are judged by
  the pose score alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.types import Float32, Poses
from tposecli.utils.strict_json import json_numbers

log = logging.getLogger("tposecli")

Float64 = NDArray[np.float64]

SUFFIX: Final = ".calibration.json"
TORSO: Final = 0.2
"""A keypoint is right within this distance, in torso lengths."""
EDGE: Final = 0.005
"""Scores are moved away from 0 and 1 by this much, before logarithms."""
MAX_WEIGHT: Final = 1e3


@dataclass(frozen=True, slots=True)
class Calibration:
    """The maps of one model.

    Attributes:
        detector: The detector whose boxes the map of people was fitted with.
        keypoint: a, b, c.
        person: w0, w1, w2.
        pose: w0 and w2 of the map without boxes.
        facts: What they were fitted on and how well they fit.
    """

    detector: str
    keypoint: tuple[float, float, float]
    person: tuple[float, float, float]
    pose: tuple[float, float]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def keypoint_probability(self, score: Float32) -> Float32:
        """Return the (N, K) probabilities that joints are right, of (N, K) scores."""
        return _probability(keypoint_features(score), self.keypoint)

    def person_probability(self, poses: Poses, detector: str) -> Float32:
        """Return the (N,) probabilities that there is a person.

        Args:
            poses: N people as measured.
            detector: The detector that found them.
        """
        box, pose = person_features(poses.boxes.score, poses.score)
        if detector == self.detector:
            return _probability((box, pose), (self.person[1], self.person[2], self.person[0]))
        return _probability((pose,), (self.pose[1], self.pose[0]))

    def to_dict(self) -> dict[str, Any]:
        """Return the maps for JSON, without the facts."""
        maps = {"keypoint": self.keypoint, "person": self.person, "pose": self.pose}
        return {"detector": self.detector, **{name: list(numbers) for name, numbers in maps.items()}}

    @staticmethod
    def from_dict(values: Any) -> Calibration:
        """Return the maps from :meth:`to_dict`; other entries are the facts.

        Raises:
            ValueError: Values are missing or make no sense.
        """
        try:
            maps = [
                json_numbers(values[name], name, count, MAX_WEIGHT)
                for name, count in (("keypoint", 3), ("person", 3), ("pose", 2))
            ]
            detector = str(values["detector"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected detector, keypoint, person and pose ({error!r})") from error
        if min(*maps[0][:2], *maps[1][1:], *maps[2][1:]) < 0:
            raise ValueError("expected maps that do not fall")
        known = {"detector", "keypoint", "person", "pose"}
        facts = {key: value for key, value in values.items() if key not in known}
        return Calibration(detector, tuple(maps[0]), tuple(maps[1]), tuple(maps[2]), facts)  # type: ignore[arg-type]


def calibration_path(weights: Path) -> Path:
    """Return where the calibration of a checkpoint lies: beside it."""
    return weights.with_suffix(SUFFIX)


def find_calibration(weights: Path, sha256: str) -> Calibration | None:
    """Return the calibration beside a checkpoint; None if there is none, or it is damaged or of other weights.

    Args:
        weights: The checkpoint.
        sha256: Its digest.
    """
    path = calibration_path(weights)
    try:
        values = json.loads(path.read_bytes())
        found = Calibration.from_dict(values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s: ignored, not a calibration (%s); fit it again with tpose eval --calibrate", path, error)
        return None
    if found.facts.get("weights_sha256") != sha256:
        log.warning("%s: ignored, of other weights; fit it again with tpose eval --calibrate", path)
        return None
    return found


def calibration_of(header: Mapping[str, Any]) -> Calibration | None:
    """Return the calibration in a journal's header; None if there is none that makes sense."""
    try:
        return Calibration.from_dict(header["calibration"])
    except (KeyError, ValueError):
        return None


def keypoint_features(score: NDArray[np.floating]) -> tuple[Float64, Float64]:
    """Return ``ln s`` and ``-ln(1 - s)`` of scores."""
    moved = _inside(score)
    return np.log(moved), -np.log1p(-moved)


def person_features(box_score: NDArray[np.floating], score: NDArray[np.floating]) -> tuple[Float64, Float64]:
    """Return the (N,) logits of box scores (N,), and of pose scores from keypoint scores (N, K)."""
    best = -np.sort(-score.astype(np.float64), axis=1)[:, : (score.shape[1] + 1) // 2]
    box, pose = _inside(box_score), _inside(best.mean(axis=1))
    return np.log(box / (1 - box)), np.log(pose / (1 - pose))


def _inside(score: NDArray[np.floating]) -> Float64:
    return np.clip(score.astype(np.float64), EDGE, 1 - EDGE)


def _probability(features: tuple[Float64, ...], weights: tuple[float, ...]) -> Float32:
    """Return the logistic function of a weighted sum of features and, last, a constant."""
    *slopes, constant = weights
    logit = sum((slope * each for slope, each in zip(slopes, features, strict=True)), constant)
    return np.asarray(1 / (1 + np.exp(-np.asarray(logit))), np.float32)
