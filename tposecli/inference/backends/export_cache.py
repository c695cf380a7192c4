"""Exported nets in the cache: checked at each use, made again when damaged, and never a reason to fail.

Beside each file lies a note with the digests of all its files and of the weights that they were made from.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tposecli.hub.checkpoints.resolve import cache_dir
from tposecli.utils.errors import OutputError
from tposecli.utils.files import sha256_of
from tposecli.utils.locks import file_lock

log = logging.getLogger("tposecli")

FOLDER: Final = "exports"
NOTE: Final = ".json"
CONVERTING: Final = "converting it once for this machine, which takes seconds"
QUANTISING: Final = "quantising it once for this machine, which takes a minute"
MAX_NOTE_BYTES: Final = 1 << 16

Write = Callable[[Path], float]
"""Writes the file, and others beside it with the same stem, and returns the largest difference from torch."""

_temporary: list[tempfile.TemporaryDirectory[str]] = []
"""Folders of exports that could not be cached; they are removed when the process ends."""


@dataclass(frozen=True, slots=True)
class CachedExport:
    """One exported file in the cache.

    Attributes:
        name: Name of the net.
        weights_sha256: Digest of the weights it is made from.
        key: Everything else that the file depends on: options, versions of packages.
        suffix: Its suffix.
        task: What is done to make it, for a log line.
    """

    name: str
    weights_sha256: str
    key: Sequence[Any]
    suffix: str
    task: str = CONVERTING

    @property
    def path(self) -> Path:
        """Where the file is, or would be."""
        digest = sha256(repr([self.weights_sha256, *self.key]).encode()).hexdigest()[:16]
        return cache_dir() / FOLDER / f"{self.name}-{digest}{self.suffix}"

    def exists(self) -> bool:
        """Return whether the file has been exported before, intact or not."""
        try:
            return self.path.is_file()
        except OSError:
            return False

    def is_intact(self) -> bool:
        """Return whether the file and those that belong to it are as they were written, from these weights."""
        path = self.path
        try:
            with path.with_suffix(NOTE).open(encoding="utf-8") as file:
                note = json.loads(file.read(MAX_NOTE_BYTES))
            if note["weights"] != self.weights_sha256 or path.name not in note["files"]:
                return False
            return all(
                Path(name).name == name and sha256_of(path.with_name(name)) == digest
                for name, digest in note["files"].items()
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return False

    def get(self, write: Write) -> Path:
        """Return the file, written now if it is missing or damaged; concurrent processes wait for the first.

        Where the cache cannot be written, the file is made in a temporary folder, for this process only.

        Raises:
            OutputError: It cannot be written there either, or its outputs differ from torch's.
        """
        path = self.path
        if self.is_intact():
            return path
        try:
            with file_lock(path):
                if self.is_intact():
                    return path
                if self.exists():
                    log.warning("%s: damaged, or not made from these weights; it is exported again", path)
                self._export(write, path)
                self._note(path)
                return path
        except OSError as error:
            reason = error.strerror or str(error)
        except CacheError as error:
            reason = str(error)
        log.warning("%s: the cache cannot be written (%s); the export serves this run only", path.parent, reason)
        return self._uncached(write)

    def _export(self, write: Write, path: Path) -> None:
        log.info("%s: %s", self.name, self.task)
        log.debug("%s: %s", self.name, path)
        try:
            difference = write(path)
        except OutputError as error:
            if isinstance(error.__cause__, OSError):
                raise CacheError(str(error.__cause__.strerror or error.__cause__)) from error
            raise
        log.debug("%s: differs from torch by at most %.0e of the largest value", path.name, difference)

    def _note(self, path: Path) -> None:
        """Write the note, last of all files: without it, they count as damaged."""
        files = sorted(file for file in path.parent.glob(f"{path.stem}.*") if file.suffix != NOTE and file.is_file())
        note = {"weights": self.weights_sha256, "files": {file.name: sha256_of(file) for file in files}}
        text = json.dumps(note, indent=1) + "\n"
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path.with_suffix(NOTE))
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise

    def _uncached(self, write: Write) -> Path:
        try:
            folder = tempfile.TemporaryDirectory(prefix="tpose-", ignore_cleanup_errors=True)
        except OSError as error:
            raise OutputError(
                f"{self.path.parent}: neither the cache nor a temporary folder can be written ({error.strerror}); "
                "set TPOSE_HOME to a folder that can, or choose --backend torch"
            ) from error
        _temporary.append(folder)
        path = Path(folder.name) / self.path.name
        write(path)
        return path


class CacheError(Exception):
    """The cache cannot be written."""
