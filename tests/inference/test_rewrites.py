"""Every rewrite of every net of the catalogue gives what the plain net gives: heatmaps, encoder inputs, attention."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from tests.models.test_models import NAMES, draw_weights
from tposecli.detection.bundled import load_person_detector
from tposecli.detection.factory import BUNDLED_WEIGHTS
from tposecli.hub.checkpoints.resolve import bundled_file
from tposecli.inference.backends.cpu_rewrites import for_prediction, pad_kernels, precompute_positions
from tposecli.inference.backends.fold_batchnorm import fold_batchnorm
from tposecli.inference.backends.matmul_precision import exact_float32_matmul
from tposecli.models import build
from tposecli.models.attention_readout import Attention
from tposecli.models.encoder import EncoderLayer
from tposecli.models.mobilenet import DownsampleConv2d
from tposecli.models.pose_net import PoseNet

cuda_rewrites = pytest.importorskip(
    "tposecli.inference.backends.cuda_rewrites", reason="Triton is not there", exc_type=ImportError
)

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
"""Kernels run in Triton's interpreter where there is no device."""
TOLERANCE = 1e-4
SIZE = (32, 32)

Rewrite = Callable[[PoseNet], PoseNet]
ON_CPU: dict[str, Rewrite] = {
    "folded": fold_batchnorm,
    "positions precomputed": lambda net: precompute_positions(copy.deepcopy(net)),
    "kernels padded": lambda net: pad_kernels(copy.deepcopy(net)),
    "for prediction": for_prediction,
}
ON_CUDA: dict[str, Rewrite] = {
    "modules fused": cuda_rewrites.fuse_modules,
    "convolutions fused": cuda_rewrites.fuse_convolutions,
    "first convolution packed": cuda_rewrites.pack_first_convolution,
    "for CUDA": cuda_rewrites.rewrite_for_cuda,
}


@pytest.fixture(autouse=True)
def predicting() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode(), exact_float32_matmul(DEVICE):
        yield


@pytest.fixture(scope="module", params=NAMES)
def plain(request: pytest.FixtureRequest) -> PoseNet:
    """A net straight from the catalogue, without gradients."""
    net = build(request.param, SIZE)
    draw_weights(net)
    return net.requires_grad_(False).to(DEVICE)


def assert_same_function(rewritten: PoseNet, plain: PoseNet) -> None:
    """Compare all that a net gives, on random crops.

    By the mean error: with weights that were never trained, rounding grows at a position here and there.
    """
    crops = torch.randint(0, 256, (1, *SIZE, 3), dtype=torch.uint8, device=DEVICE)
    heatmaps, inputs = plain.encode(plain.normalize(crops))
    own_heatmaps, own_inputs = rewritten.encode(rewritten.normalize(crops))
    assert len(own_inputs) == len(inputs)
    for ours, theirs in zip([own_heatmaps, *own_inputs], [heatmaps, *inputs], strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().mean() <= TOLERANCE * theirs.abs().mean()
    cells = torch.tensor([[0, 5, 9]], device=DEVICE)
    for request in (Attention("mean"), Attention((0,), mode="influence", per_head=True), Attention("rollout")):
        ours, theirs = (net.attention(inputs, cells, request) for net in (rewritten, plain))
        assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


@pytest.mark.parametrize("rewrite", ON_CPU)
def test_rewritten_net_equals_the_plain_one(rewrite: str, plain: PoseNet) -> None:
    assert_same_function(ON_CPU[rewrite](plain), plain)


@pytest.mark.parametrize("rewrite", ON_CUDA)
def test_net_rewritten_for_cuda_equals_the_plain_one(rewrite: str, plain: PoseNet) -> None:
    folded = fold_batchnorm(plain).to(memory_format=torch.channels_last)
    assert_same_function(ON_CUDA[rewrite](folded), plain)


def test_rewrites_leave_nothing_of_what_they_replace(plain: PoseNet) -> None:
    predicting = for_prediction(plain)
    assert not {nn.BatchNorm2d, DownsampleConv2d} & {type(module) for module in predicting.modules()}
    on_cuda = cuda_rewrites.rewrite_for_cuda(fold_batchnorm(plain))
    left = {type(module) for module in on_cuda.modules()} & {*cuda_rewrites.FUSED, nn.BatchNorm2d, nn.Upsample}
    assert not left
    assert EncoderLayer in {type(module) for module in plain.modules()}


def test_faster_classes_derive_from_the_plain_ones() -> None:
    assert all(issubclass(fused, plain) and fused is not plain for plain, fused in cuda_rewrites.FUSED.items())


def test_net_with_batch_normalisation_is_not_fused() -> None:
    with pytest.raises(ValueError, match="folded"):
        cuda_rewrites.rewrite_for_cuda(build("transpose-r18-a3", SIZE))


@pytest.mark.parametrize("rewrite", [pad_kernels, cuda_rewrites.fuse_convolutions])
def test_rewritten_detector_equals_the_plain_one(rewrite: Callable[[nn.Module], nn.Module]) -> None:
    weights = bundled_file(BUNDLED_WEIGHTS)
    assert weights is not None
    plain = load_person_detector(weights).requires_grad_(False).to(DEVICE)
    rewritten = rewrite(copy.deepcopy(plain).to(memory_format=torch.channels_last))
    images = torch.randint(0, 256, (1, 3, 64, 32), dtype=torch.uint8, device=DEVICE)
    ours, theirs = rewritten(images), plain(images)
    assert torch.allclose(ours.xyxy / 128, theirs.xyxy / 128, atol=2e-5)
    assert torch.allclose(ours.logit.exp(), theirs.logit.exp(), atol=2e-5)
