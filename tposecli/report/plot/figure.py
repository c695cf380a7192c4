"""The figure of curves: a panel for each quantity, raw thin, smoothed thick, filled dotted, gaps as gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tposecli.report.plot.curves import Curve
from tposecli.utils.errors import OutputError
from tposecli.utils.files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""The palette of Okabe and Ito (2008), for colour-blind readers."""
WIDTH, PANEL, REST = 7.2, 2.1, 0.7
"""Inches: width, height of a panel, and of what is around them."""
MARGIN: Final = 0.08
"""Space above and below the smoothed curves, as a share of their range; raw outliers are cut off."""
STYLE: Final[dict[Any, Any]] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "svg.hashsalt": "tposecli",
}


def draw(curves: Sequence[Curve], takes: Sequence[str], path: Path, zero: str = "") -> None:
    """Draw the curves into a PNG, SVG or PDF.

    Args:
        curves: What to draw.
        takes: Names of the takes, for the legend; one name is left out.
        path: The figure.
        zero: What time 0 is; empty if it is the beginning.

    Raises:
        OutputError: It cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys(curve.panel for curve in curves))
    keys = list(dict.fromkeys((curve.take, curve.who) for curve in curves))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, PANEL * len(panels) + REST), dpi=160, layout="constrained")
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, panel in zip(grid, panels, strict=True):
            _fill(axes, [curve for curve in curves if curve.panel == panel], keys)
        figure.align_ylabels(grid)
        grid[-1].set_xlabel(f"time from {zero} (s)" if zero else "time (s)")
        if len(keys) > 1:
            handles = [grid[0].plot([], [], color=_colour(place), linewidth=2)[0] for place in range(len(keys))]
            labels = [_label(curves, takes, take, who) for take, who in keys]
            figure.legend(handles, labels, loc="outside upper center", ncols=min(len(keys), 4), frameon=False)
        kind = path.suffix.lower().removeprefix(".")
        about = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else None
        try:
            with new_file(path) as temporary:
                figure.savefig(temporary, format=kind, metadata=about)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error


def _label(curves: Sequence[Curve], takes: Sequence[str], take: int, who: str) -> str:
    """Return the text of the legend; it says who has angles without a sign, unless nobody's have one."""
    text = who if len(takes) == 1 else f"{takes[take]}, {who}"
    signed = {curve.panel for curve in curves if not curve.unsigned}
    own = [curve for curve in curves if (curve.take, curve.who) == (take, who)]
    return f"{text} (unsigned flexion)" if any(curve.unsigned and curve.panel in signed for curve in own) else text


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _fill(axes: Axes, curves: Sequence[Curve], keys: Sequence[tuple[int, str]]) -> None:
    """Draw the curves of one panel."""
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    for curve in curves:
        colour = _colour(keys.index((curve.take, curve.who)))
        axes.plot(curve.time_s, curve.raw, color=colour, linewidth=0.7, alpha=0.55)
        filled = np.isnan(curve.raw)
        measured = np.where(filled, np.nan, curve.smooth)
        axes.plot(curve.time_s, measured, color=colour, linewidth=1.9, solid_capstyle="round")
        filled[1:] |= filled[:-1]  # From the last measured value to the next one.
        filled[:-1] |= filled[1:]
        between = np.where(filled, curve.smooth, np.nan)
        axes.plot(curve.time_s, between, color=colour, linewidth=1.3, linestyle=(0, (1, 1.5)))
    smooth = np.concatenate([curve.smooth for curve in curves])
    known = smooth[np.isfinite(smooth)]
    if len(known):
        low, high = float(known.min()), float(known.max())
        space = MARGIN * max(high - low, 1e-3) + 1e-3
        axes.set_ylim(low - space, high + space)
        if low < 0 < high:
            axes.axhline(0, color="#999999", linewidth=0.8)
    if any(curve.time_s.min(initial=0) < 0 for curve in curves):
        axes.axvline(0, color="#999999", linewidth=0.8)
    if curves[0].down:
        axes.invert_yaxis()
    label = curves[0].panel
    axes.set_ylabel(label.replace("(°)", "(°, unsigned)") if all(curve.unsigned for curve in curves) else label)
