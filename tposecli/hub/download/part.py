"""The received part of a download, and whether it can be resumed."""

from __future__ import annotations

import http.client
import json
import os
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from tposecli.hub.download.request import RequestError, TransientError, redacted_url
from tposecli.utils.errors import DownloadError
from tposecli.utils.files import NO_FOLLOW, create_exclusively, write_text


def part_path(path: Path) -> Path:
    """Return the name of the received part of a file: unlike other temporary names it is fixed, to be resumed."""
    return path.with_name(path.name + ".part")


def note_path(part: Path) -> Path:
    """Return the name of the note that lies beside a received part: without it, the part is somebody else's."""
    return part.with_name(part.name + ".json")


class PartialFile:
    """An unfinished download, with a JSON note beside it on what the server said about the complete file.

    A download is only resumed if the two halves can be shown to belong together: by the server's ``ETag`` or date, or
    by a digest that is known in advance.
    """

    def __init__(self, path: Path, url: str, checkable: bool) -> None:
        """Describe the download of ``url`` to ``path``.

        Args:
            path: Final name of the file.
            url: Where it comes from.
            checkable: Whether a digest will be compared at the end.
        """
        self.path = part_path(path)
        self._note = note_path(self.path)
        self._source = redacted_url(url)
        self._checkable = checkable
        self._start = 0

    def refuse_foreign(self, elsewhere: str) -> None:
        """Refuse files of these two names that no download of this program has left.

        Args:
            elsewhere: How the user can choose another folder, for the message.

        Raises:
            DownloadError: There is one.
        """
        ours = not self._note.is_symlink() and {"source", "validator", "size"} <= self._read().keys()
        for path in (self.path, self._note):
            if os.path.lexists(path) and not (ours and path.is_file() and not path.is_symlink()):
                raise DownloadError(f"{path}: not from a download of this program; move it, or {elsewhere}")

    def headers(self) -> dict[str, str]:
        """Return the request headers: a range request if there is something to resume."""
        self._start = 0
        size = self.path.stat().st_size if self.path.is_file() else 0
        validator, total = self._read_note()
        if not size or not (validator or self._checkable) or (total is not None and size > total):
            return {}
        # A complete part requests its last byte again: servers answer an empty range with an error.
        self._start = size - 1 if size == total else size
        headers = {"Range": f"bytes={self._start}-"}
        return headers | {"If-Range": validator} if validator else headers

    def begin(self, response: http.client.HTTPResponse) -> tuple[int, int | None]:
        """Return the offset of the response's first byte, and the size of the complete file if the server gives it.

        Raises:
            TransientError: The response does not continue the received part, which is useless.
            RequestError: The response is not the file.
        """
        validator = validator_of(response)
        if response.status == HTTPStatus.OK:
            self.discard()
            self._write_note(validator, response.length)
            return 0, response.length
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            raise RequestError(f"HTTP {response.status} {response.reason}")
        start, total = _content_range(response.headers.get("Content-Range", ""))
        known, size = self._read_note()
        changed = (known and validator and known != validator) or (None not in (size, total) and size != total)
        if start != self._start or changed:
            reason = "the file has changed since its download began, or the server sent another range"
            raise TransientError(reason, restart=True)
        return self._start, size if total is None else total

    def open(self, resume: bool) -> IO[bytes]:
        """Open the received part for writing; a link of its name is not followed.

        Args:
            resume: Keep what was received; otherwise begin a new file.
        """
        if not resume:
            with suppress(FileNotFoundError):
                self.path.unlink()
            return os.fdopen(create_exclusively(self.path), "r+b")
        return os.fdopen(os.open(self.path, os.O_RDWR | NO_FOLLOW), "r+b")

    def discard(self) -> None:
        """Delete the received part and its note."""
        with suppress(OSError):
            self.path.unlink()
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> tuple[str, int | None]:
        """Return the validator and the size of the complete file, as this source gave them."""
        note = self._read()
        try:
            if note["source"] == self._source:
                return str(note["validator"]), None if note["size"] is None else int(note["size"])
        except (ValueError, KeyError, TypeError):
            pass
        return "", None

    def _read(self) -> dict[str, Any]:
        """Return the note, empty if there is none or it is something else."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return note if isinstance(note, dict) else {}

    def _write_note(self, validator: str, size: int | None) -> None:
        note = {"source": self._source, "validator": validator, "size": size}
        write_text(self._note, json.dumps(note), replace=True)


def validator_of(response: http.client.HTTPResponse) -> str:
    """Return what identifies this version of the file: a strong ``ETag``, otherwise its date, otherwise nothing."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _content_range(header: str) -> tuple[int | None, int | None]:
    """Return first byte and total size from ``bytes 100-199/200``; None for what is not given."""
    span, _, total = header.removeprefix("bytes ").partition("/")
    first = span.partition("-")[0].strip()
    return int(first) if first.isdecimal() else None, int(total) if total.strip().isdecimal() else None
