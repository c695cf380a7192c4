"""The figures of explanations, from the maps and curves of all people; as a table and for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.integrate import trapezoid

from tposecli.attention.stats import Float64
from tposecli.evaluation.explain.curves import DELETION, FRACTIONS, INSERTION, RATIO_AT, Curves

Interval = tuple[float, float]

RESAMPLES: Final = 400
"""Bootstrap samples of the interval of the deletion ratio."""
KINDS: Final = {"deletion": DELETION, "insertion": INSERTION}
DIGITS: Final = 5


@dataclass(frozen=True, eq=False, slots=True)
class Places:
    """Statistics of the maps of N people, in L layers.

    Attributes:
        distinctness: (N, L) bits.
        entropy: (N, L) shares of a uniform map's.
        inside: (N, L, 3) shares of the attention in the box, near the joint, and near its neighbours.
        uniform: (N, 3) shares that a uniform map has there.
    """

    distinctness: Float64
    entropy: Float64
    inside: Float64
    uniform: Float64


@dataclass(frozen=True, eq=False, slots=True)
class Course:
    """One curve over ``FRACTIONS``: (F,) mean and median of the movement in sizes of the person, and mean score."""

    moved: Float64
    median_moved: Float64
    score: Float64

    @property
    def area(self) -> float:
        """Area under the score."""
        return float(trapezoid(self.score, FRACTIONS))

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as a JSON object."""
        return {
            "score": _rounded(self.score),
            "movement_mean": _rounded(self.moved),
            "movement_median": _rounded(self.median_moved),
            "score_area": round(self.area, DIGITS),
        }


@dataclass(frozen=True, eq=False, slots=True)
class LayerFigures:
    """The figures of one layer, or of chance: a uniform map and random orders of the cells.

    Attributes:
        name: Of the layer.
        distinctness: Bits.
        entropy: Share of a uniform map's.
        inside, near, neighbours: Shares of the attention in the box, near the joint, near its neighbours.
        deletion, insertion: Mean curves; None if no keypoint was put to the test.
        ratio: Deletion ratio; None likewise, and if random cells move nothing.
        interval: Its 95 % interval.
    """

    name: str
    distinctness: float
    entropy: float
    inside: float
    near: float
    neighbours: float
    deletion: Course | None = None
    insertion: Course | None = None
    ratio: float | None = None
    interval: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        numbers = ("distinctness", "entropy", "inside", "near", "neighbours")
        curves = {"deletion": self.deletion, "insertion": self.insertion}
        return {
            "name": self.name,
            **{name: round(getattr(self, name), DIGITS) for name in numbers},
            "deletion_ratio": None if self.ratio is None else round(self.ratio, DIGITS),
            "deletion_ratio_interval": None if self.interval is None else _rounded(np.array(self.interval)),
            **{name: None if course is None else course.to_dict() for name, course in curves.items()},
        }


