"""The file of corrections beside a journal: ``out.mp4.edits.toml`` for ``out.mp4.poses.jsonl``.

It names the journal by its digest, and holds the options that gave people the ids it refers to. The journal itself is
never changed.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tposecli.formats.journal.journal import SUFFIX as JOURNAL_SUFFIX
from tposecli.tracking.corrections import Correction, make_correction
from tposecli.utils.errors import InputError
from tposecli.utils.files import new_file

SUFFIX: Final = ".edits.toml"
SCHEMA_VERSION: Final = 1
MAX_BYTES: Final = 1 << 24
COMMENT: Final = "# Corrections of {name}, written by tpose edit. Commands that read the journal make them.\n\n"


@dataclass(frozen=True, slots=True)
class CorrectionsFile:
    """What a file of corrections holds.

    Attributes:
        journal_sha256: Digest of the journal.
        ids: The options that gave people the ids: ``track`` and ``keep``, as in a journal's header.
        steps: The corrections, in order.
    """

    journal_sha256: str
    ids: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Correction, ...] = ()


def corrections_path(journal: Path) -> Path:
    """Return the path of the corrections of a journal."""
    return journal.with_name(journal.name.removesuffix(JOURNAL_SUFFIX) + SUFFIX)


def journal_digest(journal: Path) -> str:
    """Return the hexadecimal SHA-256 of a journal.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with journal.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{journal}: cannot be read ({error.strerror}); check the file and its permissions") from error


def read_corrections(path: Path) -> CorrectionsFile:
    """Read a file of corrections.

    Raises:
        InputError: It cannot be read, or is damaged.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version: expected {SCHEMA_VERSION}, got {version!r}")
        digest, ids, rows = content.get("journal_sha256"), content.get("ids", {}), content.get("corrections", [])
        if not isinstance(digest, str) or not isinstance(ids, dict) or not isinstance(rows, list):
            raise ValueError("journal_sha256, ids or corrections is missing or has the wrong type")
        steps = []
        for number, row in enumerate(rows, start=1):
            try:
                steps.append(make_correction(row if isinstance(row, dict) else {}))
            except ValueError as error:
                raise ValueError(f"correction {number}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    except (ValueError, RecursionError) as error:
        remedy = "mend or remove it, or add --no-edits to leave it out"
        raise InputError(f"{path}: not a valid file of corrections ({error}); {remedy}") from error
    return CorrectionsFile(digest, ids, tuple(steps))


def write_corrections(path: Path, content: CorrectionsFile) -> None:
    """Write a file of corrections in place of the one before.

    Raises:
        OutputError: It cannot be written.
    """
    import tomli_w

    values = {
        "schema_version": SCHEMA_VERSION,
        "journal_sha256": content.journal_sha256,
        "ids": {name: _without_none(values) for name, values in content.ids.items()},
        "corrections": [step.to_dict() for step in content.steps],
    }
    name = path.name.removesuffix(SUFFIX) + JOURNAL_SUFFIX
    with new_file(path, replace=True) as temporary:
        printable = "".join(letter if letter.isprintable() else "?" for letter in name)
        temporary.write_text(COMMENT.format(name=printable) + tomli_w.dumps(values), encoding="utf-8")


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that TOML can hold; what is left out has its default."""
    return {name: value for name, value in values.items() if value is not None}
