"""The poses of an evaluation that is not finished, image by image, so that an interrupted one goes on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tposecli.errors import InputError, OutputError, UsageError
from tposecli.models.files import cache_dir
from tposecli.sinks.journal import OWN, JournalWriter, journal_path, read_journal
from tposecli.types import Poses, Result

log = logging.getLogger("tposecli")

FREE: Final = (*OWN, "command")
"""What of the header may differ."""


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
    digest = hashlib.sha256(json.dumps(_bound(header), sort_keys=True).encode()).hexdigest()
    return journal_path(folder / digest[:16])


class WorkFile:
    """Keeps the measured poses of each image until the run is finished.

    Attributes:
        poses: What an earlier, interrupted run has measured, by position of the image in the set.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], group: int, overwrite: bool) -> None:
        """Begin, or go on where an earlier run stopped, after its last whole group of images.

        Args:
            path: From :func:`work_path`.
            header: What the run is; must be that of the earlier run.
            group: Images in a group, which share batches of the net.
            overwrite: Whether a run of another kind may be thrown away.

        Raises:
            UsageError: The unfinished run is another one.
            OutputError: The file cannot be written.
        """
        self._path = path
        self.poses: dict[int, Poses] = {}
        if path.exists() and self._continues(header, overwrite):
            frames = list(read_journal(path))
            kept = len(frames) - len(frames) % group
            self.poses = {frame.index: frame.poses for frame in frames[:kept]}
            self._writer = JournalWriter.resume(path, kept)
            log.info("going on after %d images that an interrupted run has done (%s)", kept, path)
        else:
            self._writer = JournalWriter(path, header)

    def _continues(self, header: Mapping[str, Any], overwrite: bool) -> bool:
        """Whether the file is of the same run, as far as figures are concerned."""
        try:
            old = _bound(read_journal(self._path).header)
        except InputError as error:
            reason = str(error)
        else:
            new = _bound(header)
            changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            if not changed:
                return True
            reason = f"{self._path}: an unfinished run with another {', '.join(changed)}"
        if not overwrite:
            raise UsageError(f"{reason}; add --overwrite to begin anew, or choose another --out")
        log.warning("%s; begun anew", reason)
        return False

    def record(self, result: Result) -> None:
        """Keep the poses of one image."""
        self._writer.write(result.frame, result.poses)

    def close(self, complete: bool) -> None:
        """Put it safely on the disk; say, unless all images are done, how to go on."""
        self._writer.close()
        if not complete:
            log.warning("stopped; the same command goes on from here (%s)", self._path)

    def remove(self) -> None:
        """Everything is written that could be made of it."""
        self._path.unlink(missing_ok=True)


def _bound(header: Mapping[str, Any]) -> dict[str, Any]:
    """What of a header must not differ, as it reads back from JSON."""
    kept: dict[str, Any] = json.loads(json.dumps({key: header[key] for key in header if key not in FREE}))
    return kept
