"""Lists: text files with one input per line, which commands take in place of the inputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tposecli.sources.locations import STDIN
from tposecli.utils.errors import InputError
from tposecli.utils.files import read_whole

LIST_SUFFIX: Final = ".txt"


def read_list(name: str) -> list[str]:
    """Return the lines of a list, without empty ones and those that start with ``#``; ``-`` reads standard input.

    Raises:
        InputError: It cannot be read, or is no text.
    """
    try:
        text = sys.stdin.read() if name == STDIN else read_whole(Path(name)).decode("utf-8-sig")
        if "\0" in text:
            raise ValueError("it contains a NUL character")
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: the list cannot be read ({error}); save it as UTF-8, one input per line") from error
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
