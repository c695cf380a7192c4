"""The configuration of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Part = Literal["ceilings", "nets", "attention", "stages", "video", "overhead", "growth", "train"]

PARTS: Final[tuple[Part, ...]] = ("ceilings", "nets", "attention", "stages", "video", "overhead", "growth", "train")


@dataclass(frozen=True, slots=True)
class BenchJob:
    """The configuration of a benchmark.

    Attributes:
        video: The video to use; None for a rendered clip.
        parts: What to measure.
        models: Names from the catalogue, or ``auto``.
        batches: Batch sizes.
        precisions: ``fp32``, ``bf16``, ``fp16``, or ``auto``.
        backends: ``torch``, ``compile``, ``onnx``, ``openvino``, or ``auto``.
        device: As on the command line.
        rounds: Number of measurements of each workload.
        people: Number of people in the rendered clip.
        frames: Number of frames of the video to use.
        baseline: Whether to measure the authors' way, too.
        command: The command line, for the report.
    """

    video: Path | None = None
    parts: tuple[Part, ...] = PARTS
    models: tuple[str, ...] = ("auto",)
    batches: tuple[int, ...] = (1, 8)
    precisions: tuple[str, ...] = ("auto",)
    backends: tuple[str, ...] = ("auto",)
    device: str = "auto"
    rounds: int = 5
    people: int = 3
    frames: int = 48
    baseline: bool = True
    command: str = "tpose bench"
