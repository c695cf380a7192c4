"""Corrections by hand: read, and made, by every command that reads a journal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from tposecli.formats.align import JOURNAL, AlignedPoses, PoseInput
from tposecli.formats.corrections import CorrectionsFile, corrections_path, journal_digest, read_corrections
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.keep_options import KeepOptions
from tposecli.pipeline.postprocess import PostOptions, PostProcessor
from tposecli.pipeline.summary import count
from tposecli.tracking.corrections import Corrections, check_joints
from tposecli.tracking.options import TrackOptions
from tposecli.utils.errors import InputError, UsageError

log = logging.getLogger("tposecli")

EVERYBODY: Final = KeepOptions(0, 0)
"""Whom runs kept before there were options for it."""


def read_corrections_of(recording: AlignedPoses, given: PoseInput) -> CorrectionsFile | None:
    """Read the corrections of a journal, if there are any and they are wanted.

    Raises:
        InputError: They are damaged, or those of another journal.
    """
    path = corrections_path(recording.path)
    if recording.format != JOURNAL or not given.corrected or recording.stills or not path.exists():
        return None
    found = read_corrections(path)
    if found.journal_sha256 != journal_digest(recording.path):
        raise InputError(
            f"{path}: its corrections are of another state of {recording.path.name}, which has changed since; remove "
            "or rename it to correct the journal again, or add --no-edits to leave it out"
        )
    return found


def build_processor(
    recording: AlignedPoses, given: PoseInput, options: PostOptions, corrections: CorrectionsFile | None
) -> PostProcessor:
    """Build the tracker and smoother of stored poses, with the corrections that were made by hand.

    Raises:
        UsageError: The options would give people other ids than those that are corrected.
        InputError: A correction names a joint that there is not.
    """
    layout = KeypointLayout.from_dict(recording.header)
    by_hand = None
    if corrections is not None:
        path = corrections_path(recording.path)
        options = _with_their_ids(options, corrections, path)
        try:
            check_joints(corrections.steps, layout)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error
        by_hand = Corrections(corrections.steps, layout)
        log.info("%s: %s by hand", path, count(len(corrections.steps), "correction"))
    post = PostProcessor.build(
        options.of_stills() if recording.stills else options,
        layout=layout,
        weak_score=recording.weak_score,
        header=recording.header,
        corrections=by_hand,
    )
    return replace(post, tracker=None) if recording.tracked and not given.track_again else post


def names_of(header: Mapping[str, Any], corrections: CorrectionsFile | None = None) -> dict[int, str]:
    """Return the names of people by their ids: those that were given by hand, else those of a header."""
    names = {**header, **describe_corrections(corrections)}.get("track_names", {})
    return {int(person): name for person, name in names.items()}


def describe_corrections(corrections: CorrectionsFile | None) -> dict[str, Any]:
    """Return what headers say of corrections; nothing if there are none."""
    if corrections is None:
        return {}
    names = {str(person): name for person, name in Corrections(corrections.steps).names().items()}
    steps = [step.to_dict() for step in corrections.steps]
    return {"corrections": steps, **({"track_names": names} if names else {})}


def ids_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by which a run gave people their ids, from its journal."""
    options = header.get("options", {})
    track = options.get("track") if isinstance(options.get("track"), dict) else asdict(TrackOptions())
    keep = options.get("keep") if isinstance(options.get("keep"), dict) else asdict(EVERYBODY)
    return {"track": track, "keep": keep}


def _with_their_ids(options: PostOptions, corrections: CorrectionsFile, path: Path) -> PostOptions:
    """Return the options with which people have the ids that are corrected.

    Raises:
        UsageError: The user asked for others.
        InputError: The file names options that there are not.
    """
    ids = corrections.ids
    try:
        track, keep = TrackOptions(**ids.get("track", {})), KeepOptions(**ids.get("keep", {}))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: invalid options of tracking ({error}); remove the file and correct again") from error
    if options.track not in (TrackOptions(), track) or options.keep not in (KeepOptions(), keep):
        raise UsageError(
            f"{path} corrects the ids of other options; leave out those that begin with --track, --no-track, "
            "--min-person-score and --min-joints, or add --no-edits to leave the corrections out"
        )
    return replace(options, track=track, keep=keep)
