"""The sinks that need no pixels: files of poses, whichever way the poses were come by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tposecli.formats.coco_writer import CocoDatasetSink, CocoResultsSink
from tposecli.formats.jsonlines import JsonLinesSink
from tposecli.formats.mmpose_writer import MmposeSink
from tposecli.formats.npz import NpzSink
from tposecli.formats.openpose_writer import OpenposeSink
from tposecli.formats.tables import CsvSink, ParquetSink
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.job import FileSettings, Outputs
from tposecli.sinks.base import Sink
from tposecli.sinks.destination import STDOUT
from tposecli.types import Result
from tposecli.utils.errors import UsageError


def exports(
    outputs: Outputs,
    files: FileSettings,
    min_score: float,
    head: Mapping[str, Any],
    ids: Sequence[int] | None = None,
    explain: Callable[[Result], Sequence[Mapping[str, Any]]] | None = None,
) -> Iterator[Sink]:
    """Open one sink after the other.

    Args:
        outputs: What to make.
        files: Formats.
        min_score: Keypoints scored lower count as not visible.
        head: Where the poses came from: the journal's header.
        ids: Image id of each still; None for a video.
        explain: Says in the dataset JSON what each person's attention was; None for nothing about it.

    Raises:
        UsageError: A format does not know such keypoints.
    """
    layout = KeypointLayout.of_facts(head)
    info, stills = {"description": "poses", **head}, ids is not None
    if outputs.json == STDOUT:
        yield JsonLinesSink()
    elif outputs.json is not None and files.json_format == "results":
        yield CocoResultsSink(outputs.json, ids)
    elif outputs.json is not None:
        yield CocoDatasetSink(outputs.json, info, min_score, ids, explain)
    if outputs.csv is not None:
        yield CsvSink(outputs.csv, stills, layout.names)
    if outputs.parquet is not None:
        yield ParquetSink(outputs.parquet, info, stills)
    if outputs.openpose is not None and not layout.is_coco:
        raise UsageError("--openpose: for COCO's 17 keypoints only, and these are others; leave it out")
    if outputs.openpose is not None:
        yield OpenposeSink(outputs.openpose, min_score, files.openpose_format)
    if outputs.mmpose is not None:
        yield MmposeSink(outputs.mmpose, stills)
    if outputs.npz is not None:
        yield NpzSink(outputs.npz, info, stills)
