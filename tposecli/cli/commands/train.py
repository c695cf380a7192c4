"""``tpose train``: train a pose net."""

from __future__ import annotations

from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import (
    AUGMENTATION,
    FILES,
    INPUT,
    LENGTH,
    MACHINE,
    MODEL,
    RUN,
    TRAINING,
    Command,
    RenamedOption,
)
from tposecli.cli.options import common as shared
from tposecli.cli.options.fields import option_of
from tposecli.cli.terminal import say
from tposecli.lab.training.job import Augmentation, Intervals, Length, PoseJob, Recipe

data_options = option_group(
    INPUT,
    click.option(
        "--data",
        multiple=True,
        metavar="WHAT",
        help="Train on this: ANN.json:IMAGES[:WEIGHT[:HALF]], coco:SET[:WEIGHT[:HALF]], or rendered people, "
        "rendered[:WEIGHT[:COUNT]] (COUNT of them, made once; without COUNT, new ones all the time). WEIGHT says how "
        "often it is used, relative to the others. HALF is even or odd: every other image. May be repeated.",
    ),
    click.option("--coco", multiple=True, metavar="SET", help="Train on this set of COCO, same as --data coco:SET."),
    click.option(
        "--data-dir",
        type=shared.FOLDER,
        default=PoseJob.coco,
        show_default=True,
        help="Folder with COCO's files, see 'tpose data'.",
    ),
    click.option(
        "--check", multiple=True, metavar="WHAT", help="Validate on this: ANN.json:IMAGES[:HALF] or coco:SET[:HALF]."
    ),
    click.option(
        "--rendered-dir", type=shared.FOLDER, help="Keep rendered people in this folder.  [rendered, in that of -o]"
    ),
    option_of(
        PoseJob,
        "weak_nose",
        "--weak-nose",
        metavar="WEIGHT",
        help="Weight (0 to 1) of noses that are guessed from neck and head_top.",
    ),
)

net_options = option_group(
    MODEL,
    click.option(
        "--model",
        metavar="NAME",
        default=PoseJob.model,
        show_default=True,
        help="Pose model: a name from 'tpose models'.",
    ),
    click.option("--input-size", metavar="HxW", help="Height and width of the crops (pixels).  [the model's own]"),
    click.option(
        "--init",
        metavar="WHAT",
        help="Start from these weights: imagenet, a checkpoint (all tensors that fit), or MoveNet's JSON.",
    ),
)

machine_options = option_group(
    MACHINE,
    click.option("--device", default="auto", show_default=True, help="Run on auto, cpu, cuda, cuda:N or mps."),
    option_of(Recipe, "precision", "--precision", help="Number format of the model."),
    click.option("--threads", type=click.IntRange(1), help="Use N CPU threads.  [all]"),
    option_of(PoseJob, "workers", "--workers", help="Make crops in N processes; 0 makes them in the main one."),
    shared.offline_option,
)

recipe_options = option_group(
    TRAINING,
    option_of(Recipe, "optimizer", "--optimizer", help="Optimizer."),
    option_of(Recipe, "rate", "--rate", help="Peak learning rate."),
    option_of(Recipe, "final_rate", "--final-rate", help="Final learning rate."),
    option_of(Recipe, "backbone", "--backbone", help="Multiply the learning rate of the backbone by this."),
    click.option(
        "--freeze",
        multiple=True,
        metavar="NAME",
        help="Freeze the parameters whose names start with this: backbone.stem. May be repeated.",
    ),
    option_of(Recipe, "decay", "--decay", help="How the learning rate falls."),
    option_of(Recipe, "warm_up", "--warm-up", help="Raise the learning rate over the first N steps."),
    option_of(Recipe, "weight_decay", "--weight-decay", help="Weight decay of convolutions and linear layers."),
    option_of(Recipe, "clip", "--clip", help="Maximum gradient norm; 0 disables clipping."),
    option_of(Recipe, "dropout", "--dropout", help="Dropout in the encoder."),
    option_of(Recipe, "averaging", "--averaging", help="Decay of the moving average of the weights; 0 disables it."),
    option_of(Recipe, "sigma", "--sigma", help="Standard deviation of the target Gaussians (heatmap pixels)."),
)

