"""The networks and their weights.

``build`` needs torch, which takes seconds to import; the catalogue does not. So the builders are imported when called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tposecli.models.catalog import CATALOG, ModelSpec, find_spec
from tposecli.utils.errors import UsageError

if TYPE_CHECKING:
    from tposecli.models.pose_net import PoseNet

__all__ = ["CATALOG", "ModelSpec", "build", "find_spec"]


def build(name: str, input_hw: tuple[int, int] | None = None, keypoints: int = 17) -> PoseNet:
    """A freshly initialised net of the catalogue, in evaluation mode.

    Args:
        name: Name of a model, for example ``transpose-r-a4``.
        input_hw: Height and width of a crop; the model's own if None. The position embedding follows it.
        keypoints: Number of heatmaps.

    Raises:
        UsageError: No such model, or sides that the net cannot divide.
    """
    from tposecli.models.mobilenet import MOBILENET175
    from tposecli.models.pose_net import EncoderShape
    from tposecli.models.transpose_h import TransPoseH
    from tposecli.models.transpose_m import TransPoseM
    from tposecli.models.transpose_r import RESNET18, RESNET50, TransPoseR

    spec = find_spec(name)
    size = input_hw or spec.input_hw
    if any(side <= 0 or side % spec.divisor for side in size):
        raise UsageError(f"input size {size[0]}x{size[1]}: both sides of {name}'s crops must divide by {spec.divisor}")
    encoder = EncoderShape(spec.layers, spec.channels, spec.hidden, spec.heads)
    if spec.backbone == "hrnet32" or spec.backbone == "hrnet48":
        net: PoseNet = TransPoseH(size, 32 if spec.backbone == "hrnet32" else 48, encoder, keypoints)
    elif spec.backbone == "mobilenet175":
        net = TransPoseM(size, MOBILENET175, encoder, keypoints)
    else:
        net = TransPoseR(size, RESNET18 if spec.backbone == "resnet18" else RESNET50, encoder, keypoints)
    return net.eval()
