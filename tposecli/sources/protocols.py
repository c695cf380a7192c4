"""The interfaces of sources of frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

from tposecli.sources.demuxer import SideStreams
from tposecli.types import Frame, SourceInfo


class Source(Protocol):
    """Interface of all sources; each ``iter`` starts again from the beginning."""

    @property
    def info(self) -> SourceInfo:
        """Metadata, available before the first frame."""

    @property
    def expected(self) -> int | None:
        """Approximate number of frames of an iteration, for progress bars; None if unknown."""

    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class VideoInput(Source, Protocol):
    """A source whose frames follow one another in time.

    Attributes:
        start_s: Start of the time window, in seconds from the beginning or, by ``Window.clock``, on the source's clock.
        end_s: End of the window on the same clock, or None.
        live: The source is endless.
        corrupt: Frames lost in the latest iteration.
    """

    start_s: float
    end_s: float | None
    live: bool
    corrupt: int

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read, for fingerprints; empty for a source that cannot be read twice."""

    def side_streams(self) -> SideStreams | None:
        """Return the audio and subtitle streams, for outputs that copy them; call it before iterating."""
