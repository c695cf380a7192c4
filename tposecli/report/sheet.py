"""Contact sheets: frames of a run as one image, at equal distances or at its worst moments."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from tposecli.drawing.labels import OUTLINE_COLOUR, SUBPIXEL_BITS
from tposecli.drawing.privacy import blur_heads
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.drawing.style import DrawStyle
from tposecli.formats.align import PoseInput, read_aligned
from tposecli.formats.with_frames import read_with_frames
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.corrections import build_processor, names_of, read_corrections_of
from tposecli.report.columns import Columns
from tposecli.report.moments import Moment, worst_moments
from tposecli.report.options import SheetOptions
from tposecli.report.read_run import collect, recorded_options, warn_of_part
from tposecli.sinks.images import write_image
from tposecli.types import Image, Result
from tposecli.utils.errors import InputError
from tposecli.utils.files import check_output

GAP: Final = 10
LINE: Final = 17
"""Height of a line of text, pixels."""
LETTER: Final = 7.6
"""Mean width of a letter, pixels."""
AROUND: Final = 0.25
"""Space around a person, as a share of the longer side of the box."""
SMALLEST: Final = 0.3
"""Side of the smallest part of a frame that a tile shows, as a share of the shorter side of the frame."""
PAPER, INK, FAINT = (250, 250, 248), (30, 32, 36), (110, 112, 118)
MARK: Final = (255, 0, 140)
"""Colour of the ring around the joint that a moment is about."""


@dataclass(frozen=True, slots=True)
class SheetJob:
    """A contact sheet to make.

    Attributes:
        given: The poses, and where their frames are.
        output: The image.
        options: What it shows.
        style: How people are drawn.
        hide_heads: Blur the head of every person.
        another: Accept a video that is not the run's own file, if its frames have the same size and times.
        overwrite: Whether the image may be replaced.
    """

    given: PoseInput
    output: Path
    options: SheetOptions = field(default_factory=SheetOptions)
    style: DrawStyle = field(default_factory=DrawStyle)
    hide_heads: bool = False
    another: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """What a tile shows.

    Attributes:
        frame: Position of the frame among those of the run.
        lines: The text below it.
        box: Left, top, right, bottom of the person whom it is about, pixels; None for the whole frame.
        joint: Place of the joint that it is about, pixels; None for no joint.
    """

    frame: int
    lines: tuple[str, ...]
    box: tuple[float, float, float, float] | None = None
    joint: tuple[float, float] | None = None


def make_sheet(job: SheetJob) -> int:
    """Make a contact sheet and return the number of its tiles.

    Raises:
        InputError: The poses are missing or damaged, are not those of the video, or have nothing to show.
        UsageError: The output exists.
        OutputError: The image cannot be written.
    """
    check_output(job.output, job.overwrite)
    recording, _, results = read_with_frames(job.given, job.another)
    again = read_aligned(job.given)
    layout = KeypointLayout.from_dict(recording.header)
    corrections = read_corrections_of(recording, job.given)
    collector = collect(again, layout, job.given, corrections)
    columns = collector.columns(recording.stills)
    warn_of_part(collector, columns, job.given.path)
    names = names_of(recording.header, corrections)
    spots = _worst(columns, layout, names, job.options) if job.options.worst else _spread(columns, job.options)
    if not spots:
        what = "no moment that is worse than others" if job.options.worst and len(columns.index) else "no frame"
        raise InputError(f"{job.given.path}: {what} to show; leave --worst out, or name another run")
    post = build_processor(recording, job.given, recorded_options(recording.header), corrections)
    draw = SkeletonDrawer(job.style, layout, names)
    with closing(post.process(results)) as finished:
        tiles = _tiles(finished, columns, spots, draw, job)
    write_image(job.output, _laid_out(tiles, spots, job.options))
    return len(tiles)


def _spread(columns: Columns, options: SheetOptions) -> list[Spot]:
    """Return frames at equal distances, the middle of each part of the run."""
    count = min(options.frames, len(columns.index))
    places = [math.floor((number + 0.5) * len(columns.index) / count) for number in range(count)]
    return [Spot(place, (_when(columns, place),)) for place in places]


def _worst(columns: Columns, layout: KeypointLayout, names: Mapping[int, str], options: SheetOptions) -> list[Spot]:
    """Return the worst moments in the order of the run."""
    each: dict[int, Moment] = {}
    for moment in worst_moments(columns, layout):
        each.setdefault(moment.row, moment)
    chosen = list(each.values())[: options.worst]
    in_order = sorted(chosen, key=lambda one: int(columns.frame[one.row]))
    return [_spot(columns, moment, names, options) for moment in in_order]


def _spot(columns: Columns, moment: Moment, names: Mapping[int, str], options: SheetOptions) -> Spot:
    row, frame = moment.row, int(columns.frame[moment.row])
    track = int(columns.track[row])
    who = f", {names[track]} (id {track})" if track in names else f", id {track}" if track > 0 else ""
    when = _when(columns, frame) + who
    lines = textwrap.wrap(moment.text, max(12, int(options.width / LETTER)))[:3]
    box, joint = columns.box[row].astype(float).tolist(), None
    if moment.joint is not None:
        joint = tuple(columns.xy[row, moment.joint].astype(float).tolist())
    return Spot(frame, (when, *lines), tuple(box), joint)


def _when(columns: Columns, frame: int) -> str:
    if columns.names:
        return columns.names[frame]
    return f"{columns.time_s[frame]:.2f} s, frame {int(columns.index[frame])}"


def _tiles(
    results: Iterable[Result], columns: Columns, spots: Sequence[Spot], draw: SkeletonDrawer, job: SheetJob
) -> list[Image]:
    """Return the image of each spot; frames are drawn in order, since trails and angles have a memory."""
    wanted: dict[int, list[int]] = {}
    for number, spot in enumerate(spots):
        wanted.setdefault(int(columns.index[spot.frame]), []).append(number)
    tiles: dict[int, Image] = {}
    for result in results:
        numbers = wanted.get(result.frame.index, [])
        if not numbers and not (job.style.trails or job.style.angles):
            continue
        image = result.frame.image.copy()
        if job.hide_heads:
            blur_heads(image, result.final)
        draw.draw(image, result.final, result.frame.time_s)
        for number in numbers:
            tiles[number] = _tile(image, spots[number], job.options.width)
        if len(tiles) == len(spots):
            break
    return [tiles[number] for number in sorted(tiles)]


def _tile(image: Image, spot: Spot, width: int) -> Image:
    """Return the part of a frame that a tile shows, with the joint marked."""
    left, top, right, bottom = 0, 0, image.shape[1], image.shape[0]
    if spot.box is not None:
        left, top, right, bottom = _square(spot.box, image.shape[1], image.shape[0])
    scale = width / (right - left)
    part = image[top:bottom, left:right]
    size = width, max(1, round((bottom - top) * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    tile = np.ascontiguousarray(cv2.resize(part, size, interpolation=method)).astype(np.uint8)
    if spot.joint is not None:
        at = (np.array(spot.joint) - (left, top) + 0.5) * scale - 0.5
        x, y = np.rint(at * (1 << SUBPIXEL_BITS)).astype(int).tolist()
        radius = round(0.055 * width) << SUBPIXEL_BITS
        for colour, thickness in ((OUTLINE_COLOUR, 5), (MARK, 3)):
            cv2.circle(tile, (x, y), radius, colour, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    return tile


def _square(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """Return a square around a person, inside the frame as far as it fits."""
    longer = max(box[2] - box[0], box[3] - box[1], SMALLEST * min(width, height))
    side = round(min(longer * (1 + 2 * AROUND), width, height))
    left = round(min(max((box[0] + box[2] - side) / 2, 0), width - side))
    top = round(min(max((box[1] + box[3] - side) / 2, 0), height - side))
    return left, top, left + side, top + side


def _laid_out(tiles: Sequence[Image], spots: Sequence[Spot], options: SheetOptions) -> Image:
    """Return all tiles in rows, each with its text below."""
    across = options.columns or _across(len(tiles))
    rows = [range(start, min(start + across, len(tiles))) for start in range(0, len(tiles), across)]
    across = min(across, len(tiles))
    heights = [max(tiles[n].shape[0] for n in row) + LINE * max(len(spots[n].lines) for n in row) + 6 for row in rows]
    shape = sum(heights) + GAP * (len(rows) + 1), across * (options.width + GAP) + GAP
    sheet = np.full((*shape, 3), PAPER, np.uint8)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for place, number in enumerate(row):
            left, tile = GAP + place * (options.width + GAP), tiles[number]
            sheet[top : top + tile.shape[0], left : left + options.width] = tile
            for line, text in enumerate(spots[number].lines):
                at = left, top + tile.shape[0] + LINE * (line + 1) - 2
                _write(sheet, text, at, INK if line == 0 else FAINT)
        top += height + GAP
    return sheet


def _across(count: int) -> int:
    """Return the number of columns for a sheet that is about as broad as high, without a lonely last tile."""
    near = math.ceil(math.sqrt(count))
    return next((across for across in (near, near + 1) if count % across == 0), near)


def _write(sheet: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(sheet, plain, at, cv2.FONT_HERSHEY_SIMPLEX, 0.43, colour, 1, cv2.LINE_AA)
