"""Outputs of a job: checked before any work, opened as sinks, and fed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tposecli.attention.matrix_sink import AttentionMatrix, plot_path
from tposecli.attention.overlay import AttentionPainter
from tposecli.attention.sinks import AttentionArchive, AttentionImages, AttentionVideo
from tposecli.attention.stats import describe
from tposecli.attention.style import AttentionStyle
from tposecli.drawing.privacy import blur_heads
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.formats.base import WriteOptions
from tposecli.formats.catalog import written_formats
from tposecli.formats.exchange.whole_files import WholeFiles
from tposecli.formats.frame_names import FrameNames
from tposecli.formats.journal.journal import journal_path
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.job import DrawingSettings, FileSettings, Outputs, RunFlags, Watcher
from tposecli.pipeline.resume import check_journal, may_start_afresh, replaceable_outputs
from tposecli.pipeline.summary import Summary
from tposecli.sinks.annotated import AnnotatedVideo
from tposecli.sinks.base import Sink
from tposecli.sinks.crops import CropsSink, crops_in
from tposecli.sinks.destination import PARTIAL_VIDEOS, STDOUT
from tposecli.sinks.encoding import MUXERS, VideoOptions
from tposecli.sinks.images import AnnotatedImages, ImageOutputError, image_name, is_image_file
from tposecli.sinks.live_window import LiveWindow
from tposecli.sinks.parts import DrawnVideo
from tposecli.sinks.video import VideoOut
from tposecli.sources import ImageList
from tposecli.sources.image_sequence import is_numbered
from tposecli.types import UNTRACKED, Result
from tposecli.utils.errors import UsageError
from tposecli.utils.files import check_folder, check_output, forbid_replacing, refuse_existing
from tposecli.utils.locks import output_locks
from tposecli.utils.signals import deferred
from tposecli.utils.timings import Timings


@dataclass(frozen=True, slots=True)
class SinkFactory:
    """Opens the sinks of one input.

    Attributes:
        outputs: What to make.
        drawing: How everything with pixels looks.
        files: What pose files hold.
        attention: Which attention is shown, and how, for the layers of the model.
        stride: Crop pixels per cell of the attention grid.
        video: Opens a video; None for stills.
        ids: Image id of each still; None for a video.
        written_names: Name pattern of the images that frames are written to, one each; empty for none.
        label: Name of the video in outputs that several share; empty if each has its own.
        begun: Shared outputs that another input has begun; this one is added.
        people: Names of people by their ids.
        px_per_m: Pixels of a metre; None if unknown.
        drawn: Whether the annotated video is drawn and encoded already, in parts.
    """

    outputs: Outputs
    drawing: DrawingSettings
    files: FileSettings
    attention: AttentionStyle
    stride: int
    video: Callable[[Path], VideoOut] | None = None
    ids: Sequence[int] | None = None
    written_names: str = ""
    label: str = ""
    begun: set[Path] = field(default_factory=set)
    people: Mapping[int, str] = field(default_factory=dict)
    px_per_m: float | None = None
    drawn: bool = False

    @property
    def need_frames(self) -> bool:
        """Whether something is still to be made of the pixels of the frames."""
        return self.outputs.need_frames and not self.drawn

    def open(self, head: dict[str, Any], timings: Timings | None = None) -> Iterator[Sink]:
        """Open one sink after the other; the one that draws on the frame itself comes last.

        Args:
            head: The journal's header.
            timings: Receives the time that drawing and encoding take.
        """
        outputs, layout = self.outputs, KeypointLayout.from_dict(head)
        if not layout.is_coco:
            _refuse_what_needs_coco(outputs, self.drawing, self.files)
        options = WriteOptions(
            {"description": "poses", **head},
            min_score=self.drawing.style.min_score,
            image_ids=self.ids,
            frame_names=FrameNames(str(head.get("source") or ""), self.files.frame_names, self.written_names),
            describe_attention=self._describe if self.files.attention_stats else None,
            label=self.label,
            header=outputs.poses.get("csv") not in self.begun,
            facing=self.files.facing,
            px_per_m=self.px_per_m,
        )
        self.begun.update(outputs.poses.values())
        yield from open_pose_files(outputs, self.files, options)
        if outputs.attention_matrix is not None:
            yield AttentionMatrix(outputs.attention_matrix, self.stride)
        if outputs.attention is not None:
            yield self._attention(outputs.attention)
        if outputs.crops is not None:
            yield CropsSink(outputs.crops, SkeletonDrawer(self.drawing.style, layout, self.people))
        if self.drawing.show:
            yield LiveWindow(SkeletonDrawer(self.drawing.style, layout, self.people), self.drawing.side_by_side)
        if outputs.picture is not None:
            yield self._picture(outputs.picture, layout, timings)

    def prepare(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield the results as the sinks may see them: heads are blurred before any sink has the frame."""
        for result in results:
            if self.drawing.blur_heads and result.frame.image.flags.writeable:  # Blank frames are not.
                blur_heads(result.frame.image, result.final)
            yield result

    def _describe(self, result: Result) -> list[dict[str, Any]]:
        """Return what the JSON says about each person's attention."""
        return describe(result, self.stride)

    def _picture(self, path: Path, layout: KeypointLayout, timings: Timings | None) -> Sink:
        """Open the annotated video or images; they are drawn on the frame's own pixels."""
        draw, beside = SkeletonDrawer(self.drawing.style, layout, self.people), self.drawing.side_by_side
        if self.drawn and self.video is not None:
            return DrawnVideo(self.video(path))
        if self.video is None:
            return AnnotatedImages(path, draw, beside)
        return AnnotatedVideo(self.video(path), draw, beside, timings)

    def _attention(self, path: Path) -> Sink:
        """Open arrays, a video, or a folder of images, by the extension."""
        painter = AttentionPainter(self.attention, self.stride)
        if is_archive(path):
            return AttentionArchive(path, painter, self.drawing.attention_every)
        if self.video is not None and is_video(path):
            return AttentionVideo(self.video(path), painter)
        return AttentionImages(path, painter, self.drawing.attention_every)


