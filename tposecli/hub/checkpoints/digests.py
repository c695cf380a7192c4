"""SHA-256 of cached files whose publishers give none: recorded on first use, in ``digests.json``, and checked after."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

from tposecli.utils.errors import WeightsError
from tposecli.utils.files import write_text
from tposecli.utils.locks import file_lock

log = logging.getLogger("tposecli")

FILE: Final = "digests.json"
Digests = dict[str, str]


def read_digests(folder: Path) -> Digests:
    """Digests by file name, of a folder of weights.

    Raises:
        WeightsError: The record is damaged: nothing in the folder can be trusted without it.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable ({error}); delete it to trust the files beside it anew") from error
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise WeightsError(f"{path}: expected names and digests; delete it to trust the files beside it anew")
    return content


def recorded(path: Path) -> str:
    """The digest recorded for a file; empty if there is none."""
    return read_digests(path.parent).get(path.name, "")


def record(path: Path, digest: str) -> None:
    """Remember the digest of a file; a folder that cannot be written is left as it is."""
    file = path.parent / FILE
    try:
        with file_lock(file):
            digests = read_digests(path.parent) | {path.name: digest}
            write_text(file, json.dumps(digests, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        log.debug("%s: not written (%s)", file, error)
