"""Make batches for training the pose nets.

Each batch depends only on the seed and its number, so that a resumed run sees the same ones.
"""

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
from tposecli.lab.training.augment import CropSampler, Sample, paste_neighbour
from tposecli.lab.training.data_sources import DataSource
from tposecli.lab.training.dataset import read_training_image
from tposecli.lab.training.job import Augmentation
from tposecli.lab.training.rendered import render_one, size_for
from tposecli.utils.threads import prefetch

PREFETCH_BATCHES = 4
"""Number of batches made ahead, per worker process."""
BLOCK = 1000
"""Number of samples within which every source has its exact share."""
ENDLESS_EPOCH = 10_000
"""Samples per epoch if all people are rendered."""


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
class SamplingConfig:
    """How batches are sampled from the sources.

    Attributes:
        sources: The sources.
        layout: Their keypoints.
        input_hw: Height and width of a crop.
        augmentation: How crops vary.
        batch: Samples per batch.
        seed: Seeds everything random.
    """

    sources: tuple[DataSource, ...]
    layout: KeypointLayout
    input_hw: tuple[int, int]
    augmentation: Augmentation
    batch: int = 32
    seed: int = 0

    @property
    def epoch(self) -> int:
        """Samples per epoch: the number of annotated people."""
        return sum(len(source.people) for source in self.sources) or ENDLESS_EPOCH


class Batches(Dataset[Batch]):
    """The batches of a run, indexed by a number that counts over all processes.

    Within every ``BLOCK`` samples, the sources alternate in a shuffled order that gives each its exact share. The
    people of a source are visited in a shuffled order, reshuffled each time all have been visited.
    """

    def __init__(self, drawing: SamplingConfig) -> None:
        self._drawing = drawing
        self._cut = CropSampler(drawing.layout, drawing.input_hw, drawing.augmentation)
        weights = np.array([source.weight for source in drawing.sources])
        self._turns = tuple(samples_per_source(weights))

    def __getitem__(self, index: int) -> Batch:
        """Return the batch with this number."""
        first = index * self._drawing.batch
        alone = [self._sample(number) for number in range(first, first + self._drawing.batch)]
        rng = np.random.default_rng([self._drawing.seed, index, 2])
        chances = rng.random(len(alone)) < self._drawing.augmentation.neighbour
        return stack(
            [
                paste_neighbour(rng, sample, alone[place - 1].image) if chance else sample
                for place, (sample, chance) in enumerate(zip(alone, chances, strict=True))
            ]
        )

    def _sample(self, number: int) -> Sample:
        drawing = self._drawing
        rng = np.random.default_rng([drawing.seed, number])
        block, index = divmod(number, BLOCK)
        chosen = int(_source_order(self._turns, drawing.seed, block)[index])
        people = drawing.sources[chosen].people
        if not people:
            image, person = render_one(rng, size_for(drawing.input_hw))
            return self._cut(rng, person, image)
        before = np.count_nonzero(_source_order(self._turns, drawing.seed, block)[:index] == chosen)
        turn, place = divmod(block * self._turns[chosen] + int(before), len(people))
        person = people[_person_order(len(people), drawing.seed, chosen, turn)[place]]
        return self._cut(rng, person, read_training_image(person.path))


def samples_per_source(weights: NDArray[np.float64]) -> list[int]:
    """Return how many of ``BLOCK`` samples come from each source: proportional to the weights, at least one."""
    exact = weights / weights.sum() * BLOCK
    counts = np.maximum(1, np.floor(exact)).astype(int)
    while counts.sum() != BLOCK:
        step = 1 if counts.sum() < BLOCK else -1
        counts[np.argmax(step * (exact - counts))] += step
    return [int(count) for count in counts]


@lru_cache(maxsize=16)
def _source_order(turns: tuple[int, ...], seed: int, block: int) -> NDArray[np.int64]:
    """Return the (BLOCK,) sources from which the samples of a block come."""
    return np.random.default_rng([seed, block, 1]).permutation(np.repeat(np.arange(len(turns)), turns))


@lru_cache(maxsize=16)
def _person_order(count: int, seed: int, source: int, turn: int) -> NDArray[np.int64]:
    """Return the order in which the people of a source are visited, the ``turn``-th time."""
    return np.random.default_rng([seed, source, turn, count]).permutation(count)


def stack(samples: Sequence[Sample]) -> Batch:
    """Return samples stacked as tensors."""
    return Batch(
        torch.from_numpy(np.stack([sample.image for sample in samples])),
        torch.from_numpy(np.stack([sample.xy for sample in samples])),
        torch.from_numpy(np.stack([sample.weight for sample in samples])),
    )


def stream(batches: Batches, numbers: range, workers: int, pinned: bool) -> Generator[Batch]:
    """Yield batches in order, made ahead by worker processes, or by a thread if there are none.

    Args:
        batches: The batches.
        numbers: Their numbers.
        workers: Number of worker processes.
        pinned: Whether to use pinned memory, for faster copies to a GPU.
    """
    if not workers:
        yield from prefetch((batches[number] for number in numbers), PREFETCH_BATCHES, "batches")
        return
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=PREFETCH_BATCHES,
        pin_memory=pinned,
        multiprocessing_context="spawn",
        worker_init_fn=_init_worker,
    )
    yield from loader


def _init_worker(worker: int) -> None:
    """Set up a worker process: it uses one core, and ignores signals, which the training process handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
