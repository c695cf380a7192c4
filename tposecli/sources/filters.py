"""Filters applied to decoded frames before the conversion to RGB: deinterlacing and tone mapping of HDR."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeAlias

import av
import av.filter
import av.video.frame
import numpy as np

from tposecli.sources.container import as_fraction
from tposecli.sources.hdr import HLG, PQ, to_sdr
from tposecli.types import Float32

TimedFrame: TypeAlias = "tuple[av.video.frame.VideoFrame, int]"
"""A decoded frame and its timestamp in the stream's time base."""

GRID: Final = 33
"""Grid points of the colour table along each axis."""

MIN_SIDE: Final = 8
"""The deinterlacing filter rejects frames with a shorter side; only damaged files have such frames."""

_TICK: Final = Fraction(1, 1000)


class Deinterlacer:
    """Deinterlaces interlaced frames; progressive frames pass unchanged until the first interlaced one.

    Each input frame yields one output frame with its own timestamp.

    Attributes:
        used: Whether there was an interlaced frame.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[int, int, str] = (0, 0, "")
        self.used = False

    def push(self, frame: av.video.frame.VideoFrame, pts: int) -> Iterator[TimedFrame]:
        """Feed one frame and yield those that are ready; the filter delays by one frame."""
        if min(frame.width, frame.height) < MIN_SIDE or (self._graph is None and not frame.interlaced_frame):
            yield frame, pts
            return
        shape = (frame.width, frame.height, frame.format.name)
        if self._graph is None or shape != self._shape:
            yield from self.flush()
            self._graph, self._shape, self.used = self._make(frame), shape, True
        frame.pts, frame.time_base = pts, self._time_base
        self._graph.push(frame)
        yield from self._ready(self._graph)

    def flush(self) -> Iterator[TimedFrame]:
        """Yield the frames that are held back."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.push(None)
            yield from self._ready(graph)

    def _make(self, frame: av.video.frame.VideoFrame) -> av.filter.Graph:
        """Build the filter for frames of this size and format."""
        return _graph(frame, self._time_base, [("bwdif", "mode=send_frame:parity=auto:deint=interlaced")])

    def _ready(self, graph: av.filter.Graph) -> Iterator[TimedFrame]:
        """Yield finished frames, converting the filter's finer ticks to the stream's time base."""
        for frame in _pulled(graph):
            ticks = (frame.pts or 0) * (as_fraction(frame.time_base) or self._time_base) / self._time_base
            yield frame, round(ticks)


class ToneMap:
    """Converts HDR frames (PQ or HLG, BT.2020) to 8-bit RGB with a colour table that FFmpeg interpolates."""

    def __init__(self, transfer: int) -> None:
        """Build the table for frames with this transfer characteristic (16: PQ, 18: HLG)."""
        self._table = colour_table(transfer)
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[int, int, str] = (0, 0, "")

    @staticmethod
    def needed(frame: av.video.frame.VideoFrame) -> bool:
        """Return whether a frame is marked as HDR."""
        return int(frame.color_trc) in (PQ, HLG)

    def map(self, frame: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
        """Return the frame converted to rgb24, in the same size."""
        shape = (frame.width, frame.height, frame.format.name)
        if self._graph is None or shape != self._shape:
            self._graph, self._shape = self._make(frame), shape
        frame.pts, frame.time_base = 0, _TICK
        self._graph.push(frame)
        mapped = next(_pulled(self._graph))
        mapped.color_trc = mapped.color_primaries = 1
        return mapped

    def _make(self, frame: av.video.frame.VideoFrame) -> av.filter.Graph:
        """Build the filter for frames of this size and format; it reads the table file on construction."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "table.cube")
            file.write_text(self._table, encoding="ascii")
            colours = f"file={_escaped(file)}:interp=tetrahedral"
            steps = [("scale", "in_color_matrix=bt2020"), ("format", "gbrp16"), ("lut3d", colours), ("format", "rgb24")]
            return _graph(frame, _TICK, steps)


def colour_table(transfer: int) -> str:
    """Return a 3D LUT in the Cube format, red changing fastest, with ``GRID`` points along each axis."""
    axis = np.linspace(0, 1, GRID, dtype=np.float32)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    signal: Float32 = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    lines = (" ".join(f"{value:.6f}" for value in row) for row in to_sdr(signal, transfer).tolist())
    return f"LUT_3D_SIZE {GRID}\n" + "\n".join(lines) + "\n"


def _graph(frame: av.video.frame.VideoFrame, time_base: Fraction, filters: list[tuple[str, str]]) -> av.filter.Graph:
    """Build a filter chain from (name, arguments) pairs for frames like this one."""
    graph = av.filter.Graph()
    source = (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={time_base}"
        f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    )
    latest: Any = graph.add("buffer", source)
    for name, arguments in [*filters, ("buffersink", "")]:
        following = graph.add(name, arguments or None)
        latest.link_to(following)
        latest = following
    graph.configure()
    return graph


def _pulled(graph: av.filter.Graph) -> Iterator[av.video.frame.VideoFrame]:
    """Yield the frames that the filter has ready."""
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(frame, av.video.frame.VideoFrame):
            yield frame


def _escaped(path: Path) -> str:
    """Escape a file name for use as a filter argument."""
    text = path.as_posix()
    for char in "\\':":
        text = text.replace(char, "\\" + char)
    return text
