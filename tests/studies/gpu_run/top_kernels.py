"""List what a device spends its time on in one net: ``python -m tests.studies.gpu_run.top_kernels MODEL``."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from tests.studies.gpu_run import rows
from tposecli.inference.runtime import resolve_device
from tposecli.lab.bench.clock import synchronize
from tposecli.lab.bench.nets import Variant, checkpoint_of, estimator_of
from tposecli.lab.bench.scene import crowd
from tposecli.utils.timings import Timings

CALLS = 5
SHOWN = 25
LONGEST = 90
"""Characters of a kernel's name."""


def events(model: str, device: torch.device, batch: int, precision: str) -> Sequence[Any]:
    """Return the profiler's averages of a net with decoding, from crops that are on the device."""
    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        estimator = estimator_of(checkpoint_of(model, Path(folder)), Variant("torch", precision, batch), device)
        frame, boxes = crowd(batch)
        worker, crops = estimator.workers[0], estimator.crops([frame], [boxes]).batch(slice(None), device)
        for _ in range(2):
            worker.estimate(crops, Timings())
        synchronize(device)
        with profile(activities=[activity]) as found:
            for _ in range(CALLS):
                worker.estimate(crops, Timings())
            synchronize(device)
    return list(found.key_averages())


def time_us(event: Any, device: torch.device) -> float:
    """Return the time of an event itself, its parts left out."""
    return float(event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total)


def main() -> None:
    """Measure, and print the kernels that take the longest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--precision", default="bf16")
    given = parser.parse_args()
    device = resolve_device(given.device)
    found = sorted(events(given.model, device, given.batch, given.precision), key=lambda e: -time_us(e, device))
    total = sum(time_us(event, device) for event in found)
    rows.head(("kernel", "calls", "ms a batch", "share", "together"))
    sum_us = 0.0
    for event in found[:SHOWN]:
        sum_us += time_us(event, device)
        name = " ".join(event.key.split())[:LONGEST].replace("|", "/")
        each = time_us(event, device) / CALLS / 1e3
        share = f"{time_us(event, device) / total:.1%}"
        rows.row(f"`{name}`", event.count // CALLS, each, share, f"{sum_us / total:.0%}")
    what = f"a batch of {given.batch} in {given.precision}, {len(found)} kinds of steps"
    rows.note(f"{total / CALLS / 1e3:.2f} ms for {what}.")


if __name__ == "__main__":
    main()