augmentation_options = option_group(
    AUGMENTATION,
    option_of(Augmentation, "rotation", "--rotation", help="Standard deviation of rotations (degrees)."),
    option_of(Augmentation, "rotate", "--rotate", help="Probability of a rotation."),
    option_of(Augmentation, "scale", "--scale", help="Standard deviation of the scale, which is about 1."),
    option_of(Augmentation, "shift", "--shift", help="Standard deviation of shifts (fraction of the crop)."),
    option_of(Augmentation, "half_body", "--half-body", help="Probability of cropping to half the body."),
    option_of(Augmentation, "flip", "--flip", help="Probability of a horizontal flip."),
    option_of(Augmentation, "colour", "--colour", help="Probability of a colour change."),
    option_of(Augmentation, "blur", "--blur", help="Probability of a blur."),
    option_of(Augmentation, "cut_out", "--cut-out", help="Probability of covering a part with a patch."),
    option_of(Augmentation, "neighbour", "--neighbour", help="Probability of pasting another person beside this one."),
)

length_options = option_group(
    LENGTH,
    option_of(
        PoseJob,
        "batch",
        "--batch-size",
        cls=RenamedOption,
        formerly=("--batch",),
        help="Crops per step and process.",
    ),
    option_of(Length, "epochs", "--epochs", help="Train for this many epochs."),
    option_of(Length, "steps", "--steps", help="Train for this many steps, not epochs."),
    option_of(Length, "minutes", "--minutes", help="Train for this many minutes, not epochs; pauses are not counted."),
    option_of(Intervals, "save_minutes", "--save-minutes", help="Minutes between checkpoints."),
    option_of(Intervals, "check_minutes", "--check-minutes", help="Minutes between validations."),
    option_of(Intervals, "check_steps", "--check-steps", help="Steps between validations, instead of minutes."),
    option_of(Intervals, "log_steps", "--log-steps", help="Steps between log lines."),
    option_of(PoseJob, "best", "--best", help="Keep the weights that are best by this measure."),
    option_of(PoseJob, "seed", "--seed", help="Random seed."),
)

run_options = shared.together(
    option_group(
        FILES,
        shared.output_option(shared.FOLDER, "Write checkpoint, weights and log into this folder.", required=True),
    ),
    option_group(
        RUN,
        click.option("--strict", is_flag=True, help="Treat every problem with the data as an error."),
        click.option("--resume", is_flag=True, help="Continue from the checkpoint in the folder of -o."),
    ),
)


@click.command(
    "train",
    cls=Command,
    first=("data", "coco", "data_dir", "check", "model", "init", "epochs", "minutes", "output", "resume"),
    short_help="Train a pose model.",
)
@data_options
@net_options
@machine_options
@recipe_options
@augmentation_options
@length_options
@run_options
def train(**options: Any) -> None:
    """Train a pose model, by default with the authors' recipe.

    Invalid data is counted and listed first. Ctrl-C saves; repeat the command with --resume to continue. The folder
    of -o receives last.safetensors, best.safetensors (by the first --check), metrics.csv and curves.png.

    \b
    tpose train --coco train2017 --check coco:val2017 --init imagenet --workers 8 -o runs/r-a4
    tpose train --data ann.json:photos:2 --data rendered:1:5000 --model transpose-r18-a3 --minutes 60 -o runs/mine
    torchrun --nproc-per-node 4 --no-python tpose train --coco train2017 -o runs/h-a6 --model transpose-h-a6
    """
    import torch

    from tposecli.lab.training.loop import train as run

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    run(_job(options), say)


def _job(options: shared.Options) -> PoseJob:
    from tposecli.hub.download.options import Downloads

    data = (*options["data"], *(f"coco:{name}" for name in options["coco"]))
    if not data:
        raise click.UsageError("no training data; name it with --data or --coco")
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
        out=options["output"],
        batch=options["batch_size"],
        **{
            name: options[name]
            for name in (
                "check", "model", "init", "weak_nose", "best", "seed", "workers", "device", "strict", "resume",
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
