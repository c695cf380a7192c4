"""Numbers of frames in the names of files and images."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final

from tposecli.utils.errors import InputError

MAX_FRAMES: Final = 10_000_000
"""Larger numbers are dates or serial numbers; 46 hours at 60 frames per second."""

MIN_SHARED: Final = 2
"""Two prefixes with this many numbers in common are two recordings; one number may be a coincidence."""

_NUMBERED: Final = re.compile(r"(.*?)(\d+)\D*", re.ASCII)


def split_number(name: str) -> tuple[str, int] | None:
    """Return what precedes the last number in a file name, and that number; None without a number."""
    match = _NUMBERED.fullmatch(PurePath(name.replace("\\", "/")).stem)
    return None if match is None else (match[1], int(match[2]))


def frame_indices(names: Sequence[str]) -> list[int] | None:
    """Return the index of the frame that each name is numbered as; None if the names are not those of one sequence.

    Numbers count from 0, as those of CVAT, OpenPose and AlphaPose do, unless they are exactly 1, 2, ... n, as FFmpeg's.
    """
    found = [pair for name in names if (pair := split_number(name)) is not None]
    numbers = [number for _, number in found]
    if not numbers or len(found) < len(names) or len({prefix for prefix, _ in found}) > 1:
        return None
    if len(set(numbers)) < len(numbers) or max(numbers) > MAX_FRAMES:
        return None
    first = int(sorted(numbers) == list(range(1, len(numbers) + 1)))
    return [number - first for number in numbers]


def refuse_several_recordings(path: Path, names: Sequence[str], min_shared: int = MIN_SHARED) -> None:
    """Raise InputError if names with different prefixes have the same numbers: files of several cameras or videos."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for name in names:
        if (pair := split_number(name)) is not None:
            numbers[pair[0]].add(pair[1])
    prefixes = sorted(numbers)
    shared = any(
        len(numbers[one] & numbers[other]) >= min_shared
        for place, one in enumerate(prefixes)
        for other in prefixes[place + 1 :]
    )
    if shared:
        raise InputError(
            f"{path}: contains the frames of several recordings ({', '.join(map(repr, prefixes[:10]))}); put those of "
            "each into a folder of its own"
        )
