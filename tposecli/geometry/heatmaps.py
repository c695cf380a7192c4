"""Heatmap decoding and the flip test: batched tensor code that equals the authors' implementation.

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
REFINEMENT_RADIUS = 2
"""Cells around the peak that the refinement uses."""


def decode(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Decode positions and scores of keypoints.

    Args:
        heatmaps: (B, K, h, w) float32.

    Returns:
        (B, K, 2) x, y in heatmap pixels, with sub-pixel refinement; (B, K) height of the peak. A map without
        positive values gives (0, 0).
    """
    peak, argmax = peaks(heatmaps)
    return argmax + _refinement(heatmaps, argmax.long()), peak


def peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B, K) maxima, and the (B, K, 2) x, y of their cells; (0, 0) where the maximum is not positive."""
    width = heatmaps.shape[3]
    peak, flat = heatmaps.flatten(2).max(dim=2)
    cell = torch.stack((flat % width, flat // width), dim=2)
    return peak, (cell * (peak > 0)[:, :, None]).to(heatmaps.dtype)


def flip_back(heatmaps: Tensor, mirror: Sequence[int] = MIRROR) -> Tensor:
    """Map heatmaps of mirrored crops back: reverse the columns, and swap left and right joints."""
    return heatmaps.flip(3)[:, index(tuple(mirror), heatmaps.device)]


@cache
def index(positions: tuple[int, ...], device: torch.device) -> Tensor:
    """Return an index tensor, cached so that it is copied to the device only once."""
    return torch.tensor(positions, device=device)


def attention_cells(xy: Tensor, stride: int, grid_hw: tuple[int, int]) -> Tensor:
    """Return the (B, K) int64 row-major index of the attention grid's cell under each keypoint.

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
    """Return the (B, K, 2) Newton step on the log of the blurred map; 0 near the border and where it is singular."""
    height, width = heatmaps.shape[2:]
    x, y = cell.unbind(2)
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    logs = _blurred_patches(heatmaps, x.clamp(2, width - 3), y.clamp(2, height - 3)).clamp_min(FLOOR).log()

    def at(dx: int, dy: int) -> Tensor:
        return logs[:, :, REFINEMENT_RADIUS + dy, REFINEMENT_RADIUS + dx]

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


def _blurred_patches(heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (B, K, 5, 5) patches of the blurred maps around (B, K) cells, computed from 15x15 cells.

    The authors rescale each blurred map to its original maximum. A factor does not change derivatives of the logarithm
    unless values are below ``FLOOR``: only such maps are blurred as a whole to find it. (For others it would only
    raise values, since blurring lowers the maximum.)
    """
    margin = BLUR_SIZE // 2
    width = heatmaps.shape[3] + 2 * margin
    offset = torch.arange(2 * (REFINEMENT_RADIUS + margin) + 1, device=heatmaps.device)
    row, column = (
        y[:, :, None, None] - REFINEMENT_RADIUS + offset[:, None],
        x[:, :, None, None] - REFINEMENT_RADIUS + offset,
    )
    padded = functional.pad(heatmaps, (margin, margin, margin, margin)).flatten(2)
    patches = padded.gather(2, (row * width + column).flatten(2)).view(*heatmaps.shape[:2], len(offset), len(offset))
    across = _blur_matrix(len(offset), heatmaps.device, heatmaps.dtype)[margin:-margin]
    blurred = across @ patches @ across.T
    low = blurred.amin((2, 3)) < FLOOR
    if heatmaps.is_cuda:  # Branching on values would synchronise with the device.
        return torch.where(low[..., None, None], blurred * _rescaling(heatmaps), blurred)
    if low.any():
        blurred[low] = blurred[low] * _rescaling(heatmaps[low])
    return blurred


def _rescaling(maps: Tensor) -> Tensor:
    """Return the (..., 1, 1) factor that restores the maximum of blurred maps."""
    height, width = (_blur_matrix(size, maps.device, maps.dtype) for size in maps.shape[-2:])
    return maps.amax((-2, -1), keepdim=True) / (height @ maps @ width).amax((-2, -1), keepdim=True)


@cache
def _blur_matrix(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the (size, size) symmetric matrix that blurs along one axis."""
    offset = torch.arange(BLUR_SIZE) - BLUR_SIZE // 2
    kernel = torch.exp(-(offset**2) / (2 * BLUR_SIGMA**2)).to(torch.float64)
    kernel = kernel / kernel.sum()
    index = torch.arange(size)
    distance = (index[:, None] - index[None]).abs()
    weights = torch.cat((kernel[BLUR_SIZE // 2 :], kernel.new_zeros(1)))
    return weights[distance.clamp_max(BLUR_SIZE // 2 + 1)].to(device, dtype)
