"""The steps of a job, done by processes and machines that share only where the outputs are: a disk, or a store.

Each function may run on any of them, and again if its process or machine is lost: what it leaves is whole or resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tposecli.formats.journal.journal import journal_path, lacks_header, read_journal
from tposecli.hub import remote
from tposecli.hub.remote import address_of, is_stored, is_web
from tposecli.pipeline.job import AnyJob, ImagesJob, Outputs, Settings, VideoJob
from tposecli.pipeline.segments.draw import Piece, draw_piece
from tposecli.pipeline.segments.images import check_images, join_shares, measured, share_images
from tposecli.pipeline.segments.join import join_journals
from tposecli.pipeline.segments.parts import HowCut, cut_before, forget, has_parts, note_cut, remove_parts
from tposecli.pipeline.segments.plan import SegmentPlan, parts_folder, plan_segments
from tposecli.pipeline.segments.steps import Step
from tposecli.pipeline.session import Session
from tposecli.pipeline.staging import Staging
from tposecli.pipeline.summary import Summary
from tposecli.sinks.parts import fit_together
from tposecli.sources import ImageList, open_video_input
from tposecli.sources.locations import redacted, short_name
from tposecli.utils.errors import InputError
from tposecli.utils.locks import output_locks

log = logging.getLogger("tposecli")


def do_step(step: Step, session: Session) -> Summary | SegmentPlan:
    """Do a step, and return what was done, or the plan that was made.

    Args:
        step: What to do.
        session: Settings, nets and watcher; one that resumes where outputs are made of the journals of segments.

    Raises:
        TposeError: A file cannot be read or written, or does not belong to the others.
    """
    job = step.job
    if step.kind == "finish" and isinstance(job, ImagesJob):
        return finish_images_on_node(job, step.journals, session)
    if step.kind == "segment":
        return session.run(job)
    if isinstance(job, ImagesJob) or step.kind == "whole":
        return run_on_node(job, session)
    if step.kind == "plan":
        return plan_on_node(job, session.settings, step.segment_s)
    if step.piece is not None:
        return draw_on_node(job, step.piece, session)
    if step.kind == "join":
        join_on_node(job, step.journals, session)
        return Summary(job.name, path=job.title)
    return finish_on_node(job, step.journals, session)


def run_on_node(job: AnyJob, session: Session) -> Summary:
    """Run a job as a whole; what segments have left of a run that ended before it could remove it, is removed.

    Raises:
        TposeError: As :meth:`Session.run`, or the store cannot be written.
    """
    summary = session.run(job)
    if (isinstance(job, ImagesJob) or not summary.failed) and has_parts(job.outputs):
        remove_parts(job.outputs)
    return summary


def plan_on_node(job: VideoJob, settings: Settings, segment_s: float) -> SegmentPlan:
    """Cut a video, fetched to this machine if it is in a store, into segments that any machine may measure.

    What an earlier run has begun as a whole, or has made to the end, stays whole; so does what
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
            plan = _plan(local, job.outputs, settings, segment_s)
    except (InputError, OSError):
        return SegmentPlan(job)  # It is reported when it is run.
    folder = parts_folder(job.outputs)
    segments = [
        replace(job, outputs=Outputs(journal=folder / journal.name), window=segment.window)
        for segment, journal in zip(plan.segments, plan.journals, strict=True)
        if isinstance(segment, VideoJob)
    ]
    return SegmentPlan(job, tuple(segments), plan.frames, plan.spans)


def plan_images(job: ImagesJob, settings: Settings, lacks: str = "") -> tuple[SegmentPlan, ImageList | None]:
    """Check a job over images, and cut it into shares, unless an earlier run began it as a whole.

    Args:
        job: The whole.
        settings: Those of the run.
        lacks: See :func:`check_parts`.

    Returns:
        The plan, and the images; None if they are known only when they are fetched.

    Raises:
        UsageError: An output exists, or what is asked for does not go together.
        TposeError: There are no images, or a folder or a store cannot be read or written.
    """
    images, flags = check_images(job, settings, lacks), settings.flags
    if flags.overwrite and not flags.resume:
        forget(job.outputs)
    with Staging(settings.inference.model.downloads) as staging:
        if _stays_whole(job.outputs, staging):
            return SegmentPlan(job), images
    plan = share_images(job, images, settings)
    if plan.segments:
        note_cut(job.outputs, HowCut(len(plan.spans[0]), settings.inference.model.threads))
    return plan, images


