"""From a net as its checkpoint describes it to the copy that predicts: the same function in fewer steps."""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from tposecli.models.encoder import SelfAttention
from tposecli.models.pose_net import PoseNet


def fold(net: PoseNet) -> PoseNet:
    """A copy in evaluation mode whose batch normalisations are folded into the convolutions before them."""
    folded = copy.deepcopy(net).eval()
    for module in list(folded.modules()):
        for (_, conv), (second, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                _take_in(conv, norm)
                setattr(module, second, nn.Identity())
    return folded


def _take_in(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    """Let the convolution do, in place, what the normalisation after it does."""
    assert norm.running_mean is not None and norm.running_var is not None
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    transposed = isinstance(conv, nn.ConvTranspose2d)
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, transposed)


def for_prediction(net: PoseNet) -> PoseNet:
    """A copy for prediction: normalisations folded, and the position's part of every attention computed once.

    Its outputs equal the net's to within rounding; its state dict is no longer a checkpoint's.
    """
    folded = fold(net)
    position = folded.pos_embedding.detach().transpose(0, 1)
    for module in folded.modules():
        if isinstance(module, SelfAttention):
            module.precompute(position)
    return folded.requires_grad_(False)
