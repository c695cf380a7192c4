"""Images in shares: each is measured, and drawn, by one process; pose files are made of the journals of all.

A share is some whole groups of images in their order, so everybody's poses are those of one process. Which images are
in which share depends on their number alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tposecli.formats.coco.write import image_ids, numbering
from tposecli.formats.journal.journal import SUFFIX, Journal, JournalWriter, journal_path, read_journal
from tposecli.formats.journal.provenance import OF_IMAGES, fingerprint_of_contents, header_differences
from tposecli.pipeline.job import ImagesJob, Outputs, Settings
from tposecli.pipeline.outputs import check_outputs, needs_attention, refuse_inputs
from tposecli.pipeline.segments.parts import check_parts, has_parts
from tposecli.pipeline.segments.plan import SegmentPlan, parts_folder
from tposecli.pipeline.staging import Staging
from tposecli.pipeline.summary import Summary
from tposecli.sinks.images import is_image_file
from tposecli.sources import ImageList
from tposecli.sources.image_store import archive_of
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import new_file

WHOLE: Final = 32
"""Images that are some whole groups on every kind of device."""

SHARES: Final = 64
"""Shares that there are at least, as soon as there are images enough."""

MOST: Final = 4 * WHOLE
"""Images of a share at most: its names fit in 10 KB."""


def check_images(job: ImagesJob, settings: Settings, lacks: str = "") -> ImageList | None:
    """Find the images of a job and check its outputs, before any work is done; nothing is fetched.

    Args:
        job: The job.
        settings: Those of the run.
        lacks: See :func:`check_parts`.

    Returns:
        The images; None if they are known only when they are fetched.

    Raises:
        InputError: There are none.
        UsageError: An output exists, or what is asked for does not go together.
        OutputError: A folder cannot be created or written.
    """
    with Staging(settings.inference.model.downloads) as staging:
        images = staging.found_images(job)
        if images is None:
            return None
        staged = staging.of_images(replace(job, measured=True))
        refuse_inputs(staged.job.outputs, images)
        check_parts(job, settings.flags, lacks)
        if not has_parts(job.outputs):  # Else they were checked when the run began, and are partly there.
            check_outputs(staged.job.outputs, images.names, settings.flags)
    return images


def share_images(job: ImagesJob, images: ImageList | None, settings: Settings) -> SegmentPlan:
    """Cut a job over images into shares.

    It is left whole where something is made of all images at a time that no journal holds, as of their attention; if
    they are in zip files or on web servers; and if there are few.
    """
    if images is None:
        return SegmentPlan(job)
    outputs, plan = job.outputs, SegmentPlan(job, (), len(images))
    one = outputs.picture is not None and is_image_file(outputs.picture)
    if one or needs_attention(replace(outputs, attention=None), settings.files) or _crops_clash(outputs, images):
        return plan
    if outputs.attention is not None and outputs.attention.suffix == ".npz":
        return plan
    if any(archive_of(path) for path in images.paths):
        return plan
    devices = 1 + settings.inference.model.device.count(",")
    size = WHOLE * devices * max(1, min(MOST // WHOLE, len(images) // (SHARES * WHOLE)))
    spans = [range(start, min(start + size, len(images))) for start in range(0, len(images), size)]
    if len(spans) < 2:
        return plan
    folder = parts_folder(outputs)
    shares = [replace(job, images=images.some(span), outputs=_of_share(outputs, folder, span)) for span in spans]
    return SegmentPlan(job, tuple(shares), len(images), tuple(spans))


def join_shares(journals: Sequence[Path], path: Path, outputs: Sequence[Path]) -> None:
    """Write the journal that one run over all images would have written.

    Args:
        journals: Those of the shares, in order; their folder is beside the journal.
        path: The journal to write; it appears when it is complete.
        outputs: The files of the run.

    Raises:
        InputError: A journal is missing, damaged or of a run that has not ended.
        UsageError: They are not of one run.
        OutputError: The journal cannot be written.
    """
    parts = [_read(each) for each in journals]
    first, ends = parts[0].provenance, [part.end() for part in parts]
    for part in parts[1:]:
        changed = header_differences(first, part.provenance, OF_IMAGES)
        if changed:
            names = f"{parts[0].path}, {part.path}"
            raise UsageError(f"{names}: not of one run: {'; '.join(changed)}; start over with --overwrite")
    images = [image for end in ends for image in end["images"]]
    ids = numbering(image_ids([name for name, _ in images]))
    header = first | {"source_sha256": fingerprint_of_contents(content for _, content in images), "image_ids": ids}
    made = [(os.path.join(journals[0].parent.name, name), size) for end in ends for name, size in end["files"].items()]
    files = {os.path.normpath(name): size for name, size in made}
    with new_file(path, True) as temporary:
        writer = JournalWriter(temporary, header, outputs)
        try:
            for part in parts:
                for image in part:
                    writer.write(image, image.poses, image.source_sha256)
            writer.close(True, {"names": [name for name, _ in images], "files": files})
        finally:
            writer.close()


def _read(path: Path) -> Journal:
    """Open the journal of a share."""
    journal = read_journal(path)
    if not journal.complete or "images" not in journal.end():
        raise InputError(f"{path}: its run has not ended; run the command again with --resume")
    return journal


def _of_share(outputs: Outputs, folder: Path, span: range) -> Outputs:
    """Return what a share makes: its journal, and what has pixels."""
    return replace(outputs, poses={}, journal=folder / f"{span.start:09d}-{span.stop:09d}{SUFFIX}")


def _crops_clash(outputs: Outputs, images: ImageList) -> bool:
    """Return whether names of crops depend on the images before, as some differ in their suffixes only."""
    stems = {str(Path(name).with_suffix("")) for name in images.names}
    return outputs.crops is not None and len(stems) < len(images)


def measured(job: ImagesJob) -> ImagesJob:
    """Return the job that makes the pose files, of the joined journal."""
    outputs = job.outputs
    rest = Outputs(poses=outputs.poses, journal=journal_path(outputs.files[0]))
    return replace(job, outputs=rest, images=None, measured=True)


def of_images(summary: Summary, images: ImageList | None) -> Summary:
    """Return the summary of a run over images with what was left out when they were searched for."""
    if images is None:
        return summary
    return replace(summary, stills=True, skipped=images.skipped, unsupported=len(images.unsupported))