def sees_parts(folder: Path) -> bool:
    """Return whether this machine sees the folder of the segments' journals, which is there since they were planned."""
    return is_stored(folder) or folder.is_dir()


def finish_images_on_node(job: ImagesJob, journals: Sequence[Path], session: Session) -> Summary:
    """Join the journals of the shares, and make the pose files of that; then the journals are removed.

    Args:
        job: The whole.
        journals: Those of all its shares.
        session: One that resumes.

    Raises:
        TposeError: They cannot be joined, or the store cannot be read or written.
    """
    join_on_node(job, journals, session)
    summary = session.run(measured(job))
    remove_parts(job.outputs)
    made = [*job.outputs.files, journal_path(job.outputs.files[0])]
    summary.outputs = [address_of(path) if is_stored(path) else path for path in dict.fromkeys(made)]
    return summary


def join_on_node(job: AnyJob, journals: Sequence[Path], session: Session) -> None:
    """Write the journal of the whole where it belongs, unless it is there: this may be the second try.

    Args:
        job: The whole.
        journals: Those of all its segments.
        session: Settings.

    Raises:
        TposeError: They cannot be joined, or the store cannot be read or written.
    """
    with Staging(session.settings.inference.model.downloads) as staging:
        _join(job, journals, staging)


def draw_on_node(job: VideoJob, piece: Piece, session: Session) -> Summary:
    """Draw and encode a segment of a video, fetched to this machine if it is in a store; the journal is joined.

    Raises:
        TposeError: The video or the journal cannot be read, or the part cannot be written.
    """
    with Staging(session.settings.inference.model.downloads) as staging:
        staged = staging.inspected(staging.of_video(job))
        here = replace(piece, job=replace(piece.job, input=staging.input(staged)))
        return draw_piece(job, here, session, session.watcher)


def finish_on_node(job: VideoJob, journals: Sequence[Path], session: Session) -> Summary:
    """Join the journals of the segments, and make the outputs of the whole of that; then what they left is removed.

    Args:
        job: The whole.
        journals: Those of all its segments.
        session: One that resumes.

    Raises:
        TposeError: They cannot be joined, or the store cannot be read or written.
    """
    join_on_node(job, journals, session)
    if job.parts and not any(path.exists() for path in job.parts):
        job = replace(job, parts=())  # It was made, and they were removed: this is the second try.
    elif job.parts and not fit_together(job.parts):
        log.warning("%s: its parts do not fit together; drawing it at once", short_name(job.input))
        job = replace(job, parts=())
    summary = session.run(job)
    if not summary.failed and job.outputs.journal is None:
        remove_parts(job.outputs)
    return summary


def _plan(job: VideoJob, outputs: Outputs, settings: Settings, segment_s: float) -> SegmentPlan:
    """Cut a video of this machine, as an earlier run has if there is one."""
    max_pixels = settings.inference.max_pixels
    with open_video_input(job.input, job.window, job.stream, job.rate, max_pixels, job.view) as source:
        frames = max(1, round(segment_s * float(source.info.fps or 0)))
    before = cut_before(outputs)
    frames = frames if before is None else before.frames
    plan = plan_segments(job, settings, frames)
    if plan.segments:
        note_cut(outputs, HowCut(frames, settings.inference.model.threads))
    if not plan.segments and (plan.frames or 0) * job.window.stride >= 2 * frames:
        log.info("%s: cannot be cut at key frames; one node measures it", redacted(job.input))
    return plan


def _join(job: AnyJob, journals: Sequence[Path], staging: Staging) -> None:
    """Join the journals, on this machine if they are in a store."""
    outputs = job.outputs
    join = join_shares if isinstance(job, ImagesJob) else partial(join_journals, replace_it=True)
    whole, folder = journal_path(outputs.files[0]), parts_folder(outputs)
    with staging.files([whole, folder]) as (local, parts):
        if _is_complete(local):
            return
        own = [parts / journal.name for journal in journals]
        if not is_stored(whole):
            with output_locks(outputs.files):
                join(own, whole, outputs.files)
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        join(own, local, outputs.files)
        remote.store({local: whole}, new=False)


def _stays_whole(outputs: Outputs, staging: Staging) -> bool:
    """Return whether an earlier run began the job as a whole, or has made all outputs, which the last line tells."""
    with staging.files([journal_path(outputs.files[0])]) as (journal,):
        begun = journal.exists() and not lacks_header(journal)
        return begun and (not has_parts(outputs) or "options" in read_journal(journal).end())


def _is_complete(journal: Path) -> bool:
    return journal.exists() and not lacks_header(journal) and read_journal(journal).complete
