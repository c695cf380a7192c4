"""Segments that are measured on several machines, which share nothing but where the outputs are: a disk, or a store.

Each function may run on any of them, and again if its machine is lost: what it leaves is whole or resumed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tposecli.formats.journal.journal import journal_path, lacks_header, read_journal
from tposecli.hub import remote
from tposecli.hub.remote import address_of, is_stored, is_web
from tposecli.pipeline.job import Outputs, RunFlags, Settings, VideoJob
from tposecli.pipeline.segments.join import join_journals
from tposecli.pipeline.segments.plan import SegmentPlan, parts_folder, plan_segments
from tposecli.pipeline.session import Session
from tposecli.pipeline.staging import Staging
from tposecli.pipeline.summary import Summary
from tposecli.sources import open_video_input
from tposecli.sources.locations import redacted
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.locks import output_locks

log = logging.getLogger("tposecli")


def check_parts(job: VideoJob, flags: RunFlags) -> None:
    """Refuse to begin where segments of an interrupted run are, or remove them if they are to be overwritten.

    Raises:
        UsageError: There are some, and neither ``--resume`` nor ``--overwrite`` is given.
        TposeError: The store cannot be read or written.
    """
    if flags.resume or not _has_parts(job.outputs):
        return
    if not flags.overwrite:
        raise UsageError(
            f"{address_of(parts_folder(job.outputs))}: an interrupted run; add --resume to continue it, or --overwrite "
            "to start over"
        )
    remove_parts(job.outputs)


def remove_parts(outputs: Outputs) -> None:
    """Remove the journals of the segments.

    Raises:
        TposeError: The store cannot be read or written.
    """
    folder = parts_folder(outputs)
    if not is_stored(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in remote.list_below(folder):
        remote.remove(path)


def plan_on_node(job: VideoJob, settings: Settings, segment_s: float) -> SegmentPlan:
    """Cut a video, fetched to this machine if it is in a store, into segments that any machine may measure.

    What an earlier run has begun as a whole, or has measured to the end, stays whole; so does what
    :func:`plan_segments` does not cut, and what is read from a web server.

    Args:
        job: The whole.
        settings: How poses are measured.
        segment_s: Seconds of a segment, about.
    """
    if is_web(job.input):
        return SegmentPlan(job)
    try:
        with Staging(settings.inference.model.downloads) as staging:
            if _stays_whole(job.outputs, staging):
                return SegmentPlan(job)
            staged = staging.inspected(staging.of_video(job))
            local = replace(job, input=staging.input(staged), outputs=staged.job.outputs)
            plan = _plan(local, settings, segment_s)
    except (InputError, OSError):
        return SegmentPlan(job)  # It is reported when it is run.
    folder = parts_folder(job.outputs)
    if plan.segments and not is_stored(folder):
        folder.mkdir(parents=True, exist_ok=True)
    segments = [
        replace(job, outputs=Outputs(journal=folder / journal.name), window=segment.window)
        for segment, journal in zip(plan.segments, plan.journals, strict=True)
    ]
    return SegmentPlan(job, tuple(segments), plan.frames)


def sees_parts(folder: Path) -> bool:
    """Return whether this machine sees the folder of the segments' journals, which is there since they were planned."""
    return is_stored(folder) or folder.is_dir()


def finish_on_node(job: VideoJob, journals: Sequence[Path], session: Session) -> Summary:
    """Join the journals of the segments, and make the outputs of the whole of that; then the journals are removed.

    Args:
        job: The whole.
        journals: Those of all its segments.
        session: One that resumes.

    Raises:
        TposeError: They cannot be joined, or the store cannot be read or written.
    """
    with Staging(session.settings.inference.model.downloads) as staging:
        _join(job.outputs, journals, staging)
    summary = session.run(job)
    if not summary.failed:
        remove_parts(job.outputs)
    return summary


def _plan(job: VideoJob, settings: Settings, segment_s: float) -> SegmentPlan:
    """Cut a video of this machine."""
    max_pixels = settings.inference.max_pixels
    with open_video_input(job.input, job.window, job.stream, job.rate, max_pixels, job.view) as source:
        frames = max(1, round(segment_s * float(source.info.fps or 0)))
    plan = plan_segments(job, settings, frames)
    if not plan.segments and (plan.frames or 0) * job.window.stride >= 2 * frames:
        log.info("%s: cannot be cut at key frames; one node measures it", redacted(job.input))
    return plan


def _join(outputs: Outputs, journals: Sequence[Path], staging: Staging) -> None:
    """Write the journal of the whole where it belongs, unless it is there: this may be the second try."""
    whole, folder = journal_path(outputs.files[0]), parts_folder(outputs)
    with staging.files([whole, folder]) as (local, parts):
        if _is_complete(local):
            return
        own = [parts / journal.name for journal in journals]
        if not is_stored(whole):
            with output_locks(outputs.files):
                join_journals(own, whole, outputs.files, replace_it=True)
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        join_journals(own, local, outputs.files, replace_it=True)
        remote.store({local: whole}, new=False)


def _stays_whole(outputs: Outputs, staging: Staging) -> bool:
    """Return whether an earlier run began the video as a whole, or has measured all of it."""
    with staging.files([journal_path(outputs.files[0])]) as (journal,):
        begun = journal.exists() and not lacks_header(journal)
        return begun and (_is_complete(journal) or not _has_parts(outputs))


def _is_complete(journal: Path) -> bool:
    return journal.exists() and not lacks_header(journal) and read_journal(journal).complete


def _has_parts(outputs: Outputs) -> bool:
    folder = parts_folder(outputs)
    return bool(remote.list_folder(folder)) if is_stored(folder) else folder.is_dir()
