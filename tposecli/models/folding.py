"""From a net as its checkpoint describes it to the copy that predicts: the same function in fewer steps."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tposecli.models.encoder import SelfAttention
from tposecli.models.net import PoseNet

Net = TypeVar("Net", bound=nn.Module)


def fold(net: Net) -> Net:
    """A copy in evaluation mode whose batch normalisations are folded into the convolutions before them."""
    folded = copy.deepcopy(net).eval()
    for module in list(folded.modules()):
        for (first, conv), (second, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                transposed = isinstance(conv, nn.ConvTranspose2d)
                setattr(module, first, fuse_conv_bn_eval(conv, norm, transpose=transposed))
                setattr(module, second, nn.Identity())
    return folded


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
