"""Options of reports. No NumPy here: the command line takes its defaults from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tposecli.utils.errors import UsageError
from tposecli.utils.option_fields import NumberRange, check_ranges, number

MEGABYTE: Final = 1_000_000
UNITS: Final = {"": 1, "B": 1, "KB": 1_000, "MB": MEGABYTE, "GB": 1_000 * MEGABYTE}


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What goes into a report.

    Attributes:
        embed_bytes: Largest video, or photos in all, that become part of the page; a larger video is linked.
        why: Attention arrays of the run (``.npz``); None to compute the attention of some people anew.
        explain: Whether the page shows attention at all.
    """

    embed_bytes: int = 20 * MEGABYTE
    why: Path | None = None
    explain: bool = True


def parse_size(text: str) -> int:
    """Return a number of bytes from ``20MB``, ``500KB`` or ``0``.

    Raises:
        UsageError: It is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?B)?", text.strip().upper())
    if not found or len(text) > 32:
        raise UsageError(f"{text!r} is not a size; write bytes or 500KB, 20MB, 1GB")
    return round(float(found[1]) * UNITS[found[2] or ""])


@dataclass(frozen=True, slots=True)
class SheetOptions:
    """What a contact sheet shows.

    Attributes:
        frames: Number of frames at equal distances.
        worst: Number of worst moments that are shown instead; None for none.
        columns: Number of columns; None for a sheet that is about as broad as high.
        width: Width of a tile, pixels.
    """

    frames: int = number(12, NumberRange(1, 400, whole=True))
    worst: int | None = number(None, NumberRange(1, 100, whole=True))
    columns: int | None = number(None, NumberRange(1, 40, whole=True))
    width: int = number(320, NumberRange(80, 1280, whole=True))

    def __post_init__(self) -> None:
        check_ranges(self)
