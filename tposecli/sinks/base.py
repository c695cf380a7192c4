"""The interface of sinks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from tposecli.types import Result


class Sink(Protocol):
    """Consumer of finished results. A sink must not change the frame unless it is the last one to use it."""

    def write(self, result: Result) -> None:
        """Write one frame; frames come in order."""
        ...

    def close(self, complete: bool) -> None:
        """Publish the output under its own name if the run is complete, else leave nothing that looks complete."""
        ...


SinkT = TypeVar("SinkT", bound=Sink)


@contextmanager
def opened(sink: SinkT) -> Iterator[SinkT]:
    """Close the sink at the end of the block, as complete only if no exception was raised."""
    try:
        yield sink
    except BaseException:
        sink.close(complete=False)
        raise
    sink.close(complete=True)
