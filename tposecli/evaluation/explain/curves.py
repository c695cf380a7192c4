"""Deletion and insertion: how keypoints react as the cells of a crop are greyed, or appear, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tposecli.geometry.heatmaps import decode, peaks
from tposecli.models.catalog import HEATMAP_STRIDE
from tposecli.models.pose_net import IMAGENET_MEAN
from tposecli.types import Image

Float64 = NDArray[np.float64]
Order = NDArray[np.intp]

STEPS: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Shares of the cells after which the net runs, besides none and all."""
FRACTIONS: Final = (0.0, *STEPS, 1.0)
RATIO_AT: Final = FRACTIONS.index(0.05)
DRAWS: Final = 3
"""Random orders of the cells for each person."""
BLUR: Final = 1 / 12
"""Standard deviation of the blur with which insertion begins, as a fraction of the crop's height."""
GREY: Final = tuple(round(255 * channel) for channel in IMAGENET_MEAN)
DELETION, INSERTION = 0, 1


@dataclass(frozen=True, eq=False, slots=True)
class Probe:
    """One person whose keypoints are put to the test.

    Attributes:
        crop: (H, W, 3) uint8.
        keypoints: (Q,) indices of the keypoints.
        orders: (Q, L, S) cells of the attention grid for each keypoint and layer, the most attended first.
        nearest: (Q, S) cells, those nearest to each keypoint first.
        random: (R, S) random orders, for all keypoints.
        size: Longer side of the person's box, crop pixels.
    """

    crop: Image
    keypoints: NDArray[np.intp]
    orders: Order
    nearest: Order
    random: Order
    size: float


@dataclass(frozen=True, eq=False, slots=True)
class Curves:
    """What happened to Q keypoints after each of ``FRACTIONS`` of the cells.

    The axis of length 2 holds deletion and insertion, the one of length F the fractions.

    Attributes:
        moved: (Q, L, 2, F) distances from where the keypoint is in the whole crop, in sizes of the person.
        score: (Q, L, 2, F) heatmap values at the cell of that keypoint's peak, over the peak.
        random_moved, random_score: (Q, R, 2, F), the same with random orders of the cells.
        nearest_moved: (Q,) distances with the cells greyed that are nearest to the keypoint, at ``RATIO_AT``.
    """

    moved: Float64
    score: Float64
    random_moved: Float64
    random_score: Float64
    nearest_moved: Float64


def random_orders(inside: NDArray[np.bool_], seed: int) -> Order:
    """Return (R, S) orders of the cells: those inside the (h, w) mask of the box first, each part in random order."""
    rng = np.random.default_rng(seed)
    chance = rng.random((DRAWS, inside.size)) + ~inside.ravel()
    return np.argsort(chance, axis=1, kind="stable")


def descending_orders(maps: NDArray[np.floating]) -> Order:
    """Return the (..., S) cells of (..., h, w) maps, those of the highest values first."""
    return np.argsort(-maps.reshape(*maps.shape[:-2], -1), axis=-1, kind="stable")


