"""Options of drawing. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Sequence

import click
from cloup import option_group

from tposecli.cli.command import DRAWING
from tposecli.cli.options.common import Options, together
from tposecli.cli.options.fields import option_of
from tposecli.drawing.style import DrawStyle
from tposecli.utils.errors import unknown_name_hint

LABELS = ("id", "score", "joints", "angles")


def parse_names(value: str, known: Sequence[str]) -> tuple[str, ...]:
    """Split a comma-separated list of known names and drop repeats.

    Raises:
        click.BadParameter: A name is unknown; the message suggests the nearest.
    """
    names = tuple(dict.fromkeys(part.strip().lower().replace("-", "_") for part in value.split(",") if part.strip()))
    for name in names:
        if name not in known:
            hint = unknown_name_hint(name, known)
            raise click.BadParameter(f"{name!r} is not known; {hint}known: {', '.join(known)}")
    return names


def parse_labels(value: str) -> tuple[str, ...]:
    """Return the names of the labels to write beside people."""
    return parse_names(value, LABELS)


def parse_joints(value: str) -> tuple[int, ...]:
    """Return the indices of keypoints given by name."""
    from tposecli.geometry.keypoints import KEYPOINTS

    return tuple(KEYPOINTS.index(name) for name in parse_names(value, KEYPOINTS))


min_score_option = option_group(
    DRAWING,
    option_of(
        DrawStyle,
        "min_score",
        "--min-score",
        help="Do not draw joints below this score; JSON marks them as not visible.",
    ),
)

style_options = option_group(
    DRAWING,
    click.option(
        "--style",
        type=click.Choice(["skeleton", "joints"]),
        default="skeleton" if DrawStyle().limbs else "joints",
        show_default=True,
        help="Draw limbs and joints, or joints only.",
    ),
    option_of(
        DrawStyle,
        "colour_by",
        "--colour-by",
        "--color-by",
        help="Colour people by side of the body, or each track in a colour of its own.",
    ),
    option_of(
        DrawStyle,
        "background",
        "--background",
        help="Keep the image behind the skeletons, blur it beyond recognition, or make it black.",
    ),
    option_of(DrawStyle, "width", "--line-width", help="Multiply the automatic line thickness by this."),
    click.option(
        "--labels",
        type=parse_labels,
        metavar="NAMES",
        default="",
        help=f"Write these beside people, comma-separated: {', '.join(LABELS)}.",
    ),
    option_of(DrawStyle, "boxes", "--draw-boxes", is_flag=True, help="Draw the box of each person."),
    option_of(DrawStyle, "ids", "--draw-ids", is_flag=True, help="Write the id of each person (same as --labels id)."),
    click.option("--blur-heads", is_flag=True, help="Blur the head of every detected person in all images and videos."),
)

drawing_options = together(min_score_option, style_options)

trail_options = option_group(
    DRAWING,
    click.option(
        "--trails",
        type=parse_joints,
        metavar="NAMES",
        default="",
        help="Draw the paths of these joints, comma-separated: left_wrist,right_wrist.",
    ),
    option_of(DrawStyle, "trail_s", "--trail-seconds", help="Length of the paths of --trails (seconds)."),
)


def style_of(options: Options) -> DrawStyle:
    """Return how people are drawn; commands that draw nothing have the minimum score only."""
    if "style" not in options:
        return DrawStyle(options["min_score"])
    labels = options["labels"]
    return DrawStyle(
        options["min_score"],
        boxes=options["draw_boxes"],
        ids=options["draw_ids"] or "id" in labels,
        scores="score" in labels,
        names="joints" in labels,
        width=options["line_width"],
        limbs=options["style"] == "skeleton",
        colour_by=options["colour_by"],
        background=options["background"],
        trails=options.get("trails", ()),
        trail_s=options.get("trail_seconds", DrawStyle().trail_s),
        angles="angles" in labels,
        facing=options.get("facing", DrawStyle().facing),
    )
