"""A made-up pose file format, for the test that one row of the table adds a format."""

from __future__ import annotations

from pathlib import Path

from tposecli.formats.base import FrameRef, PoseFile, PoseSource, WriteOptions
from tposecli.formats.exchange.recording import Recording
from tposecli.types import Result
from tposecli.utils.files import PartFile

MAGIC = b"people per frame\n"


def is_counts(head: bytes) -> bool:
    return head.startswith(MAGIC)


def read_counts(source: PoseSource) -> PoseFile:
    lines = source.path.read_bytes().removeprefix(MAGIC).splitlines()
    frames = tuple(FrameRef(index, index, time_s=float(index), size_wh=(8, 8)) for index in range(len(lines)))
    return PoseFile(source.path, "counts", frames, {})


def open_counts(path: Path, options: WriteOptions) -> CountsSink:
    return CountsSink(path)


class CountsSink:
    def __init__(self, path: Path) -> None:
        self._part = PartFile(path)
        self._part.file.write(MAGIC)

    def write(self, result: Result) -> None:
        self._part.file.write(f"{len(result.poses)}\n".encode())

    def close(self, complete: bool) -> None:
        self._part.close(complete)


def export_heads(recording: Recording, path: Path) -> None:
    rows = zip(recording.frame.tolist(), recording.track.tolist(), recording.xy[:, 0].round().tolist(), strict=True)
    path.write_text("".join(f"{frame} {track}: {x:g} {y:g}\n" for frame, track, (x, y) in rows))
