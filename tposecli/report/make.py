"""Make the report of a run: poses from the journal, tracked and smoothed as the run did, and the pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tposecli.drawing.labels import PALETTE
from tposecli.drawing.style import Colour, DrawStyle
from tposecli.formats.align import PoseInput, read_aligned
from tposecli.formats.with_frames import read_with_frames
from tposecli.geometry.angles import angles_of
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.inference.options import ModelChoice
from tposecli.pipeline.corrections import describe_corrections, read_corrections_of
from tposecli.report.columns import Columns
from tposecli.report.facts import angle_table, counts, joint_table, part_of, provenance_of, verdict, warnings_of
from tposecli.report.film import (
    Film,
    SmallVideo,
    can_be_embedded,
    linked,
    missing,
    original,
    photo_side,
    small_photo,
)
from tposecli.report.moments import Moment, worst_moments
from tposecli.report.options import ReportOptions
from tposecli.report.page_file import make_page
from tposecli.report.read_run import collect
from tposecli.report.why import Explainer, Why, choose_rows, open_explainer, read_why
from tposecli.sources import ImageSource, VideoInput
from tposecli.types import Frame, Result
from tposecli.utils.files import check_output, new_file

log = logging.getLogger("tposecli")

FORMAT: Final = 1
"""Of the data in the page."""


@dataclass(frozen=True, slots=True)
class ReportJob:
    """Poses and the page to make of them.

    Attributes:
        given: The pose file, with its video or images, if they are at hand.
        output: The page.
        options: What goes into it.
        model: The model whose attention is shown.
        another: Accept a video that is not the journal's own file, if its frames have the same size and times.
        overwrite: Whether the page may be replaced.
    """

    given: PoseInput
    output: Path
    options: ReportOptions = field(default_factory=ReportOptions)
    model: ModelChoice = field(default_factory=ModelChoice)
    another: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: frames, people, bytes of the page and seconds."""

    frames: int
    people: int
    size: int
    seconds: float


@dataclass(slots=True)
class Pictures:
    """What the pass over the pixels gave: a video or photos, and attention, or a sentence on why there is none."""

    film: Film = field(default_factory=Film)
    photos: list[bytes] = field(default_factory=list)
    why: Why | None = None
    why_note: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What is on a page.

    Attributes:
        columns: The poses.
        layout: Their keypoints.
        header: Their provenance, with the keys of a journal's header.
        path: Their file.
        stills: Whether the frames are images that do not follow one another.
        moments: What to look at first.
        pictures: What is not poses.
        overview: Every minute of a run that is too long for one page; see ``Block.summary``.
    """

    columns: Columns
    layout: KeypointLayout
    header: Mapping[str, Any]
    path: str
    stills: bool
    moments: Sequence[Moment] = ()
    pictures: Pictures = field(default_factory=Pictures)
    overview: Sequence[Sequence[float]] = ()


def make_report(job: ReportJob) -> Made:
    """Write the page.

    Raises:
        InputError: The poses are missing or damaged, or are not those of the video.
        UsageError: The output exists, or the times of the frames are unknown.
        OutputError: The page cannot be written.
    """
    start = time.perf_counter()
    check_output(job.output, job.overwrite)
    gone = missing(job.given.inputs)
    given = replace(job.given, inputs=()) if gone else job.given
    paired = read_with_frames(given, job.another) if given.inputs else None
    recording = read_aligned(given)
    layout = KeypointLayout.from_dict(recording.header)
    corrections = read_corrections_of(recording, given)
    collector = collect(recording, layout, given, corrections)
    columns = collector.columns(recording.stills)
    moments = worst_moments(columns, layout)
    header = {**recording.header, **describe_corrections(corrections)}
    content = Content(columns, layout, header, str(recording.path), recording.stills, moments)
    content = replace(content, overview=collector.overview())
    if paired is not None and len(columns.index):
        _look(job, content, *paired[1:])
    else:
        why = f"{gone[0]} is not there" if gone else "No video was named"
        content.pictures.film = Film(note=f"{why}: the page shows the poses without images.")
        if job.options.why is not None or not job.options.explain:
            _attention(job, content)  # The arrays of the run need no images.
        else:
            content.pictures.why_note = "No attention: it is computed from the images, which are not there."
    page = page_of(content)
    with new_file(job.output) as temporary:
        temporary.write_bytes(page)
    return Made(len(columns.index), len(columns), len(page), time.perf_counter() - start)


def _look(job: ReportJob, content: Content, source: VideoInput | ImageSource, results: Iterable[Result]) -> None:
    """Go over the pixels once, for what needs them: a smaller video or photos, and attention."""
    pictures, explainer = content.pictures, _attention(job, content)
    with ExitStack() as stack:
        takers: list[Callable[[Frame], None]] = []
        small = None
        if isinstance(source, ImageSource):
            takers += _photos(content, job.options.embed_bytes)
        else:
            pictures.film, small = _film(job, content.columns, source, stack)
            takers += [small.write] if small is not None else []
        if explainer is not None:
            takers.append(explainer.write)
        for result in results if takers else ():
            for take in takers:
                take(result.frame)
        if small is not None:
            pictures.film = small.finish(source.info.name) or Film()
    if not isinstance(source, ImageSource) and pictures.film.kind == "none":
        pictures.film = linked(Path(job.given.inputs[0]), source, content.columns, job.output)
    if explainer is not None:
        pictures.why = explainer.why


def _attention(job: ReportJob, content: Content) -> Explainer | None:
    """Take attention from the run's arrays, or return what computes it."""
    options, pictures, header = job.options, content.pictures, dict(content.header)
    if options.why is not None:
        read = read_why(options.why, content.columns, content.moments, header)
        pictures.why, pictures.why_note = (None, read) if isinstance(read, str) else (read, "")
        return None
    if not options.explain:
        pictures.why_note = "Attention was left out."
        return None
    rows = choose_rows(content.columns, content.moments)
    explainer = open_explainer(content.columns, rows, job.model, header)
    if isinstance(explainer, str):
        pictures.why_note = explainer
        return None
    return explainer


