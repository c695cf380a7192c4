"""Measure a step of training: crops with augmentation, and the net, plain and as ``tpose train`` runs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import torch

from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.lab.bench.clock import alternate, ratio
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.report import Cell, Table
from tposecli.lab.training.batches import Batches, SamplingConfig
from tposecli.lab.training.data_sources import ReadOptions, read_sources
from tposecli.lab.training.distributed import Team
from tposecli.lab.training.job import Augmentation, Recipe
from tposecli.lab.training.rendered import size_for
from tposecli.lab.training.state import TrainingState
from tposecli.models import build
from tposecli.utils.system import cores

PEOPLE: Final = 64
BATCH: Final = 16
ALL: Final = Augmentation(colour=0.5, blur=0.3, cut_out=0.3, neighbour=0.2)
CROPS, PLAIN, FAST = "crops alone", "plain net, torch's threads", "as tpose train runs it"
COLUMNS: Final = ("part", "samples a second", "CPU ms a sample", "times as fast as the plain net")


def table(job: BenchJob, device: torch.device, checkpoint: Checkpoint, folder: Path) -> Table:
    """Time crops of rendered people, and training steps of the first model on them."""
    spec, (precision, *_), threads = checkpoint.spec, job.precisions, torch.get_num_threads()
    torch.set_num_threads(cores())  # As a training has them.
    options = ReadOptions(folder, folder / "people", size_for(spec.input_hw), folder / "read.json", 0.0, False)
    layout, sources = read_sources((f"rendered:1:{PEOPLE}",), options, lambda _: None)
    batches = Batches(SamplingConfig(sources, layout, spec.input_hw, ALL, BATCH))
    batch, team = batches[0], Team(device)
    recipe = Recipe(precision=precision)  # type: ignore[arg-type]
    states = {
        name: TrainingState(build(spec.name, spec.input_hw), recipe, team, 0, fast)
        for name, fast in ((PLAIN, False), (FAST, True))
    }
    workloads: dict[str, Callable[[], object]] = {CROPS: lambda: batches[1]}
    workloads |= {name: partial(state.advance, batch, 0.0) for name, state in states.items()}
    laps = alternate(workloads, job.rounds, device)
    torch.set_num_threads(threads)
    rows: list[tuple[Cell, ...]] = [
        (name, each.rate(BATCH), each.cpu_each(BATCH), None if name == CROPS else ratio(laps[PLAIN], each))
        for name, each in laps.items()
    ]
    notes = [
        f"{spec.name}, {precision} under autocast, batches of {BATCH}, nothing frozen, "
        f"{cores()} threads; crops of rendered people with all augmentations."
    ]
    return Table("train", "Training", COLUMNS, rows, notes)
