"""What a comparison found out, as tables for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tposecli.evaluation.clips.keypoint_metrics import CLEARLY, OF_BOX, OF_TORSO
from tposecli.evaluation.clips.matching import ALIKE
from tposecli.evaluation.clips.run import Comparison, Part, Score
from tposecli.evaluation.clips.tracking_metrics import EXTRA, installed
from tposecli.utils.errors import OutputError
from tposecli.utils.files import write_text
from tposecli.utils.version import __version__

if TYPE_CHECKING:
    from rich.console import Console

Figure = Callable[[Score], float | None]


def _identity(name: str) -> Figure:
    """A figure that there is not always."""
    return lambda score: None if score.identity is None else float(getattr(score.identity, name))


FIGURES: Final[tuple[tuple[str, str, Figure], ...]] = (
    ("people found", ".1%", lambda s: s.found / s.people if s.people else None),
    ("poses of nobody", "d", lambda s: s.poses - s.found),
    (f"PCK@{OF_TORSO} of the torso", ".1%", lambda s: s.accuracy.pck_torso),
    (f"PCK@{OF_BOX} of the box", ".1%", lambda s: s.accuracy.pck_box),
    ("OKS-AP", ".3f", lambda s: s.oks.figures[0]),
    ("OKS-AP .5", ".3f", lambda s: s.oks.figures[1]),
    ("mean error, px", ".2f", lambda s: s.accuracy.error_px),
    ("mean error, % of height", ".2f", lambda s: s.accuracy.error_height),
    ("acceleration error, px/s²", ".0f", lambda s: s.motion.acceleration_px),
    ("acceleration error, % of height/s²", ".0f", lambda s: s.motion.acceleration_height),
    ("jitter (jerk), % of height/s³", ".0f", lambda s: s.motion.jitter),
    ("   of the truth", ".0f", lambda s: s.motion.true_jitter),
    ("lag, ms", "+.1f", lambda s: s.motion.lag_ms),
    ("HOTA", ".3f", _identity("hota")),
    ("   DetA", ".3f", _identity("det_a")),
    ("   AssA", ".3f", _identity("ass_a")),
    ("IDF1", ".3f", _identity("idf1")),
    ("id switches", ".0f", _identity("id_switches")),
    ("ids given", ".0f", _identity("ids")),
    ("left and right swapped: arms", "d", lambda s: s.swaps.arms),
    ("   legs", "d", lambda s: s.swaps.legs),
    ("   everything", "d", lambda s: s.swaps.all),
)
"""Name, format and source of each row."""

PARTS: Final[tuple[tuple[str, str, Callable[[Part], float | None]], ...]] = (
    ("frames", "d", lambda p: p.frames),
    ("found", "d", lambda p: p.found),
    ("ids", "d", lambda p: p.ids),
    (f"PCK@{OF_TORSO}", ".1%", lambda p: p.accuracy.pck_torso),
    ("error, px", ".2f", lambda p: p.accuracy.error_px),
    ("error, %", ".2f", lambda p: p.accuracy.error_height),
    ("acceleration error, %/s²", ".0f", lambda p: p.motion.acceleration_height),
    ("jitter, %/s³", ".0f", lambda p: p.motion.jitter),
    ("lag, ms", "+.1f", lambda p: p.motion.lag_ms),
)
"""Columns of the tables of keypoints and people."""

Table = tuple[str, Sequence[str], list[list[str]]]
"""Title, heads, rows of cells."""


def tables(found: Comparison) -> Iterator[Table]:
    """All figures side by side; then each keypoint and each person, of the last kind of poses."""
    rows = [[name, *(_cell(figure(score), form) for score in found.scores)] for name, form, figure in FIGURES]
    yield f"{found.poses} against {found.truth}", ["", *(score.label for score in found.scores)], _told(rows)
    last = found.scores[-1]
    for title, parts in (("keypoint", last.keypoints), ("person", last.tracks)):
        if parts:
            cells = [[p.name, *(_cell(figure(p), form) for _, form, figure in PARTS)] for p in parts]
            yield last.label, *_without_empty([title, *(name for name, _, _ in PARTS)], cells)


def _told(rows: list[list[str]]) -> list[list[str]]:
    """Rows that say something."""
    return [row for row in rows if set(row[1:]) != {"-"}]


def _without_empty(heads: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Columns that say something."""
    kept = [column for column in range(len(heads)) if column == 0 or {row[column] for row in rows} != {"-"}]
    return [heads[column] for column in kept], [[row[column] for column in kept] for row in rows]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def notes(found: Comparison) -> list[str]:
    """How the figures were made."""
    lines = [
        f"{found.frames} frames; people and poses go together by OKS, {ALIKE} at least, sides exchanged or not",
        "PCK: labelled joints, hidden ones too, not found ones as missed; torso: middle of shoulders to middle of hips",
        f"swapped: joints less than {CLEARLY} times as far from those of the other side as from their own",
    ]
    if found.left_out:
        lines.append(f"{found.left_out} frames of the truth are not in the journal")
    if not found.stills and not installed():
        lines.append(f"HOTA, IDF1 and id switches need another package: {EXTRA}")
    elif not found.stills and found.scores[0].identity is None:
        lines.append("no HOTA, IDF1 and id switches: the poses or people of the truth have no ids")
    return lines


def show(found: Comparison, console: Console) -> None:
    """For the terminal."""
    from rich import box
    from rich.table import Table as RichTable

    for title, heads, rows in tables(found):
        table = RichTable(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
        for place, head in enumerate(heads):
            table.add_column(head, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in notes(found):
        console.print(line, markup=False, highlight=False)


def markdown(found: Comparison) -> str:
    """As a document."""
    lines: list[str] = []
    for title, heads, rows in tables(found):
        cells = [f"| {' | '.join(row)} |" for row in (heads, *rows)]
        rule = "|---" + "|---:" * (len(heads) - 1) + "|"
        lines += [f"## {title}", "", cells[0], rule, *cells[1:], ""]
    return "\n".join([*lines, *(f"- {line}" for line in notes(found))]) + "\n"


def as_json(found: Comparison) -> dict[str, Any]:
    """Everything, ready for JSON."""
    scores = [{**asdict(one), "oks": one.oks.as_json()} for one in found.scores]
    facts = {name: getattr(found, name) for name in ("poses", "truth", "frames", "left_out")}
    return {"tool": "tposecli", "tool_version": __version__, **facts, "notes": notes(found), "scores": scores}


def write_report(path: Path, found: Comparison) -> None:
    """Write it as the ending of the name says: ``.md`` or ``.json``.

    Raises:
        OutputError: It cannot be written.
    """
    content = markdown(found) if path.suffix == ".md" else json.dumps(as_json(found), allow_nan=False, indent=1) + "\n"
    try:
        write_text(path, content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another name") from error
