"""Kernels against what they stand for, on CUDA where there is a device, else in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.inference import crop_batches
from tposecli.inference.backends import kernels
from tposecli.inference.backends.matmul_precision import exact_float32_matmul

nets = pytest.importorskip(
    "tposecli.inference.backends.kernels.nets", reason="Triton is not there", exc_type=ImportError
)

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LAST = torch.channels_last


@pytest.fixture(autouse=True)
def predicting() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode(), exact_float32_matmul(DEVICE):
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
    assert "cannot compile kernels (Failed to find C compiler." in caplog.text and "More" not in caplog.text


@pytest.mark.parametrize("channels", [64, 96, 256])
def test_add_norm(channels: int) -> None:
    norm = nn.LayerNorm(channels, device=DEVICE)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    tokens, update = noise(2, 77, channels), noise(2, 77, channels)
    assert close(nets.add_norm(tokens, update, norm), norm(tokens + update))


def sum_relu(maps: list[Tensor], bias: Tensor | None = None) -> Tensor:
    """Return in plain torch what the kernel of that name is for."""
    total = sum(functional.interpolate(part, size=maps[0].shape[2:]) for part in maps)
    return functional.relu(total if bias is None else total + bias[:, None, None])


def test_sum_relu_upsamples_to_the_first_map() -> None:
    maps = [noise(2, 48, 24 // factor, 16 // factor).to(memory_format=LAST) for factor in (1, 2, 4)]
    bias = noise(48)
    for count in (1, 2, 3):
        assert close(nets.sum_relu(maps[:count], bias), sum_relu(maps[:count], bias))
        assert close(nets.sum_relu(maps[:count], None), sum_relu(maps[:count]))
    assert close(nets.sum_relu(maps[:1], bias, 0.5), sum_relu(maps[:1], bias).clamp(max=0.5))
    same_size = [maps[0], maps[0] * 2, maps[0] - 1]
    assert close(nets.sum_relu(same_size, bias), sum_relu(same_size, bias))


def test_max_pool() -> None:
    maps = noise(2, 64, 12, 10).to(memory_format=LAST) - 1
    assert close(nets.max_pool(maps), functional.max_pool2d(maps, 3, stride=2, padding=1))


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