def _photos(content: Content, limit: int) -> list[Callable[[Frame], None]]:
    """Return what collects photos, if they fit into the page."""
    side, pictures = photo_side(len(content.columns.index), limit), content.pictures
    if not side:
        pictures.film = Film(note="The photos are not part of this page: they are too many for --embed.")
        return []
    return [lambda frame: pictures.photos.append(small_photo(frame.image, side))]


def _film(job: ReportJob, columns: Columns, source: VideoInput, stack: ExitStack) -> tuple[Film, SmallVideo | None]:
    """Return the video as it is, or what makes a smaller copy, if there is a chance that it is small enough."""
    limit = job.options.embed_bytes
    film = original(Path(job.given.inputs[0]), source, columns, limit)
    if film is not None or not can_be_embedded(columns, limit):
        return film or Film(), None
    return Film(), stack.enter_context(SmallVideo(source.info, limit, columns.index))


def page_of(content: Content) -> bytes:
    """Return the page."""
    head, pictures = _head(content), content.pictures
    blocks = {"poses": content.columns.packed()}
    if pictures.film.data:
        blocks["film"] = pictures.film.data
    if pictures.photos:
        blocks["photos"] = b"".join(pictures.photos)
    if pictures.why is not None and head["why"] is not None:
        blocks["maps"] = pictures.why.packed()
    return make_page(f"{head['name']} - tpose report", _rounded(head), blocks, pictures.film.kind == "linked")


def _head(content: Content) -> dict[str, Any]:
    """Return everything on the page that is not binary, for JSON."""
    columns, layout, header, pictures = content.columns, content.layout, content.header, content.pictures
    stills, numbers = content.stills, counts(columns)
    joints = joint_table(columns, layout, header)
    return {
        "format": FORMAT,
        "name": str(header.get("source") or content.path),
        "stills": stills,
        "layout": {**layout.to_dict(), "sides": [layout.side(joint) for joint in range(len(layout))]},
        "size": columns.size,
        "frames": len(columns.index),
        "rows": len(columns),
        "unit": columns.unit(),
        "start_s": float(columns.time_s[0]) if len(columns.time_s) else 0.0,
        "tick_ns": columns.tick_s() * 1e9,
        "smoothed": columns.smoothed,
        "tracks": [{"id": track, "start": rows.start, "end": rows.stop} for track, rows in columns.tracks()],
        "names": columns.names,
        "track_names": header.get("track_names") or {},
        "sizes": columns.size_wh.tolist() if stills else [],
        "numbers": numbers,
        "verdict": verdict(numbers, joints, layout),
        "warnings": [*part_of(content.overview, columns), *warnings_of(numbers, joints, layout, stills)],
        "facts": provenance_of(header, content.path),
        "joints": joints,
        "angles": [[angle.name, angle.first, angle.second, angle.joints] for angle in angles_of(layout)],
        "angle_table": [] if stills else angle_table(columns, layout),
        "moments": [[each.kind, each.row, each.joint, each.text, each.badness] for each in content.moments],
        "overview": content.overview,
        "film": pictures.film.head(),
        "why": None if pictures.why is None else pictures.why.head(),
        "why_note": pictures.why_note,
        "photos": [len(photo) for photo in pictures.photos],
        "palette": [_hex(colour) for colour in PALETTE],
        "colours": {side: _hex(getattr(DrawStyle(), side)) for side in ("left", "right", "centre")},
        "model": str(header.get("model") or ""),
    }


def _hex(colour: Colour) -> str:
    """Return a colour as HTML has it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _rounded(value: Any) -> Any:
    """Return plain numbers with few digits, ready for JSON; what is not finite becomes None."""
    if isinstance(value, bool | str | None):
        return value
    if isinstance(value, float | np.floating):
        return round(float(value), 6) if np.isfinite(value) else None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value]
