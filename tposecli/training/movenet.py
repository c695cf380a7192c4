"""MoveNet's weights as a start for TransPose-M and for the person detector.

Google published MoveNet (Apache License 2.0) as a TensorFlow.js graph: ``NAME.json`` says which array lies where in
``NAME.bin``. The detector becomes MoveNet MultiPose without its keypoints. TransPose-M takes the convolutions of
MoveNet Thunder; two of the widest, at stride 32, have no place in it: what they made of a picture is fitted by one
convolution, on crops. Its encoder begins as the identity, so that the net begins with MoveNet's own heatmaps and learns
from there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.encoder import EncoderLayer
from tposecli.models.mobilenet import PYRAMID, Pyramid
from tposecli.models.person_detector import Head, PersonDetector
from tposecli.models.pose_net import IMAGENET_MEAN, IMAGENET_STD
from tposecli.models.transpose_m import TransPoseM
from tposecli.utils.errors import WeightsError

Arrays = Mapping[str, Tensor]

EXTRACTOR: Final = "center_net_mobile_net_v2fpn_feature_extractor/model_1/"
HEAD: Final = "kpt_heatmap_0/"
TYPES: Final = {"float16": "<f2", "float32": "<f4", "int32": "<i4"}
NORMALIZED: Final = ("/Conv2D_weights", "/Conv2D_bn_offset")
FILTERED: Final = ("/depthwise_weights", "/depthwise_bn_offset")
PLAIN: Final = ("/Conv2D/ReadVariableOp", "/BiasAdd/ReadVariableOp")
MERGED: Final = ("_weights", "_bn_offset")
LATERAL: Final = ("conv2d_1", "conv2d_2", "conv2d_3")
MERGE: Final = ("separable_conv2d", "separable_conv2d_1", "separable_conv2d_2")
LAST: Final = "model/block_16_project"
"""The last convolution of the MobileNet; it and the one after it are fitted."""
RIDGE: Final = 1e-3
"""Penalty of the fit, in mean squares of its inputs."""
TAPS: Final = {(3, 1): 0, (1, 0): 1, (1, 1): 2, (2, 0): 0, (2, 1): 1, (0, 0): 2}
"""Place in a 4-tap deconvolution of stride 2 and half of an unfolded cell, to the place in a 3-tap filter."""
QUIET: Final = 0.1
"""So much smaller than usual do weights begin that MoveNet has nothing for."""


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution as torch has it: weight (O, I, h, w) and bias (O,)."""

    weight: Tensor
    bias: Tensor


def start_from_movenet(net: TransPoseM, path: Path, crops: Tensor) -> None:
    """Give a net MoveNet's weights, in place.

    Args:
        net: To be trained.
        path: ``movenet-thunder.json``, with the ``.bin`` it names beside it.
        crops: (N, H, W, 3) uint8 crops of people to fit on, some hundreds.

    Raises:
        WeightsError: Not such a graph, its arrays are not there, or they do not fit the net.
    """
    with _graph(path) as arrays, torch.no_grad():
        _convolutions(net.backbone, arrays)
        _put(net.backbone.stem[1], _imagenet(_conv(arrays, EXTRACTOR + "model/Conv1", NORMALIZED)))
        sums = _fit_last(net, arrays, crops)
        _pass_through(net, sums)
        _heatmaps(net, arrays)


def detector_from_movenet(net: PersonDetector, path: Path) -> None:
    """Give a detector MoveNet MultiPose's weights, in place.

    Args:
        net: The detector.
        path: ``movenet-multipose.json``, with the ``.bin`` it names beside it.

    Raises:
        WeightsError: Not such a graph, or its arrays are not there.
    """
    with _graph(path) as arrays:
        _convolutions(net.backbone, arrays)
        for place, name in ((0, "model/Conv_1"), (2, "conv2d")):
            endings = PLAIN if place else NORMALIZED
            _put(net.backbone.top[place], _conv(arrays, EXTRACTOR + name, endings))
        _put(net.backbone.stages[-1].get_submodule("0.project"), _conv(arrays, EXTRACTOR + LAST, NORMALIZED))
        for head, theirs, number in (
            (net.center, "center_0", 3),
            (net.size, "box_scale_0", 4),
            (net.offset, "box_offset_0", 5),
        ):
            _detector_head(head, arrays, theirs, number)


