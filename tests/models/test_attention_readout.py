"""Attention read in parts equals the full matrix of the same forward."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tposecli.models import build, find_spec
from tposecli.models.attention_readout import Attention
from tposecli.models.encoder import EncoderLayer
from tposecli.models.pose_net import PoseNet

EXACT = 1e-6


def full_matrices(net: PoseNet, inputs: list[Tensor]) -> list[Tensor]:
    """(B, heads, S, S) of each layer, the plain way."""
    position = net.pos_embedding.transpose(0, 1)
    matrices = []
    for layer, tokens in zip(net.global_encoder.layers, inputs, strict=True):
        assert isinstance(layer, EncoderLayer)
        query, key = layer.self_attn.queries_and_keys(tokens, position)
        matrices.append((query @ key.transpose(2, 3) / math.sqrt(query.shape[3])).softmax(3))
    return matrices


@pytest.fixture(scope="module", params=["transpose-r18-a3", "transpose-h-s"])
def forward(request: pytest.FixtureRequest) -> tuple[PoseNet, list[Tensor], Tensor]:
    """A net with random weights, what its layers were given, and cells to ask for, corners among them."""
    torch.manual_seed(5)
    spec = find_spec(request.param)
    net = build(spec.name, (96, 64))
    with torch.inference_mode():
        _, inputs = net.encode(torch.randn(2, 3, 96, 64))
    last = math.prod(net.grid_hw) - 1
    return net, inputs, torch.tensor([[0, 7, last], [last // 2, 3, 1]])


@pytest.mark.parametrize("mode", ["dependency", "influence"])
@pytest.mark.parametrize("layers", [(-1,), (0, 2), "mean"])
@pytest.mark.parametrize("per_head", [False, True])
def test_parts_equal_the_full_matrix(
    forward: tuple[PoseNet, list[Tensor], Tensor], mode: str, layers: tuple[int, ...] | str, per_head: bool
) -> None:
    net, inputs, cells = forward
    with torch.inference_mode():
        got = net.attention(inputs, cells, Attention(layers, mode=mode, per_head=per_head))  # type: ignore[arg-type]
        whole = full_matrices(net, inputs)
    chosen = whole if layers == "mean" else [whole[int(layer)] for layer in layers]
    picked = []
    for matrix in chosen:
        asked = matrix if mode == "dependency" else matrix.transpose(2, 3)
        picked.append(torch.stack([asked[sample, :, cells[sample]] for sample in range(2)]))
    expected = torch.stack(picked, dim=1)
    if layers == "mean":
        expected = expected.mean(1, keepdim=True)
    if not per_head:
        expected = expected.mean(2)
    assert got.shape[-2:] == net.grid_hw
    assert abs(got.flatten(-2) - expected).max() < EXACT


def test_rollout_equals_the_product_of_the_matrices(forward: tuple[PoseNet, list[Tensor], Tensor]) -> None:
    net, inputs, cells = forward
    with torch.inference_mode():
        got = net.attention(inputs, cells, Attention("rollout"))[:, 0].flatten(2)
        mixed = [(matrix.mean(1) + torch.eye(matrix.shape[2])) / 2 for matrix in full_matrices(net, inputs)]
    product = mixed[0]
    for matrix in mixed[1:]:
        product = matrix @ product
    expected = torch.stack([product[sample, cells[sample]] for sample in range(2)])
    assert abs(got - expected).max() < EXACT
    assert np.allclose(got.sum(2), 1, atol=1e-5)


def test_rollout_has_no_columns() -> None:
    with pytest.raises(ValueError, match="rollout"):
        replace(Attention("rollout"), mode="influence")
