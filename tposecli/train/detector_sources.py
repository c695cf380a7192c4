"""What ``--data`` and ``--check`` of the detector's training name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tposecli.errors import UsageError
from tposecli.train.detector import LARGE, Check
from tposecli.train.detector_data import Photo, Source, describe_bad, read_photos

HALVES = ("", "even", "odd")


def sources(specs: Sequence[str], say: Callable[[str], None]) -> tuple[Source, ...]:
    """Read ``ANN.json:IMAGES[:WEIGHT[:HALF]]``; bad annotations are said.

    Raises:
        UsageError: A specification is not of that form.
        InputError: A file is missing or unreadable.
    """
    made = []
    for spec in specs:
        annotations, images, weight, half = _parts(spec, 4)
        try:
            share = float(weight or 1)
        except ValueError as error:
            raise UsageError(f"--data {spec}: {weight!r} is not a number; write ANN.json:IMAGES:WEIGHT:HALF") from error
        made.append(Source(annotations, _read(annotations, images, half, say), share))
    return tuple(made)


def checks(specs: Sequence[str], say: Callable[[str], None]) -> tuple[Check, ...]:
    """Read ``ANN.json:IMAGES[:HALF]``; where everybody is annotated, only large people count."""
    made = []
    for spec in specs:
        annotations, images, half = _parts(spec, 3)
        photos = _read(annotations, images, half, say)
        everybody = all(photo.complete for photo in photos)
        made.append(Check(f"{annotations} {half}".strip(), photos, LARGE if everybody else 0.0))
    return tuple(made)


def _parts(spec: str, most: int) -> list[str]:
    parts = spec.split(":")
    if not 2 <= len(parts) <= most or (len(parts) == most and parts[-1] not in HALVES):
        raise UsageError(
            f"{spec}: expected an annotation file and an images folder, ANN.json:IMAGES, and after them "
            "what the option's help names; HALF is even or odd"
        )
    return parts + [""] * (most - len(parts))


def _read(annotations: str, images: str, half: str, say: Callable[[str], None]) -> tuple[Photo, ...]:
    photos, bad = read_photos(Path(annotations), Path(images), half)
    say(f"{annotations}: {len(photos)} photos, {sum(len(photo.people) for photo in photos)} people")
    for line in describe_bad(bad):
        say(f"  {line}")
    return photos
