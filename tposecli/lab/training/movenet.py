"""Initialise TransPose-M with MoveNet's weights.

Google published MoveNet (Apache License 2.0) as a TensorFlow.js graph: ``NAME.json`` lists the arrays in ``NAME.bin``.
TransPose-M takes the convolutions of MoveNet Thunder. Two of the widest, at stride 32, have no counterpart in it: a
single convolution is fitted to their combined output, on crops. The encoder starts as the identity, so that training
starts from MoveNet's own heatmaps.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.lab.training.tensorflow_js import Arrays, Conv, graph_arrays, load_conv
from tposecli.models.encoder import EncoderLayer
from tposecli.models.mobilenet import PYRAMID, Pyramid
from tposecli.models.pose_net import IMAGENET_MEAN, IMAGENET_STD
from tposecli.models.transpose_m import TransPoseM

EXTRACTOR: Final = "center_net_mobile_net_v2fpn_feature_extractor/model_1/"
HEAD: Final = "kpt_heatmap_0/"
NORMALIZED: Final = ("/Conv2D_weights", "/Conv2D_bn_offset")
FILTERED: Final = ("/depthwise_weights", "/depthwise_bn_offset")
PLAIN: Final = ("/Conv2D/ReadVariableOp", "/BiasAdd/ReadVariableOp")
MERGED: Final = ("_weights", "_bn_offset")
LATERAL: Final = ("conv2d_1", "conv2d_2", "conv2d_3")
MERGE: Final = ("separable_conv2d", "separable_conv2d_1", "separable_conv2d_2")
LAST: Final = "model/block_16_project"
"""The last convolution of the MobileNet; it and the ones after it are replaced by a fit."""
RIDGE: Final = 1e-3
"""Ridge penalty of the fit, relative to the mean square of its inputs."""
TAPS: Final = {(3, 1): 0, (1, 0): 1, (1, 1): 2, (2, 0): 0, (2, 1): 1, (0, 0): 2}
"""From (tap of a 4-tap deconvolution of stride 2, half of an unshuffled cell) to the tap of the 3-tap filter."""
NEW_WEIGHT_SCALE: Final = 0.1
"""Scale, relative to the default initialisation, of weights that MoveNet has no counterpart for."""


def start_from_movenet(net: TransPoseM, path: Path, crops: Tensor) -> None:
    """Initialise a net with MoveNet Thunder's weights, in place.

    Args:
        net: The net.
        path: ``movenet-thunder.json``, with its ``.bin`` file beside it.
        crops: (N, H, W, 3) uint8 crops of people for the fit, a few hundred.

    Raises:
        WeightsError: The file is not that graph, its arrays are missing, or they do not fit the net.
    """
    with graph_arrays(path, "MoveNet's graph for this net") as arrays, torch.no_grad():
        _load_backbone(net.backbone, arrays)
        load_conv(net.backbone.stem[1], _imagenet(_conv(arrays, EXTRACTOR + "model/Conv1", NORMALIZED)))
        sums = _fit_last_convolution(net, arrays, crops)
        _init_encoder_as_identity(net, sums)
        _init_heatmap_head(net, arrays)


def _conv(arrays: Arrays, name: str, endings: tuple[str, str]) -> Conv:
    """Return a convolution of the graph, where kernels are (h, w, I, O), and depthwise ones (h, w, C, 1)."""
    weight, bias = (arrays[name + ending] for ending in endings)
    order = (2, 3, 0, 1) if endings == FILTERED else (3, 2, 0, 1)
    return Conv(weight.permute(order), bias)


def _load_backbone(net: Pyramid, arrays: Arrays) -> None:
    """Load all of MobileNetV2 except its last convolution, and the feature pyramid."""
    load_conv(net.stem[1], _conv(arrays, EXTRACTOR + "model/Conv1", NORMALIZED))
    number = 0
    for blocks in net.stages:
        for block in blocks.children():
            theirs = EXTRACTOR + (f"model/block_{number}" if number else "model/expanded_conv")
            parts = dict(block.named_children())
            if number:
                load_conv(parts["expand"].get_submodule("0"), _conv(arrays, f"{theirs}_expand", NORMALIZED))
            filtering = next(part for part in parts["filter"].children() if isinstance(part, nn.Conv2d))
            load_conv(filtering, _conv(arrays, f"{theirs}_depthwise", FILTERED))
            if not theirs.startswith(EXTRACTOR + LAST.removesuffix("_project")):
                load_conv(parts["project"], _conv(arrays, f"{theirs}_project", NORMALIZED))
            number += 1
    for lateral, merge, side, mix in zip(net.lateral, net.merge, LATERAL, MERGE, strict=True):
        load_conv(lateral, _conv(arrays, EXTRACTOR + side, PLAIN))
        filters = arrays[f"{EXTRACTOR}{mix}/separable_conv2d/ReadVariableOp"].permute(2, 3, 0, 1)
        load_conv(merge.get_submodule("0"), Conv(filters, torch.zeros(len(filters))))
        load_conv(merge.get_submodule("1"), _conv(arrays, f"{EXTRACTOR}{mix}/separable_conv2d", MERGED))


def _imagenet(theirs: Conv) -> Conv:
    """Adapt the first convolution, made for inputs in -1..1, to inputs under ImageNet's normalisation."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return Conv(theirs.weight * 2 * std, theirs.bias + (theirs.weight * (2 * mean - 1)).sum(dim=(1, 2, 3)))