def measure_curves(probe: Probe, heatmaps: Callable[[Tensor], Tensor], batch: int, grid_hw: tuple[int, int]) -> Curves:
    """Return the curves of one person.

    Args:
        probe: The person.
        heatmaps: Returns the (B, K, h, w) heatmaps of (B, H, W, 3) uint8 crops.
        batch: Crops in one call of it.
        grid_hw: Height and width of the attention grid.
    """
    asked = torch.from_numpy(probe.keypoints)
    whole = heatmaps(torch.from_numpy(probe.crop)[None]).cpu()[:, asked]
    before, (top, cell) = decode(whole)[0][0], peaks(whole)
    flat = (cell[0, :, 1] * whole.shape[3] + cell[0, :, 0]).long()
    count, layers = probe.orders.shape[:2]
    lanes = layers + len(probe.random)
    moved, score = np.zeros((2, count, lanes + 1, 2, len(FRACTIONS)))
    score[:, :, DELETION, 0] = score[:, :, INSERTION, -1] = 1
    fills = [torch.tensor(GREY, dtype=torch.uint8).expand(*probe.crop.shape), torch.from_numpy(_blurred(probe.crop))]
    every = list(_variants(probe))
    for start in range(0, len(every), batch):
        part = every[start : start + batch]
        crops = torch.stack([_mixed(probe.crop, fills[one.kind], one, grid_hw) for one in part])
        maps = heatmaps(crops).cpu()[:, asked]
        distance = (decode(maps)[0] - before).norm(dim=2).double() * (HEATMAP_STRIDE / probe.size)
        value = maps.flatten(2).gather(2, flat[None, :, None].expand(len(part), -1, 1))[:, :, 0] / top
        for one, its_moved, its_score in zip(part, distance.numpy(), value.double().numpy(), strict=True):
            moved[one.who, one.lane, one.kind, one.step] = its_moved[one.who, None]
            score[one.who, one.lane, one.kind, one.step] = its_score[one.who, None]
    attended, chance = slice(layers), slice(layers, lanes)
    nearest = moved[:, lanes, DELETION, RATIO_AT]
    return Curves(moved[:, attended], score[:, attended], moved[:, chance], score[:, chance], nearest)


@dataclass(frozen=True, eq=False, slots=True)
class _Variant:
    """One changed crop, and whose entries of the curves it gives.

    Attributes:
        cells: The cells that are greyed (deletion) or appear (insertion).
        kind: ``DELETION`` or ``INSERTION``.
        step: Index in ``FRACTIONS``.
        who: Keypoints of the probe.
        lane: Layers, followed by the random orders and by the nearest cells.
    """

    cells: Order
    kind: int
    step: int
    who: slice
    lane: slice


def _variants(probe: Probe) -> Iterator[_Variant]:
    """Yield every crop that the net must see; random orders and both ends serve all keypoints at once."""
    size = probe.random.shape[1]
    layers, lanes = probe.orders.shape[1], probe.orders.shape[1] + len(probe.random)
    yield _Variant(probe.random[0], DELETION, len(FRACTIONS) - 1, slice(None), slice(None))
    yield _Variant(probe.random[0, :0], INSERTION, 0, slice(None), slice(None))
    rows = [
        (slice(keypoint, keypoint + 1), slice(layer, layer + 1), order)
        for keypoint, of_keypoint in enumerate(probe.orders)
        for layer, order in enumerate(of_keypoint)
    ]
    rows += [(slice(None), slice(layers + draw, layers + draw + 1), order) for draw, order in enumerate(probe.random)]
    for who, lane, order in rows:
        for step, fraction in enumerate(STEPS, start=1):
            for kind in (DELETION, INSERTION):
                yield _Variant(order[: _count(fraction, size)], kind, step, who, lane)
    for keypoint, order in enumerate(probe.nearest):
        cells = order[: _count(FRACTIONS[RATIO_AT], size)]
        yield _Variant(cells, DELETION, RATIO_AT, slice(keypoint, keypoint + 1), slice(lanes, lanes + 1))


def _count(fraction: float, size: int) -> int:
    """Return how many of the cells a share of them is."""
    return max(1, round(fraction * size))


def _mixed(crop: Image, fill: Tensor, variant: _Variant, grid_hw: tuple[int, int]) -> Tensor:
    """Return the (H, W, 3) crop with the cells of a variant greyed, or blurred but for them."""
    chosen = np.zeros(grid_hw[0] * grid_hw[1], np.bool_)
    chosen[variant.cells] = True
    stride = crop.shape[0] // grid_hw[0]
    pixels: Any = np.kron(chosen.reshape(grid_hw), np.ones((stride, stride), np.bool_))[:, :, None]
    kept = pixels if variant.kind == INSERTION else ~pixels
    return torch.where(torch.from_numpy(kept), torch.from_numpy(crop), fill)


def _blurred(crop: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), BLUR * crop.shape[0]), np.uint8)
