"""``tpose train``: train a pose net."""

from __future__ import annotations

from typing import Any

import click

from tposecli.cli.options import common as shared
from tposecli.cli.options.fields import option_of
from tposecli.models.catalog import CATALOG
from tposecli.training.job import Augmentation, Intervals, Length, PoseJob, Recipe

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
        "--data-dir", type=shared.FOLDER, default=PoseJob.coco, show_default=True, help="Folder of COCO's layout."
    ),
    click.option(
        "--check", multiple=True, metavar="WHAT", help="Validation data: ANN.json:IMAGES[:HALF] or coco:SET[:HALF]."
    ),
    click.option("--rendered-dir", type=shared.FOLDER, help="Folder for rendered people.  [OUT/rendered]"),
    option_of(
        PoseJob,
        "weak_nose",
        "--weak-nose",
        metavar="WEIGHT",
        help="Weight of noses that are guessed from neck and head_top.",
    ),
    click.option("--strict", is_flag=True, help="Treat every problem with the data as an error."),
)

model_options = shared.together(
    click.option("--model", default=PoseJob.model, show_default=True, help=", ".join(s.name for s in CATALOG) + "."),
    click.option("--input-size", metavar="HxW", help="Crop height and width.  [the model's own]"),
    click.option(
        "--init",
        metavar="WHAT",
        help="Initial weights: imagenet, a checkpoint (all tensors that fit), or MoveNet's JSON.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
    option_of(Recipe, "precision", "--precision"),
    click.option("--threads", type=click.IntRange(1), help="CPU threads.  [all]"),
    option_of(PoseJob, "workers", "--workers", help="Worker processes that make crops."),
    click.option("--offline", is_flag=True, envvar="TPOSE_OFFLINE", help="Open no network connection."),
)

recipe_options = shared.together(
    option_of(Recipe, "optimizer", "--optimizer"),
    option_of(Recipe, "rate", "--rate", help="Peak learning rate."),
    option_of(Recipe, "final_rate", "--final-rate", help="Final learning rate."),
    option_of(Recipe, "backbone", "--backbone", help="Backbone learning-rate multiplier."),
    click.option(
        "--freeze",
        multiple=True,
        metavar="NAME",
        help="Freeze parameters whose names start so: backbone.stem. Repeatable.",
    ),
    option_of(Recipe, "decay", "--decay"),
    option_of(Recipe, "warm_up", "--warm-up", help="Warm-up steps."),
    option_of(Recipe, "weight_decay", "--weight-decay", help="Weight decay of kernels."),
    option_of(Recipe, "clip", "--clip", help="Maximum gradient norm; 0 disables clipping."),
    option_of(Recipe, "dropout", "--dropout", help="Dropout in the encoder."),
    option_of(Recipe, "averaging", "--averaging", help="EMA decay of the weights; 0 disables."),
    option_of(Recipe, "sigma", "--sigma", help="Std. dev. of the target Gaussians (heatmap pixels)."),
)

augmentation_options = shared.together(
    option_of(Augmentation, "rotation", "--rotation", help="Std. dev. of the rotation (degrees)."),
    option_of(Augmentation, "rotate", "--rotate", help="Probability of a rotation."),
    option_of(Augmentation, "scale", "--scale", help="Std. dev. of the scale."),
    option_of(Augmentation, "shift", "--shift", help="Std. dev. of the shift (fraction of the crop)."),
    option_of(Augmentation, "half_body", "--half-body", help="Probability of cropping to half the body."),
    option_of(Augmentation, "flip", "--flip", help="Probability of a horizontal flip."),
    option_of(Augmentation, "colour", "--colour", help="Probability of a colour change."),
    option_of(Augmentation, "blur", "--blur", help="Probability of a blur."),
    option_of(Augmentation, "cut_out", "--cut-out", help="Probability of a cut-out."),
    option_of(Augmentation, "neighbour", "--neighbour", help="Probability of pasting a neighbour."),
)

length_options = shared.together(
    option_of(PoseJob, "batch", "--batch", help="Crops per step and process."),
    option_of(Length, "epochs", "--epochs", help="Length of the run in epochs."),
    option_of(Length, "steps", "--steps", help="Length in steps, instead of epochs."),
    option_of(Length, "minutes", "--minutes", help="Length in minutes, instead of epochs; pauses do not count."),
    option_of(Intervals, "save_minutes", "--save-minutes", help="Minutes between checkpoints."),
    option_of(Intervals, "check_minutes", "--check-minutes", help="Minutes between validations."),
    option_of(Intervals, "check_steps", "--check-steps", help="Steps between validations, instead of minutes."),
    option_of(Intervals, "log_steps", "--log-steps", help="Steps between log lines."),
    option_of(PoseJob, "best", "--best", help="Metric that decides which weights are best."),
    option_of(PoseJob, "seed", "--seed", help="Random seed."),
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
    from tposecli.hub.download.options import Downloads

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