def _fit_last_convolution(net: TransPoseM, arrays: Arrays, crops: Tensor) -> tuple[float, float]:
    """Fit the MobileNet's last convolution to the chain of convolutions that it replaces, by ridge regression.

    Returns:
        Means, over the cells of the merged map, of the sum of squares and of the squared sum of a cell's channels.
    """
    chain = [
        _conv(arrays, EXTRACTOR + LAST, NORMALIZED),
        _conv(arrays, EXTRACTOR + "model/Conv_1", NORMALIZED),
        _conv(arrays, EXTRACTOR + "conv2d", PLAIN),
    ]
    last = net.backbone.stages[-1].get_submodule("0")
    seen: list[Tensor] = []
    hook = last.get_submodule("filter").register_forward_hook(lambda _, __, output: seen.append(output))
    product = moment = torch.zeros((), dtype=torch.float64)
    for batch in torch.split(crops, 32):
        net.backbone(net.normalize(batch))
        x = seen.pop()
        y = _apply_chain(x, chain)
        inputs, outputs = (z.transpose(0, 1).flatten(1).double() for z in (x, y))
        inputs = torch.cat((inputs, torch.ones_like(inputs[:1])))
        product, moment = product + inputs @ inputs.T, moment + inputs @ outputs.T
    hook.remove()
    penalty = RIDGE * product.diagonal().mean() * torch.eye(len(product), dtype=torch.float64)
    fitted = torch.linalg.solve(product + penalty, moment).float()
    load_conv(last.get_submodule("project"), Conv(fitted[:-1].T[:, :, None, None], fitted[-1]))
    merged = functional.pixel_unshuffle(net.backbone(net.normalize(crops[:32]))[0], 2)
    return float(merged.square().sum(dim=1).mean()), float(merged.sum(dim=1).square().mean())


def _apply_chain(x: Tensor, chain: list[Conv]) -> Tensor:
    """Apply MoveNet's own convolutions."""
    first, second, third = chain
    x = functional.conv2d(x, first.weight, first.bias)
    x = functional.relu6(functional.conv2d(x, second.weight, second.bias))
    return functional.conv2d(x, third.weight, third.bias)


def _init_encoder_as_identity(net: TransPoseM, sums: tuple[float, float]) -> None:
    """Make the encoder the identity: its layers add nothing, and its normalisations have nothing to change.

    The merged map occupies the first channels. The spare ones hold a constant, negated in half of them, minus an offset
    that makes each cell's mean 0; the constant is chosen so that a cell's variance is 1 on average.
    """
    width, merged = net.reduce.out_channels, 4 * PYRAMID[-1]
    spare = width - merged
    squares, squared_sum = sums
    constant = math.sqrt(max(0.0, width - squares - squared_sum / spare) / spare)
    weight, bias = net.reduce.weight * NEW_WEIGHT_SCALE, torch.zeros(width)
    weight[:, :merged] = 0
    weight[:merged] = 0
    weight[:merged, :merged, 0, 0] = torch.eye(merged)
    weight[merged:, :merged] = -1 / spare
    bias[merged : merged + spare // 2], bias[merged + spare // 2 :] = constant, -constant
    load_conv(net.reduce, Conv(weight, bias))
    for layer in net.global_encoder.layers:
        if isinstance(layer, EncoderLayer):
            for linear in (layer.self_attn.out_proj, layer.linear2):
                nn.init.zeros_(linear.weight)
                nn.init.zeros_(linear.bias)


def _init_heatmap_head(net: TransPoseM, arrays: Arrays) -> None:
    """Load MoveNet's head at stride 4, a filter and two convolutions, as a deconvolution and a convolution."""
    filters = arrays[f"{HEAD}separable_conv2d_4/separable_conv2d/ReadVariableOp"][:, :, :, 0]
    mixed = arrays[f"{HEAD}separable_conv2d_4/separable_conv2d/ReadVariableOp_1"][0, 0]
    deconvolution = net.deconv_layers[0]
    weight = torch.zeros(net.reduce.out_channels, mixed.shape[1], 4, 4)
    cells = torch.arange(len(mixed)) * 4
    for (row, lower), y in TAPS.items():
        for (column, right), x in TAPS.items():
            weight[cells + 2 * lower + right, :, row, column] += filters[y, x][:, None] * mixed
    load_conv(deconvolution, Conv(weight, arrays[f"{HEAD}separable_conv2d_4/BiasAdd/ReadVariableOp"]))
    final = _conv(arrays, HEAD + "conv2d_5", PLAIN)
    if len(final.bias) == net.final_layer.out_channels:
        load_conv(net.final_layer, final)
