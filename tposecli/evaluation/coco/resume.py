"""The poses of an evaluation that is not finished, image by image, so that an interrupted one goes on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tposecli.evaluation.coco.job import EvalOutputs
from tposecli.formats.journal.journal import JournalWriter, journal_path, lacks_header, read_journal
from tposecli.formats.journal.provenance import UNCOMPARED, header_differences
from tposecli.hub.checkpoints.resolve import cache_dir
from tposecli.types import Poses, Result
from tposecli.utils.errors import InputError, OutputError, UsageError

log = logging.getLogger("tposecli")


def work_path(results: Path | None, header: Mapping[str, Any]) -> Path:
    """Where the poses of an unfinished run lie: beside its results, or in the cache under a name made of its header.

    Raises:
        OutputError: The cache cannot be made.
    """
    if results is not None:
        return journal_path(results)
    folder = cache_dir() / "eval"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); name the results' file with --out") from error
    bound = {key: value for key, value in header.items() if key not in UNCOMPARED}
    digest = hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()
    return journal_path(folder / digest[:16])


class WorkFile:
    """Keeps the measured poses of each image until the run is finished.

    Attributes:
        poses: What an earlier, interrupted run has measured, by position of the image in the set.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], group: int, outputs: EvalOutputs) -> None:
        """Begin, or go on where an earlier run stopped, after its last whole group of images.

        Args:
            path: From :func:`work_path`.
            header: What the run is; must be that of the earlier run.
            group: Images in a group, which share batches of the net.
            outputs: Whether to go on at all, and whether a run of another kind may be thrown away.

        Raises:
            UsageError: The unfinished run is another one.
            OutputError: The file cannot be written.
        """
        self._path = path
        self.poses: dict[int, Poses] = {}
        if outputs.resume and path.exists() and self._continues(header, outputs.overwrite):
            journal = read_journal(path)
            whole = journal.whole_frames()
            kept = whole - whole % group
            self.poses = {frame.index: frame.poses for frame in islice(journal, kept)}
            self._writer = JournalWriter.resume(path, kept)
            log.info("going on after %d images that an interrupted run has done (%s)", kept, path)
        else:
            self._writer = JournalWriter(path, header)

    def _continues(self, header: Mapping[str, Any], overwrite: bool) -> bool:
        """Whether the file is of the same run, as far as figures are concerned."""
        if lacks_header(self._path):
            return False
        try:
            changed = header_differences(read_journal(self._path).provenance, header)
        except InputError as error:
            reason = str(error)
        else:
            if not changed:
                return True
            reason = f"{self._path}: an unfinished run of another kind, {'; '.join(changed)}"
        if not overwrite:
            raise UsageError(f"{reason}; add --overwrite to begin anew, or choose another --out")
        log.warning("%s; begun anew", reason)
        return False

    def record(self, result: Result) -> None:
        """Keep the poses of one image."""
        self._writer.write(result.frame, result.poses)

    def close(self) -> None:
        """Put it safely on the disk."""
        self._writer.close()

    def remove(self) -> None:
        """Everything is written that could be made of it."""
        self._path.unlink(missing_ok=True)
