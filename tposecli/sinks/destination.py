"""Destination of a video's bytes: a file that appears when it is complete, or standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tposecli.utils.files import discard, part_path, publish, unwritable

STDOUT = Path("-")


def partial_path(path: Path) -> Path:
    """Return the name under which an interrupted video is kept: ``out.partial.mp4`` for ``out.mp4``."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


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
        self.address: str | StandardOutput = StandardOutput() if self.streamed else f"file:{part_path(path)}"

    def check(self) -> None:
        """Raise the write error that FFmpeg did not report.

        Raises:
            OSError: Standard output cannot be written.
        """
        if isinstance(self.address, StandardOutput) and self.address.error is not None:
            raise self.address.error

    def publish(self, complete: bool) -> Path:
        """Rename the written file to its own name, or to that of a partial video, and return the name."""
        if self.streamed:
            return self.path
        if complete:
            publish(self.path)
            return self.path
        os.replace(part_path(self.path), partial_path(self.path))
        return partial_path(self.path)

    def discard(self) -> None:
        """Remove the temporary file, if it still exists."""
        if not self.streamed:
            discard(self.path)

    def failure(self, error: Exception) -> Exception:
        """Return the error to raise for a failed write: a closed pipe stays itself, others become a message."""
        if self.streamed and isinstance(error, BrokenPipeError):
            return error
        return unwritable(self.path, error)
