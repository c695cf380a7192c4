"""Initialise the person detector with NanoDet-g's weights.

NanoDet-g (RangiLyu, Apache License 2.0) is published as a TensorFlow.js graph of 34 convolutions for the 80 classes of
COCO; of the scores, only that of the first class, person, is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from tposecli.lab.training.tensorflow_js import Arrays, Conv, graph_arrays, graph_nodes, load_conv
from tposecli.models.person_detector import BINS, PersonDetector

CONVOLUTION: Final = "PartitionedCall/convolution"
CLASSES: Final = 80
PERSON: Final = 0


def start_from_nanodet(net: PersonDetector, path: Path) -> None:
    """Initialise a detector with NanoDet-g's weights, in place.

    Args:
        net: The detector.
        path: ``nanodet.json``, with its ``.bin`` file beside it.

    Raises:
        WeightsError: The file is not that graph, its arrays are missing, or they do not fit the net.
    """
    with graph_arrays(path, "NanoDet-g's graph") as arrays:
        nodes = graph_nodes(path)
        biases = {node["input"][0]: node["input"][1] for node in nodes.values() if node["op"] == "Add"}
        for number, conv in enumerate(_convolutions(net)):
            name = f"{CONVOLUTION}_{number}" if number else CONVOLUTION
            values = _values(arrays, nodes[name], arrays[biases[name]])
            load_conv(conv, _rgb_first(values) if number == 0 else values)


def _convolutions(net: PersonDetector) -> Iterator[nn.Module]:
    """Yield the net's convolutions in the order in which the graph numbers them."""
    yield net.stem.get_submodule("0")
    for stage in net.stages:
        parts = dict(stage.named_children())
        yield parts["entry"].get_submodule("0")
        for reduce, second in zip(parts["reduce"].children(), parts["second"].children(), strict=True):
            yield reduce.get_submodule("0")
            yield second.get_submodule("0")
        yield parts["exit"].get_submodule("0")
    yield from net.lateral
    for head in net.head:
        yield head.get_submodule("0.0")
        yield head.get_submodule("1")


def _values(arrays: Arrays, node: dict[str, Any], bias: Tensor) -> Conv:
    """Return a convolution of the graph, where kernels are (h, w, I, O), without the classes that are no person."""
    weight = arrays[node["input"][1]].permute(3, 2, 0, 1)
    if len(bias) == CLASSES + 4 * BINS:
        kept = [PERSON, *range(CLASSES, len(bias))]
        return Conv(weight[kept], bias[kept])
    return Conv(weight, bias)


def _rgb_first(first: Conv) -> Conv:
    """Adapt the first convolution, made for BGR, to RGB."""
    return Conv(first.weight.flip(1), first.bias)
