"""What has come so far of a file that is downloaded, and whether the rest can be put behind it."""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from pathlib import Path

from tposecli.hub.download.request import RequestError, TransientError, shown
from tposecli.utils.files import discard, part_path


class PartialFile:
    """The unfinished file, and a note beside it of what the server said about the whole.

    A part is gone on with only if the pieces can be told to belong together: by the server's ``ETag`` or date, or by a
    digest that is known beforehand.
    """

    def __init__(self, path: Path, url: str, checkable: bool) -> None:
        """The part of ``path``, coming from ``url``; ``checkable`` if a digest will be compared at the end."""
        self._target = path
        self.path = part_path(path)
        self._note = self.path.with_name(self.path.name + ".json")
        self._source = shown(url)
        self._checkable = checkable
        self._start = 0

    def headers(self) -> dict[str, str]:
        """What to ask for: the rest if a start is there, else everything."""
        self._start = 0
        size = self.path.stat().st_size if self.path.is_file() else 0
        validator, total = self._read_note()
        if not size or not (validator or self._checkable) or (total is not None and size > total):
            return {}
        # A part that is complete already asks for its last byte again: for nothing, servers answer with an error.
        self._start = size - 1 if size == total else size
        headers = {"Range": f"bytes={self._start}-"}
        return headers | {"If-Range": validator} if validator else headers

    def begin(self, response: http.client.HTTPResponse) -> tuple[int, int | None]:
        """Where the response's bytes belong, and the size of the whole file if the server says it.

        Raises:
            Transient: They do not belong to the part, which is of no use.
            Failed: The response is not the file.
        """
        validator = _validator(response)
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
            reason = "the file has changed since its download began, or the server sent another piece of it"
            raise TransientError(reason, restart=True)
        return self._start, size if total is None else total

    def discard(self) -> None:
        """Delete it, note included."""
        discard(self._target)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> tuple[str, int | None]:
        """Validator and size of the whole file, as this source gave them."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if note["source"] == self._source:
                return str(note["validator"]), None if note["size"] is None else int(note["size"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return "", None

    def _write_note(self, validator: str, size: int | None) -> None:
        note = {"source": self._source, "validator": validator, "size": size}
        self._note.write_text(json.dumps(note), encoding="utf-8")


def _validator(response: http.client.HTTPResponse) -> str:
    """What tells this version of the file from others: a strong ``ETag``, else its date, else nothing."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _content_range(header: str) -> tuple[int | None, int | None]:
    """First byte and size of the whole file, from ``bytes 100-199/200``; None for what it does not say."""
    piece, _, total = header.removeprefix("bytes ").partition("/")
    first = piece.partition("-")[0].strip()
    return int(first) if first.isdecimal() else None, int(total) if total.strip().isdecimal() else None
