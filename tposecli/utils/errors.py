"""The one root error; the command line turns it into an exit status in one place."""

from __future__ import annotations


class TposeError(Exception):
    """Anything the user can do something about.

    The message says what happened, to which file, and what to do about it.
    """

    exit_status = 1


class UsageError(TposeError):
    """The request itself cannot be carried out as it was made (exit status 2)."""

    exit_status = 2


class InputError(TposeError):
    """A source, annotation file or checkpoint is missing, unreadable or not what it claims to be."""


class OutputError(TposeError):
    """An output cannot be written."""


class WeightsError(TposeError):
    """A checkpoint is missing, damaged, or belongs to another model."""


class DownloadError(TposeError):
    """A published file cannot be fetched, or what comes is not it."""


def with_notes(what: str, error: BaseException) -> str:
    """``what``, and what was noted on the error's way: how to go on, for example."""
    return "; ".join([what, *getattr(error, "__notes__", ())])
