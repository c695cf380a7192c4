"""Target heatmaps, and the loss against them."""

from __future__ import annotations

import torch
from torch import Tensor

TRUNCATION = 3.0
"""Standard deviations at which a joint's Gaussian is taken to end, as in the authors' code."""


def gaussians(xy: Tensor, size_hw: tuple[int, int], sigma: float) -> Tensor:
    """Return (B, K, h, w) Gaussians of height 1 with sub-pixel centres.

    Args:
        xy: (B, K, 2) centres, heatmap pixels.
        size_hw: Height and width of a heatmap.
        sigma: Standard deviation, heatmap pixels.
    """
    across = torch.arange(size_hw[1], device=xy.device, dtype=xy.dtype)
    down = torch.arange(size_hw[0], device=xy.device, dtype=xy.dtype)
    x = torch.exp((across - xy[..., :1]).square() / (-2 * sigma**2))
    y = torch.exp((down - xy[..., 1:]).square() / (-2 * sigma**2))
    return y[..., :, None] * x[..., None, :]


def visible_weight(xy: Tensor, weight: Tensor, size_hw: tuple[int, int], sigma: float) -> Tensor:
    """Return the (B, K) weights, set to 0 for joints whose Gaussians lie entirely outside the heatmap."""
    limit = torch.tensor([size_hw[1], size_hw[0]], device=xy.device) - 1 + TRUNCATION * sigma
    inside = ((xy >= -TRUNCATION * sigma) & (xy <= limit)).all(dim=2)
    return weight * inside


def heatmap_loss(heatmaps: Tensor, xy: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """Return half the weighted mean squared error against the Gaussians; the mean is over all joints.

    Args:
        heatmaps: (B, K, h, w) float32.
        xy: (B, K, 2) joints, heatmap pixels.
        weight: (B, K), 0 for unannotated joints, which give no gradient.
        sigma: Standard deviation of the Gaussians, heatmap pixels.
    """
    size_hw = heatmaps.shape[2], heatmaps.shape[3]
    error = (heatmaps - gaussians(xy, size_hw, sigma)).square().mean(dim=(2, 3))
    return 0.5 * (error * visible_weight(xy, weight, size_hw, sigma)).mean()
