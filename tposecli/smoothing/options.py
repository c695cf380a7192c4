"""What can be asked of smoothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from tposecli.smoothing.one_euro import OneEuroOptions
from tposecli.smoothing.rts import RtsOptions
from tposecli.smoothing.savgol_median import MedianOptions, SavgolOptions

Method = Literal["auto", "none", "one-euro", "savgol", "rts", "median"]

FILL_S: Final = 0.3
"""Longest gap that is filled unless something else is asked for, seconds."""


@dataclass(frozen=True, slots=True)
class SmoothOptions:
    """How joints are treated along time.

    Attributes:
        method: The filter; ``auto``: Rauch-Tung-Striebel, or One-Euro for live sources, which must not wait.
        one_euro, savgol, rts, median: Strength of each, in its own units.
        fill_gaps_s: Longest gap to fill, seconds; None: 0.3, or none at all where nothing is filtered or may wait.
        repair: Whether to undo exchanges of left and right; None: wherever something is filtered and frames may wait.
    """

    method: Method = "auto"
    one_euro: OneEuroOptions = field(default_factory=OneEuroOptions)
    savgol: SavgolOptions = field(default_factory=SavgolOptions)
    rts: RtsOptions = field(default_factory=RtsOptions)
    median: MedianOptions = field(default_factory=MedianOptions)
    fill_gaps_s: float | None = None
    repair: bool | None = None

    def __post_init__(self) -> None:
        if self.fill_gaps_s is not None and not 0 <= self.fill_gaps_s <= 2:
            raise ValueError(f"fill_gaps_s: expected 0 to 2 seconds, got {self.fill_gaps_s}")

    def resolved(self, live: bool) -> SmoothOptions:
        """The same with nothing left open.

        Args:
            live: The source goes on while it is watched.
        """
        method = ("one-euro" if live else "rts") if self.method == "auto" else self.method
        filled = self.fill_gaps_s
        if filled is None:
            filled = 0.0 if method == "none" or (live and method == "one-euro") else FILL_S
        repair = not live and method != "none" if self.repair is None else self.repair
        return replace(self, method=method, fill_gaps_s=filled, repair=repair)

    def facts(self, live: bool) -> dict[str, Any]:
        """What was done, for provenance: the method that was taken and its strength."""
        chosen = self.resolved(live)
        details: dict[str, Any] = {"fill_gaps_s": chosen.fill_gaps_s, "repair": chosen.repair}
        if chosen.method != "none":
            details |= asdict(getattr(chosen, chosen.method.replace("-", "_")))
        return {"smooth": chosen.method, "smoothing": details}
