"""``tpose train-detector``: train or measure the bundled person detector."""

from __future__ import annotations

from pathlib import Path

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, LENGTH, MACHINE, RUN, Command
from tposecli.cli.options.common import LocalPath, output_option
from tposecli.cli.terminal import say


@click.command("train-detector", cls=Command, short_help="Train or measure the bundled person detector.")
@option_group(
    INPUT,
    click.option(
        "--data",
        multiple=True,
        metavar="WHAT",
        help="Train on this: ANN.json:IMAGES[:WEIGHT[:HALF[:partial]]]; rendered[:WEIGHT[:COUNT]], crowds of rendered "
        "people; or clutter:FOLDER[:WEIGHT[:COUNT]], cut-outs of things in that folder, pasted where no people are. "
        "HALF is even or odd: every other image; partial: people may be unannotated. May be repeated.",
    ),
    click.option("--check", multiple=True, metavar="WHAT", help="Validate on this: ANN.json:IMAGES[:HALF]."),
    click.option("--init", type=LocalPath(path_type=Path), help="Start from these weights, or NanoDet-g: its JSON."),
    click.option("--measure", "weights", type=LocalPath(path_type=Path), help="Measure these weights, train nothing."),
)
@option_group(
    FILES,
    output_option(LocalPath(path_type=Path), "Write checkpoint, weights and log into this folder."),
)
@option_group(
    LENGTH,
    click.option(
        "--minutes", default=100.0, show_default=True, help="Train for this many minutes; 0 takes --init as it is."
    ),
    click.option("--seed", default=0, show_default=True, help="Random seed."),
)
@option_group(MACHINE, click.option("--threads", default=2, show_default=True, help="Use N CPU threads."))
@option_group(RUN, click.option("--resume", is_flag=True, help="Continue from the checkpoint in the folder of -o."))
def train_detector(
    data: tuple[str, ...],
    check: tuple[str, ...],
    init: Path | None,
    output: Path | None,
    minutes: float,
    threads: int,
    seed: int,
    resume: bool,
    weights: Path | None,
) -> None:
    """Train the bundled person detector, or measure it.

    Invalid annotations are counted and listed first. Continue an interrupted run with --resume.
    """
    import torch

    from tposecli.lab.training.detector import data_sources, loop
    from tposecli.utils.errors import UsageError

    torch.set_num_threads(threads)
    checks = data_sources.checks(check, say)
    if weights is not None:
        say(loop.measure(weights, checks))
        return
    if output is None or not (data or (init and minutes == 0)):
        raise UsageError("no photos or no folder; add --data and -o")
    sources = data_sources.sources(data, output / "rendered", say)
    job = loop.DetectorJob(sources, checks, output, init=init, minutes=minutes, seed=seed, resume=resume)
    say(loop.train(job, say))