@dataclass(frozen=True, eq=False, slots=True)
class Explanations:
    """The figures of all layers.

    Attributes:
        mode: ``dependency`` or ``influence``.
        people: Number of people whose maps were read.
        probed: Numbers of people and of keypoints that were put to the test.
        layers: Figures by layer.
        chance: The figures of a uniform map and of random cells.
        nearest_ratio: Deletion ratio of the cells nearest to each keypoint; None as for a layer.
    """

    mode: str
    people: int
    probed: tuple[int, int]
    layers: Sequence[LayerFigures]
    chance: LayerFigures
    nearest_ratio: float | None = None

    @property
    def title(self) -> str:
        """What was measured on whom."""
        people, keypoints = self.probed
        curves = f"curves of {people} people ({keypoints} keypoints)"
        return f"explanations: {self.mode}, maps of {self.people} people, {curves}"

    @property
    def nearest_sentence(self) -> str:
        """What the deletion ratio of the nearest cells is."""
        ratio = "-" if self.nearest_ratio is None else f"{self.nearest_ratio:.2f}"
        return f"for comparison, deletion ratio of the {FRACTIONS[RATIO_AT]:.0%} of cells nearest to the joint: {ratio}"

    @property
    def rows(self) -> list[tuple[str, Sequence[str]]]:
        """A label and the cells of each row of the table; the first row is the head."""
        columns = [*self.layers, self.chance]
        percent = f"{FRACTIONS[RATIO_AT]:.0%}"
        return [
            ("", [column.name for column in columns]),
            ("distinctness (bits)", [f"{column.distinctness:.3f}" for column in columns]),
            ("entropy (share of uniform)", [f"{column.entropy:.3f}" for column in columns]),
            ("attention in the box", [f"{column.inside:.3f}" for column in columns]),
            ("attention near the joint", [f"{column.near:.3f}" for column in columns]),
            ("attention near its neighbours", [f"{column.neighbours:.3f}" for column in columns]),
            (f"deletion ratio at {percent}", [_ratio(column) for column in columns]),
            (f"deletion, movement at {percent}", [_moved(column.deletion) for column in columns]),
            ("deletion, area under score", [_area(column.deletion) for column in columns]),
            ("insertion, area under score", [_area(column.insertion) for column in columns]),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        return {
            "mode": self.mode,
            "people": self.people,
            "probed_people": self.probed[0],
            "probed_keypoints": self.probed[1],
            "fractions": list(FRACTIONS),
            "layers": [layer.to_dict() for layer in self.layers],
            "chance": self.chance.to_dict(),
            "nearest_ratio": None if self.nearest_ratio is None else round(self.nearest_ratio, DIGITS),
        }


def figures_of(names: Sequence[str], mode: str, places: Sequence[Places], curves: Sequence[Curves]) -> Explanations:
    """Return the figures of all people.

    Args:
        names: Names of the L layers.
        mode: Of the attention.
        places: The statistics of the maps, of one or more people each.
        curves: The curves, of one person each.
    """
    every = Places(*(np.concatenate([getattr(part, name) for part in places]) for name in Places.__slots__))
    sharp = np.stack((every.distinctness.mean(axis=0), every.entropy.mean(axis=0)), axis=1)
    inside = every.inside.mean(axis=0)
    layers = [
        LayerFigures(name, *sharp[index].tolist(), *inside[index].tolist(), *_tested(curves, index))
        for index, name in enumerate(names)
    ]
    chance = LayerFigures("chance", 0.0, 1.0, *every.uniform.mean(axis=0).tolist(), *_chance(curves))
    probed = len(curves), sum(len(one.moved) for one in curves)
    nearest = _ratio_of([one.nearest_moved for one in curves], _random_at_ratio(curves))[0] if curves else None
    return Explanations(mode, len(every.entropy), probed, layers, chance, nearest)


def _tested(curves: Sequence[Curves], layer: int) -> tuple[Any, ...]:
    """Return both curves of a layer, its deletion ratio and the interval of that."""
    if not curves:
        return ()
    moved, score = (np.concatenate([getattr(one, name)[:, layer] for one in curves]) for name in ("moved", "score"))
    attended = [one.moved[:, layer, DELETION, RATIO_AT] for one in curves]
    ratio = _ratio_of(attended, _random_at_ratio(curves))
    return (*(_course(moved[:, kind], score[:, kind]) for kind in KINDS.values()), *ratio)


def _random_at_ratio(curves: Sequence[Curves]) -> list[Float64]:
    """Return the movements with random cells greyed, at ``RATIO_AT``, of each person."""
    return [one.random_moved[:, :, DELETION, RATIO_AT].ravel() for one in curves]


def _chance(curves: Sequence[Curves]) -> tuple[Any, ...]:
    """Return both curves of random orders."""
    if not curves:
        return ()
    moved, score = (
        np.concatenate([getattr(one, name).reshape(-1, 2, len(FRACTIONS)) for one in curves])
        for name in ("random_moved", "random_score")
    )
    return (*(_course(moved[:, kind], score[:, kind]) for kind in KINDS.values()), 1.0)


def _course(moved: Float64, score: Float64) -> Course:
    return Course(moved.mean(axis=0), np.median(moved, axis=0), score.mean(axis=0))


def _ratio_of(attended: Sequence[Float64], chance: Sequence[Float64]) -> tuple[float | None, Interval | None]:
    """Return the ratio of the medians of both, and its 95 % bootstrap interval over people."""
    middle = float(np.median(np.concatenate(chance)))
    if middle <= 0:
        return None, None
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(attended), len(attended))
        below = np.median(np.concatenate([chance[one] for one in drawn]))
        samples.append(np.median(np.concatenate([attended[one] for one in drawn])) / max(below, 1e-9))
    low, high = np.percentile(samples, (2.5, 97.5))
    return float(np.median(np.concatenate(attended))) / middle, (float(low), float(high))


def _ratio(column: LayerFigures) -> str:
    if column.ratio is None:
        return "-"
    interval = "" if column.interval is None else f" ({column.interval[0]:.2f} to {column.interval[1]:.2f})"
    return f"{column.ratio:.2f}{interval}"


def _moved(course: Course | None) -> str:
    return "-" if course is None else f"{course.median_moved[RATIO_AT]:.4f}"


def _area(course: Course | None) -> str:
    return "-" if course is None else f"{course.area:.3f}"


def _rounded(values: Float64) -> list[float]:
    return np.round(values, DIGITS).tolist()  # type: ignore[no-any-return]
