"""What a benchmark is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Part = Literal["ceilings", "nets", "attention", "stages", "video", "growth"]

PARTS: Final[tuple[Part, ...]] = ("ceilings", "nets", "attention", "stages", "video", "growth")


@dataclass(frozen=True, slots=True)
class BenchJob:
    """A benchmark.

    Attributes:
        video: Whose frames are used; None: a rendered clip.
        parts: What is measured.
        models: Names of the catalogue, or ``auto``.
        batches: Crops in one forward.
        precisions: ``fp32``, ``bf16``, ``fp16``, or ``auto``.
        backends: What runs the nets: ``torch``, ``compile``, ``onnx``, ``openvino``, or ``auto``.
        device: In the words of the command line.
        rounds: Measurements of each thing.
        people: Of the rendered clip.
        frames: How many of the video are used.
        baseline: Also measure the authors' way.
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