def _detector_head(head: Head, arrays: Arrays, theirs: str, number: int) -> None:
    """One of the detector's maps; TensorFlow numbers its layers through."""
    name = f"{theirs}/separable_conv2d_{number}"
    filters = arrays[f"{name}/separable_conv2d/ReadVariableOp"].permute(2, 3, 0, 1)
    mixed = arrays[f"{name}/separable_conv2d/ReadVariableOp_1"].permute(3, 2, 0, 1)
    _put(head.tower[0], Conv(filters, torch.zeros(len(filters))))
    _put(head.tower[1], Conv(mixed, arrays[f"{name}/BiasAdd/ReadVariableOp"]))
    _put(head.out, _conv(arrays, f"{theirs}/conv2d_{number + 1}", PLAIN))


@contextmanager
def _graph(path: Path) -> Iterator[dict[str, Tensor]]:
    """The arrays of a graph, while they are put into a net.

    Raises:
        WeightsError: They are not there, or not those of the net.
    """
    try:
        yield _arrays(path)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not MoveNet's graph for this net, its .bin file beside it ({error})") from error


def _arrays(path: Path) -> dict[str, Tensor]:
    """All arrays of a graph, float32, by name."""
    found = {}
    for group in json.loads(path.read_bytes())["weightsManifest"]:
        data = b"".join((path.parent / Path(name).name).read_bytes() for name in group["paths"])
        start = 0
        for entry in group["weights"]:
            kind = np.dtype(TYPES[entry.get("quantization", entry)["dtype"]])
            values = np.frombuffer(data, kind, math.prod(entry["shape"]), start)
            start += values.nbytes
            name = entry["name"].removeprefix("StatefulPartitionedCall/")
            found[name] = torch.from_numpy(values.astype(np.float32).reshape(entry["shape"]))
    return found


def _conv(arrays: Arrays, name: str, endings: tuple[str, str]) -> Conv:
    """A convolution of the graph, where height and width come first and filters of single channels are (h, w, C, 1)."""
    weight, bias = (arrays[name + ending] for ending in endings)
    order = (2, 3, 0, 1) if endings == FILTERED else (3, 2, 0, 1)
    return Conv(weight.permute(order), bias)


def _put(conv: nn.Module, values: Conv) -> None:
    conv.load_state_dict({"weight": values.weight, "bias": values.bias})


def _convolutions(net: Pyramid, arrays: Arrays) -> None:
    """All of MobileNetV2 but its last convolution, and the pyramid."""
    _put(net.stem[1], _conv(arrays, EXTRACTOR + "model/Conv1", NORMALIZED))
    number = 0
    for blocks in net.stages:
        for block in blocks.children():
            theirs = EXTRACTOR + (f"model/block_{number}" if number else "model/expanded_conv")
            parts = dict(block.named_children())
            if number:
                _put(parts["expand"].get_submodule("0"), _conv(arrays, f"{theirs}_expand", NORMALIZED))
            filtering = next(part for part in parts["filter"].children() if isinstance(part, nn.Conv2d))
            _put(filtering, _conv(arrays, f"{theirs}_depthwise", FILTERED))
            if not theirs.startswith(EXTRACTOR + LAST.removesuffix("_project")):
                _put(parts["project"], _conv(arrays, f"{theirs}_project", NORMALIZED))
            number += 1
    for lateral, merge, side, mix in zip(net.lateral, net.merge, LATERAL, MERGE, strict=True):
        _put(lateral, _conv(arrays, EXTRACTOR + side, PLAIN))
        filters = arrays[f"{EXTRACTOR}{mix}/separable_conv2d/ReadVariableOp"].permute(2, 3, 0, 1)
        _put(merge.get_submodule("0"), Conv(filters, torch.zeros(len(filters))))
        _put(merge.get_submodule("1"), _conv(arrays, f"{EXTRACTOR}{mix}/separable_conv2d", MERGED))


