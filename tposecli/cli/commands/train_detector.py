"""``tpose train-detector``: train or measure the bundled person detector."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("train-detector")
@click.option(
    "--data",
    multiple=True,
    metavar="ANN.json:IMAGES[:WEIGHT[:HALF]]",
    help="Photos to learn from; or rendered[:WEIGHT[:COUNT]], crowds of rendered people; or "
    "clutter:FOLDER[:WEIGHT[:COUNT]], cut-outs of things in that folder, pasted where no people are. HALF is 'even' or "
    "'odd': only images at those positions among the sorted image ids.",
)
@click.option("--check", multiple=True, metavar="ANN.json:IMAGES[:HALF]", help="Photos to validate on.")
@click.option("--init", type=click.Path(path_type=Path), help="Start from MoveNet MultiPose: its JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for checkpoint, log and weights.")
@click.option(
    "--minutes", default=100.0, show_default=True, help="Length of the run (minutes); 0 uses --init unchanged."
)
@click.option("--threads", default=2, show_default=True, help="CPU threads.")
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@click.option("--resume", is_flag=True, help="Continue from the checkpoint in --out.")
@click.option(
    "--measure", "weights", type=click.Path(path_type=Path), help="Measure these weights instead of training."
)
def train_detector(
    data: tuple[str, ...],
    check: tuple[str, ...],
    init: Path | None,
    out: Path | None,
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

    from tposecli.training.detector import data_sources, loop
    from tposecli.utils.errors import UsageError

    torch.set_num_threads(threads)
    checks = data_sources.checks(check, click.echo)
    if weights is not None:
        click.echo(loop.measure(weights, checks))
        return
    if out is None or not (data or (init and minutes == 0)):
        raise UsageError("name the photos with --data and the folder of the run with --out")
    sources = data_sources.sources(data, out / "rendered", click.echo)
    job = loop.DetectorJob(sources, checks, out, init=init, minutes=minutes, seed=seed, resume=resume)
    click.echo(loop.train(job, click.echo))
