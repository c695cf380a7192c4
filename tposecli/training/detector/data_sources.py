"""What ``--data`` and ``--check`` of the detector's training name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tposecli.training.detector.clutter import paste_clutter
from tposecli.training.detector.dataset import Photo, PhotoSource, describe_bad, read_photos
from tposecli.training.detector.loop import LARGE, DetectorCheck
from tposecli.training.detector.rendered import render_crowds
from tposecli.utils.errors import UsageError

CROWDS = 600
"""How many crowds are rendered unless the option says otherwise."""
CLUTTER = 700
"""How many pictures without people are made unless the option says otherwise."""
HALVES = ("", "even", "odd")


def sources(specs: Sequence[str], rendered: Path, say: Callable[[str], None]) -> tuple[PhotoSource, ...]:
    """Read ``ANN.json:IMAGES[:WEIGHT[:HALF]]``, ``rendered[:WEIGHT[:COUNT]]`` or ``clutter:FOLDER[:WEIGHT[:COUNT]]``.

    Bad annotations are said.

    Args:
        specs: What ``--data`` was given.
        rendered: Folder for rendered crowds.
        say: Told what was found.

    Raises:
        UsageError: A specification is not of that form.
        InputError: A file is missing or unreadable.
    """
    return tuple(_source(spec, rendered, say) for spec in specs)


def _source(spec: str, rendered: Path, say: Callable[[str], None]) -> PhotoSource:
    if spec.split(":")[0] == "rendered":
        _, weight, count = [*spec.split(":"), "", ""][:3]
        crowds = render_crowds(rendered, int(_number(spec, count or CROWDS)), say)
        return PhotoSource("rendered", _read(str(crowds), str(rendered), "", say), _number(spec, weight or 1))
    if spec.split(":")[0] == "clutter":
        _, things, weight, count = [*spec.split(":"), "", "", ""][:4]
        folder = rendered.with_name("clutter")
        pictures = paste_clutter(Path(things), folder, int(_number(spec, count or CLUTTER)), say)
        return PhotoSource("clutter", _read(str(pictures), str(folder), "", say), _number(spec, weight or 1))
    annotations, images, weight, half = _parts(spec, 4)
    return PhotoSource(annotations, _read(annotations, images, half, say), _number(spec, weight or 1))


def _number(spec: str, text: str | float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if number <= 0:
        raise UsageError(f"--data {spec}: {text!r} is not a number above 0; write ANN.json:IMAGES:WEIGHT:HALF")
    return number


def checks(specs: Sequence[str], say: Callable[[str], None]) -> tuple[DetectorCheck, ...]:
    """Read ``ANN.json:IMAGES[:HALF]``; where everybody is annotated, only large people count."""
    made = []
    for spec in specs:
        annotations, images, half = _parts(spec, 3)
        photos = _read(annotations, images, half, say)
        everybody = all(photo.complete for photo in photos)
        made.append(DetectorCheck(f"{annotations} {half}".strip(), photos, LARGE if everybody else 0.0))
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
