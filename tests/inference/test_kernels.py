"""Kernels against what they stand for, on CUDA where there is a device, else in Triton's interpreter."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.test_models import draw_weights
from tposecli.detection.factory import BUNDLED_WEIGHTS
from tposecli.detection.movenet import load_person_detector
from tposecli.hub.checkpoints.resolve import bundled_file
from tposecli.inference import crop_batches
from tposecli.inference.backends import fused_ops, kernels
from tposecli.inference.backends.cuda_rewrites import fit, fit_convolutions
from tposecli.inference.backends.fold_batchnorm import for_prediction
from tposecli.inference.backends.matmul_precision import float32_products
from tposecli.models import build

nets = pytest.importorskip(
    "tposecli.inference.backends.kernels.nets", reason="Triton is not there", exc_type=ImportError
)

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LAST = torch.channels_last


@pytest.fixture(autouse=True)
def predicting() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode(), float32_products(DEVICE):
        yield


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, device=DEVICE)


def close(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=2e-5)


def test_without_a_compiler_there_are_none(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*arguments: object) -> Tensor:
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nMore")

    monkeypatch.setattr(nets, "add_norm", fail)
    kernels._works.cache_clear()
    assert not kernels._works(DEVICE)
    kernels._works.cache_clear()
    assert "no kernels here (Failed to find C compiler." in caplog.text and "More" not in caplog.text


@pytest.mark.parametrize("channels", [64, 96, 256])
def test_add_norm(channels: int) -> None:
    norm = nn.LayerNorm(channels, device=DEVICE)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    tokens, update = noise(2, 77, channels), noise(2, 77, channels)
    assert close(nets.add_norm(tokens, update, norm), norm(tokens + update))


def test_merged_brings_maps_to_the_size_of_the_first() -> None:
    maps = [noise(2, 48, 24 // factor, 16 // factor).to(memory_format=LAST) for factor in (1, 2, 4)]
    bias = noise(48)
    for count in (1, 2, 3):
        assert close(nets.merged(maps[:count], bias), fused_ops.merged(maps[:count], bias))
        assert close(nets.merged(maps[:count], None), fused_ops.merged(maps[:count]))
    assert close(nets.merged(maps[:1], bias, 0.5), fused_ops.merged(maps[:1], bias).clamp(max=0.5))
    alike = [maps[0], maps[0] * 2, maps[0] - 1]
    assert close(nets.merged(alike, bias), functional.relu(sum(alike) + bias[:, None, None]))


def test_pooled() -> None:
    maps = noise(2, 64, 12, 10).to(memory_format=LAST) - 1
    assert close(nets.pooled(maps), functional.max_pool2d(maps, 3, stride=2, padding=1))


def test_cut_is_what_torch_cuts() -> None:
    from tposecli.inference.backends.kernels import crops

    pixels = torch.randint(0, 256, (40 * 30 + 20 * 50, 3), dtype=torch.uint8, device=DEVICE)
    rows = [
        [0, 40, 30, 0.7, -3.2, 0.7, 4.1],  # larger than the frame's part, over its left border
        [0, 40, 30, 2.5, -70.3, 2.5, -40.0],
        [1200, 20, 50, 0.3, 9.0, 0.3, 2.0],  # the whole frame and more
        [1200, 20, 50, 1.0, 500.0, 1.0, 0.0],  # nothing of it
    ]
    table = torch.tensor(rows, dtype=torch.float64, device=DEVICE)
    ours, theirs = crops.cut(pixels, table, (18, 21)), crop_batches.cut(pixels.cpu(), table.cpu(), (18, 21))
    assert ours.shape == (4, 21, 18, 3)
    assert (ours.cpu().int() - theirs.int()).abs().max() <= 1
    assert ours[0].any() and not ours[3].any()


def test_fitted_detector_equals_the_plain_one() -> None:
    plain = load_person_detector(bundled_file(BUNDLED_WEIGHTS)).to(DEVICE)
    fitted = fit_convolutions(copy.deepcopy(plain).to(memory_format=LAST))
    pictures = torch.randint(0, 256, (1, 3, 64, 32), dtype=torch.uint8, device=DEVICE)
    ours, theirs = fitted(pictures), plain(pictures)
    assert close(ours.xyxy / 128, theirs.xyxy / 128) and close(ours.logit.exp(), theirs.logit.exp())


@pytest.mark.parametrize("name", ["transpose-r-a3", "transpose-r18-a3", "transpose-m-a3", "transpose-h-s"])
def test_fitted_nets_equal_plain_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = build(name, (64, 32))
    draw_weights(net)
    plain = for_prediction(net).to(DEVICE)
    crops = torch.randint(0, 256, (1, *plain.input_hw, 3), dtype=torch.uint8, device=DEVICE)
    monkeypatch.setattr(fused_ops, "has_kernels", lambda device: False)
    heatmaps, inputs = plain.encode(plain.normalize(crops))
    monkeypatch.setattr(fused_ops, "has_kernels", lambda device: True)
    fitted = fit(copy.deepcopy(plain).to(memory_format=LAST))
    ours, own = fitted.encode(fitted.normalize(crops))
    # On the whole: with weights that were never trained, rounding grows at a position here and there.
    assert (ours - heatmaps).abs().mean() < 1e-4 * heatmaps.abs().mean()
    for mine, theirs in zip(own, inputs, strict=True):
        assert (mine - theirs).abs().mean() < 1e-4 * theirs.abs().mean()
