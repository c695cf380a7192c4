"""Reports of a comparison: tables for the terminal, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tposecli.evaluation.clips.keypoint_metrics import PCK_BOX, PCK_TORSO, SWAP_RATIO
from tposecli.evaluation.clips.matching import MIN_OKS
from tposecli.evaluation.clips.run import Comparison, PartScore, Score
from tposecli.evaluation.clips.tracking_metrics import INSTALL_COMMAND, installed
from tposecli.utils import report_tables
from tposecli.utils.report_tables import format_number, markdown_table
from tposecli.utils.version import __version__

if TYPE_CHECKING:
    from rich.console import Console

Metric = Callable[[Score], float | None]


def _tracking_metric(name: str) -> Metric:
    """Return a function that reads a tracking metric, which may be missing."""
    return lambda score: None if score.identity is None else float(getattr(score.identity, name))


METRICS: Final[tuple[tuple[str, str, Metric], ...]] = (
    ("people found", ".1%", lambda s: s.found / s.people if s.people else None),
    ("unmatched poses", "d", lambda s: s.poses - s.found),
    (f"PCK@{PCK_TORSO} of the torso", ".1%", lambda s: s.accuracy.pck_torso),
    (f"PCK@{PCK_BOX} of the box", ".1%", lambda s: s.accuracy.pck_box),
    ("OKS-AP", ".3f", lambda s: s.oks.figures[0]),
    ("OKS-AP .5", ".3f", lambda s: s.oks.figures[1]),
    ("mean error, px", ".2f", lambda s: s.accuracy.error_px),
    ("mean error, % of height", ".2f", lambda s: s.accuracy.error_height),
    ("acceleration error, px/s²", ".0f", lambda s: s.motion.acceleration_px),
    ("acceleration error, % of height/s²", ".0f", lambda s: s.motion.acceleration_height),
    ("jitter (jerk), % of height/s³", ".0f", lambda s: s.motion.jitter),
    ("   of the truth", ".0f", lambda s: s.motion.true_jitter),
    ("lag, ms", "+.1f", lambda s: s.motion.lag_ms),
    ("HOTA", ".3f", _tracking_metric("hota")),
    ("   DetA", ".3f", _tracking_metric("det_a")),
    ("   AssA", ".3f", _tracking_metric("ass_a")),
    ("IDF1", ".3f", _tracking_metric("idf1")),
    ("id switches", ".0f", _tracking_metric("id_switches")),
    ("ids assigned", ".0f", _tracking_metric("ids")),
    ("left and right swapped: arms", "d", lambda s: s.swaps.arms),
    ("   legs", "d", lambda s: s.swaps.legs),
    ("   whole body", "d", lambda s: s.swaps.all),
)
"""Name, format and value of each row."""

PARTS: Final[tuple[tuple[str, str, Callable[[PartScore], float | None]], ...]] = (
    ("frames", "d", lambda p: p.frames),
    ("found", "d", lambda p: p.found),
    ("ids", "d", lambda p: p.ids),
    (f"PCK@{PCK_TORSO}", ".1%", lambda p: p.accuracy.pck_torso),
    ("error, px", ".2f", lambda p: p.accuracy.error_px),
    ("error, %", ".2f", lambda p: p.accuracy.error_height),
    ("accel. error, %/s²", ".0f", lambda p: p.motion.acceleration_height),
    ("jitter, %/s³", ".0f", lambda p: p.motion.jitter),
    ("lag, ms", "+.1f", lambda p: p.motion.lag_ms),
)
"""Name, format and value of each column in the tables by keypoint and by person."""

FEW_COLUMNS: Final = 4
MAX_COLUMN: Final = 7
"""Tables of more columns have narrow ones, whose heads take several lines, to fit a terminal of 80 columns."""

Table = tuple[str, Sequence[str], list[list[str]]]
"""Title, column heads, rows of cells."""


def tables(found: Comparison) -> Iterator[Table]:
    """Yield a table of all metrics side by side, then those by keypoint and by person for the last variant."""
    rows = [[name, *(format_number(figure(score), form) for score in found.scores)] for name, form, figure in METRICS]
    heads = ["", *(score.label for score in found.scores)]
    yield f"{found.poses} against {found.truth}", heads, _without_empty_rows(rows)
    last = found.scores[-1]
    for title, parts in (("keypoint", last.keypoints), ("person", last.tracks)):
        if parts:
            cells = [[p.name, *(format_number(figure(p), form) for _, form, figure in PARTS)] for p in parts]
            yield last.label, *_without_empty_columns([title, *(name for name, _, _ in PARTS)], cells)


def _without_empty_rows(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows that have at least one value."""
    return [row for row in rows if set(row[1:]) != {"-"}]


def _without_empty_columns(heads: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Return the columns that have at least one value."""
    kept = [column for column in range(len(heads)) if column == 0 or {row[column] for row in rows} != {"-"}]
    return [heads[column] for column in kept], [[row[column] for column in kept] for row in rows]


def notes(found: Comparison) -> list[str]:
    """Return notes on how the metrics are defined."""
    lines = [
        f"{found.frames} frames; people and poses are matched by OKS, at least {MIN_OKS}, mirrored or not",
        "PCK: labelled joints, hidden ones too; undetected ones count as misses; torso: mid-shoulder to mid-hip",
        f"swapped: joints less than {SWAP_RATIO} times as far from the other side as from their own",
    ]
    if found.left_out:
        lines.append(f"{found.left_out} frames of the ground truth are not in the journal")
    if not found.stills and not installed():
        lines.append(f"HOTA, IDF1 and id switches need an optional package: {INSTALL_COMMAND}")
    elif not found.stills and found.scores[0].identity is None:
        lines.append("no HOTA, IDF1 and id switches: the poses or the people in the ground truth have no ids")
    return lines


def show(found: Comparison, console: Console) -> None:
    """Print the report to the terminal."""
    from rich import box
    from rich.table import Table as RichTable

    for title, heads, rows in tables(found):
        look: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "pad_edge": False}
        table = RichTable(title=title, box=box.SIMPLE_HEAD, collapse_padding=True, **look)
        for place, head in enumerate(heads):
            most = MAX_COLUMN if place and len(heads) > FEW_COLUMNS else None
            table.add_column(head, justify="right" if place else "left", max_width=most)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in notes(found):
        console.print(line)


def markdown(found: Comparison) -> str:
    """Return the report as Markdown."""
    lines: list[str] = []
    for title, heads, rows in tables(found):
        lines += [f"## {title}", "", *markdown_table(heads, rows, "---:"), ""]
    return "\n".join([*lines, *(f"- {line}" for line in notes(found))]) + "\n"


def to_dict(found: Comparison) -> dict[str, Any]:
    """Return the report as a JSON object."""
    scores = [{**asdict(one), "oks": one.oks.to_dict()} for one in found.scores]
    facts = {name: getattr(found, name) for name in ("poses", "truth", "frames", "left_out")}
    return {"tool": "tposecli", "tool_version": __version__, **facts, "notes": notes(found), "scores": scores}


def write_report(path: Path, found: Comparison) -> None:
    """Write the report in the format of its suffix, ``.md`` or ``.json``.

    Raises:
        OutputError: It cannot be written.
    """
    report_tables.write_report(path, lambda: markdown(found), lambda: to_dict(found))
