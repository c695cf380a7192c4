"""Ways to damage a file."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = (0, 1, -1, 2, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 1e-320, 1e39, 1e300, 2**31, 2**53 + 1, 2**63, 2**64, 10**18, -(10**30)),
    *(float("nan"), float("inf"), "", "a", "0", "1/0", "-1", "nan", "../../x", "x" * 300, "\0", "\ud800", "é\n"),
    *([], {}, [0], [[]], [None], [1, 2, 3], [0.0] * 51, {"id": 1}, {"": []}),
)
MAX_BYTES = 1 << 20


def damaged(data: bytes, others: Sequence[bytes], chance: random.Random, is_json: bool) -> bytes:
    """One more or less damaged copy of ``data``; pieces may come from ``others``."""
    if is_json and chance.random() < 0.8:
        data = _as_json(data, chance)
        if chance.random() < 0.8:
            return data
    changed = bytearray(data or b"\0")
    for _ in range(1 << chance.randrange(5)):
        chance.choice(_BYTES)(changed, others, chance)
        if not changed:
            break
    return bytes(changed[:MAX_BYTES])


def _place(data: bytearray, chance: random.Random) -> tuple[int, int]:
    """Where something is done, and to how many bytes."""
    return chance.randrange(len(data)), min(len(data), 1 << chance.randrange(11))


def _flip(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _byte(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def _number(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    size = chance.choice((1, 2, 4, 8))
    at = chance.randrange(len(data))
    number = chance.choice(NUMBERS) % (1 << 8 * size)
    data[at : at + size] = number.to_bytes(size, chance.choice(("big", "little")))


def _delete(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at, size = _place(data, chance)
    del data[at : at + size]


def _double(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at, size = _place(data, chance)
    data[at:at] = data[at : at + size]


def _zero(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at, size = _place(data, chance)
    data[at : at + size] = bytes(min(size, len(data) - at))


def _cut(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    if chance.random() < 0.1:
        del data[chance.randrange(len(data)) :]


def _splice(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    if other:
        at, start = chance.randrange(len(data)), chance.randrange(len(other))
        data[at : at + 1] = other[start : start + (1 << chance.randrange(11))]


_BYTES: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    *(_flip, _byte, _number, _number, _delete, _double, _zero, _cut, _splice),
)


def _as_json(data: bytes, chance: random.Random) -> bytes:
    """The same with some values changed; of a file of many lines, in one of them."""
    lines = data.split(b"\n")
    one = chance.randrange(len(lines)) if len(lines) > 1 and not data.startswith(b"{\n") else None
    try:
        value = json.loads(data if one is None else lines[one])
    except (ValueError, RecursionError):
        return data
    box = [value]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _change(box, chance)
    text = json.dumps(box[0] if box else None).encode("utf-8", "replace")
    if chance.random() < 0.02:
        text = text.replace(b"1", b"9" * 5000, 1)
    if chance.random() < 0.02:
        text = b"[" * 100_000 + text
    if one is None:
        return text
    lines[one] = text
    return b"\n".join(lines)


def _change(root: list[Any], chance: random.Random) -> None:
    """Replace, remove, double or exchange one value somewhere in a tree."""
    places = _places(root)
    if not places:
        return
    holder, key = chance.choice(places)
    what = chance.randrange(6)
    if what < 3:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    elif what == 3:
        del holder[key]
    elif what == 4 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        other, name = chance.choice(places)
        holder[key] = copy.deepcopy(other[name])


def _places(root: list[Any]) -> list[tuple[Any, Any]]:
    """(container, key) of every value."""
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting:
        holder = waiting.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            places.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return places
