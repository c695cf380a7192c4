"""Options that say which attention is shown, and how."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tposecli.cli.options.common import Options, together

if TYPE_CHECKING:
    from tposecli.attention.overlay import AttentionStyle


def attention_keypoints(value: str) -> tuple[int, ...] | str:
    """Indices of keypoints from their names, or ``strongest``."""
    from tposecli.geometry.keypoints import KEYPOINTS

    if value in ("strongest", "all"):
        return value if value == "strongest" else tuple(range(len(KEYPOINTS)))
    names = [name.strip().replace("-", "_") for name in value.split(",")]
    for name in names:
        if name not in KEYPOINTS:
            nearest = difflib.get_close_matches(name, KEYPOINTS, n=1)
            hint = f"did you mean {nearest[0]}? " if nearest else ""
            raise click.BadParameter(f"no keypoint is called {name!r}; {hint}known: {', '.join(KEYPOINTS)}")
    return tuple(KEYPOINTS.index(name) for name in names)


def attention_layer(value: str) -> tuple[int, ...] | str:
    """Indices of layers, or the name of a combination of them."""
    if value in ("all", "mean", "rollout"):
        return value
    if value != "last" and not value.isdecimal():
        raise click.BadParameter(f"{value!r} is no layer; write last, a number from 0, all, mean or rollout")
    return (-1,) if value == "last" else (int(value),)


def attention_threshold(value: str) -> tuple[float, float | None]:
    """An absolute score, and a percentile or None."""
    try:
        number = float(value.removeprefix("p"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= (100 if value.startswith("p") else 1):
        raise click.BadParameter(f"{value!r} is no threshold; write a score (0.01) or a percentile (p95)")
    return (0.0, number) if value.startswith("p") else (number, None)


attention_options = together(
    click.option(
        "--attention-keypoints",
        type=attention_keypoints,
        metavar="NAMES",
        default="strongest",
        show_default=True,
        help="strongest, all, or names: left_wrist,nose.",
    ),
    click.option(
        "--attention-layer",
        type=attention_layer,
        metavar="LAYER",
        default="last",
        show_default=True,
        help="last, a number from 0, all, mean or rollout.",
    ),
    click.option(
        "--attention-mode",
        type=click.Choice(["dependency", "influence"]),
        default="dependency",
        show_default=True,
        help="What the keypoint depends on, or what it affects.",
    ),
    click.option(
        "--attention-threshold",
        type=attention_threshold,
        metavar="T",
        default="0",
        show_default=True,
        help="Hide lower scores: absolute (the authors use 0.01 for R, 0.00075 for H), or p95 for a percentile.",
    ),
    click.option("--attention-style", type=click.Choice(["heat", "lines"]), default="heat", show_default=True),
    click.option(
        "--attention-view",
        type=click.Choice(["overlay", "layers", "keypoints"]),
        default="overlay",
        show_default=True,
        help="One picture, or a grid of layers or of keypoints.",
    ),
    click.option("--attention-every", type=click.IntRange(1), default=1, help="Pictures, arrays: every Nth frame."),
    click.option("--attention-stats", is_flag=True, help="Entropy, share in the box, joints leaned on: in the JSON."),
    click.option(
        "--attention-matrix",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE.csv",
        help="Which joint leans on which, averaged over the run; a plot lies beside it.",
    ),
    click.option("--alpha", type=click.FloatRange(0, 1), default=0.8, show_default=True, help="Opacity of attention."),
)


def attention_style_of(options: Options) -> AttentionStyle:
    """What the options say."""
    from tposecli.attention.overlay import AttentionStyle

    threshold, percentile = options["attention_threshold"]
    view, layers = options["attention_view"], options["attention_layer"]
    if layers == "rollout" and options["attention_mode"] == "influence":
        raise click.UsageError("rollout has no influence, only dependency; choose another --attention-layer")
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