def open_pose_files(outputs: Outputs, files: FileSettings, options: WriteOptions) -> Iterator[Sink]:
    """Open the sinks of all pose files, one after the other; they need no pixels.

    Args:
        outputs: The outputs of the input.
        files: The variants of the formats.
        options: Everything else that the writers need to know.

    Raises:
        UsageError: A format does not support the keypoints.
        OutputError: A file cannot be written.
    """
    options = replace(options, exchange=files.exchange)
    for row, path in outputs.pose_files:
        if row.writer:
            yield row.open_sink(path, replace(options, variant=files.variants.get(row.name, "")))
    whole = [(row, path) for row, path in outputs.pose_files if not row.writer]
    if whole:
        # The last to open is the first to close: if a format cannot hold the poses, nothing is written.
        yield WholeFiles(whole, options)


def written_names(picture: Path | None, encoding: VideoOptions, side_by_side: bool) -> str:
    """Return the name pattern of the images that frames are written to, if they keep their coordinates; else nothing.

    Args:
        picture: The annotated video or ``%06d.png``; None for none.
        encoding: How it is written.
        side_by_side: Whether the original is shown beside.
    """
    whole = encoding.scale is None and encoding.rate is None and not side_by_side
    return picture.name if picture is not None and whole and is_numbered(picture) else ""


def deliver(
    results: Iterable[Result], sinks: Sequence[Sink], timings: Timings, watcher: Watcher, summary: Summary
) -> None:
    """Hand every result to all sinks, in order, and count it; signals wait until a frame is in all of them.

    An image that cannot be written is reported in the summary.
    """
    ids: set[int] = set()
    for result in results:
        with deferred(), timings.measure("write"):
            for sink in sinks:
                try:
                    sink.write(result)
                except ImageOutputError as error:
                    summary.failed.append((result.frame.name, str(error)))
        summary.frames += 1
        summary.people += len(result.poses)
        summary.most = max(summary.most, len(result.poses))
        ids.update(result.final.track_id.tolist())
        summary.ids = len(ids - {UNTRACKED})
        watcher.seen(result)


def reserved(outputs: Outputs) -> AbstractContextManager[None]:
    """Reserve outputs against other runs; of those with a journal elsewhere, which other processes share, only that.

    Raises:
        UsageError: Another run has reserved one of them.
        OutputError: The folder is not writable.
    """
    if outputs.journal is None:
        return output_locks(outputs.files)
    return output_locks([outputs.journal], outputs.files[1:])


