"""What the first batches of a net wait for: ``python -m tests.studies.gpu_run.first_calls MODEL ...``.

For each size of batch that is recorded: the first call, in which libraries choose and compile their kernels, one after
it, and the recording. With cuDNN's fused convolutions and without; ``--heuristics b`` lets cuDNN guess the fastest by
its other heuristic, which is slower and better.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from tests.studies.gpu_run import rows
from tposecli.inference.backends import fused_ops
from tposecli.inference.backends.cuda_graphs import STEP, capture_on_cuda
from tposecli.inference.runtime import BATCH, resolve_device
from tposecli.lab.bench.clock import synchronize
from tposecli.lab.bench.nets import Variant, checkpoint_of, estimator_of
from tposecli.lab.bench.scene import crowd
from tposecli.utils.timings import Timings


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return how long a call takes."""
    synchronize(device)
    began = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - began


def measure(model: str, device: torch.device, precision: str, folder: Path) -> None:
    """Print a row for each size of batch."""
    largest = BATCH[device.type]
    estimator = estimator_of(checkpoint_of(model, folder), Variant("torch", precision, largest), device)
    worker = estimator.workers[0]
    fused = "yes" if fused_ops.fuses_convolutions(device) else "no"

    def run(crops: torch.Tensor) -> list[torch.Tensor]:
        return [part for part in worker._run(crops, Timings()) if part is not None]

    with torch.inference_mode():
        for size in (largest, largest // STEP, largest // STEP**2):
            if size:
                frame, boxes = crowd(size)
                crops = estimator.crops([frame], [boxes]).batch(slice(None), device)
                first, second = (seconds(lambda crops=crops: run(crops), device) for _ in range(2))
                recording = None
                if device.type == "cuda":
                    recording = seconds(lambda crops=crops: capture_on_cuda(run, crops), device)
                rows.row(model, fused, size, first, second, recording)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--heuristics", choices=("a", "b"), default="a")
    given = parser.parse_args()
    if given.heuristics == "b":
        os.environ["TORCH_CUDNN_USE_HEURISTIC_MODE_B"] = "1"  # Read at the first convolution.
    device = resolve_device(given.device)
    rows.head(("model", "fused convolutions", "batch", "first call, s", "second call, s", "recording, s"))
    with tempfile.TemporaryDirectory() as folder:
        for model in given.models:
            measure(model, device, given.precision, Path(folder))
            if device.type == "cuda":
                with mock.patch.object(fused_ops, "fuses_convolutions", lambda device: False):
                    measure(model, device, given.precision, Path(folder))


if __name__ == "__main__":
    main()
