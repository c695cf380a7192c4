"""From the outputs that a job names to the sinks that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tposecli.draw import Draw
from tposecli.errors import UsageError
from tposecli.files import check_output
from tposecli.job import Outputs, Settings
from tposecli.sinks.base import Sink
from tposecli.sinks.coco import CocoDatasetSink, CocoResultsSink
from tposecli.sinks.images import AttentionImages
from tposecli.sinks.journal import journal_path


@dataclass(frozen=True, slots=True)
class Maker:
    """Opens the sinks of one input.

    Attributes:
        outputs: What to make.
        settings: Of the run.
        picture: Opens the sink that draws on the frame's own pixels.
        stride: Crop pixels per cell of the attention grid.
        ids: Image id of each still; None for a video.
    """

    outputs: Outputs
    settings: Settings
    picture: Callable[[Path, Draw], Sink]
    stride: int
    ids: Sequence[int] | None = None

    def open(self, head: dict[str, Any]) -> Iterator[Sink]:
        """One sink after the other, given the journal's header; the one that draws on the frame itself comes last."""
        outputs, style = self.outputs, self.settings.style
        if outputs.json is not None and self.settings.json_format == "results":
            yield CocoResultsSink(outputs.json, self.ids)
        elif outputs.json is not None:
            yield CocoDatasetSink(outputs.json, {"description": "poses", **head}, style.min_score, self.ids)
        if outputs.attention is not None:
            yield AttentionImages(outputs.attention, self.stride, Draw(style))
        if outputs.picture is not None:
            yield self.picture(outputs.picture, Draw(style))


def check_outputs(outputs: Outputs, folders: Iterable[Path | None], overwrite: bool) -> None:
    """Refuse, before any work is done, what would overwrite something, and a job that asks for nothing.

    Args:
        outputs: What is to be made.
        folders: Those of them that are folders, which may exist.
        overwrite: Whether files may be replaced.

    Raises:
        UsageError: One of them is in the way, or there are none.
    """
    if not outputs.wanted:
        raise UsageError("nothing to write; name an output with -o, --json or --attention")
    inside = [folder for folder in folders if folder is not None]
    for path in outputs.wanted:
        if path not in inside:
            check_output(path, overwrite)
        elif path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; name a folder for the pictures")
    check_output(journal_path(outputs.wanted[0]), overwrite)
