"""How people are drawn, as options, and the values they become. Nothing heavy is imported here."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tposecli.cli.options.common import Options, together

if TYPE_CHECKING:
    from tposecli.drawing.skeleton_drawer import DrawStyle

LABELS = ("id", "score", "joints")


def names_of(value: str, known: Sequence[str]) -> tuple[str, ...]:
    """The names in a list with commas, each once; one that is not known is refused with the nearest that is."""
    names = tuple(dict.fromkeys(part.strip().lower().replace("-", "_") for part in value.split(",") if part.strip()))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise click.BadParameter(f"{name!r} is not known; {hint}known: {', '.join(known)}")
    return names


def labels(value: str) -> tuple[str, ...]:
    """What is written beside people."""
    return names_of(value, LABELS)


def joints(value: str) -> tuple[int, ...]:
    """Indices of keypoints from their names."""
    from tposecli.geometry.keypoints import KEYPOINTS

    return tuple(KEYPOINTS.index(name) for name in names_of(value, KEYPOINTS))


min_score_option = click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Keypoints of a lower score are not drawn, and marked as not visible in JSON.",
)

drawing_options = together(
    min_score_option,
    click.option(
        "--style",
        type=click.Choice(["skeleton", "joints"]),
        default="skeleton",
        show_default=True,
        help="What is drawn.",
    ),
    click.option(
        "--colour-by",
        "--color-by",
        type=click.Choice(["side", "track"]),
        default="side",
        show_default=True,
        help="Left and right apart, or a colour for each person.",
    ),
    click.option(
        "--background",
        type=click.Choice(["keep", "blur", "black"]),
        default="keep",
        show_default=True,
        help="What lies under it: the picture, the picture blurred beyond recognition, or black.",
    ),
    click.option(
        "--line-width",
        type=click.FloatRange(0, 20, min_open=True),
        default=1.0,
        show_default=True,
        help="Thickness, relative to what suits the picture.",
    ),
    click.option(
        "--labels", type=labels, metavar="NAMES", default="", help=f"Write beside people: {', '.join(LABELS)}."
    ),
    click.option("--draw-boxes", is_flag=True, help="Draw the box of each person."),
    click.option("--draw-ids", is_flag=True, help="Write the track id of each person: --labels id."),
    click.option("--blur-heads", is_flag=True, help="Blur the head of everybody who is found, in all pictures made."),
)

trail_options = together(
    click.option(
        "--trails", type=joints, metavar="NAMES", default="", help="Joints that leave a trail: left_wrist,right_wrist."
    ),
    click.option(
        "--trail-seconds",
        type=click.FloatRange(0, 60, min_open=True),
        default=1.0,
        show_default=True,
        help="How long the trails are.",
    ),
)


def style_of(options: Options) -> DrawStyle:
    """How people are drawn; commands that draw nothing have the minimum score only."""
    from tposecli.drawing.skeleton_drawer import DrawStyle

    if "style" not in options:
        return DrawStyle(options["min_score"])
    written = options["labels"]
    return DrawStyle(
        options["min_score"],
        boxes=options["draw_boxes"],
        ids=options["draw_ids"] or "id" in written,
        scores="score" in written,
        names="joints" in written,
        width=options["line_width"],
        limbs=options["style"] == "skeleton",
        colour_by=options["colour_by"],
        background=options["background"],
        trails=options.get("trails", ()),
        trail_s=options.get("trail_seconds", 1.0),
    )
