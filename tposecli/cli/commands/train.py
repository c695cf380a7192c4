"""``tpose train``: train a pose net."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tposecli.cli.options import common as shared
from tposecli.models.catalog import CATALOG

if TYPE_CHECKING:
    from tposecli.training.job import PoseJob

CHANCE = click.FloatRange(0, 1)
POSITIVE = click.FloatRange(0, min_open=True)

data_options = shared.together(
    click.option(
        "--data",
        multiple=True,
        metavar="WHAT",
        help="What to learn from: ANN.json:IMAGES[:WEIGHT[:HALF]], coco:SET[:WEIGHT[:HALF]], or rendered people, "
        "rendered[:WEIGHT[:COUNT]] (COUNT of them, drawn once; endlessly without). WEIGHT: how often it is drawn from. "
        "HALF: even or odd, images at those positions among the sorted image ids. Repeatable.",
    ),
    click.option("--coco", multiple=True, metavar="SET", help="train2017 ...: the same as --data coco:SET."),
    click.option("--data-dir", type=shared.FOLDER, default="data/coco", show_default=True, help="COCO's folder."),
    click.option(
        "--check", multiple=True, metavar="WHAT", help="What to measure on: ANN.json:IMAGES[:HALF] or coco:SET[:HALF]."
    ),
    click.option("--rendered-dir", type=shared.FOLDER, help="Where rendered people are kept.  [OUT/rendered]"),
    click.option("--weak-nose", type=CHANCE, default=0.0, metavar="WEIGHT", help="Guess noses from neck and head_top."),
    click.option("--strict", is_flag=True, help="Whatever is wrong with the data is an error."),
)

model_options = shared.together(
    click.option("--model", default="transpose-r-a4", show_default=True, help=", ".join(s.name for s in CATALOG) + "."),
    click.option("--input-size", metavar="HxW", help="Height and width of a crop.  [the model's own]"),
    click.option("--init", metavar="WHAT", help="Start: imagenet, a checkpoint (whatever fits it), MoveNet's JSON."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True),
    click.option("--threads", type=click.IntRange(1), help="Processor threads.  [all]"),
    click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that make crops."),
    click.option("--offline", is_flag=True, envvar="TPOSE_OFFLINE", help="Open no network connection."),
)

recipe_options = shared.together(
    click.option("--optimizer", type=click.Choice(["adam", "adamw"]), default="adam", show_default=True),
    click.option("--rate", type=POSITIVE, default=1e-4, show_default=True, help="Highest learning rate."),
    click.option("--final-rate", type=click.FloatRange(0), default=1e-5, show_default=True, help="At the end."),
    click.option("--backbone", type=click.FloatRange(0), default=1.0, show_default=True, help="Its rate, times this."),
    click.option("--freeze", multiple=True, metavar="NAME", help="Parameters that stay: backbone.stem.  Repeatable."),
    click.option("--decay", type=click.Choice(["cosine", "linear", "constant"]), default="cosine", show_default=True),
    click.option("--warm-up", type=click.IntRange(0), default=0, show_default=True, help="Steps up to the highest."),
    click.option("--weight-decay", type=click.FloatRange(0), default=0.0, show_default=True, help="Of kernels."),
    click.option("--clip", type=click.FloatRange(0), default=0.0, show_default=True, help="Gradient norm; 0: any."),
    click.option("--dropout", type=CHANCE, default=0.1, show_default=True, help="In the encoder."),
    click.option("--averaging", type=CHANCE, default=0.999, show_default=True, help="Moving average; 0: none."),
    click.option("--sigma", type=POSITIVE, default=2.0, show_default=True, help="Of targets, heatmap pixels."),
)

augmentation_options = shared.together(
    click.option("--rotation", type=click.FloatRange(0), default=45.0, show_default=True, help="Deviation, degrees."),
    click.option("--rotate", type=CHANCE, default=0.6, show_default=True, help="Chance of a rotation."),
    click.option("--scale", type=CHANCE, default=0.35, show_default=True, help="Deviation of the size."),
    click.option("--shift", type=CHANCE, default=0.0, show_default=True, help="Deviation of the centre, in crops."),
    click.option("--half-body", type=CHANCE, default=0.3, show_default=True, help="Chance of half a body."),
    click.option("--flip", type=CHANCE, default=0.5, show_default=True, help="Chance of the mirror image."),
    click.option("--colour", type=CHANCE, default=0.0, show_default=True, help="Chance of other colours."),
    click.option("--blur", type=CHANCE, default=0.0, show_default=True, help="Chance of a blur."),
    click.option("--cut-out", type=CHANCE, default=0.0, show_default=True, help="Chance of covered parts."),
    click.option("--neighbour", type=CHANCE, default=0.0, show_default=True, help="Chance of somebody at a side."),
)

length_options = shared.together(
    click.option("--batch", type=click.IntRange(2), default=32, show_default=True, help="Crops a step and process."),
    click.option("--epochs", type=POSITIVE, default=230.0, show_default=True, help="Length of the run."),
    click.option("--steps", type=click.IntRange(1), help="Length in steps instead."),
    click.option("--minutes", type=POSITIVE, help="Length in minutes instead, interruptions not counted."),
    click.option("--save-minutes", type=POSITIVE, default=3.0, show_default=True, help="Between checkpoints."),
    click.option("--check-minutes", type=POSITIVE, default=15.0, show_default=True, help="Between measurements."),
    click.option("--check-steps", type=click.IntRange(1), help="The same in steps."),
    click.option("--log-steps", type=click.IntRange(1), default=50, show_default=True, help="Between lines."),
    click.option("--best", type=click.Choice(["ap", "pck"]), default="ap", show_default=True, help="What best means."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything random."),
    click.option("--out", type=shared.FOLDER, required=True, help="Folder of checkpoint, weights and log."),
    click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out."),
)


@click.command("train")
@data_options
@model_options
@recipe_options
@augmentation_options
@length_options
def train(**options: Any) -> None:
    """Train a pose net by the authors' recipe, or by another.

    Bad data is counted and named first. Ctrl-C saves; the same command with --resume goes on. The run's folder gets
    last.safetensors, best.safetensors (by the first --check), metrics.csv and curves.png.

    \b
    tpose train --coco train2017 --check coco:val2017 --init imagenet --workers 8 --out runs/r-a4
    tpose train --data ann.json:photos:2 --data rendered:1:5000 --model transpose-r18-a3 --minutes 60 --out runs/mine
    torchrun --nproc-per-node 4 --no-python tpose train --coco train2017 --out runs/h-a6 --model transpose-h-a6
    """
    import torch

    from tposecli.training.loop import train as run

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    run(_job(options), click.echo)


def _job(options: shared.Options) -> PoseJob:
    from tposecli.hub.download.download import Downloads
    from tposecli.training.augment import Augmentation
    from tposecli.training.job import Every, Length, PoseJob, Recipe

    data = (*options["data"], *(f"coco:{name}" for name in options["coco"]))
    if not data:
        raise click.UsageError("name what to learn from with --data or --coco")
    if options["steps"] and options["minutes"]:
        raise click.UsageError("--steps and --minutes are two lengths of one run; give one of them")
    return PoseJob(
        data=data,
        input_hw=_size(options["input_size"]),
        recipe=Recipe(**_those(Recipe, options)),
        augmentation=Augmentation(**_those(Augmentation, options)),
        length=Length(**_those(Length, options)),
        every=Every(**_those(Every, options)),
        coco=options["data_dir"],
        rendered=options["rendered_dir"],
        downloads=Downloads(options["offline"]),
        **{
            name: options[name]
            for name in (
                "out", "check", "model", "init", "weak_nose", "best", "batch", "seed", "workers", "device", "strict",
                "resume",
            )
        },
    )  # fmt: skip


def _those(kind: Any, options: shared.Options) -> shared.Options:
    """The options that are fields of a dataclass."""
    return {name: options[name] for name in kind.__dataclass_fields__}


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise click.BadParameter(f"{text!r}: write height x width, for example 256x192", param_hint="--input-size")
    return int(height), int(width)
