"""From the outputs that a job names to the sinks that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tposecli.draw import Draw
from tposecli.errors import UsageError
from tposecli.exports import exports
from tposecli.files import check_output
from tposecli.job import Outputs, Settings
from tposecli.overlay import AttentionPainter
from tposecli.sinks.annotated import AnnotatedVideo, HiddenHeads
from tposecli.sinks.attention import AttentionArchive, AttentionImages, AttentionVideo
from tposecli.sinks.base import Sink
from tposecli.sinks.encoding import MUXERS
from tposecli.sinks.images import AnnotatedImages
from tposecli.sinks.journal import journal_path
from tposecli.sinks.openpose import check_openpose
from tposecli.sinks.video import VideoSink


@dataclass(frozen=True, slots=True)
class Maker:
    """Opens the sinks of one input.

    Attributes:
        outputs: What to make.
        settings: Of the run.
        painter: Shows attention.
        video: Opens a video; None for stills.
        ids: Image id of each still; None for a video.
    """

    outputs: Outputs
    settings: Settings
    painter: AttentionPainter
    video: Callable[[Path], VideoSink] | None = None
    ids: Sequence[int] | None = None

    def open(self, head: dict[str, Any]) -> Iterator[Sink]:
        """One sink after the other, given the journal's header; the one that draws on the frame itself comes last."""
        outputs = self.outputs
        yield from exports(outputs, self.settings, head, self.ids)
        if self.settings.blur_heads:
            yield HiddenHeads()
        if outputs.attention is not None:
            yield self._attention(outputs.attention)
        if outputs.picture is not None:
            yield self._picture(outputs.picture)

    def _picture(self, path: Path) -> Sink:
        """Draws on the frame's own pixels."""
        draw = Draw(self.settings.style)
        return AnnotatedImages(path, draw) if self.video is None else AnnotatedVideo(self.video(path), draw)

    def _attention(self, path: Path) -> Sink:
        """By extension: arrays, a video, or a folder of pictures."""
        if is_archive(path):
            return AttentionArchive(path, self.painter, self.settings.attention_every)
        if self.video is not None and is_video(path):
            return AttentionVideo(self.video(path), self.painter)
        return AttentionImages(path, self.painter, self.settings.attention_every)


def check_outputs(outputs: Outputs, stills: bool, overwrite: bool, journal: bool = True) -> None:
    """Refuse, before any work is done, what would overwrite something, and a job that asks for nothing.

    Raises:
        UsageError: One of the outputs is in the way, or there are none.
    """
    if not outputs.wanted:
        raise UsageError("nothing to write; name an output with -o, --json, --csv, --attention or another of --help")
    for path in outputs.wanted:
        if path == outputs.openpose:
            check_openpose(path, overwrite)
        elif not _is_folder(path, outputs, stills):
            check_output(path, overwrite)
        elif path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; name a folder for the pictures")
    if journal:
        check_output(journal_path(outputs.wanted[0]), overwrite)


def _is_folder(path: Path, outputs: Outputs, stills: bool) -> bool:
    """Whether pictures go into that output, each a file of its own."""
    if path == outputs.attention:
        return not is_archive(path) and (stills or not is_video(path))
    return stills and path == outputs.picture


def is_archive(path: Path) -> bool:
    """Whether attention goes into an ``.npz`` under that name."""
    return path.suffix.lower() == ".npz"


def is_video(path: Path) -> bool:
    """Whether attention becomes a video under that name, and not a folder of pictures."""
    return path.suffix.lower() in MUXERS
