"""The folder of what the segments of a video leave until they are joined: on a disk, or in a store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from tposecli.formats.journal.journal import journal_path
from tposecli.hub import remote
from tposecli.hub.remote import address_of, is_stored
from tposecli.pipeline.job import AnyJob, Outputs, RunFlags, Settings
from tposecli.pipeline.segments.plan import parts_folder
from tposecli.utils.errors import UsageError
from tposecli.utils.files import new_file

NOTE: Final = "plan.json"
"""Name of the file in the folder that says how the video was cut."""


@dataclass(frozen=True, slots=True)
class HowCut:
    """How a video was cut, so that a run that goes on cuts it in the same way.

    Attributes:
        frames: Frames of a segment, about.
        threads: Threads of the net, on which the last digits depend; None if they were not fixed.
    """

    frames: int
    threads: int | None = None


def has_parts(outputs: Outputs) -> bool:
    """Return whether there is something of the segments of an earlier run.

    Raises:
        TposeError: The store cannot be read.
    """
    if not outputs.files:
        return False
    folder = parts_folder(outputs)
    return bool(remote.list_folder(folder)) if is_stored(folder) else folder.is_dir()


def check_parts(job: AnyJob, flags: RunFlags, lacks: str = "") -> None:
    """Refuse to begin where segments of an interrupted run are, or remove them if they are to be overwritten.

    Args:
        job: The whole video, or all images.
        flags: Whether to resume, or to overwrite.
        lacks: Options without which the run does not continue them; empty if it does.

    Raises:
        UsageError: There are some, and neither ``--resume`` nor ``--overwrite`` is given, or an option is lacking.
        TposeError: The store cannot be read or written.
    """
    if not has_parts(job.outputs) or (flags.resume and not lacks):
        return
    name = address_of(parts_folder(job.outputs))
    if flags.resume:
        raise UsageError(
            f"{name}: an interrupted run in segments; add {lacks} to continue it, or start over with --overwrite "
            "(without --resume)"
        )
    if not flags.overwrite:
        raise UsageError(f"{name}: an interrupted run; add --resume to continue it, or --overwrite to start over")
    remove_parts(job.outputs)


def lacks_of(job: AnyJob) -> str:
    """Return what this machine alone lacks to continue a job in segments: it does not if they are in a store."""
    return "--cluster" if is_in_store(job) else ""


def is_in_store(job: AnyJob) -> bool:
    """Return whether the outputs of a job are in a store."""
    return any(map(is_stored, job.outputs.files))


def remove_parts(outputs: Outputs) -> None:
    """Remove what the segments have left.

    Raises:
        TposeError: The store cannot be read or written.
    """
    folder = parts_folder(outputs)
    if not is_stored(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in remote.list_below(folder):
        remote.remove(path)


def forget(outputs: Outputs) -> None:
    """Remove the journals of an earlier run that is overwritten, which one that resumes would continue.

    Raises:
        TposeError: The store cannot be read or written.
    """
    if not outputs.files:
        return
    remove_parts(outputs)
    journal = journal_path(outputs.files[0])
    if is_stored(journal):
        remote.remove(journal)
    else:
        journal.unlink(missing_ok=True)


def note_cut(outputs: Outputs, how: HowCut) -> None:
    """Make the folder, and note in it how the video was cut; a store has no note.

    Raises:
        OutputError: It cannot be written.
    """
    folder = parts_folder(outputs)
    if not is_stored(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with new_file(folder / NOTE, True) as temporary:
            temporary.write_text(json.dumps(asdict(how)))


def cut_before(outputs: Outputs) -> HowCut | None:
    """Return how an earlier run has cut the video; None if none has, or there is no note of it."""
    if not outputs.files:
        return None
    folder = parts_folder(outputs)
    if is_stored(folder):
        return None
    try:
        found = json.loads((folder / NOTE).read_bytes())
        threads = found["threads"]
        return HowCut(int(found["frames"]), None if threads is None else int(threads))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def as_before(jobs: Sequence[AnyJob], settings: Settings) -> Settings:
    """Return settings with the threads of an earlier run in segments, if it is to be resumed and they are not given."""
    model = settings.inference.model
    if not settings.flags.resume or model.threads is not None:
        return settings
    earlier = (cut_before(job.outputs) for job in jobs)
    threads = next((how.threads for how in earlier if how is not None), None)
    return replace(settings, inference=replace(settings.inference, model=replace(model, threads=threads)))
