"""What was wrong with the inputs of an evaluation: counted, and named."""

from __future__ import annotations

from typing import Any, Final

from tposecli.utils.errors import InputError

MISSING: Final = "images missing: their people count as not found"
UNREADABLE: Final = "images that cannot be decoded: their people count as not found"
UNKNOWN_DETECTION: Final = "detections of images that are not in the set: left out"
NO_SIZE: Final = "boxes of zero size: left out"
SENSELESS: Final = "entries that make no sense: left out"
UNKNOWN_RESULT: Final = "results of images that are not in the set: left out"

MAX_NAMED: Final = 5
"""How many of each kind a sentence names; reports name all."""


class Problems:
    """Takes note of problems by kind.

    Attributes:
        found: Names of what was concerned, by kind, in order.
    """

    def __init__(self, strict: bool = False) -> None:
        """Begin without any; ``strict`` makes the first one an error."""
        self._strict = strict
        self.found: dict[str, list[str]] = {}

    def add(self, kind: str, name: object) -> None:
        """Take note of one.

        Raises:
            InputError: Problems are errors here.
        """
        if self._strict:
            raise InputError(f"{name}: one of the {kind.partition(':')[0]}; leave out --strict to go on without it")
        self.found.setdefault(kind, []).append(str(name))

    @property
    def images(self) -> list[tuple[str, str]]:
        """(name, reason) of each image that could not be used."""
        return [(name, kind.partition(":")[0]) for kind in (MISSING, UNREADABLE) for name in self.found.get(kind, ())]

    def lines(self) -> list[str]:
        """A sentence for each kind: how many, and the first of them."""
        return [_sentence(kind, names) for kind, names in self.found.items()]

    def as_json(self) -> dict[str, Any]:
        """Everything, for the report."""
        return {kind.partition(":")[0]: {"count": len(names), "names": names} for kind, names in self.found.items()}


def _sentence(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{len(names)} {kind} ({', '.join(names[:MAX_NAMED])}{more})"