def _imagenet(theirs: Conv) -> Conv:
    """The first convolution, which saw values from -1 to 1 and is to see the same under ImageNet's normalisation."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return Conv(theirs.weight * 2 * std, theirs.bias + (theirs.weight * (2 * mean - 1)).sum(dim=(1, 2, 3)))


def _fit_last(net: TransPoseM, arrays: Arrays, crops: Tensor) -> tuple[float, float]:
    """Fit the MobileNet's last convolution; mean over all cells of a merged cell's sum of squares and squared sum."""
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
        y = _after(x, chain)
        inputs, outputs = (z.transpose(0, 1).flatten(1).double() for z in (x, y))
        inputs = torch.cat((inputs, torch.ones_like(inputs[:1])))
        product, moment = product + inputs @ inputs.T, moment + inputs @ outputs.T
    hook.remove()
    penalty = RIDGE * product.diagonal().mean() * torch.eye(len(product), dtype=torch.float64)
    fitted = torch.linalg.solve(product + penalty, moment).float()
    _put(last.get_submodule("project"), Conv(fitted[:-1].T[:, :, None, None], fitted[-1]))
    merged = functional.pixel_unshuffle(net.backbone(net.normalize(crops[:32]))[0], 2)
    return float(merged.square().sum(dim=1).mean()), float(merged.sum(dim=1).square().mean())


def _after(x: Tensor, chain: list[Conv]) -> Tensor:
    """What MoveNet's own convolutions make of it."""
    first, second, third = chain
    x = functional.conv2d(x, first.weight, first.bias)
    x = functional.relu6(functional.conv2d(x, second.weight, second.bias))
    return functional.conv2d(x, third.weight, third.bias)


def _pass_through(net: TransPoseM, sums: tuple[float, float]) -> None:
    """Let the encoder begin as the identity: layers add nothing, and their normalisations find nothing to change.

    The merged map takes the first channels. The others hold a constant, half of them its negative, less what makes a
    cell's mean 0; the constant is such that a cell's variance is 1.
    """
    width, merged = net.reduce.out_channels, 4 * PYRAMID[-1]
    spare = width - merged
    squares, squared_sum = sums
    constant = math.sqrt(max(0.0, width - squares - squared_sum / spare) / spare)
    weight, bias = net.reduce.weight * QUIET, torch.zeros(width)
    weight[:, :merged] = 0
    weight[:merged] = 0
    weight[:merged, :merged, 0, 0] = torch.eye(merged)
    weight[merged:, :merged] = -1 / spare
    bias[merged : merged + spare // 2], bias[merged + spare // 2 :] = constant, -constant
    _put(net.reduce, Conv(weight, bias))
    for layer in net.global_encoder.layers:
        if isinstance(layer, EncoderLayer):
            for linear in (layer.self_attn.out_proj, layer.linear2):
                nn.init.zeros_(linear.weight)
                nn.init.zeros_(linear.bias)


def _heatmaps(net: TransPoseM, arrays: Arrays) -> None:
    """MoveNet's head, a filter and two convolutions at stride 4, as a deconvolution from stride 8 and a convolution."""
    filters = arrays[f"{HEAD}separable_conv2d_4/separable_conv2d/ReadVariableOp"][:, :, :, 0]
    mixed = arrays[f"{HEAD}separable_conv2d_4/separable_conv2d/ReadVariableOp_1"][0, 0]
    deconvolution = net.deconv_layers[0]
    weight = torch.zeros(net.reduce.out_channels, mixed.shape[1], 4, 4)
    cells = torch.arange(len(mixed)) * 4
    for (row, lower), y in TAPS.items():
        for (column, right), x in TAPS.items():
            weight[cells + 2 * lower + right, :, row, column] += filters[y, x][:, None] * mixed
    _put(deconvolution, Conv(weight, arrays[f"{HEAD}separable_conv2d_4/BiasAdd/ReadVariableOp"]))
    final = _conv(arrays, HEAD + "conv2d_5", PLAIN)
    if len(final.bias) == net.final_layer.out_channels:
        _put(net.final_layer, final)
