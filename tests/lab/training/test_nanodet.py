"""Initialising the person detector with NanoDet-g's weights: a graph with random arrays, evaluated here by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tposecli.lab.training.nanodet import CLASSES, CONVOLUTION, start_from_nanodet
from tposecli.models.person_detector import BINS, STRIDES, PersonDetector
from tposecli.utils.errors import WeightsError

STAGES = ((32, 32, 1), (64, 64, 2), (128, 128, 2), (256, 256, 3))
"""Inputs, channels and pairs of convolutions of each stage."""
Kernels = list[tuple[Tensor, Tensor]]


def shapes() -> list[tuple[int, int, int]]:
    """Return side, inputs and outputs of every kernel, in the graph's order."""
    found = [(3, 3, 32)]
    for inputs, channels, pairs in STAGES:
        found.append((3, inputs, channels))
        found += [(3, channels, channels // 2), (3, channels // 2, channels // 2)] * pairs
        found.append((3, channels, channels))
    found += [(1, 128, 128), (1, 256, 128), (1, 512, 128)]
    return found + [(3, 128, 128), (1, 128, CLASSES + 4 * BINS)] * 3


@pytest.fixture
def graph(tmp_path: Path) -> tuple[Path, Kernels]:
    """Write a graph in the published format, and return its path and its kernels in PyTorch's layout."""
    rng = np.random.default_rng(7)
    nodes, weights, data, kernels = [], [], b"", []
    for number, (side, inputs, outputs) in enumerate(shapes()):
        kernel = (rng.standard_normal((side, side, inputs, outputs)) * np.sqrt(2 / (side * side * inputs))).astype(
            "<f2"
        )
        bias = (rng.standard_normal(outputs) * 0.1).astype("<f2")
        name = f"{CONVOLUTION}_{number}" if number else CONVOLUTION
        nodes += [
            {"name": name, "op": "Conv2D", "input": [f"before_{number}", f"kernel_{number}"]},
            {"name": f"add_{number}", "op": "Add", "input": [name, f"bias_{number}"]},
        ]
        for label, values in ((f"kernel_{number}", kernel), (f"bias_{number}", bias)):
            half = {"dtype": "float16"}
            weights.append({"name": label, "shape": list(values.shape), "dtype": "float32", "quantization": half})
            data += values.tobytes()
        weight, offset = (torch.from_numpy(values.astype(np.float32)) for values in (kernel, bias))
        kernels.append((weight.permute(3, 2, 0, 1), offset))
    (tmp_path / "nanodet.bin").write_bytes(data)
    manifest = [{"paths": ["nanodet.bin"], "weights": weights}]
    path = tmp_path / "nanodet.json"
    path.write_text(json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": manifest}))
    return path, kernels


def evaluated(kernels: Kernels, picture: Tensor) -> list[Tensor]:
    """Return the output maps of NanoDet-g, all classes, for a (1, 3, H, W) RGB picture."""
    rest = iter(kernels)

    def conv(x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = next(rest)
        return functional.conv2d(x, weight, bias, stride, weight.shape[2] // 2)

    def active(x: Tensor, stride: int = 1) -> Tensor:
        return functional.leaky_relu(conv(x, stride), 0.1)

    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395)))
    x = functional.max_pool2d(active((picture.flip(1).float() - mean) / std, 2), 3, 2, 1)
    maps = []
    for number, (_, _, pairs) in enumerate(STAGES):
        entry = x = active(x, 2 if number else 1)
        for _ in range(pairs):
            first = active(x)
            x = torch.cat([active(first), first], 1)
        x = torch.cat([active(x), entry], 1)
        maps.append(x)
    c3, c4, c5 = (conv(m) for m in maps[1:])
    p4 = c4 + functional.interpolate(c5, scale_factor=2, mode="bilinear")
    p3 = c3 + functional.interpolate(p4, scale_factor=2, mode="bilinear")
    n4 = p4 + functional.avg_pool2d(p3, 2)
    n5 = c5 + functional.avg_pool2d(n4, 2)
    return [conv(active(level)) for level in (p3, n4, n5)]


@torch.inference_mode()
def test_the_detector_equals_nanodet(graph: tuple[Path, Kernels]) -> None:
    path, kernels = graph
    net = PersonDetector().eval()
    start_from_nanodet(net, path)
    picture = torch.from_numpy(np.random.default_rng(8).integers(0, 256, (1, 3, 64, 96), np.uint8))
    dense, start = net(picture), 0
    for stride, found in zip(STRIDES, evaluated(kernels, picture), strict=True):
        count = found.shape[2] * found.shape[3]
        level = slice(start, start + count)
        torch.testing.assert_close(dense.logit[0, level], found[0, 0].flatten(), atol=1e-3, rtol=1e-3)
        share = found[0, CLASSES:].reshape(4, BINS, count).softmax(dim=1)
        left, top, right, bottom = (share * torch.arange(BINS).view(1, BINS, 1)).sum(dim=1) * stride
        row, column = torch.arange(count) // found.shape[3], torch.arange(count) % found.shape[3]
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        wanted = torch.stack([x - left, y - top, x + right, y + bottom], dim=1)
        torch.testing.assert_close(dense.xyxy[0, level], wanted, atol=0.05, rtol=1e-3)
        start += count
    assert start == dense.logit.shape[1]


@pytest.mark.parametrize("damage", ["no bin", "short", "other", "no JSON"])
def test_damaged_or_other_graphs_are_refused(graph: tuple[Path, Kernels], damage: str) -> None:
    path = graph[0]
    if damage == "no bin":
        path.with_suffix(".bin").unlink()
    elif damage == "short":
        path.with_suffix(".bin").write_bytes(b"1234")
    else:
        path.write_text('{"weightsManifest": []}' if damage == "other" else "<html>")
    with pytest.raises(WeightsError, match=r"nanodet\.json: not NanoDet-g's graph"):
        start_from_nanodet(PersonDetector(), path)
