"""What is measured of attention: cost, memory, and how far half precision is from fp32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tposecli.hub.checkpoints.resolve import resolve
from tposecli.inference.runtime import Runtime
from tposecli.lab.bench.attention import COLUMNS, REQUESTS, elsewhere, peak_bytes, table
from tposecli.lab.bench.job import BenchJob
from tposecli.models.attention_readout import Attention
from tposecli.sources.images import read_image
from tposecli.types import Boxes, Frame

MODEL = "transpose-r18-a3"
CPU = torch.device("cpu")


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-6), ("bf16", 0.04), ("fp16", 0.008)])
def test_half_precision_looks_where_fp32_does(media: Path, precision: str, most: float) -> None:
    """The share of the last layer's attention that moves to other cells, of the worst of 17 keypoints."""
    frame = Frame(read_image(media / "stills" / "still_01.jpg"), 0, name="still")
    whole = Boxes(np.array([[0, 0, *frame.size_wh]], np.float32), np.ones(1, np.float32))
    # A user cannot ask for fp16 on a CPU; what a GPU does in it can be tried there all the same.
    runtime = replace(Runtime.resolve("cpu", "bf16", 1, "torch"), precision=precision)
    assert elsewhere(resolve(MODEL), runtime, Attention((-1,)), (frame, whole)) <= most


def test_memory_is_that_of_tensors_at_their_most() -> None:
    def way() -> Tensor:
        first = torch.zeros(1_000_000)
        del first
        return torch.zeros(500_000) + 1

    assert 4_000_000 <= peak_bytes(way, CPU) < 4_100_000


def test_the_table_has_a_row_for_each_kind(tmp_path: Path) -> None:
    found = table(BenchJob(models=(MODEL,), precisions=("fp32",), rounds=1), CPU, tmp_path)
    assert [row[2] for row in found.rows] == list(REQUESTS)
    last = dict(zip(COLUMNS, found.rows[1], strict=True))
    assert last["elsewhere than in fp32"] == "0.00%"
    # What the encoder was given is there anyway; reading it must not raise the forward's own peak.
    assert last["more memory at the peak, MB a person"] == pytest.approx(0, abs=1)