def check_outputs(outputs: Outputs, names: Sequence[str] | None, flags: RunFlags, journal: bool = True) -> None:
    """Check, before any work is done, that every output can be written.

    Args:
        outputs: What to make.
        names: Names of the images; None for a video.
        flags: Whether existing outputs may be replaced.
        journal: Whether a journal is written beside them.

    Raises:
        UsageError: An output exists, another run is writing it, or there are none.
        OutputError: A folder cannot be created or written.
    """
    if not outputs.wanted:
        raise UsageError("nothing to write; name an output, such as --json or --csv; --help lists them")
    if len(outputs.wanted) > len(outputs.files) + 1:
        raise UsageError("only one output can go to standard output; give the others a file name")
    if any(path == STDOUT and not row.to_stdout for row, path in outputs.pose_files):
        *others, last = (row.option for row in written_formats() if row.to_stdout)
        options = f"{', '.join(['videos', *others])} and {last}"
        raise UsageError(f"only {options} can go to standard output; give the others a file name")
    if names is not None and len(names) > 1 and outputs.picture is not None and is_image_file(outputs.picture):
        raise UsageError(f"{outputs.picture}: {len(names)} images cannot be written to one file; name a folder")
    with reserved(outputs):
        replaceable = replaceable_outputs(outputs, flags) if journal else frozenset()
        for path in outputs.files:
            again = flags.overwrite or path.resolve() in replaceable or (flags.resume and path == outputs.journal)
            _check_output(path, outputs, names, again)
        if journal and outputs.files:
            path = journal_path(outputs.files[0])
            check_journal(path, [file for file in outputs.files if file != outputs.journal])
            check_output(path, flags.overwrite or flags.resume or may_start_afresh(path))


def _check_output(path: Path, outputs: Outputs, names: Sequence[str] | None, overwrite: bool) -> None:
    """Refuse an output that would overwrite something."""
    pose_format = next((row for row, other in outputs.pose_files if other == path), None)
    if pose_format is not None:
        pose_format.check_output(path, overwrite)
    elif not _is_folder(path, outputs, names is not None):
        check_output(path, overwrite)
        if path == outputs.attention_matrix:
            refuse_existing([plot_path(path)], overwrite)
    elif os.path.lexists(path) and not path.is_dir():
        raise UsageError(f"{path} is a file; name a folder for the images")
    else:
        check_folder(path.parent)
        _check_images(path, outputs, names, overwrite)
        forbid_replacing(path, not overwrite)


def _check_images(folder: Path, outputs: Outputs, names: Sequence[str] | None, overwrite: bool) -> None:
    """Refuse a folder that holds images of the names that this run will write."""
    if overwrite or not folder.is_dir():
        return
    files: Iterable[Path] = ()
    if folder == outputs.crops:
        files = crops_in(folder, names)
    elif names is not None:
        files = (folder / (image_name(name) if folder == outputs.picture else f"{name}.jpg") for name in names)
    else:
        files = (path for path in folder.glob("*.jpg") if path.stem.isdecimal())
    refuse_existing(files, overwrite, "add --overwrite to replace it, or choose another folder")


def refuse_inputs(outputs: Outputs, images: ImageList) -> None:
    """Refuse outputs that would be written over the pictures that are read.

    Raises:
        UsageError: It says which.
    """
    inputs = {path.resolve() for path in images.paths}
    pictures = () if outputs.picture is None else (outputs.picture / name for name in images.names)
    clash = next((path for path in (*outputs.files, *pictures) if path.resolve() in inputs), None)
    if clash is not None:
        raise UsageError(f"{clash} is an input; choose another output")


def discard_partial(outputs: Outputs) -> None:
    """Remove the partial videos of an interrupted run that is complete now."""
    for path in outputs.files:
        if is_video(path):
            PARTIAL_VIDEOS.remove(path)


def needs_attention(outputs: Outputs, files: FileSettings) -> bool:
    """Return whether the net must be asked for its attention."""
    wanted = (outputs.attention, outputs.attention_matrix)
    return any(path is not None for path in wanted) or files.attention_stats


def _refuse_what_needs_coco(outputs: Outputs, drawing: DrawingSettings, files: FileSettings) -> None:
    """Refuse what is defined for COCO's 17 keypoints only.

    Raises:
        UsageError: One of these is asked for.
    """
    wanted = {
        "--attention": needs_attention(outputs, files),
        "--blur-heads": drawing.blur_heads,
        "--trails": bool(drawing.style.trails),
        "--labels angles": drawing.style.angles,
    }
    refused = ", ".join(option for option, asked in wanted.items() if asked)
    if refused:
        raise UsageError(f"{refused}: for COCO's 17 keypoints only, and this model finds others; leave it out")


def _is_folder(path: Path, outputs: Outputs, stills: bool) -> bool:
    """Return whether an output is a folder of images."""
    if path == outputs.attention:
        return not is_archive(path) and (stills or not is_video(path))
    return path == outputs.crops or (stills and path == outputs.picture and not is_image_file(path))


def is_archive(path: Path) -> bool:
    """Return whether attention is written as an ``.npz`` under that name."""
    return path.suffix.lower() == ".npz"


def is_video(path: Path) -> bool:
    """Return whether a file of that name is a video."""
    return path.suffix.lower() in MUXERS
