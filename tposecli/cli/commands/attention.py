"""``tpose attention``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import ATTENTION, FILES, INPUT, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.attention import layer_option, mode_option, parse_keypoints, parse_threshold
from tposecli.cli.options.settings import figure_settings_of
from tposecli.cli.terminal import say


def point(value: str) -> tuple[float, float]:
    """Parse a position, ``X,Y``."""
    try:
        x, y = (float(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a position; expected X,Y in pixels: 320,118") from None
    return x, y


@click.command(
    cls=Command,
    first=(
        "output",
        "person",
        "attention_keypoints",
        "points",
        "attention_layer",
        "attention_threshold",
        "model",
        "overwrite",
    ),
    short_help="Plot what the keypoints of one person attend to.",
)
@click.argument("image", type=shared.LocalPath(path_type=Path))
@option_group(
    FILES,
    click.option("--output", "-o", type=shared.FILE, required=True, help="Write this figure: .pdf, .png or .svg."),
)
@option_group(
    INPUT,
    click.option(
        "--person",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Show this person; 0 is the largest.",
    ),
)
@option_group(
    ATTENTION,
    click.option(
        "--keypoints",
        "attention_keypoints",
        type=parse_keypoints,
        metavar="NAMES",
        default="nose,left_shoulder,right_elbow,left_wrist,left_knee,right_ankle",
        show_default="nose, left_shoulder, right_elbow, left_wrist, left_knee, right_ankle",
        help="Show these keypoints, a column each, or all.",
    ),
    click.option(
        "--point", "points", type=point, metavar="X,Y", multiple=True, help="Add a column for a position (pixels)."
    ),
    layer_option("--layer", "attention_layer", what="Show this encoder layer", default="all"),
    mode_option("--mode", "attention_mode", what="Show what the keypoint depends on, or what it influences."),
    click.option(
        "--threshold",
        "attention_threshold",
        type=parse_threshold,
        metavar="T",
        default="0",
        show_default=True,
        help="Hide attention below this score (0.01) or percentile (p95).",
    ),
)
@shared.overwrite_option
@shared.size_option
@shared.model_options
@shared.detector_options
def attention(image: Path, output: Path, person: int, points: tuple[tuple[float, float], ...], **options: Any) -> None:
    """Plot the attention of each layer for each keypoint of one person, as a figure for print.

    \b
    tpose attention photo.jpg -o why.pdf --keypoints left_wrist,nose --person 1
    """
    from tposecli.cli.watchers import watcher
    from tposecli.pipeline.attention_figure import FigureJob, make_figure

    watcher(quiet=False, log_json=False)
    keypoints = options["attention_keypoints"]
    if isinstance(keypoints, str):
        raise click.BadParameter("expected names of keypoints, or all", param_hint="--keypoints")
    people = make_figure(FigureJob(image, output, person, keypoints, points), figure_settings_of(options))
    which = "the only person" if people == 1 else f"person {person} of {people}, counted from 0"
    say(f"{output}: {which}", err=True)
