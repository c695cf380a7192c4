"""Options that say what poses to read, and the value they become. Nothing heavy is imported here."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tposecli.cli.options.common import Options, together

if TYPE_CHECKING:
    from tposecli.formats.align import PoseInput

POSES = click.Path(path_type=Path, exists=False)
FORMATS = ("journal", "coco", "openpose", "mmpose")

pose_options = together(
    click.option("--from", "kind", type=click.Choice(FORMATS), help="What FILE is.  [told by its content]"),
    click.option("--track-again", is_flag=True, help="Number people anew, whatever ids the file has."),
)


def rate(value: str) -> Fraction:
    """Frames a second from ``25``, ``29.97`` (which is 30000/1001) or ``30000/1001``."""
    try:
        exact = Fraction(value)
    except (ValueError, ZeroDivisionError):
        exact = Fraction(0)
    if exact <= 0:
        raise click.BadParameter(f"{value!r} is no frame rate; write 25, 29.97 or 30000/1001")
    ntsc = Fraction(round(exact) * 1000, 1001)
    return ntsc if exact.denominator > 1 and abs(exact - ntsc) < Fraction(1, 200) else exact


def size(value: str) -> tuple[int, int]:
    """Width and height from ``1280x720``."""
    parts = value.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is no size; write width x height, as 1280x720")
    return int(parts[0]), int(parts[1])


def pose_input_of(path: Path, options: Options) -> PoseInput:
    """The poses, and what is known of their frames."""
    from tposecli.formats.align import PoseInput

    return PoseInput(
        path,
        options.get("kind"),
        options.get("inputs", ()),
        options.get("fps"),
        options.get("size"),
        options.get("recursive", False),
        options.get("track_again", False),
    )
