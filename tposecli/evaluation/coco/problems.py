"""Problems with the inputs of an evaluation, counted and listed."""

from __future__ import annotations

from typing import Any, Final

from tposecli.utils.errors import InputError

MISSING: Final = "images missing: their people count as not detected"
UNREADABLE: Final = "images that cannot be decoded: their people count as not detected"
UNKNOWN_DETECTION: Final = "detections of images that are not in the set: skipped"
NO_SIZE: Final = "boxes of zero size: skipped"
INVALID: Final = "entries that are invalid: skipped"
OTHER_CATEGORY: Final = "annotations of other categories: skipped"
OTHER_RESULT: Final = "results of other categories: skipped"
NO_CATEGORY: Final = "results without a category_id: skipped"
OTHER_DETECTION: Final = "detections of other categories: skipped"
UNLISTED: Final = "annotations of images that the file does not list: skipped"
NO_BOX: Final = "annotations without a bbox: skipped"
NO_KEYPOINTS: Final = "annotations without keypoints: skipped"
NO_AREA: Final = "annotations with area 0: no pose can match them"
AREA_OF_BOXES: Final = "annotations with area 0, as all of this file: the area of their boxes is used"
WRONG_SIZE: Final = "images of another size than the annotations say: their coordinates may not fit"
SAME_ID: Final = "images with the id of another image: the last one counts"
UNKNOWN_RESULT: Final = "results of images that are not in the set: skipped"

MAX_NAMED: Final = 5
"""How many names of each kind a summary line lists; reports list all."""

SINGULAR: Final = {
    "annotations": "annotation",
    "boxes": "box",
    "detections": "detection",
    "entries": "entry",
    "images": "image",
    "results": "result",
}
"""First words of the kinds of problems, for one of them."""


class Problems:
    """A record of problems by kind.

    Attributes:
        found: Names of the affected items, by kind, in order.
    """

    def __init__(self, strict: bool = False) -> None:
        """Create an empty record; with ``strict``, the first problem raises an error."""
        self._strict = strict
        self.found: dict[str, list[str]] = {}
        self._noted: set[str] = set()

    def add(self, kind: str, name: object) -> None:
        """Record a problem.

        Raises:
            InputError: Problems are errors (``strict``).
        """
        if self._strict:
            raise InputError(f"{name}: one of the {kind.partition(':')[0]}; omit --strict to continue without it")
        self.found.setdefault(kind, []).append(str(name))

    def note(self, kind: str, name: object) -> None:
        """Record what is left out on purpose, which is no error even if problems are."""
        self._noted.add(kind)
        self.found.setdefault(kind, []).append(str(name))

    @property
    def any(self) -> bool:
        """Whether anything but what is left out on purpose was found."""
        return bool(self.found.keys() - self._noted)

    @property
    def images(self) -> list[tuple[str, str]]:
        """(name, reason) of each image that could not be used."""
        return [(name, kind.partition(":")[0]) for kind in (MISSING, UNREADABLE) for name in self.found.get(kind, ())]

    def lines(self) -> list[str]:
        """Return a summary line for each kind: how many, and the first names."""
        return [_sentence(kind, names) for kind, names in self.found.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return all problems, for the JSON report."""
        return {kind.partition(":")[0]: {"count": len(names), "names": names} for kind, names in self.found.items()}


def _sentence(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    what, space, rest = kind.partition(" ")
    what = SINGULAR.get(what, what) if len(names) == 1 else what
    return f"{len(names)} {what}{space}{rest} ({', '.join(names[:MAX_NAMED])}{more})"
