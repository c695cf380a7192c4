"""Options of smoothing and the table of its filters.

No NumPy here: the command line makes its options from these dataclasses. To add a filter, write it in a file of its
own and add its options and a row of ``FILTERS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tposecli.utils.option_fields import NumberRange, check_ranges, number

if TYPE_CHECKING:
    from tposecli.smoothing.base import Smoother
    from tposecli.smoothing.track_window import Step

DEFAULT_FILL_S: Final = 0.3
"""Longest gap that is filled by default, seconds."""

POSITIVE: Final = NumberRange(0, low_open=True)
WINDOW_S: Final = NumberRange(0, 0.8, low_open=True)
"""Lengths of a filter's window, seconds: half of it must fit into both the look-back and the look-ahead."""


class FilterOptions:
    """Base of the options of a filter; a field with a ``flag`` becomes the option ``--FILTER-FLAG``."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, slots=True)
class OneEuroOptions(FilterOptions):
    """Strength of the One-Euro filter; sizes are relative to the person, so 480p and 4K behave alike.

    Attributes:
        min_cutoff_hz: Cutoff frequency for a joint at rest; lower smooths more.
        beta: Hertz that the cutoff rises by for every person size (longer side of the box) per second of a joint's
            speed; higher lags less.
        speed_cutoff_hz: Cutoff frequency of the speed estimate.
        min_score: Joints scored lower pass through and leave no trace.
        forget_s: A joint unseen for longer starts afresh; a track unseen for longer is forgotten.
    """

    min_cutoff_hz: float = number(
        1.0, POSITIVE, flag="cutoff", help="Minimum cutoff frequency (Hz). Lower values smooth more."
    )
    beta: float = number(
        20.0,
        NumberRange(0),
        flag="beta",
        help="Speed coefficient: cutoff increase (Hz) per body size/s. Higher values reduce lag.",
    )
    speed_cutoff_hz: float = number(2.0, POSITIVE)
    min_score: float = number(0.2, NumberRange(0, 1))
    forget_s: float = number(0.5, POSITIVE)


@dataclass(frozen=True, slots=True)
class SavgolOptions(FilterOptions):
    """Strength of the Savitzky-Golay filter.

    Attributes:
        window_s: Seconds that each polynomial covers; longer smooths more.
        order: Order of the polynomial, 0..4; lower smooths more.
    """

    window_s: float = number(0.27, WINDOW_S, flag="window", help="Window length (seconds). Longer smooths more.")
    order: int = number(2, NumberRange(0, 4, whole=True), flag="order", help="Polynomial order. Lower smooths more.")


@dataclass(frozen=True, slots=True)
class RtsOptions(FilterOptions):
    """Strength of the Rauch-Tung-Striebel smoother; only the ratio of ``noise`` to ``jerk`` matters.

    Attributes:
        noise: Standard deviation of a measurement of score 1, as a fraction of the person's size.
        jerk: Spectral density of the motion's white jerk, in person sizes / s^3 / sqrt(Hz).
    """

    noise: float = number(
        0.01,
        POSITIVE,
        flag="noise",
        help="Measurement noise of a confident keypoint (std. dev., fraction of body size). Higher smooths more.",
    )
    jerk: float = number(
        130.0,
        POSITIVE,
        flag="jerk",
        help="How abruptly people move (white jerk, body sizes/s^3/sqrt(Hz)). Lower smooths more.",
    )


@dataclass(frozen=True, slots=True)
class MedianOptions(FilterOptions):
    """Strength of the running median.

    Attributes:
        window_s: Seconds that each median covers; longer smooths more.
    """

    window_s: float = number(0.17, WINDOW_S, flag="window", help="Window length (seconds). Longer smooths more.")


def _one_euro(options: Any) -> Smoother:
    from tposecli.smoothing.one_euro import OneEuro

    return OneEuro(**asdict(options))


def _savgol(options: Any) -> Step:
    from tposecli.smoothing.savgol_median import Savgol

    return Savgol(**asdict(options))


def _rts(options: Any) -> Step:
    from tposecli.smoothing.rts import Rts

    return Rts(**asdict(options))


def _median(options: Any) -> Step:
    from tposecli.smoothing.savgol_median import Median

    return Median(**asdict(options))


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A smoothing filter.

    Attributes:
        options: Its options, with their defaults.
        step: Make it, if it sees frames before and after (a step of :class:`LookaheadSmoother`).
        causal: Make it, if it sees past frames only (a :class:`Smoother` of its own).
    """

    options: type[FilterOptions]
    step: Callable[[Any], Step] | None = None
    causal: Callable[[Any], Smoother] | None = None


FILTERS: Final[Mapping[str, FilterSpec]] = {
    "one-euro": FilterSpec(OneEuroOptions, causal=_one_euro),
    "savgol": FilterSpec(SavgolOptions, step=_savgol),
    "rts": FilterSpec(RtsOptions, step=_rts),
    "median": FilterSpec(MedianOptions, step=_median),
}
"""The filters by the names that ``--smooth`` takes."""

METHODS: Final = ("auto", "none", *FILTERS)


@dataclass(frozen=True, slots=True)
class SmoothOptions:
    """How keypoints are repaired, filled and filtered over time.

    Attributes:
        method: One of ``METHODS``; ``auto``: Rauch-Tung-Striebel, or One-Euro for live sources, which must not wait.
        strengths: Options of filters by their names; those left out have their defaults.
        fill_gaps_s: Longest gap to fill, seconds; None: 0.3, or 0 where nothing is filtered or frames may not wait.
        repair: Whether to undo swaps of left and right; None: wherever something is filtered and frames may wait.

    Raises:
        ValueError: The method is unknown, or the gap is out of range.
    """

    method: str = "auto"
    strengths: Mapping[str, FilterOptions] = field(default_factory=dict)
    fill_gaps_s: float | None = number(None, NumberRange(0, 2))
    repair: bool | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {self.method}")
        check_ranges(self)

    @property
    def strength(self) -> FilterOptions | None:
        """Options of the chosen filter; None for ``auto`` and ``none``."""
        spec = FILTERS.get(self.method)
        return None if spec is None else self.strengths.get(self.method) or spec.options()

    def resolved(self, live: bool) -> SmoothOptions:
        """Return a copy in which nothing is left to be chosen.

        Args:
            live: Whether the source is watched while it runs.
        """
        method = ("one-euro" if live else "rts") if self.method == "auto" else self.method
        fill_s = self.fill_gaps_s
        if fill_s is None:
            fill_s = 0.0 if method == "none" or (live and method == "one-euro") else DEFAULT_FILL_S
        repair = not live and method != "none" if self.repair is None else self.repair
        return replace(self, method=method, fill_gaps_s=fill_s, repair=repair)

    def to_dict(self, live: bool) -> dict[str, Any]:
        """Return what was done, for provenance: the method that was taken and its strength."""
        chosen = self.resolved(live)
        details: dict[str, Any] = {"fill_gaps_s": chosen.fill_gaps_s, "repair": chosen.repair}
        if chosen.strength is not None:
            details |= asdict(chosen.strength)  # type: ignore[call-overload]
        return {"smooth": chosen.method, "smoothing": details}


AS_MEASURED: Final = SmoothOptions("none", repair=False)
"""Leaves every keypoint as it was measured."""
