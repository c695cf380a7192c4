"""The journal of an unfinished evaluation, from which an interrupted run is continued."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tposecli.evaluation.coco.job import EvalOutputs
from tposecli.formats.journal.journal import Journal, JournalWriter, journal_path, lacks_header, read_journal
from tposecli.formats.journal.provenance import UNCOMPARED, header_differences
from tposecli.hub.checkpoints.resolve import cache_dir
from tposecli.pipeline.resume import continue_journal
from tposecli.types import Poses, Result
from tposecli.utils.errors import InputError, OutputError, UsageError

log = logging.getLogger("tposecli")


def eval_journal_path(results: Path | None, header: Mapping[str, Any]) -> Path:
    """Return the path of the journal: beside the results, or in the cache under a digest of its header.

    Raises:
        OutputError: The cache folder cannot be created.
    """
    if results is not None:
        return journal_path(results)
    folder = cache_dir() / "eval"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror}); name the results file with -o") from error
    bound = {key: value for key, value in header.items() if key not in UNCOMPARED}
    digest = hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()
    return journal_path(folder / digest[:16])


class EvalJournal:
    """The estimated poses of each image, kept until the evaluation is finished.

    Attributes:
        poses: What an earlier, interrupted run has estimated, by position of the image in the set.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], group: int, outputs: EvalOutputs) -> None:
        """Create the journal, or continue that of an interrupted run after its last whole group of images.

        Args:
            path: From :func:`eval_journal_path`.
            header: Everything that the poses depend on; must equal that of the interrupted run.
            group: Images that go through the net together.
            outputs: Whether to resume at all, and whether a run with another header may be discarded.

        Raises:
            UsageError: The interrupted run had another header.
            OutputError: The file cannot be written.
        """
        self._path = path
        self.poses: dict[int, Poses] = {}
        before = _earlier_run(path, header, outputs.overwrite) if outputs.resume and path.exists() else None
        if before is None:
            self._writer = JournalWriter(path, header)
            return
        self._writer, done = continue_journal(before, group)
        self.poses = {frame.index: frame.poses for frame in islice(before, done)}
        log.info("%s: resuming after %d finished images", path, done)

    def record(self, result: Result) -> None:
        """Append the poses of one image."""
        self._writer.write(result.frame, result.poses)

    def close(self) -> None:
        """Flush the journal to disk and close it."""
        self._writer.close()

    def remove(self) -> None:
        """Delete the journal, once all outputs are written."""
        self._path.unlink(missing_ok=True)


def _earlier_run(path: Path, header: Mapping[str, Any], overwrite: bool) -> Journal | None:
    """Return the journal of an interrupted run with the same header; None if there is none, or it may be discarded.

    Raises:
        UsageError: The run had another header, or the file is damaged, and ``overwrite`` is off.
    """
    if lacks_header(path):
        return None
    try:
        before = read_journal(path)
        changed = header_differences(before.provenance, header)
    except InputError as error:
        reason = str(error)
    else:
        if not changed:
            return before
        reason = f"{path}: an unfinished run with other settings, {'; '.join(changed)}"
    if not overwrite:
        raise UsageError(f"{reason}; add --overwrite to start over, or choose another output with -o")
    log.warning("%s; starting over", reason)
    return None
