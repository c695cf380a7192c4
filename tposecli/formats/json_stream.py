"""Parse JSON files member by member, so that a file with hours of poses never becomes one tree of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, Final

from tposecli.utils.errors import InputError
from tposecli.utils.files import read_whole

_SPACE: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the outermost value, or an element of a list in it.

    Attributes:
        key: Key in the outermost object; empty if the outermost value is a list.
        number: Place in the list under that key, from 1; 0 for the beginning of a list, None for a value outside lists.
        value: The parsed value; None for the beginning of a list.
    """

    key: str
    number: int | None
    value: Any


class JsonFile:
    """A JSON file whose outermost value is a list or an object; NaN, which other tools write, is accepted."""

    def __init__(self, path: Path) -> None:
        """Read the text.

        Raises:
            InputError: The file cannot be read or is not text.
        """
        self.path = path
        try:
            self._text = read_whole(path).decode("utf-8-sig")
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); check the file and its permissions"
            ) from error
        except UnicodeDecodeError as error:
            raise _unread(path) from error

    def __iter__(self) -> Iterator[Member]:
        """Yield the members in the file's order, parsed on demand; lists in an object are yielded element by element.

        Raises:
            InputError: The text is not JSON; the message has the line number.
        """
        at = self._skip(0)
        first = self._text[at : at + 1]
        if first == "[":
            at = yield from self._list("", at)
        elif first == "{":
            at = yield from self._object(at)
        elif first and self.path.suffix.lower() not in (".json", ".jsonl"):
            raise _unread(self.path)
        else:
            raise self._bad("expected a list or an object", at)
        if self._skip(at) != len(self._text):
            raise self._bad("extra data after the end", at)

    def _object(self, at: int) -> Generator[Member, None, int]:
        """Yield the members of the object that begins at ``at``; return its end."""
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "}":
            return at + 1
        while True:
            key, at = self._value(at)
            at = self._skip(at)
            if not isinstance(key, str) or self._text[at : at + 1] != ":":
                raise self._bad("expected a key and a colon", at)
            at = self._skip(at + 1)
            if self._text[at : at + 1] == "[":
                at = yield from self._list(key, at)
            else:
                value, at = self._value(at)
                yield Member(key, None, value)
            at, mark = self._mark(at, "}")
            if mark == "}":
                return at

    def _list(self, key: str, at: int) -> Generator[Member, None, int]:
        """Yield the elements of the list that begins at ``at``; return its end."""
        yield Member(key, 0, None)
        at, number = self._skip(at + 1), 0
        if self._text[at : at + 1] == "]":
            return at + 1
        while True:
            value, at = self._value(at)
            number += 1
            yield Member(key, number, value)
            at, mark = self._mark(at, "]")
            if mark == "]":
                return at

    def _mark(self, at: int, end: str) -> tuple[int, str]:
        """Read the next comma or closing bracket; return the offset after it, and the character."""
        at = self._skip(at)
        mark = self._text[at : at + 1]
        if mark not in (",", end) or not mark:
            raise self._bad(f"expected a comma or {end}", at)
        return (self._skip(at + 1) if mark == "," else at + 1), mark

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return at if found is None else found.end()

    def _value(self, at: int) -> tuple[Any, int]:
        try:
            return _DECODER.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            raise self._bad(error.msg, error.pos) from error
        except ValueError as error:
            raise self._bad("a number has too many digits", at) from error
        except RecursionError as error:
            raise self._bad("lists are nested too deeply", at) from error

    def _bad(self, reason: str, at: int) -> InputError:
        line = self._text.count("\n", 0, at) + 1
        end = "; the file is truncated" if at >= len(self._text.rstrip()) else ""
        return InputError(f"{self.path}, line {line}: neither a journal nor JSON ({reason}{end}); write the file again")


def _unread(path: Path) -> InputError:
    """Return the error for a file that is in no readable format; journals beside it may be what is meant."""
    beside = sorted(found.name for found in path.parent.glob(f"{escape(path.stem)}[._]*.poses.jsonl"))
    if beside:
        return InputError(f"{path}: no poses are read from such a file; name a journal beside it: {', '.join(beside)}")
    return InputError(
        f"{path}: no poses are read from such a file; name a journal, which tpose video makes, or a file in a format "
        "of --from"
    )


_DECODER: Final = json.JSONDecoder()
