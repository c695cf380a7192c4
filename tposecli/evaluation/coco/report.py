"""Reports of an evaluation: text for the terminal, Markdown and JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tposecli.evaluation.calibration import report as calibration_report
from tposecli.evaluation.calibration.fit import Fitted
from tposecli.evaluation.coco.average_precision import FIGURES, Scores
from tposecli.evaluation.coco.per_keypoint import BINS, Details
from tposecli.evaluation.coco.problems import Problems
from tposecli.evaluation.coco.published import Figures, Published
from tposecli.evaluation.explain.figures import Explanations
from tposecli.pipeline.summary import Summary, count
from tposecli.utils import report_tables
from tposecli.utils.report_tables import format_number, markdown_table
from tposecli.utils.version import __version__

Table = list[tuple[str, Sequence[str]]]
"""A label and the cells of each row; the first row is the head."""


@dataclass(frozen=True, slots=True)
class EvalReport:
    """The complete result of an evaluation.

    Attributes:
        label: What was evaluated.
        protocol: The settings of the evaluation by name, in the order of :attr:`protocol_line`.
        problems: Problems with the inputs.
        summary: Images, people, times and outputs.
        scores: The ten COCO metrics; None without ground truth.
        details: Metrics by keypoint; None without ground truth.
        published: The published row, for official weights.
        box_ap: AP of the boxes, 0..1; None for ground truth boxes, or without ground truth.
        provenance: Digests and settings.
        explanations: What the attention is worth as an explanation; None if it was not asked for.
        calibration: What the scores are worth; None likewise.
    """

    label: str
    protocol: dict[str, str]
    problems: Problems
    summary: Summary
    scores: Scores | None = None
    details: Details | None = None
    published: Published | None = None
    box_ap: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    explanations: Explanations | None = None
    calibration: Fitted | None = None

    @property
    def protocol_line(self) -> str:
        """The settings of the evaluation in one line."""
        return "protocol: " + " · ".join(f"{key} {value}" for key, value in self.protocol.items())

    @property
    def rates(self) -> tuple[float, float]:
        """Images and people per second."""
        wall = max(self.summary.wall_s, 1e-9)
        return self.summary.frames / wall, self.summary.people / wall


def text(report: EvalReport) -> str:
    """Return the report as text for the terminal."""
    lines = [] if report.scores is None and report.published is None else _figure_lines(_rows(report))
    lines += _sentences(report)
    if report.explanations is not None:
        found = report.explanations
        lines += ["", found.title, *_in_columns(found.rows), found.nearest_sentence]
    if report.calibration is not None:
        fitted = report.calibration
        lines += ["", calibration_report.sentence(fitted), *_in_columns(calibration_report.rows(fitted))]
    return "\n".join(lines)


def markdown(report: EvalReport, plots: Sequence[Path] = ()) -> str:
    """Return the report as Markdown; ``plots`` are paths to link to."""
    lines = [f"# {report.label}", "", *_table_lines(_rows(report)), "", *(f"- {s}" for s in _sentences(report))]
    if report.details is not None:
        lines += ["", "## Keypoints", "", *_table_lines(_keypoint_rows(report.details))]
        lines += ["", "## People by OKS of their pose", "", *_table_lines(_histogram_rows(report.details))]
    if report.scores is not None and report.scores.precision:
        lines += ["", "## Precision at recall", "", *_table_lines(_curve_rows(report.scores))]
    if report.explanations is not None:
        found = report.explanations
        lines += ["", "## Explanations", "", found.title, "", *_table_lines(found.rows), "", found.nearest_sentence]
    if report.calibration is not None:
        fitted = report.calibration
        table = _table_lines(calibration_report.rows(fitted))
        lines += ["", "## Calibration", "", calibration_report.sentence(fitted), "", *table]
    lines += [line for path in plots for line in ("", f"![{path.stem}]({path.as_posix()})")]
    return "\n".join(lines) + "\n"


def to_dict(report: EvalReport) -> dict[str, Any]:
    """Return the report as a JSON object."""
    summary, scores, published = report.summary, report.scores, report.published
    difference = None if scores is None or published is None else published.difference(scores.figures)
    return {
        "tool": "tposecli",
        "tool_version": __version__,
        **report.provenance,
        "label": report.label,
        "protocol": report.protocol,
        "figures": None if scores is None else scores.to_dict(),
        "published": None if published is None else {**asdict(published), "figures": _named(published.figures)},
        "difference": None if difference is None else _named(difference),
        "box_ap": report.box_ap,
        "images": summary.frames,
        "people": summary.people,
        "wall_s": summary.wall_s,
        "images_per_s": report.rates[0],
        "people_per_s": report.rates[1],
        "seconds": summary.seconds,
        "problems": report.problems.to_dict(),
        "keypoints": None if report.details is None else [asdict(figures) for figures in report.details.keypoints],
        "oks_histogram": None if report.details is None else report.details.histogram,
        "explanations": None if report.explanations is None else report.explanations.to_dict(),
        "calibration": None if report.calibration is None else _calibration(report.calibration),
        "precision": None if scores is None else {name: curve.tolist() for name, curve in scores.precision.items()},
    }


def write_report(path: Path, report: EvalReport, plots: Sequence[Path] = ()) -> None:
    """Write the report in the format of its suffix.

    Raises:
        OutputError: It cannot be written.
    """
    links = [Path(os.path.relpath(plot, path.parent)) for plot in plots]
    report_tables.write_report(path, lambda: markdown(report, links), lambda: to_dict(report))


def _calibration(fitted: Fitted) -> dict[str, Any]:
    return {**fitted.calibration.to_dict(), **fitted.calibration.facts}


def _named(figures: Figures) -> dict[str, float | None]:
    return dict(zip(FIGURES, figures, strict=True))


def _rows(report: EvalReport) -> Table:
    """Return the ten metrics with their names, followed by the published ones and the difference."""
    rows: Table = [("", FIGURES)]
    if report.scores is not None:
        rows.append((report.label, [format_number(value, ".4f") for value in report.scores.figures]))
    if report.published is not None:
        published = report.published
        rows.append((f"published, {published.label}", [format_number(value, ".3f") for value in published.figures]))
        difference = None if report.scores is None else published.difference(report.scores.figures)
        if difference is not None:
            rows.append(("difference", [format_number(value, "+.4f") for value in difference]))
    return rows


def _figure_lines(rows: Table) -> list[str]:
    """Return the lines of the table of figures for the terminal: each label above its figures, to fit 80 columns."""
    cells = ((label, "".join(f"{value:>8}" for value in values)) for label, values in rows)
    return [line for label, figures in cells for line in ((label, figures) if label else (figures,))]


def _sentences(report: EvalReport) -> list[str]:
    """Return lines on protocol, boxes, problems and speed."""
    summary = report.summary
    lines = [report.protocol_line]
    if report.published is not None and report.published.differs:
        lines.append(f"not comparable with the published row: {'; '.join(report.published.differs)}")
    if report.box_ap is not None:
        lines.append(f"AP of the boxes: {report.box_ap:.4f}")
    lines += [f"note: {line}" for line in report.problems.lines()]
    if summary.wall_s:
        images, people = report.rates
        lines.append(
            f"{count(summary.frames, 'image')}, {count(summary.people, 'box', 'boxes')} in {summary.wall_s:.1f} s: "
            f"{images:.1f} images/s, {people:.1f} boxes/s"
        )
    if earlier := report.provenance.get("images_done_before"):
        lines.append(f"{earlier} more images were processed by the interrupted run")
    return lines


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    return first + "".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))


def _in_columns(rows: Table) -> list[str]:
    """Return the lines of a table whose columns are as wide as their widest cell."""
    widths = [max(len(label) for label, _ in rows)]
    widths += [max(map(len, column)) + 3 for column in zip(*(cells for _, cells in rows), strict=True)]
    return [_aligned([label, *cells], widths) for label, cells in rows]


def _table_lines(rows: Table) -> list[str]:
    head, *body = ([label, *cells] for label, cells in rows)
    return markdown_table(head, body)


def _keypoint_rows(details: Details) -> Table:
    head: Table = [("keypoint", ("labelled", "found (KS ≥ .5)", "exact (KS ≥ .85)", "swapped", "mean KS"))]
    return head + [
        (
            one.name,
            [
                str(one.labelled),
                *(format_number(v, ".3f") for v in (one.found, one.exact, one.swapped, one.similarity)),
            ],
        )
        for one in details.keypoints
    ]


def _histogram_rows(details: Details) -> Table:
    head: Table = [("OKS", ("people",))]
    return head + [(f"{n / BINS:.1f} to {(n + 1) / BINS:.1f}", [str(c)]) for n, c in enumerate(details.histogram)]


def _curve_rows(scores: Scores) -> Table:
    head: Table = [("", [f"recall {recall / 10:.1f}" for recall in range(11)])]
    return head + [(name, [f"{value:.3f}" for value in curve[::10]]) for name, curve in scores.precision.items()]
