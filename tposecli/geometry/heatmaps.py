"""From heatmaps to keypoints, and the flip test: batched tensor code, equal to the authors' own.

Sub-pixel refinement: DARK, Zhang et al., CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from tposecli.geometry.keypoints import MIRROR

BLUR_SIZE = 11
BLUR_SIGMA = 2.0
FLOOR = 1e-10
REACH = 2
"""Cells round the peak that the refinement looks at."""


def decode(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Positions and peaks of keypoints.

    Args:
        heatmaps: (B, K, h, w) float32.

    Returns:
        (B, K, 2) x, y in heatmap pixels, refined to a fraction; (B, K) height of the peak. A map that is nowhere
        above 0 gives (0, 0).
    """
    peak, argmax = peaks(heatmaps)
    return argmax + _refinement(heatmaps, argmax.long()), peak


def peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K) highest value, and (B, K, 2) x, y of its cell; (0, 0) where the highest value is not above 0."""
    width = heatmaps.shape[3]
    peak, place = heatmaps.flatten(2).max(dim=2)
    cell = torch.stack((place % width, place // width), dim=2)
    return peak, (cell * (peak > 0)[:, :, None]).to(heatmaps.dtype)


def flip_back(heatmaps: Tensor, mirror: Sequence[int] = MIRROR) -> Tensor:
    """Heatmaps of a mirrored crop, as those of the crop itself: columns reversed, left and right joints swapped."""
    return heatmaps.flip(3)[:, index(tuple(mirror), heatmaps.device)]


@cache
def index(places: tuple[int, ...], device: torch.device) -> Tensor:
    """The same places along an axis again and again, sent to the device once."""
    return torch.tensor(places, device=device)


def attention_cells(xy: Tensor, stride: int, grid_hw: tuple[int, int]) -> Tensor:
    """(B, K) int64: the row-major cell of the attention grid that each keypoint lies in.

    Args:
        xy: (B, K, 2) heatmap pixels, from :func:`decode` of the unflipped crop.
        stride: Crop pixels per cell: 8 in the R models, 4 in the H models.
        grid_hw: Height and width of the grid; positions outside are clamped to it.
    """
    cell = torch.floor((xy * 4 + 0.5) / stride).long()
    column = cell[..., 0].clamp(0, grid_hw[1] - 1)
    row = cell[..., 1].clamp(0, grid_hw[0] - 1)
    return row * grid_hw[1] + column


def _refinement(heatmaps: Tensor, cell: Tensor) -> Tensor:
    """(B, K, 2) Newton step on the logarithm of the blurred map; 0 near the border and where it is singular."""
    height, width = heatmaps.shape[2:]
    x, y = cell.unbind(2)
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    logs = _blurred_round(heatmaps, x.clamp(2, width - 3), y.clamp(2, height - 3)).clamp_min(FLOOR).log()

    def at(dx: int, dy: int) -> Tensor:
        return logs[:, :, REACH + dy, REACH + dx]

    centre = at(0, 0)
    gx = (at(1, 0) - at(-1, 0)) / 2
    gy = (at(0, 1) - at(0, -1)) / 2
    hxx = (at(2, 0) - 2 * centre + at(-2, 0)) / 4
    hyy = (at(0, 2) - 2 * centre + at(0, -2)) / 4
    hxy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    determinant = hxx * hyy - hxy * hxy
    usable = inside & (determinant != 0)
    step = torch.stack((hyy * gx - hxy * gy, hxx * gy - hxy * gx), dim=2)
    safe = torch.where(usable, determinant, 1.0)[:, :, None]
    return torch.where(usable[:, :, None], -step / safe, 0.0)


def _blurred_round(heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(B, K, 5, 5) of the blurred maps round (B, K) cells, computed from the 15x15 cells that matter there.

    The authors rescale each blurred map so that its highest value is what it was. A factor has no part in derivatives
    of the logarithm unless values lie under ``FLOOR``: only such maps are blurred as a whole to find it. (Elsewhere it
    lifts values, for blurring lowers the highest.)
    """
    margin = BLUR_SIZE // 2
    width = heatmaps.shape[3] + 2 * margin
    offset = torch.arange(2 * (REACH + margin) + 1, device=heatmaps.device)
    row, column = y[:, :, None, None] - REACH + offset[:, None], x[:, :, None, None] - REACH + offset
    padded = functional.pad(heatmaps, (margin, margin, margin, margin)).flatten(2)
    patches = padded.gather(2, (row * width + column).flatten(2)).view(*heatmaps.shape[:2], len(offset), len(offset))
    across = _band(len(offset), heatmaps.device, heatmaps.dtype)[margin:-margin]
    blurred = across @ patches @ across.T
    low = blurred.amin((2, 3)) < FLOOR
    if heatmaps.is_cuda:  # To look at values would be to wait for the device.
        return torch.where(low[..., None, None], blurred * _lift(heatmaps), blurred)
    if low.any():
        blurred[low] = blurred[low] * _lift(heatmaps[low])
    return blurred


def _lift(maps: Tensor) -> Tensor:
    """(..., 1, 1) factor that makes a blurred map as high as it was."""
    height, width = (_band(size, maps.device, maps.dtype) for size in maps.shape[-2:])
    return maps.amax((-2, -1), keepdim=True) / (height @ maps @ width).amax((-2, -1), keepdim=True)


@cache
def _band(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(size, size) symmetric matrix: multiplying by it blurs along one axis."""
    offset = torch.arange(BLUR_SIZE) - BLUR_SIZE // 2
    kernel = torch.exp(-(offset**2) / (2 * BLUR_SIGMA**2)).to(torch.float64)
    kernel = kernel / kernel.sum()
    index = torch.arange(size)
    distance = (index[:, None] - index[None]).abs()
    weights = torch.cat((kernel[BLUR_SIZE // 2 :], kernel.new_zeros(1)))
    return weights[distance.clamp_max(BLUR_SIZE // 2 + 1)].to(device, dtype)
