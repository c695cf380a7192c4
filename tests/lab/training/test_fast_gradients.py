"""What makes training on a CPU faster changes neither outputs nor gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tposecli.lab.training.batches import Batch
from tposecli.lab.training.distributed import Team
from tposecli.lab.training.fast_gradients import CoarseDropout, own_draws, with_fast_gradients
from tposecli.lab.training.job import Recipe
from tposecli.lab.training.state import TrainingState
from tposecli.lab.training.thread_shards import ThreadShards, can_be_sharded
from tposecli.models import build
from tposecli.models.pose_net import PoseNet

CPU = torch.device("cpu")
SIZE = (64, 48)


def small(name: str = "transpose-s-a4") -> PoseNet:
    torch.manual_seed(0)
    net = build(name, SIZE)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net.train()


def batch(count: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    crops = torch.randint(0, 256, (count, *SIZE, 3), dtype=torch.uint8, generator=generator)
    xy = torch.rand(count, 17, 2, generator=generator) * torch.tensor([SIZE[1] / 4, SIZE[0] / 4])
    return Batch(crops, xy, torch.ones(count, 17))


def results(net: PoseNet, dtype: torch.dtype | None = None) -> list[Tensor]:
    """Return the heatmaps of some crops, and the gradients of their mean square."""
    net.zero_grad()
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        maps = net(net.normalize(batch(3).crops))
    maps.float().square().mean().backward()  # type: ignore[no-untyped-call]
    return [maps.detach().float(), *(p.grad.clone() for p in net.parameters() if p.grad is not None)]


@pytest.mark.parametrize("name", ["transpose-s-a4", "transpose-m-a3", "transpose-r18-a3"])
def test_outputs_and_gradients_are_those_of_the_plain_net(name: str) -> None:
    plain = small(name)
    fast = with_fast_gradients(copy.deepcopy(plain))
    assert any(type(a) is not type(b) for a, b in zip(plain.modules(), fast.modules(), strict=True))
    assert fast.state_dict().keys() == plain.state_dict().keys()
    for expected, found in zip(results(plain), results(fast), strict=True):
        assert (expected - found).abs().max() <= 1e-4 * expected.abs().max() + 1e-9


def test_under_autocast_the_error_is_no_larger_than_the_plain_nets() -> None:
    plain = small()
    fast = with_fast_gradients(copy.deepcopy(plain))
    exact, half, ours = results(plain), results(plain, torch.bfloat16), results(fast, torch.bfloat16)

    def error(found: list[Tensor]) -> float:
        return sum(float((a - b).norm() / (a.norm() + 1e-9)) for a, b in zip(exact, found, strict=True)) / len(exact)

    assert error(ours) < 1.5 * error(half)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_drops_that_share_and_keeps_the_mean(share: float) -> None:
    dropout = CoarseDropout(share).train()
    x = torch.ones(401, 501, requires_grad=True)
    with own_draws(3):
        out = dropout(x)
    with own_draws(3):
        assert torch.equal(dropout(x), out)
    assert (out == 0).float().mean().item() == pytest.approx(share, abs=0.005)
    assert out.mean().item() == pytest.approx(1, abs=0.01)
    assert sorted(out.detach().unique().tolist()) == pytest.approx([0, 1 / (1 - share)], rel=1e-3)
    out.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, out.detach())
    assert torch.equal(dropout.eval()(x), x)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_with_shares_of_a_batch_give_its_gradients(threads: int) -> None:
    samples, net = batch(5), small().double()

    def mean(some: Batch) -> Tensor:
        return (net(net.normalize(some.crops)) - 0.1).square().mean()  # type: ignore[no-any-return]

    net.zero_grad()
    loss = mean(samples)
    loss.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    found = ThreadShards(net, threads).backward(samples, mean, 0)
    assert found.item() == pytest.approx(loss.item(), rel=1e-5)
    for name, parameter in net.named_parameters():
        assert (parameter.grad is not None) == (name in expected)
        if parameter.grad is not None:
            assert parameter.grad.stride() == parameter.stride()
            assert (parameter.grad - expected[name]).abs().max() <= 1e-9 * expected[name].abs().max() + 1e-15


def test_steps_are_those_of_the_plain_net() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        states = [
            TrainingState(small(), Recipe(dropout=0, precision="fp32"), Team(CPU), 0, fast) for fast in (False, True)
        ]
        assert states[0].shards is None and states[1].shards is not None
        for _ in range(3):
            for state in states:
                state.advance(batch(4), 0.0)
    finally:
        torch.set_num_threads(before)
    plain, fast = states
    assert plain.pop_means() == pytest.approx(fast.pop_means(), rel=1e-3)
    for a, b in zip(plain.net.parameters(), fast.net.parameters(), strict=True):
        assert (a - b).abs().mean() < 1e-6


def test_batch_normalisation_sees_whole_batches() -> None:
    assert can_be_sharded(small())
    assert not can_be_sharded(build("transpose-r18-a3", SIZE))
