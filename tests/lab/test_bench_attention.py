"""The benchmark of attention: cost, memory, and how far half precision is from fp32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tposecli.hub.checkpoints.resolve import resolve
from tposecli.inference.runtime import Runtime
from tposecli.lab.bench.attention import COLUMNS, REQUESTS, displaced_share, peak_bytes, table
from tposecli.lab.bench.job import BenchJob
from tposecli.models.attention_readout import Attention
from tposecli.sources.images import read_image
from tposecli.types import Boxes, Frame

MODEL = "transpose-r18-a3"
CPU = torch.device("cpu")


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-6), ("bf16", 0.04), ("fp16", 0.008)])
def test_half_precision_attends_to_the_same_cells_as_fp32(media: Path, precision: str, limit: float) -> None:
    """Compare the share of the last layer's attention that lies in other cells, for the worst of 17 keypoints."""
    frame = Frame(read_image(media / "stills" / "still_01.jpg"), 0, name="still")
    whole = Boxes(np.array([[0, 0, *frame.size_wh]], np.float32), np.ones(1, np.float32))
    # Users cannot select fp16 on a CPU, but its accuracy can be tested there.
    runtime = replace(Runtime.resolve("cpu", "bf16", 1, "torch"), precision=precision)
    assert displaced_share(resolve(MODEL), runtime, Attention((-1,)), (frame, whole)) <= limit


def test_peak_bytes_is_the_peak_of_tensor_memory() -> None:
    def workload() -> Tensor:
        first = torch.zeros(1_000_000)
        del first
        return torch.zeros(500_000) + 1

    assert 4_000_000 <= peak_bytes(workload, CPU) < 4_100_000


def test_the_table_has_a_row_for_each_kind_of_attention(tmp_path: Path) -> None:
    found = table(BenchJob(models=(MODEL,), precisions=("fp32",), rounds=1), CPU, tmp_path)
    assert [row[2] for row in found.rows] == list(REQUESTS)
    last = dict(zip(COLUMNS, found.rows[1], strict=True))
    assert last["elsewhere than in fp32"] == "0.00%"
    # The encoder's input exists anyway; reading it must not raise the peak of the forward pass.
    assert last["more memory at the peak, MB a person"] == pytest.approx(0, abs=1)
