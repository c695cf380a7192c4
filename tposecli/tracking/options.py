"""How people are followed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """How people are followed.

    Attributes:
        activation: Score of the box from which on a person begins a track, 0..1; weaker ones only continue tracks.
        lost_s: Seconds that a person may be out of sight before the id is given up.
        gate: Likeness below which a person never continues a track, 0..1.
        birth_s: Seconds from the first to the last sight before which nobody is waited for out of sight.
        oks_weight: Share of the keypoints in the likeness, 0..1; the rest is the overlap of the boxes.
        min_score: Keypoints scored lower do not count.
    """

    activation: float = 0.45
    lost_s: float = 2.0
    gate: float = 0.3
    birth_s: float = 0.1
    oks_weight: float = 0.6
    min_score: float = 0.2

    def __post_init__(self) -> None:
        for name in ("activation", "gate", "oks_weight", "min_score"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected 0..1, got {value}")
        for name in ("lost_s", "birth_s"):
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"{name}: expected 0 or more seconds, got {value}")
