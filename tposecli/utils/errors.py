"""The exception hierarchy; the command line turns a :class:`TposeError` into an exit status in one place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TposeError(Exception):
    """Base class of all errors that a user can act on.

    The message says what happened, to which file, and what to do about it.
    """

    exit_status = 1


class UsageError(TposeError):
    """The command, as given, cannot be carried out (exit status 2)."""

    exit_status = 2


class InputError(TposeError):
    """A source, annotation file or checkpoint is missing, unreadable or not what it claims to be."""


class OutputError(TposeError):
    """An output cannot be written."""


class WeightsError(TposeError):
    """A checkpoint is missing, damaged, or belongs to another model."""


class DownloadError(TposeError):
    """A published file cannot be downloaded, or the downloaded file is not the published one."""


def with_notes(what: str, error: BaseException) -> str:
    """Return ``what`` followed by the notes attached to ``error``, for example how to resume."""
    return "; ".join([what, *getattr(error, "__notes__", ())])


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` is probably a misspelling of, if there is one."""
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def unknown_name_hint(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean NAME? `` for a misspelt name, to stand before the list of known ones; else nothing."""
    nearest = nearest_name(name, known)
    return f"did you mean {nearest}? " if nearest else ""
