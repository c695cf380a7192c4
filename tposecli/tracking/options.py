"""Options of tracking. No NumPy here: the command line takes its defaults and ranges from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tposecli.utils.option_fields import NumberRange, check_ranges, number

SHARE: Final = NumberRange(0, 1)


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """How people are tracked.

    Attributes:
        activation: Minimum box score to start a track, 0..1; weaker detections can only extend one.
        lost_s: Seconds that a person may be out of sight and keep the id.
        gate: Minimum affinity between a detection and a predicted track, 0..1; its square where neither fits another.
        birth_s: Seconds that a track must have been seen before it is kept while the person is out of sight.
        oks_weight: Weight of keypoints in the affinity, 0..1; the rest is the overlap of the boxes.
        min_score: Keypoints scored lower are ignored.

    Raises:
        ValueError: A value is out of range.
    """

    activation: float = number(0.5, SHARE)
    lost_s: float = number(2.0, NumberRange(0, 3600))
    gate: float = number(0.3, SHARE)
    birth_s: float = number(0.1, NumberRange(0))
    oks_weight: float = number(0.6, SHARE)
    min_score: float = number(0.2, SHARE)

    def __post_init__(self) -> None:
        check_ranges(self)
