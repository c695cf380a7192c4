"""Destination of a video's bytes: a file that appears when it is complete, or standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from tposecli.utils.files import NewFile, unwritable

STDOUT = Path("-")


def partial_path(path: Path, number: int = 0) -> Path:
    """Return the name under which an interrupted video is kept: ``out.partial.mp4`` for ``out.mp4``.

    Args:
        path: The video.
        number: Which of the further names to use, if that is taken; 0 for none.
    """
    suffix = f"-{number}" if number else ""
    return path.with_name(f"{path.stem}.partial{suffix}{path.suffix}")


class PartialVideos:
    """The partial videos that this program made, which alone it may replace or remove.

    The journal of a run has them as :meth:`to_dict`; a file that has changed since is no longer ours.
    """

    def __init__(self) -> None:
        self._made: dict[Path, tuple[int, int]] = {}

    def add(self, path: Path) -> None:
        """Add one that was just written."""
        found = path.stat()
        self._made[Path(os.path.abspath(path))] = found.st_size, found.st_mtime_ns

    def know(self, entries: Any, outputs: Iterable[Path]) -> None:
        """Add those of an earlier run, as its journal has them, if they belong to one of these outputs."""
        folders = {Path(os.path.abspath(output)).parent for output in outputs}
        for name, stamp in entries.items() if isinstance(entries, Mapping) else ():
            for folder in folders:
                if name == Path(name).name and isinstance(stamp, list) and len(stamp) == 2:
                    self._made[folder / name] = stamp[0], stamp[1]

    def to_dict(self, output: Path) -> dict[str, list[int]]:
        """Return name, size and time of those of an output, for the journal."""
        mine = {path: stamp for path, stamp in self._made.items() if self._belongs(path, output)}
        return {path.name: list(stamp) for path, stamp in mine.items() if self._is_same(path)}

    def name_for(self, output: Path) -> Path:
        """Return the name for a new one: the first that is free, after removing the earlier ones of the output."""
        self.remove(output)
        return next(path for number in count() if not os.path.lexists(path := partial_path(output, number)))

    def remove(self, output: Path) -> None:
        """Remove those of an output."""
        for path in list(self._made):
            if self._belongs(path, output):
                if self._is_same(path):
                    path.unlink(missing_ok=True)
                del self._made[path]

    def _is_same(self, path: Path) -> bool:
        with suppress(OSError):
            found = path.lstat()
            return (found.st_size, found.st_mtime_ns) == self._made[path]
        return False

    @staticmethod
    def _belongs(path: Path, output: Path) -> bool:
        absolute = Path(os.path.abspath(output))
        name, start = path.name, f"{absolute.stem}.partial"
        return path.parent == absolute.parent and name.startswith(start) and name.endswith(absolute.suffix)


PARTIAL_VIDEOS = PartialVideos()


class StandardOutput:
    """Unbuffered standard output that remembers write errors, because FFmpeg does not report a closed pipe.

    Attributes:
        error: The first write error; all later data is discarded.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write and flush all of the data."""
        try:
            if self.error is None:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
        except OSError as error:
            self.error = error
        return len(data)


class Destination:
    """The destination of one video; the path ``-`` is standard output.

    Attributes:
        path: The path of the output.
        address: What PyAV writes to.
        streamed: The output cannot seek, and what was written cannot be changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.streamed = path == STDOUT
        self._file = None if self.streamed else _new_file(path)
        self.address: str | StandardOutput = StandardOutput() if self._file is None else f"file:{self._file.temporary}"

    def check(self) -> None:
        """Raise the write error that FFmpeg did not report.

        Raises:
            OSError: Standard output cannot be written.
        """
        if isinstance(self.address, StandardOutput) and self.address.error is not None:
            raise self.address.error

    def publish(self, complete: bool) -> Path:
        """Rename the written file to its own name, or to that of a partial video, and return the name."""
        if self._file is None:
            return self.path
        if complete:
            self._file.publish()
            return self.path
        path = PARTIAL_VIDEOS.name_for(self.path)
        self._file.keep_as(path)
        PARTIAL_VIDEOS.add(path)
        return path

    def discard(self) -> None:
        """Remove the temporary file, if it still exists."""
        if self._file is not None:
            self._file.discard()

    def failure(self, error: Exception) -> Exception:
        """Return the error to raise for a failed write: a closed pipe stays itself, others become a message."""
        if self.streamed and isinstance(error, BrokenPipeError):
            return error
        return unwritable(self.path, error)


def _new_file(path: Path) -> NewFile:
    try:
        return NewFile(path)
    except OSError as error:
        raise unwritable(path, error) from error
