"""Join the journals of the segments of a video to the journal of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tposecli.formats.journal.journal import Journal, JournalWriter, read_journal
from tposecli.formats.journal.provenance import header_differences
from tposecli.formats.journal.records import JournalFrame
from tposecli.sources import Window
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import new_file

SAME_S: Final = 1e-6
"""Seconds; times that differ by less are the same."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A journal of a segment.

    Attributes:
        journal: The file.
        window: Its part of the video.
        begin: Ticks of the whole video at which its times begin.
    """

    journal: Journal
    window: Window
    begin: int

    @property
    def facts(self) -> dict[str, Any]:
        """What all parts must have in common."""
        header = {key: value for key, value in self.journal.provenance.items() if key != "window"}
        return header | {"stride": self.window.stride, "clock": self.window.clock}


def join_journals(
    journals: Sequence[Path], path: Path, outputs: Sequence[Path] = (), command: str = "", replace_it: bool = False
) -> int:
    """Write the journal that one run over the whole would have written, and return its number of frames.

    Args:
        journals: Those of the segments, in any order.
        path: The journal to write; it appears when it is complete.
        outputs: The files that will be made of it.
        command: The command that asks for it; empty for that of the first segment.
        replace_it: Whether a journal of that name may be replaced.

    Raises:
        InputError: A journal is missing, damaged or of a run that has not ended.
        UsageError: They are not of one video, or not of one model and options, or there is a gap between two of them.
        OutputError: The journal cannot be written.
    """
    parts = sorted((_read(each) for each in journals), key=lambda part: part.window.start_s)
    if len(parts) < 2:
        raise UsageError("join: expected the journals of two or more segments")
    for one, other in pairwise(parts):
        _check_neighbours(one, other)
    first, last = parts[0], parts[-1]
    header = first.journal.provenance
    header["window"] = replace(first.window, end_s=last.window.end_s).to_dict()
    if command:
        header["command"] = command
    count = 0
    with new_file(path, replace_it) as temporary:
        writer = JournalWriter(temporary, header, outputs)
        try:
            for frame in _frames(parts):
                writer.write(frame, frame.poses)
                count += 1
            writer.close(True, {"begin": first.begin} if first.begin else {})
        finally:
            writer.close()
    return count


def _read(path: Path) -> _Part:
    """Open the journal of a segment."""
    journal = read_journal(path)
    if not journal.complete:
        raise InputError(f"{path}: its run has not ended; run it again with --resume, then join")
    if journal.header.get("time_base") is None:
        raise UsageError(f"{path}: the journal of images; name those of segments of one video")
    window, end = Window.of_header(journal.header), journal.end()
    if window.is_cut and not isinstance(end.get("begin"), int):
        raise UsageError(f"{path}: does not say where its times begin; run it again, or with --clock source")
    return _Part(journal, window, end["begin"] if window.is_cut else 0)


def _check_neighbours(one: _Part, other: _Part) -> None:
    """Refuse two journals that are not of neighbouring segments of one video, measured in the same way."""
    changed = header_differences(one.facts, other.facts)
    names = f"{one.journal.path}, {other.journal.path}"
    if changed:
        raise UsageError(f"{names}: not of one run: {'; '.join(changed)}; measure all segments with the same options")
    end_s, start_s = one.window.end_s, other.window.start_s
    if end_s is None or end_s > start_s + SAME_S:
        until = "the end" if end_s is None else f"{end_s:g} s"
        raise UsageError(f"{names}: overlap (to {until}, from {start_s:g} s); give the first another --end")
    if end_s < start_s - SAME_S:
        raise UsageError(f"{names}: a gap from {end_s:g} s to {start_s:g} s; add the journal of that segment")


def _frames(parts: Sequence[_Part]) -> Iterator[JournalFrame]:
    """Yield the frames of all parts, with the times of the whole."""
    latest, stride = None, parts[0].window.stride
    for part in parts:
        base, shift = Fraction(part.journal.header["time_base"]), part.begin - parts[0].begin
        for frame in part.journal:
            if latest is not None and (frame.index <= latest or (frame.index - latest) % stride):
                where = f"{part.journal.path}: frame {frame.index} cannot follow frame {latest}"
                raise UsageError(f"{where} with --stride {stride}; choose a --start at a frame that it takes")
            latest = frame.index
            pts = (frame.pts or 0) + shift
            yield replace(frame, pts=pts, time_s=float(pts * base)) if shift else frame
