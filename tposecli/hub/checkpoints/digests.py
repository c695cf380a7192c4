"""SHA-256 of cached files without a published digest, recorded in ``digests.json`` on first use and checked later."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

from tposecli.utils.errors import OutputError, WeightsError
from tposecli.utils.files import write_text
from tposecli.utils.locks import file_lock

log = logging.getLogger("tposecli")

DIGESTS_FILE: Final = "digests.json"
Digests = dict[str, str]


def read_digests(folder: Path) -> Digests:
    """Read the recorded digests of a weights folder, by file name.

    Raises:
        WeightsError: The record is damaged: no file in the folder can be trusted without it.
    """
    path = folder / DIGESTS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); delete it to trust the files beside it again") from error
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise WeightsError(f"{path}: expected file names and digests; delete it to trust the files beside it again")
    return content


def recorded_digest(path: Path) -> str:
    """Return the digest recorded for a file, or an empty string."""
    return read_digests(path.parent).get(path.name, "")


def record_digest(path: Path, digest: str) -> None:
    """Record the digest of a file; does nothing if the folder is not writable."""
    file = path.parent / DIGESTS_FILE
    try:
        with file_lock(file):
            digests = read_digests(path.parent) | {path.name: digest}
            write_text(file, json.dumps(digests, indent=1, sort_keys=True) + "\n")
    except (OSError, OutputError) as error:
        log.debug("%s: not written (%s)", file, error)
