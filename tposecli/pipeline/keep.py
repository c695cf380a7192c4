"""Tell people from what only looks like one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.hub.checkpoints.calibration import Calibration, calibration_of
from tposecli.pipeline.keep_options import MIN_JOINTS, MIN_PERSON, KeepOptions
from tposecli.types import Poses

MIN_SCORE: Final = 0.2
"""Score from which a joint counts where scores are not calibrated."""
MIN_PROBABILITY: Final = 0.5
"""Probability from which it counts where they are."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Which people a run keeps, by scores of one model and one detector.

    Attributes:
        min_person: Smallest probability or, without calibration, score of a person.
        min_joints: Smallest number of good joints.
        calibration: The model's; None if it has none.
        detector: The detector.
    """

    min_person: float = 0.0
    min_joints: int = 0
    calibration: Calibration | None = None
    detector: str = ""

    @classmethod
    def build(cls, options: KeepOptions, header: Mapping[str, Any]) -> Keep:
        """Return the rule for the poses of a journal's header, which names model, calibration and detector."""
        calibration, detector = calibration_of(header), str(header.get("detector"))
        fitted = calibration is not None and calibration.detector == detector
        person, joints = options.min_person_score, options.min_joints
        return cls(
            (MIN_PERSON if fitted else 0.0) if person is None else person,
            (MIN_JOINTS if fitted else 0) if joints is None else joints,
            calibration,
            detector,
        )

    @property
    def everybody(self) -> bool:
        """Whether all people are kept."""
        return not self.min_person and not self.min_joints

    def mask(self, poses: Poses) -> NDArray[np.bool_]:
        """Return the (N,) mask of people who are kept, by their scores as measured."""
        if self.calibration is None:
            person, good = poses.person_score, poses.score >= MIN_SCORE
        else:
            person = self.calibration.person_probability(poses, self.detector)
            good = self.calibration.keypoint_probability(poses.score) >= MIN_PROBABILITY
        kept: NDArray[np.bool_] = (person >= self.min_person) & (good.sum(axis=1) >= self.min_joints)
        return kept
