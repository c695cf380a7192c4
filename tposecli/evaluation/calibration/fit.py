"""Fit the maps from scores to probabilities, and measure how well they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from tposecli.evaluation.calibration.samples import Samples
from tposecli.evaluation.coco.keypoint_set import Float64
from tposecli.hub.checkpoints.calibration import Calibration, keypoint_features, person_features
from tposecli.utils.errors import InputError

Mask = NDArray[np.bool_]

FOLDS: Final = 5
BINS: Final = 10
PENALTY: Final = 1e-3
"""Of the squared slopes, so that separable samples have finite ones."""
MIN_SAMPLES: Final = 20
"""Fewest samples of either kind that a map is fitted to."""
DIGITS: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """How often what was predicted came true, in ``BINS`` bins of probability.

    Attributes:
        count: (BINS,) predictions.
        predicted: (BINS,) their mean; NaN if there are none.
        true: (BINS,) share of those that came true; NaN likewise.
    """

    count: NDArray[np.intp]
    predicted: Float64
    true: Float64

    @property
    def error(self) -> float:
        """Expected calibration error."""
        return float(np.nansum(self.count * np.abs(self.predicted - self.true)) / max(self.count.sum(), 1))

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object; empty bins are null."""
        numbers = {"predicted": self.predicted, "true": self.true}
        rounded = {
            name: [None if np.isnan(value) else round(value, DIGITS) for value in each.tolist()]
            for name, each in numbers.items()
        }
        return {"ece": round(self.error, DIGITS), "count": self.count.tolist(), **rounded}


@dataclass(frozen=True, eq=False, slots=True)
class Fitted:
    """The maps of a model, and their reliability by name: ``keypoint``, ``person``, ``pose``."""

    calibration: Calibration
    reliability: dict[str, Reliability]


def fit(samples: Samples, detector: str, facts: dict[str, Any]) -> Fitted:
    """Return the maps for the samples.

    Args:
        samples: People as the detector found them.
        detector: Its name.
        facts: What else to store with the maps.

    Raises:
        InputError: There are too few samples of either kind.
    """
    _check(samples)
    joints = np.stack(keypoint_features(samples.joint_score), axis=1)
    people = np.stack(person_features(samples.box_score, samples.score), axis=1)
    jobs = {
        "keypoint": (joints, samples.right, samples.joint_image),
        "person": (people, samples.person, samples.image),
        "pose": (people[:, 1:], samples.person, samples.image),
    }
    (a, b, c), (box, both, start), (slope, level) = (_logistic(x, y) for x, y, _ in jobs.values())
    reliability = {name: reliability_of(_held_out(*job), job[1]) for name, job in jobs.items()}
    facts = {
        **facts,
        "people": int(samples.person.sum()),
        "others": int((~samples.person).sum()),
        "keypoints": len(samples.right),
        "folds": FOLDS,
        "reliability": {name: each.to_dict() for name, each in reliability.items()},
    }
    return Fitted(Calibration(detector, (a, b, c), (start, box, both), (level, slope), facts), reliability)


def reliability_of(probability: Float64, true: Mask) -> Reliability:
    """Return the reliability of (N,) predictions."""
    place = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    divisor = np.where(count, count, np.nan)
    sums = (np.bincount(place, weights=each, minlength=BINS) for each in (probability, true.astype(np.float64)))
    return Reliability(count, *(each / divisor for each in sums))


def _check(samples: Samples) -> None:
    for what, kinds in (("detections", samples.person), ("keypoints", samples.right)):
        fewest = min(int(kinds.sum()), int((~kinds).sum()))
        if fewest < MIN_SAMPLES:
            raise InputError(
                f"--calibrate: {len(kinds)} {what} with {fewest} of the rarer kind (right or wrong); at least "
                f"{MIN_SAMPLES} are needed: evaluate more photos, some of them without people"
            )


def _held_out(x: Float64, y: Mask, image: NDArray[np.intp]) -> Float64:
    """Return the predictions for each sample by a map fitted on the other folds of images."""
    order = np.unique(image, return_inverse=True)[1]
    found = np.zeros(len(y))
    for fold in range(FOLDS):
        tested = order % FOLDS == fold
        if tested.any() and not tested.all():
            *slopes, constant = _logistic(x[~tested], y[~tested])
            found[tested] = expit(x[tested] @ np.array(slopes) + constant)
    return found


def _logistic(x: Float64, y: Mask) -> Sequence[float]:
    """Return slopes of at least 0 and, last, the constant of the logistic regression of y on the columns of x."""
    design = np.column_stack((x, np.ones(len(x))))
    sign = np.where(y, 1.0, -1.0)

    def loss(weights: Float64) -> tuple[float, Float64]:
        margin = sign * (design @ weights)
        slopes = np.append(weights[:-1], 0)
        value = np.logaddexp(0, -margin).mean() + PENALTY * (slopes**2).sum()
        return value, -(design * (sign * expit(-margin))[:, None]).mean(axis=0) + 2 * PENALTY * slopes

    columns = x.shape[1]
    bounds = [(0, None)] * columns + [(None, None)]
    result = minimize(loss, np.append(np.ones(columns), 0.0), jac=True, bounds=bounds, method="L-BFGS-B")
    return [round(value, DIGITS) for value in result.x.tolist()]
