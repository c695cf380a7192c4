"""Batches for the pose nets: each depends on the seed and its number only, so that a resumed run sees the same ones."""

from __future__ import annotations

import signal
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.training.augment import Augmentation, Cutter, Sample, beside
from tposecli.training.data_sources import DataSource
from tposecli.training.dataset import read_picture
from tposecli.training.rendered import render_one, size_for
from tposecli.utils.threads import prefetch

AHEAD = 4
"""Batches made before they are needed."""
ROUND = 1000
"""Samples among which every source has its exact share."""
ENDLESS_EPOCH = 10_000
"""Samples of an epoch where all people are rendered."""


class Batch(NamedTuple):
    """B samples.

    Attributes:
        crops: (B, H, W, 3) uint8 RGB.
        xy: (B, K, 2) float32 joints, heatmap pixels.
        weight: (B, K) float32.
    """

    crops: Tensor
    xy: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Drawing:
    """How batches are drawn from the sources.

    Attributes:
        sources: What to draw from.
        layout: Their keypoints.
        input_hw: Height and width of a crop.
        augmentation: How crops vary.
        batch: Samples in one batch.
        seed: Of everything random.
    """

    sources: tuple[DataSource, ...]
    layout: KeypointLayout
    input_hw: tuple[int, int]
    augmentation: Augmentation
    batch: int = 32
    seed: int = 0

    @property
    def epoch(self) -> int:
        """Samples of an epoch: as many as there are annotated people."""
        return sum(len(source.people) for source in self.sources) or ENDLESS_EPOCH


class Batches(Dataset[Batch]):
    """Batch number ``n`` of all processes together, for any n.

    The turn passes between the sources in a shuffled order that gives each its share of every thousand samples; a
    source's people come in an order of their own, shuffled anew each time all have been seen.
    """

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self._cut = Cutter(drawing.layout, drawing.input_hw, drawing.augmentation)
        weights = np.array([source.weight for source in drawing.sources])
        self._turns = tuple(shares(weights))

    def __getitem__(self, index: int) -> Batch:
        """The batch of that number."""
        first = index * self._drawing.batch
        alone = [self._sample(number) for number in range(first, first + self._drawing.batch)]
        rng = np.random.default_rng([self._drawing.seed, index, 2])
        chances = rng.random(len(alone)) < self._drawing.augmentation.neighbour
        return stack(
            [
                beside(rng, sample, alone[place - 1].image) if chance else sample
                for place, (sample, chance) in enumerate(zip(alone, chances, strict=True))
            ]
        )

    def _sample(self, number: int) -> Sample:
        drawing = self._drawing
        rng = np.random.default_rng([drawing.seed, number])
        block, index = divmod(number, ROUND)
        chosen = int(_whose(self._turns, drawing.seed, block)[index])
        people = drawing.sources[chosen].people
        if not people:
            picture, person = render_one(rng, size_for(drawing.input_hw))
            return self._cut(rng, person, picture)
        before = np.count_nonzero(_whose(self._turns, drawing.seed, block)[:index] == chosen)
        turn, place = divmod(block * self._turns[chosen] + int(before), len(people))
        person = people[_order(len(people), drawing.seed, chosen, turn)[place]]
        return self._cut(rng, person, read_picture(person.path))


def shares(weights: NDArray[np.float64]) -> list[int]:
    """How many of ``ROUND`` samples each source gives: by weight, at least one."""
    exact = weights / weights.sum() * ROUND
    counts = np.maximum(1, np.floor(exact)).astype(int)
    while counts.sum() != ROUND:
        step = 1 if counts.sum() < ROUND else -1
        counts[np.argmax(step * (exact - counts))] += step
    return [int(count) for count in counts]


@lru_cache(maxsize=16)
def _whose(turns: tuple[int, ...], seed: int, block: int) -> NDArray[np.int64]:
    """(ROUND,) which source each sample of a round comes from."""
    return np.random.default_rng([seed, block, 1]).permutation(np.repeat(np.arange(len(turns)), turns))


@lru_cache(maxsize=16)
def _order(count: int, seed: int, source: int, turn: int) -> NDArray[np.int64]:
    """In which order a source's people come, in one round."""
    return np.random.default_rng([seed, source, turn, count]).permutation(count)


def stack(samples: Sequence[Sample]) -> Batch:
    """Samples as tensors."""
    return Batch(
        torch.from_numpy(np.stack([sample.image for sample in samples])),
        torch.from_numpy(np.stack([sample.xy for sample in samples])),
        torch.from_numpy(np.stack([sample.weight for sample in samples])),
    )


def stream(batches: Batches, numbers: range, workers: int, pinned: bool) -> Generator[Batch]:
    """The batches of those numbers in order, made ahead by worker processes, or by a thread where there are none.

    Args:
        batches: Where they come from.
        numbers: Which ones.
        workers: How many processes.
        pinned: In memory from which a GPU fetches faster.
    """
    if not workers:
        yield from prefetch((batches[number] for number in numbers), AHEAD, "batches")
        return
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=AHEAD,
        pin_memory=pinned,
        multiprocessing_context="spawn",
        worker_init_fn=_calm,
    )
    yield from loader


def _calm(worker: int) -> None:
    """A worker process is one core's work, and leaves signals to the one that trains: it ends with that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
