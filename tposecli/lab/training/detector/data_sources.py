"""Parse and read the specifications given to ``--data`` and ``--check`` of ``tpose train-detector``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tposecli.lab.training.detector.clutter import paste_clutter
from tposecli.lab.training.detector.dataset import Photo, PhotoSource, describe_bad, read_photos
from tposecli.lab.training.detector.loop import DetectorCheck
from tposecli.lab.training.detector.rendered import render_crowds
from tposecli.lab.training.shared import LogCallback
from tposecli.utils.errors import UsageError

CROWDS = 600
"""Default number of rendered crowds."""
CLUTTER = 700
"""Default number of images without people."""
HALVES = ("", "even", "odd")
PARTIAL = ":partial"
"""Ends the specification of photos in which people may be unannotated."""


def sources(specs: Sequence[str], rendered: Path, log: LogCallback) -> tuple[PhotoSource, ...]:
    """Read the photos of ``--data``; bad annotations are logged.

    A specification is ``ANN.json:IMAGES[:WEIGHT[:HALF[:partial]]]``, ``rendered[:WEIGHT[:COUNT]]`` or
    ``clutter:FOLDER[:WEIGHT[:COUNT]]``.

    Args:
        specs: The values of ``--data``.
        rendered: Folder for rendered crowds.
        log: Receives what was found.

    Raises:
        UsageError: A specification is malformed.
        InputError: A file is missing or unreadable.
    """
    return tuple(_source(spec, rendered, log) for spec in specs)


def _source(spec: str, rendered: Path, log: LogCallback) -> PhotoSource:
    if spec.split(":")[0] == "rendered":
        _, weight, count = [*spec.split(":"), "", ""][:3]
        crowds = render_crowds(rendered, int(_number(spec, count or CROWDS)), log)
        return PhotoSource("rendered", _read(str(crowds), str(rendered), "", log), _number(spec, weight or 1))
    if spec.split(":")[0] == "clutter":
        _, things, weight, count = [*spec.split(":"), "", "", ""][:4]
        folder = rendered.with_name("clutter")
        negatives = paste_clutter(Path(things), folder, int(_number(spec, count or CLUTTER)), log)
        return PhotoSource("clutter", _read(str(negatives), str(folder), "", log), _number(spec, weight or 1))
    whole, partial = (spec.removesuffix(PARTIAL), True) if spec.endswith(PARTIAL) else (spec, False)
    annotations, images, weight, half = _parts(whole, 4)
    return PhotoSource(annotations, _read(annotations, images, half, log, partial), _number(spec, weight or 1))


def _number(spec: str, text: str | float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if number <= 0:
        raise UsageError(f"--data {spec}: {text!r} is not a number above 0; write ANN.json:IMAGES:WEIGHT:HALF")
    return number


def checks(specs: Sequence[str], log: LogCallback) -> tuple[DetectorCheck, ...]:
    """Read ``ANN.json:IMAGES[:HALF]``."""
    made = []
    for spec in specs:
        annotations, images, half = _parts(spec, 3)
        made.append(DetectorCheck(f"{annotations} {half}".strip(), _read(annotations, images, half, log)))
    return tuple(made)


def _parts(spec: str, max_parts: int) -> list[str]:
    parts = spec.split(":")
    if not 2 <= len(parts) <= max_parts or (len(parts) == max_parts and parts[-1] not in HALVES):
        raise UsageError(
            f"{spec}: expected an annotation file and an images folder, ANN.json:IMAGES, optionally followed "
            "by what the option's help lists; HALF is even or odd"
        )
    return parts + [""] * (max_parts - len(parts))


def _read(annotations: str, images: str, half: str, log: LogCallback, partial: bool = False) -> tuple[Photo, ...]:
    photos, bad = read_photos(Path(annotations), Path(images), half, partial)
    log(f"{annotations}: {len(photos)} photos, {sum(len(photo.people) for photo in photos)} people")
    for line in describe_bad(bad):
        log(f"  {line}")
    return photos
