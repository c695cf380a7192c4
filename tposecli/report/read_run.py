"""Read a whole run into columns, as its own options and the corrections made by hand have it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tposecli.formats.align import AlignedPoses, PoseInput
from tposecli.formats.corrections import CorrectionsFile
from tposecli.formats.with_frames import without_pixels
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.corrections import build_processor
from tposecli.pipeline.keep_options import KeepOptions
from tposecli.pipeline.postprocess import PostOptions
from tposecli.report.columns import Collector, Columns
from tposecli.smoothing.options import FILTERS, SmoothOptions
from tposecli.tracking.options import TrackOptions

log = logging.getLogger("tposecli")


def collect(
    recording: AlignedPoses, layout: KeypointLayout, given: PoseInput, corrections: CorrectionsFile | None = None
) -> Collector:
    """Collect the poses of a file, tracked and smoothed as its run did, with the corrections that were made by hand."""
    post = build_processor(recording, given, recorded_options(recording.header), corrections)
    collector = Collector(len(layout))
    for result in post.process(without_pixels(recording.frames)):
        collector.add(result)
    return collector


def warn_of_part(collector: Collector, columns: Columns, path: Path) -> None:
    """Warn if a run is so long that the columns hold only the part of it with most trouble."""
    if collector.is_long and len(columns.time_s):
        begin_s, end_s = float(columns.time_s[0]), float(columns.time_s[-1])
        log.warning("%s: too long to be shown as a whole; shown from %.0f to %.0f s", path, begin_s, end_s)


def recorded_options(header: Mapping[str, Any]) -> PostOptions:
    """Return how a run tracked and smoothed, from its header; the defaults for what that does not say."""
    options = header.get("options") or {}
    try:
        track = options.get("track", {})
        details = dict(options.get("smoothing") or {})
        method = options.get("smooth", "auto")
        general = {name: details.pop(name) for name in ("fill_gaps_s", "repair") if name in details}
        strengths = {method: FILTERS[method].options(**details)} if method in FILTERS else {}
        return PostOptions(
            None if track is None else TrackOptions(**track),
            SmoothOptions(method, strengths, **general),
            KeepOptions(**(options.get("keep") or {})),
        )
    except (TypeError, ValueError, AttributeError) as error:
        log.warning("the options of the run cannot be read (%s); took the defaults", error)
        return PostOptions()
