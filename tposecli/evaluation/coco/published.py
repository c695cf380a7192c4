"""The authors' published results as a literal table, and whether a run may be compared with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Figures = tuple[float | None, ...]
"""The ten metrics of ``average_precision.FIGURES``, 0..1; None if not published."""

NINE: Final = (None,) * 9

DETECTED: Final[Mapping[str, Figures]] = {
    "transpose-r-a3": (0.717, 0.889, 0.788, 0.680, 0.786, 0.771, 0.930, 0.836, 0.727, 0.835),
    "transpose-r-a4": (0.726, 0.891, 0.799, 0.688, 0.798, 0.780, 0.931, 0.845, 0.735, 0.844),
    "transpose-h-s": (0.742, 0.896, 0.808, 0.706, 0.810, 0.795, 0.935, 0.855, 0.752, 0.856),
    "transpose-h-a4": (0.753, 0.900, 0.818, 0.717, 0.821, 0.803, 0.939, 0.861, 0.761, 0.865),
    "transpose-h-a6": (0.758, 0.901, 0.821, 0.719, 0.828, 0.808, 0.939, 0.864, 0.764, 0.872),
}
"""COCO val2017, 256x192, detected boxes with AP 56.4, flip test."""

TRUE_BOXES: Final[Mapping[str, Figures]] = {
    "transpose-r-a3": (0.738, *NINE),
    "transpose-r-a4": (0.751, *NINE),
    "transpose-h-s": (0.761, *NINE),
    "transpose-h-a4": (0.775, *NINE),
    "transpose-h-a6": (0.781, *NINE),
}
"""COCO val2017, 256x192, ground-truth boxes, flip test."""

TEST_DEV: Final[Mapping[str, Figures]] = {
    "transpose-h-s": (0.734, 0.916, 0.811, 0.701, 0.793, 0.786, 0.950, 0.856, 0.745, 0.843),
    "transpose-h-a4": (0.747, 0.919, 0.822, 0.714, 0.807, 0.799, 0.953, 0.866, 0.758, 0.854),
    "transpose-h-a6": (0.750, 0.922, 0.823, 0.713, 0.811, 0.801, 0.954, 0.867, 0.759, 0.859),
}
"""COCO test-dev2017, 256x192, detected boxes with AP 60.9, flip test."""

TABLES: Final[Mapping[tuple[str, str], tuple[str, Mapping[str, Figures]]]] = {
    ("val2017", "detections"): ("56.4-AP boxes", DETECTED),
    ("val2017", "gt"): ("ground-truth boxes", TRUE_BOXES),
    ("test-dev2017", "detections"): ("60.9-AP boxes", TEST_DEV),
}
"""By set and kind of boxes: their name, and the metrics of each model."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published row to compare with.

    Attributes:
        label: The boxes that it was computed with.
        figures: The metrics.
        differs: Deviations of this run from the published protocol; empty if the two may be compared.
    """

    label: str
    figures: Figures
    differs: tuple[str, ...]

    def difference(self, ours: Figures) -> Figures | None:
        """Return our metrics minus the published ones; None if the protocols differ."""
        if self.differs:
            return None
        pairs = zip(ours, self.figures, strict=True)
        return tuple(None if mine is None or theirs is None else mine - theirs for mine, theirs in pairs)


def published(model: str, where: tuple[str, str], differs: tuple[str, ...]) -> Published | None:
    """Return the published row of a model for a set and kind of boxes, if there is one."""
    label, table = TABLES.get(where, ("", {}))
    return Published(label, table[model], differs) if model in table else None
