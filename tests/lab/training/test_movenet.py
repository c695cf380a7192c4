"""Initialising a net with MoveNet's weights: a graph with random arrays, evaluated here as TensorFlow would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tposecli.lab.training.movenet import HEAD, start_from_movenet
from tposecli.models import build
from tposecli.models.mobilenet import STAGES
from tposecli.models.transpose_m import TransPoseM
from tposecli.utils.errors import WeightsError

PREFIX = "StatefulPartitionedCall/"
EXTRACTOR = f"{PREFIX}center_net_mobile_net_v2fpn_feature_extractor/model_1/"
WIDTHS = (56, 32, 40, 56, 112, 168, 280, 560)
SIZE = (64, 48)
Arrays = dict[str, np.ndarray]


def shapes() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the arrays, height and width first."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, inputs: int, outputs: int, size: int = 1) -> None:
        found[f"{name}/Conv2D_weights"] = (size, size, inputs, outputs)
        found[f"{name}/Conv2D_bn_offset"] = (outputs,)

    def plain(name: str, inputs: int, outputs: int) -> None:
        found[f"{name}/Conv2D/ReadVariableOp"] = (1, 1, inputs, outputs)
        found[f"{name}/BiasAdd/ReadVariableOp"] = (outputs,)

    conv(f"{EXTRACTOR}model/Conv1", 3, WIDTHS[0], 3)
    for number, (inputs, outputs, _, expansion) in enumerate(blocks()):
        name = f"{EXTRACTOR}model/block_{number}" if number else f"{EXTRACTOR}model/expanded_conv"
        if expansion > 1:
            conv(f"{name}_expand", inputs, inputs * expansion)
        found[f"{name}_depthwise/depthwise_weights"] = (3, 3, inputs * expansion, 1)
        found[f"{name}_depthwise/depthwise_bn_offset"] = (inputs * expansion,)
        conv(f"{name}_project", inputs * expansion, outputs)
    conv(f"{EXTRACTOR}model/Conv_1", WIDTHS[-1], 1280)
    sides = (
        ("conv2d", 1280, 64),
        ("conv2d_1", WIDTHS[4], 64),
        ("conv2d_2", WIDTHS[3], 32),
        ("conv2d_3", WIDTHS[2], 24),
    )
    for name, inputs, outputs in sides:
        plain(EXTRACTOR + name, inputs, outputs)
    for name, inputs, outputs in (("", 64, 32), ("_1", 32, 24), ("_2", 24, 24)):
        found[f"{EXTRACTOR}separable_conv2d{name}/separable_conv2d/ReadVariableOp"] = (3, 3, inputs, 1)
        found[f"{EXTRACTOR}separable_conv2d{name}/separable_conv2d_weights"] = (1, 1, inputs, outputs)
        found[f"{EXTRACTOR}separable_conv2d{name}/separable_conv2d_bn_offset"] = (outputs,)
    mix = f"{PREFIX}{HEAD}separable_conv2d_4"
    found[f"{mix}/separable_conv2d/ReadVariableOp"] = (3, 3, 24, 1)
    found[f"{mix}/separable_conv2d/ReadVariableOp_1"] = (1, 1, 24, 96)
    found[f"{mix}/BiasAdd/ReadVariableOp"] = (96,)
    plain(f"{PREFIX}{HEAD}conv2d_5", 96, 17)
    return found


def blocks() -> list[tuple[int, int, int, int]]:
    """Return inputs, outputs, stride and expansion of every block of MobileNetV2."""
    found, inputs = [], WIDTHS[0]
    for (expansion, stride, count), outputs in zip(STAGES, WIDTHS[1:], strict=True):
        for block in range(count):
            found.append((inputs, outputs, stride if block == 0 else 1, expansion))
            inputs = outputs
    return found


def random_arrays() -> Arrays:
    rng = np.random.default_rng(5)
    found = {}
    for name, shape in shapes().items():
        fan = int(np.prod(shape[:3])) if shape[-1] > 1 or len(shape) == 1 else 9
        scale = 0.1 if len(shape) == 1 else np.sqrt(2 / fan)
        found[name] = (rng.standard_normal(shape) * scale).astype("<f2")
    for part in ("weights", "bn_offset"):
        # The merged map is small, as MoveNet's is.
        found[f"{EXTRACTOR}separable_conv2d_2/separable_conv2d_{part}"] *= np.float16(0.1)
    return found


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return random_arrays()


@pytest.fixture(scope="module")
def graph(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("movenet"), arrays)


def written(folder: Path, arrays: Arrays) -> Path:
    """Write the files in Google's format, and return the path of the JSON file."""
    weights = [
        {"name": name, "shape": list(values.shape), "dtype": "float32", "quantization": {"dtype": "float16"}}
        for name, values in arrays.items()
    ]
    (folder / "thunder.bin").write_bytes(b"".join(values.tobytes() for values in arrays.values()))
    path = folder / "thunder.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["thunder.bin"], "weights": weights}]}))
    return path


