"""Ids and categories in COCO files, for every reader of such files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tposecli.utils.strict_json import json_integer

Id = int | str
"""An id in the form in which ids of any type can be compared, see :func:`record_id`."""

COCO_PERSON: Final = 1
"""COCO's category of people: what files without a list of categories mean."""

PERSON_NAMES: Final = ("person", "people", "human", "pedestrian")
"""Names of the category of people, the preferred one first."""

MAX_DIGITS: Final = 18
MAX_NAMED: Final = 5


def record_id(value: Any, what: str = "id") -> Id:
    """Return an id such that equal ids are equal whatever their type: 7 for 7, 7.0, "7" and "007"; other text as it is.

    Raises:
        ValueError: It is neither a whole number nor text.
    """
    if isinstance(value, str) and value:
        text = value.strip()
        digits = text.removeprefix("-")
        return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= MAX_DIGITS else value
    return json_integer(value, what, integral_floats=True)


@dataclass(frozen=True, slots=True)
class PersonCategory:
    """The category of people in a file, or several categories with the same keypoints if none is named person.

    Attributes:
        ids: Ids of the categories that count as people.
        record: The category's entry in the file; empty if there is none.
        names: Names of all categories in the file by id.
    """

    ids: frozenset[Id] = frozenset({COCO_PERSON})
    record: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[Id, str] = field(default_factory=dict)

    @property
    def id(self) -> int:
        """Id to use where one number is needed."""
        numbers = sorted(key for key in self.ids if isinstance(key, int))
        return numbers[0] if numbers else COCO_PERSON

    @property
    def is_person(self) -> bool:
        """Whether nothing speaks against its being people: it is named so, or has no name."""
        return all(key not in self.names or _rank(self.names[key]) >= 0 for key in self.ids)

    @property
    def title(self) -> str:
        """Name and ids, for messages."""
        return ", ".join(self.describe(key) for key in sorted(self.ids, key=str))

    def describe(self, key: Id) -> str:
        """Return name and id of a category."""
        return f"{self.names[key]!r} (id {key})" if key in self.names else f"id {key}"

    def describe_all(self, keys: Iterable[Id]) -> str:
        """Return the names and ids of categories with counts, the most common first, at most ``MAX_NAMED``."""
        found = Counter(keys).most_common()
        more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
        return ", ".join(f"{count} of {self.describe(key)}" for key, count in found[:MAX_NAMED]) + more


def find_person_category(
    categories: Any, used: Iterable[Id] = (), keypoints: bool = False, sole: bool = False
) -> PersonCategory:
    """Return the category of people: by its name, else by having keypoints, else the only one there is.

    Args:
        categories: The file's list of categories.
        used: Categories of the file's annotations; without a list of categories, the only one of them is taken.
        keypoints: Only keypoints are of use: prefer a category that has some to one that is named person.
        sole: If only one category is used, it is the one, whatever its name.

    Raises:
        ValueError: None of several categories is named person or has keypoints.
    """
    entries = _by_id(categories)
    names = {key: str(entry["name"]) for key, entry in entries.items() if entry.get("name") is not None}
    used = set(used)
    if sole and len(used) == 1:
        return PersonCategory(frozenset(used), entries.get(next(iter(used)), {}), names)
    if not entries:
        only = used if len(used) == 1 else {COCO_PERSON}
        if used and not used & only:
            raise ValueError(
                f"no list of categories says which of {', '.join(map(str, sorted(used, key=str)))} is people"
            )
        return PersonCategory(frozenset(only))
    with_keypoints = [
        key for key, entry in entries.items() if isinstance(entry.get("keypoints"), list) and entry["keypoints"]
    ]
    named = sorted((key for key in entries if _rank(names.get(key)) >= 0), key=lambda key: _rank(names.get(key)))
    both = [key for key in named if key in with_keypoints]
    # Roboflow adds an unused category of the same name: of two named alike, the one with annotations is meant.
    for candidates in (both, with_keypoints, named) if keypoints else (both, named, with_keypoints):
        if candidates:
            best = [key for key in candidates if key in used] or candidates
            first = entries[best[0]]
            alike = {best[0]}
            if candidates is with_keypoints:
                alike = {key for key in best if entries[key]["keypoints"] == first["keypoints"]}
            return PersonCategory(frozenset(alike), first, names)
    if len(entries) == 1:
        return PersonCategory(frozenset(entries), next(iter(entries.values())), names)
    listed = PersonCategory(names=names)
    raise ValueError(
        "no category is named person or has keypoints, only "
        + ", ".join(listed.describe(key) for key in list(entries)[:MAX_NAMED])
    )


def _by_id(categories: Any) -> dict[Id, Mapping[str, Any]]:
    """Return the entries of a list of categories by their ids; malformed ones are left out."""
    entries: dict[Id, Mapping[str, Any]] = {}
    for entry in categories if isinstance(categories, list) else ():
        if isinstance(entry, dict):
            with suppress(ValueError):
                entries.setdefault(record_id(entry.get("id", COCO_PERSON)), entry)
    return entries


def _rank(name: str | None) -> int:
    """Return the place of a name in ``PERSON_NAMES``, -1 if it is not there."""
    plain = (name or "").strip().lower()
    return PERSON_NAMES.index(plain) if plain in PERSON_NAMES else -1


def used_categories(entries: Iterable[Any]) -> set[Id]:
    """Return the categories of annotations; malformed ones are left out."""
    found: set[Id] = set()
    for entry in entries:
        if isinstance(entry, dict) and "category_id" in entry:
            try:
                found.add(record_id(entry["category_id"]))
            except ValueError:
                continue
    return found
