"""Where the bytes of a video go: a file that appears when it is whole, or standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tposecli.utils.files import discard, part_path, publish, unwritable

STDOUT = Path("-")


def partial_path(path: Path) -> Path:
    """The name under which an interrupted video is left: ``out.mp4`` becomes ``out.partial.mp4``."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


class StandardOutput:
    """Bytes to standard output, at once; FFmpeg does not tell that nobody reads them, this does.

    Attributes:
        error: Why something could not be written; what comes after is thrown away.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of it."""
        try:
            if self.error is None:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
        except OSError as error:
            self.error = error
        return len(data)


class Destination:
    """One output by its path; ``-`` is standard output.

    Attributes:
        address: What PyAV writes to.
        streamed: It cannot be sought in, and what was written is gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.streamed = path == STDOUT
        self.address: str | StandardOutput = StandardOutput() if self.streamed else f"file:{part_path(path)}"

    def check(self) -> None:
        """Say what FFmpeg did not.

        Raises:
            OSError: Standard output cannot be written.
        """
        if isinstance(self.address, StandardOutput) and self.address.error is not None:
            raise self.address.error

    def publish(self, complete: bool) -> Path:
        """Give what was written its name; that of a part if it is not complete."""
        if self.streamed:
            return self.path
        if complete:
            publish(self.path)
            return self.path
        os.replace(part_path(self.path), partial_path(self.path))
        return partial_path(self.path)

    def discard(self) -> None:
        """Leave nothing that has no name."""
        if not self.streamed:
            discard(self.path)

    def failure(self, error: Exception) -> Exception:
        """What to raise where it cannot be written: a sentence, or the plain error where nobody reads any more."""
        if self.streamed and isinstance(error, BrokenPipeError):
            return error
        return unwritable(self.path, error)
