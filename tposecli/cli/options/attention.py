"""Options of attention. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import click
from cloup import option_group

from tposecli.attention.style import AttentionStyle, PerPerson
from tposecli.cli.command import ATTENTION
from tposecli.cli.options.common import OUTPUT, Command, Options
from tposecli.cli.options.drawing import parse_joints
from tposecli.cli.options.fields import option_of


def parse_keypoints(value: str) -> tuple[int, ...] | str:
    """Return the indices of keypoints given by name, ``confident`` or ``strongest``."""
    from tposecli.geometry.keypoints import KEYPOINTS

    if value == "all":
        return tuple(range(len(KEYPOINTS)))
    if value in get_args(PerPerson):
        return value
    return parse_joints(value)


def parse_layer(value: str) -> tuple[int, ...] | str:
    """Return the indices of layers, or the name of a combination of them."""
    if value in ("all", "mean", "rollout"):
        return value
    if value != "last" and not value.isdecimal():
        raise click.BadParameter(f"{value!r} is not a layer; expected last, a number from 0, all, mean or rollout")
    return (-1,) if value == "last" else (int(value),)


def parse_threshold(value: str) -> tuple[float, float | None]:
    """Return an absolute score, and a percentile or None."""
    try:
        number = float(value.removeprefix("p"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= (100 if value.startswith("p") else 1):
        raise click.BadParameter(f"{value!r} is not a threshold; expected a score (0.01) or a percentile (p95)")
    return (0.0, number) if value.startswith("p") else (number, None)


def refuse_rollout_influence(layers: tuple[int, ...] | str, mode: str, option: str) -> None:
    """Raise UsageError if rollout is to show influence, which it does not have."""
    if layers == "rollout" and mode == "influence":
        raise click.UsageError(f"rollout has no influence, only dependency; choose another {option}")


def layer_option(*names: str, what: str, default: str = "last") -> Callable[[Command], Command]:
    """Return an option that chooses encoder layers; ``what`` begins its help."""
    return click.option(
        *names,
        type=parse_layer,
        metavar="LAYER",
        default=default,
        show_default=True,
        help=f"{what}: last, a number from 0, all, mean or rollout.",
    )


def mode_option(*names: str, what: str) -> Callable[[Command], Command]:
    """Return an option that chooses between dependency and influence."""
    return click.option(
        *names,
        type=click.Choice(["dependency", "influence"]),
        default=AttentionStyle().mode,
        show_default=True,
        help=what,
    )


attention_options = option_group(
    ATTENTION,
    click.option(
        "--attention-keypoints",
        type=parse_keypoints,
        metavar="NAMES",
        default=AttentionStyle().keypoints,
        show_default=True,
        help="Show the attention of these keypoints: confident (all that score well), strongest (the best "
        "of each person), all, or names: left_wrist,nose.",
    ),
    layer_option("--attention-layer", what="Encoder layer"),
    mode_option("--attention-mode", what="Show what the keypoint depends on, or what it influences."),
    click.option(
        "--attention-threshold",
        type=parse_threshold,
        metavar="T",
        default="0",
        show_default=True,
        help="Hide attention below this score (the authors use 0.01 for R, 0.00075 for H) or percentile (p95).",
    ),
    option_of(
        AttentionStyle, "style", "--attention-style", help="Draw a heat map, or lines to the joints attended to most."
    ),
    option_of(
        AttentionStyle,
        "view",
        "--attention-view",
        help="Draw one image, or a grid with a panel for each layer or each keypoint.",
    ),
    click.option(
        "--attention-every",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Write attention images and arrays for every Nth frame only.",
    ),
    click.option(
        "--attention-stats",
        is_flag=True,
        help="Add attention statistics to the JSON: entropy, share inside the box, joints attended to most.",
    ),
    click.option(
        "--attention-matrix",
        type=OUTPUT,
        metavar="FILE.csv",
        help="Write how much each joint attends to each other one, averaged over the run, and plot it.",
    ),
    option_of(AttentionStyle, "alpha", "--alpha", help="Opacity of the attention, 0 to 1."),
)


def attention_style_of(options: Options) -> AttentionStyle:
    """Return which attention is shown, and how."""
    threshold, percentile = options["attention_threshold"]
    view, layers = options["attention_view"], options["attention_layer"]
    refuse_rollout_influence(layers, options["attention_mode"], "--attention-layer")
    return AttentionStyle(
        options["attention_keypoints"],
        "all" if view == "layers" and layers == (-1,) else layers,
        options["attention_mode"],
        threshold,
        percentile,
        options["attention_style"],
        options["alpha"],
        view,
    )
