"""Options of reports. No NumPy here: the command line takes its defaults from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tposecli.utils.errors import UsageError

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
