"""What heatmaps ought to be, and how far they are from it."""

from __future__ import annotations

import torch
from torch import Tensor

REACH = 3.0
"""Deviations from its centre at which a joint's Gaussian is taken to end, as the authors do."""


def gaussians(xy: Tensor, size_hw: tuple[int, int], sigma: float) -> Tensor:
    """(B, K, h, w) Gaussians of height 1 whose centres lie between the pixels.

    Args:
        xy: (B, K, 2) centres, heatmap pixels.
        size_hw: Height and width of a heatmap.
        sigma: Deviation, heatmap pixels.
    """
    across = torch.arange(size_hw[1], device=xy.device, dtype=xy.dtype)
    down = torch.arange(size_hw[0], device=xy.device, dtype=xy.dtype)
    x = torch.exp((across - xy[..., :1]).square() / (-2 * sigma**2))
    y = torch.exp((down - xy[..., 1:]).square() / (-2 * sigma**2))
    return y[..., :, None] * x[..., None, :]


def taught(xy: Tensor, weight: Tensor, size_hw: tuple[int, int], sigma: float) -> Tensor:
    """(B, K) weights, 0 for joints so far outside that nothing of their Gaussian is on the heatmap."""
    limit = torch.tensor([size_hw[1], size_hw[0]], device=xy.device) - 1 + REACH * sigma
    inside = ((xy >= -REACH * sigma) & (xy <= limit)).all(dim=2)
    return weight * inside


def heatmap_loss(heatmaps: Tensor, xy: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """Half the mean squared error to the Gaussians, each joint with its weight; the mean runs over all joints.

    Args:
        heatmaps: (B, K, h, w) float32.
        xy: (B, K, 2) joints, heatmap pixels.
        weight: (B, K), 0 for joints without annotation: they give no gradient.
        sigma: Deviation of the Gaussians, heatmap pixels.
    """
    size_hw = heatmaps.shape[2], heatmaps.shape[3]
    error = (heatmaps - gaussians(xy, size_hw, sigma)).square().mean(dim=(2, 3))
    return 0.5 * (error * taught(xy, weight, size_hw, sigma)).mean()
