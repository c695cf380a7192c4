"""Which people a run keeps. No NumPy here: the command line takes its ranges from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tposecli.utils.option_fields import NumberRange, check_ranges, number

MIN_PERSON: Final = 0.4
MIN_JOINTS: Final = 2
"""What None stands for, where the model's scores are calibrated for the detector; elsewhere nobody is dropped."""


@dataclass(frozen=True, slots=True)
class KeepOptions:
    """Which people a run keeps.

    Attributes:
        min_person_score: Smallest probability that there is a person; of models without calibration, smallest score.
        min_joints: Smallest number of joints that are more likely right than wrong; of models without calibration,
            of those with a score of 0.2 or more.
    """

    min_person_score: float | None = number(None, NumberRange(0, 1))
    min_joints: int | None = number(None, NumberRange(0, whole=True))

    def __post_init__(self) -> None:
        check_ranges(self)
