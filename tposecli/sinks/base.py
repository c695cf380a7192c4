"""What every sink does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from tposecli.types import Result


class Sink(Protocol):
    """Takes finished results and puts them somewhere."""

    def write(self, result: Result) -> None:
        """Take one frame, in order."""
        ...

    def close(self, complete: bool) -> None:
        """End the file under its own name if the run is complete, else leave nothing that looks whole."""
        ...


SinkT = TypeVar("SinkT", bound=Sink)


@contextmanager
def opened(sink: SinkT) -> Iterator[SinkT]:
    """Close the sink at the end of the block: as complete only if nothing was raised in it."""
    try:
        yield sink
    except BaseException:
        sink.close(complete=False)
        raise
    sink.close(complete=True)
