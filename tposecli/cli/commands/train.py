"""``tpose train``: train a pose net."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tposecli.cli.options import common as shared
from tposecli.models.catalog import CATALOG

if TYPE_CHECKING:
    from tposecli.training.job import PoseJob

PROBABILITY = click.FloatRange(0, 1)
POSITIVE = click.FloatRange(0, min_open=True)

data_options = shared.together(
    click.option(
        "--data",
        multiple=True,
        metavar="WHAT",
        help="Training data: ANN.json:IMAGES[:WEIGHT[:HALF]], coco:SET[:WEIGHT[:HALF]], or rendered people, "
        "rendered[:WEIGHT[:COUNT]] (COUNT rendered once; without COUNT, always new ones). WEIGHT: relative sampling "
        "frequency. HALF: even or odd positions among the sorted image ids. Repeatable.",
    ),
    click.option("--coco", multiple=True, metavar="SET", help="Same as --data coco:SET, for example train2017."),
    click.option(
        "--data-dir", type=shared.FOLDER, default="data/coco", show_default=True, help="Folder of COCO's layout."
    ),
    click.option(
        "--check", multiple=True, metavar="WHAT", help="Validation data: ANN.json:IMAGES[:HALF] or coco:SET[:HALF]."
    ),
    click.option("--rendered-dir", type=shared.FOLDER, help="Folder for rendered people.  [OUT/rendered]"),
    click.option(
        "--weak-nose",
        type=PROBABILITY,
        default=0.0,
        metavar="WEIGHT",
        help="Weight of noses that are guessed from neck and head_top.",
    ),
    click.option("--strict", is_flag=True, help="Treat every problem with the data as an error."),
)

model_options = shared.together(
    click.option("--model", default="transpose-r-a4", show_default=True, help=", ".join(s.name for s in CATALOG) + "."),
    click.option("--input-size", metavar="HxW", help="Crop height and width.  [the model's own]"),
    click.option(
        "--init",
        metavar="WHAT",
        help="Initial weights: imagenet, a checkpoint (all tensors that fit), or MoveNet's JSON.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True),
    click.option("--threads", type=click.IntRange(1), help="CPU threads.  [all]"),
    click.option(
        "--workers", type=click.IntRange(0), default=0, show_default=True, help="Worker processes that make crops."
    ),
    click.option("--offline", is_flag=True, envvar="TPOSE_OFFLINE", help="Open no network connection."),
)

recipe_options = shared.together(
    click.option("--optimizer", type=click.Choice(["adam", "adamw"]), default="adam", show_default=True),
    click.option("--rate", type=POSITIVE, default=1e-4, show_default=True, help="Peak learning rate."),
    click.option(
        "--final-rate", type=click.FloatRange(0), default=1e-5, show_default=True, help="Final learning rate."
    ),
    click.option(
        "--backbone",
        type=click.FloatRange(0),
        default=1.0,
        show_default=True,
        help="Backbone learning-rate multiplier.",
    ),
    click.option(
        "--freeze",
        multiple=True,
        metavar="NAME",
        help="Freeze parameters whose names start so: backbone.stem. Repeatable.",
    ),
    click.option("--decay", type=click.Choice(["cosine", "linear", "constant"]), default="cosine", show_default=True),
    click.option("--warm-up", type=click.IntRange(0), default=0, show_default=True, help="Warm-up steps."),
    click.option(
        "--weight-decay", type=click.FloatRange(0), default=0.0, show_default=True, help="Weight decay of kernels."
    ),
    click.option(
        "--clip",
        type=click.FloatRange(0),
        default=0.0,
        show_default=True,
        help="Maximum gradient norm; 0 disables clipping.",
    ),
    click.option("--dropout", type=PROBABILITY, default=0.1, show_default=True, help="Dropout in the encoder."),
    click.option(
        "--averaging", type=PROBABILITY, default=0.999, show_default=True, help="EMA decay of the weights; 0 disables."
    ),
    click.option(
        "--sigma",
        type=POSITIVE,
        default=2.0,
        show_default=True,
        help="Std. dev. of the target Gaussians (heatmap pixels).",
    ),
)

augmentation_options = shared.together(
    click.option(
        "--rotation",
        type=click.FloatRange(0),
        default=45.0,
        show_default=True,
        help="Std. dev. of the rotation (degrees).",
    ),
    click.option("--rotate", type=PROBABILITY, default=0.6, show_default=True, help="Probability of a rotation."),
    click.option("--scale", type=PROBABILITY, default=0.35, show_default=True, help="Std. dev. of the scale."),
    click.option(
        "--shift",
        type=PROBABILITY,
        default=0.0,
        show_default=True,
        help="Std. dev. of the shift (fraction of the crop).",
    ),
    click.option(
        "--half-body",
        type=PROBABILITY,
        default=0.3,
        show_default=True,
        help="Probability of cropping to half the body.",
    ),
    click.option("--flip", type=PROBABILITY, default=0.5, show_default=True, help="Probability of a horizontal flip."),
    click.option("--colour", type=PROBABILITY, default=0.0, show_default=True, help="Probability of a colour change."),
    click.option("--blur", type=PROBABILITY, default=0.0, show_default=True, help="Probability of a blur."),
    click.option("--cut-out", type=PROBABILITY, default=0.0, show_default=True, help="Probability of a cut-out."),
    click.option(
        "--neighbour", type=PROBABILITY, default=0.0, show_default=True, help="Probability of pasting a neighbour."
    ),
)

length_options = shared.together(
    click.option("--batch", type=click.IntRange(2), default=32, show_default=True, help="Crops per step and process."),
    click.option("--epochs", type=POSITIVE, default=230.0, show_default=True, help="Length of the run in epochs."),
    click.option("--steps", type=click.IntRange(1), help="Length in steps, instead of epochs."),
    click.option("--minutes", type=POSITIVE, help="Length in minutes, instead of epochs; pauses do not count."),
    click.option("--save-minutes", type=POSITIVE, default=3.0, show_default=True, help="Minutes between checkpoints."),
    click.option(
        "--check-minutes", type=POSITIVE, default=15.0, show_default=True, help="Minutes between validations."
    ),
    click.option("--check-steps", type=click.IntRange(1), help="Steps between validations, instead of minutes."),
    click.option("--log-steps", type=click.IntRange(1), default=50, show_default=True, help="Steps between log lines."),
    click.option(
        "--best",
        type=click.Choice(["ap", "pck"]),
        default="ap",
        show_default=True,
        help="Metric that decides which weights are best.",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed."),
    click.option("--out", type=shared.FOLDER, required=True, help="Folder for checkpoint, weights and log."),
    click.option("--resume", is_flag=True, help="Continue from the checkpoint in --out."),
)


@click.command("train")
@data_options
@model_options
@recipe_options
@augmentation_options
@length_options
def train(**options: Any) -> None:
    """Train a pose net, by default with the authors' recipe.

    Invalid data is counted and listed first. Ctrl-C saves; repeat the command with --resume to continue. --out receives
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
    from tposecli.training.job import Augmentation, Intervals, Length, PoseJob, Recipe

    data = (*options["data"], *(f"coco:{name}" for name in options["coco"]))
    if not data:
        raise click.UsageError("name the training data with --data or --coco")
    if options["steps"] and options["minutes"]:
        raise click.UsageError("--steps and --minutes both set the length; give one of them")
    return PoseJob(
        data=data,
        input_hw=_size(options["input_size"]),
        recipe=Recipe(**_fields_of(Recipe, options)),
        augmentation=Augmentation(**_fields_of(Augmentation, options)),
        length=Length(**_fields_of(Length, options)),
        every=Intervals(**_fields_of(Intervals, options)),
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


def _fields_of(kind: Any, options: shared.Options) -> shared.Options:
    """Return the options that are fields of a dataclass."""
    return {name: options[name] for name in kind.__dataclass_fields__}


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise click.BadParameter(f"{text!r}: expected HEIGHTxWIDTH, for example 256x192", param_hint="--input-size")
    return int(height), int(width)
