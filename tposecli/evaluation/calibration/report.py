"""A calibration as a file, as lines of a report, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tposecli.evaluation.calibration.fit import Fitted
from tposecli.utils.files import new_file, write_text
from tposecli.utils.report_tables import to_json

NAME: Final = "reliability.png"
TITLES: Final = {
    "keypoint": "keypoint: within 0.2 torso lengths",
    "person": "person, by box and pose",
    "pose": "person, by pose alone",
}


def write_calibration(path: Path, fitted: Fitted) -> None:
    """Write the file that belongs beside the weights.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(path, to_json({**fitted.calibration.to_dict(), **fitted.calibration.facts}))


def rows(fitted: Fitted) -> list[tuple[str, Sequence[str]]]:
    """Return a label and the cells of each row of a table; the first row is the head."""
    bins = len(fitted.reliability["keypoint"].count)
    head = ["ECE", *(f"{n / bins:.1f}-{(n + 1) / bins:.1f}" for n in range(bins))]
    body: list[tuple[str, Sequence[str]]] = []
    for name, title in TITLES.items():
        found = fitted.reliability[name]
        cells = ["-" if not count else f"{true:.2f}" for count, true in zip(found.count, found.true, strict=True)]
        body.append((title, [f"{found.error:.3f}", *cells]))
    return [("share that is true, by predicted probability", head), *body]


def sentence(fitted: Fitted) -> str:
    """Return what was fitted on how much."""
    facts: Any = fitted.calibration.facts
    return (
        f"calibration: {facts['people']} people and {facts['others']} other detections of "
        f"{fitted.calibration.detector}, {facts['keypoints']} keypoints; tested in {facts['folds']} folds"
    )


def plot(path: Path, title: str, fitted: Fitted) -> None:
    """Draw the reliability diagrams.

    Raises:
        OutputError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), dpi=150, layout="constrained")
    for panel, (name, label) in zip(figure.subplots(1, 3), TITLES.items(), strict=True):
        found = fitted.reliability[name]
        panel.plot((0, 1), (0, 1), "--", color="0.6")
        panel.plot(found.predicted, found.true, "o-")
        bars = panel.twinx()
        bars.bar([(n + 0.5) / len(found.count) for n in range(len(found.count))], found.count, 0.09, alpha=0.2)
        bars.set_yticks([])
        bars.set_ylim(0, 3 * max(int(found.count.max()), 1))
        panel.set(xlabel="predicted probability", ylabel="share that is true", xlim=(0, 1), ylim=(0, 1))
        panel.set_title(f"{label}\nn {found.count.sum()}, ECE {found.error:.3f}", fontsize=10)
    figure.suptitle(title, fontsize=10)
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png")