class MoveNet:
    """Evaluates the graph, operation by operation."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = {name: torch.from_numpy(values.astype(np.float32)) for name, values in arrays.items()}

    def conv(self, x: Tensor, name: str, stride: int = 1, act: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        weight, bias = (self.arrays[f"{EXTRACTOR}model/{name}/Conv2D_{part}"] for part in ("weights", "bn_offset"))
        x = functional.conv2d(_same(x, stride, weight.shape[0]), weight.permute(3, 2, 0, 1), bias, stride)
        return x if act is None else act(x)

    def plain(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.arrays[f"{name}/Conv2D/ReadVariableOp"], self.arrays[f"{name}/BiasAdd/ReadVariableOp"]
        return functional.conv2d(x, weight.permute(3, 2, 0, 1), bias)

    def filtered(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
        return functional.conv2d(_same(x, stride, 3), weight.permute(2, 3, 0, 1), bias, stride, groups=x.shape[1])

    def merged(self, pixels: Tensor) -> Tensor:
        """Return the finest map of the pyramid for (B, H, W, 3) uint8 pixels."""
        x = self.conv(pixels.permute(0, 3, 1, 2) / 127.5 - 1, "Conv1", 2, functional.relu6)
        sides = {}
        for number, (inputs, outputs, stride, expansion) in enumerate(blocks()):
            name = f"block_{number}" if number else "expanded_conv"
            wide = self.conv(x, f"{name}_expand", 1, functional.relu6) if expansion > 1 else x
            parts = (self.arrays[f"{EXTRACTOR}model/{name}_depthwise/depthwise_{p}"] for p in ("weights", "bn_offset"))
            wide = functional.relu6(self.filtered(wide, *parts, stride))
            out = self.conv(wide, f"{name}_project")
            x = x + out if stride == 1 and inputs == outputs else out
            sides[number] = x
        x = self.plain(self.conv(x, "Conv_1", 1, functional.relu6), f"{EXTRACTOR}conv2d")
        for index, block in enumerate((9, 5, 2)):
            side = self.plain(sides[block], f"{EXTRACTOR}conv2d_{index + 1}")
            x = (
                functional.interpolate(x, scale_factor=2, mode="bilinear")[:, :, : side.shape[2], : side.shape[3]]
                + side
            )
            name = f"{EXTRACTOR}separable_conv2d{f'_{index}' if index else ''}/separable_conv2d"
            x = self.filtered(x, self.arrays[f"{name}/ReadVariableOp"])
            mix = self.arrays[f"{name}_weights"].permute(3, 2, 0, 1)
            x = functional.relu(functional.conv2d(x, mix, self.arrays[f"{name}_bn_offset"]))
        return x

    def head(self, merged: Tensor, name: str, number: int, last: int) -> Tensor:
        """Return the output of one head, (B, outputs, h, w)."""
        name, mix = f"{PREFIX}{name}", f"{PREFIX}{name}/separable_conv2d_{number}"
        x = self.filtered(merged, self.arrays[f"{mix}/separable_conv2d/ReadVariableOp"])
        weight = self.arrays[f"{mix}/separable_conv2d/ReadVariableOp_1"].permute(3, 2, 0, 1)
        x = functional.relu(functional.conv2d(x, weight, self.arrays[f"{mix}/BiasAdd/ReadVariableOp"]))
        return self.plain(x, f"{name}/conv2d_{last}")


def _same(x: Tensor, stride: int, kernel: int) -> Tensor:
    """Pad as TensorFlow does for even sizes; odd sizes at stride 2 get one more row or column."""
    if kernel == 1:
        return x
    return functional.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1 + x.shape[3] % 2, 0, 1 + x.shape[2] % 2))


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """Return crops with fewer cells at stride 32 than the fit has inputs, so that only the penalty matters."""
    noise = np.random.default_rng(6).integers(0, 256, (6, 8, 6, 3), np.uint8)
    return torch.from_numpy(noise.repeat(8, axis=1).repeat(8, axis=2))


@pytest.fixture(scope="module")
def initialised(graph: Path, crops: Tensor) -> TransPoseM:
    torch.manual_seed(0)
    net = build("transpose-m-a3", SIZE)
    assert isinstance(net, TransPoseM)
    start_from_movenet(net, graph, crops)
    return net


@torch.inference_mode()
def test_the_pyramid_equals_movenets(initialised: TransPoseM, arrays: Arrays, crops: Tensor) -> None:
    expected = MoveNet(arrays).merged(crops)
    merged, fine, coarse = initialised.backbone(initialised.normalize(crops))
    assert merged.shape == expected.shape == (6, 24, 16, 12)
    assert fine.shape == (6, 56, 8, 6) and coarse.shape == (6, 168, 4, 3)
    assert abs(merged - expected).mean() < 0.02 * expected.std()


@torch.inference_mode()
def test_the_heatmap_head_equals_movenets(initialised: TransPoseM, arrays: Arrays) -> None:
    merged = torch.rand(2, 24, 16, 12, generator=torch.Generator().manual_seed(1))
    folded = functional.pad(functional.pixel_unshuffle(merged, 2), (0, 0, 0, 0, 0, 32))
    expected = MoveNet(arrays).head(merged, HEAD.rstrip("/"), 4, 5).sigmoid()
    assert abs(initialised.head(folded) - expected).max() < 1e-4


@torch.inference_mode()
def test_the_encoder_starts_as_the_identity(initialised: TransPoseM, crops: Tensor) -> None:
    x = initialised.normalize(crops)
    tokens = initialised.reduce(initialised.features(x)).flatten(2).transpose(1, 2)
    normalized = functional.layer_norm(tokens, (128,))
    assert abs(tokens.mean(dim=2)).max() < 0.2
    given = initialised.encode(x)[1]
    assert abs(given[1] - normalized).max() < 1e-4 and abs(given[2] - normalized).max() < 1e-4


def test_the_last_layer_is_kept_for_other_keypoints(graph: Path, crops: Tensor) -> None:
    net = build("transpose-m-a3", SIZE, 3)
    assert isinstance(net, TransPoseM)
    before = net.final_layer.weight.clone()
    start_from_movenet(net, graph, crops[:2])
    assert torch.equal(net.final_layer.weight, before)


@pytest.mark.parametrize("damage", ["no bin", "short", "other"])
def test_damaged_or_other_graphs_are_refused(graph: Path, crops: Tensor, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "thunder.json"
    path.write_text('{"weightsManifest": []}' if damage == "other" else graph.read_text())
    if damage == "short":
        (tmp_path / "thunder.bin").write_bytes(b"1234")
    net = build("transpose-m-a3", SIZE)
    assert isinstance(net, TransPoseM)
    with pytest.raises(WeightsError, match=r"thunder\.json: not MoveNet's graph"):
        start_from_movenet(net, path, crops[:2])
