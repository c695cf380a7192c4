"""Batch normalisation folded into the convolutions before it: the same function in evaluation mode, in fewer steps."""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from tposecli.models.pose_net import PoseNet


def fold_batchnorm(net: PoseNet) -> PoseNet:
    """Return a copy for prediction whose batch normalisations are folded into the convolutions before them.

    It is in evaluation mode, requires no gradients, and has ``nn.Identity`` in place of every normalisation; its state
    dict is not that of a checkpoint any more.
    """
    folded = copy.deepcopy(net).eval()
    for module in list(folded.modules()):
        for (_, conv), (name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                _fold(conv, norm)
                setattr(module, name, nn.Identity())
    return folded.requires_grad_(False)


def _fold(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    """Change the convolution in place so that it also does what the normalisation does."""
    assert norm.running_mean is not None and norm.running_var is not None
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    transposed = isinstance(conv, nn.ConvTranspose2d)
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, transposed)
