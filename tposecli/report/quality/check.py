"""Check a run without any truth: what its poses say about their own quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tposecli.formats.align import PoseInput, read_aligned
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.hub.checkpoints.calibration import calibration_of
from tposecli.pipeline.corrections import names_of, read_corrections_of
from tposecli.report.facts import part_of, share
from tposecli.report.quality.evidence import WRONG, wrong_probability
from tposecli.report.quality.tracks import VERDICTS, TrackQuality, judge_tracks
from tposecli.report.read_run import collect
from tposecli.utils.report_tables import markdown_table
from tposecli.utils.version import __version__

HEADS: Final = ("id", "seconds", "verdict", "wrong", "low", "filled", "missing", "bones", "fast", "cut")


@dataclass(frozen=True, slots=True)
class RunQuality:
    """The quality of a run.

    Attributes:
        poses: Name of the file.
        frames: Number of frames.
        people: Number of people in all of them.
        stills: Whether the frames are images that do not follow one another.
        wrong: Expected share of joints that are off by more than a tenth of the person's height.
        calibrated: Whether the scores of the model are calibrated; otherwise they were taken for probabilities.
        tracks: The quality of each track.
        remarks: What to know besides.
    """

    poses: str
    frames: int
    people: int
    stills: bool
    wrong: float
    calibrated: bool
    tracks: Sequence[TrackQuality]
    remarks: Sequence[str] = ()

    @property
    def verdict(self) -> str:
        """One sentence on the whole run."""
        if not self.people:
            return f"nobody was found in {self.frames} {'images' if self.stills else 'frames'}"
        verdicts = Counter(each.verdict for each in self.tracks if each.track is not None)
        tracks = ", ".join(f"{verdicts[word]} {word}" for word in VERDICTS if verdicts[word])
        joints = f"about {share(self.wrong)} of the joints are off by more than a tenth of the person's height"
        return f"{joints}; tracks: {tracks}" if tracks else joints

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        facts = {name: getattr(self, name) for name in ("poses", "frames", "people", "stills", "calibrated")}
        return {
            **{"tool": "tposecli", "tool_version": __version__, **facts, "wrong": round(self.wrong, 4)},
            **{"wrong_beyond_heights": WRONG, "verdict": self.verdict, "remarks": list(self.remarks)},
            "tracks": [each.to_dict() for each in self.tracks],
        }


def check_run(given: PoseInput) -> RunQuality:
    """Judge a run by its poses, tracked, smoothed and corrected as its later stages have them.

    Raises:
        InputError: The poses are missing or damaged.
    """
    recording = read_aligned(given)
    layout = KeypointLayout.from_dict(recording.header)
    corrections = read_corrections_of(recording, given)
    collector = collect(recording, layout, given, corrections)
    columns, calibration = collector.columns(recording.stills), calibration_of(recording.header)
    wrong = wrong_probability(columns, layout, calibration)
    remarks = part_of(collector.overview(), columns)
    if calibration is None and len(columns):
        remarks.append("The scores of this model are not calibrated: they were taken for probabilities.")
    tracks = list(judge_tracks(columns, layout, wrong, names_of(recording.header, corrections)))
    return RunQuality(
        *(Path(recording.path).name, len(columns.index), len(columns), recording.stills),
        *(float(wrong.mean()) if wrong.size else 0.0, calibration is not None, tracks, remarks),
    )


def table(found: RunQuality) -> list[list[str]]:
    """Return a row of cells for each track, below ``HEADS``."""
    return [
        [
            *(each.label, f"{each.begin_s:.1f}-{each.end_s:.1f}", each.verdict, share(each.wrong), share(each.low)),
            *(share(each.filled), f"{each.missing_s:.1f} s", share(each.bones), share(each.fast), share(each.cut)),
        ]
        for each in found.tracks
    ]


def sentences(found: RunQuality) -> list[str]:
    """Return the remarks on tracks and run, each a line."""
    return [
        *(f"{_who(each)}: {remark}" for each in found.tracks for remark in each.remarks()),
        *found.remarks,
    ]


def _who(track: TrackQuality) -> str:
    return "people without an id" if track.track is None else f"id {track.label}"


def markdown(found: RunQuality) -> str:
    """Return the report as Markdown."""
    lines = [f"# {found.poses}", "", f"{found.verdict}.", "", *markdown_table(HEADS, table(found), "---:"), ""]
    return "\n".join([*lines, *(f"- {line}" for line in sentences(found))]) + "\n"
