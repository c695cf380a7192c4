"""The nets, as plain PyTorch modules, and the catalogue of models.

The catalogue does not import torch, which takes seconds; ``build`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tposecli.models.catalog import CATALOG, ModelSpec, find_spec
from tposecli.utils.errors import UsageError

if TYPE_CHECKING:
    from tposecli.models.pose_net import PoseNet

__all__ = ["CATALOG", "ModelSpec", "build", "find_spec"]


def build(name: str, input_hw: tuple[int, int] | None = None, keypoints: int = 17) -> PoseNet:
    """Build a freshly initialised net of the catalogue, in evaluation mode.

    Args:
        name: Name of a model, for example ``transpose-r-a4``.
        input_hw: Height and width of a crop; the model's own if None. The position embedding follows it.
        keypoints: Number of heatmaps.

    Raises:
        UsageError: There is no such model, or a side is not a multiple of its divisor.
    """
    from tposecli.models.pose_net import EncoderShape

    spec = find_spec(name)
    size = input_hw or spec.input_hw
    if any(side <= 0 or side % spec.divisor for side in size):
        raise UsageError(f"input size {size[0]}x{size[1]}: expected multiples of {spec.divisor} for {name}")
    encoder = EncoderShape(spec.layers, spec.channels, spec.hidden, spec.heads)
    return spec.backbone.build(size, encoder, keypoints).eval()
