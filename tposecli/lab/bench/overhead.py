"""Measure whole runs whose nets cost nothing: what everything around the nets takes, and what holds it up."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.lab.bench.clock import Spread
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.report import Cell, Table
from tposecli.lab.bench.whole import measured_child
from tposecli.sinks.encoding import DEFAULT_PRESETS, QUALITY
from tposecli.sources import open_video
from tposecli.types import Boxes

COLUMNS: Final = ("what", "JSON alone", "with video")
ENCODER: Final = "libx264"

LEAST_FRAMES: Final = 480
"""Shorter runs would show how they begin."""


@dataclass(frozen=True, slots=True)
class FreeRun:
    """The measurements of one run with nets that cost nothing, after start-up.

    Attributes:
        frames: Number of frames.
        people: Number of people.
        wall_s: Wall time.
        cpu_s: Processor time of all threads.
        threads: Processor time of each thread that runs Python, by name.
        lock: Share of the wall time in which a thread had to wait for the interpreter's lock; None if unknown.
    """

    frames: int
    people: int
    wall_s: float
    cpu_s: float
    threads: dict[str, float]
    lock: float | None


def write_detections(path: Path, boxes: Sequence[Boxes]) -> None:
    """Write the boxes of each frame of a video as a list of detections."""
    rows = [
        {"image_id": number, "category_id": 1, "bbox": [left, top, right - left, bottom - top], "score": 0.9}
        for number, of_frame in enumerate(boxes, start=1)
        for left, top, right, bottom in of_frame.xyxy.tolist()
    ]
    path.write_text(json.dumps(rows))


def run_once(video: Path, boxes: Path, drawn: bool, job: BenchJob, checkpoint: Checkpoint, folder: Path) -> FreeRun:
    """Process ``video`` to JSON, and to a video if ``drawn``, in a new process.

    Raises:
        TposeError: The run failed; the message holds its output.
    """
    facts = measured_child(video, job, checkpoint, folder, boxes=str(boxes.resolve()), drawn=drawn)
    after_s = facts["wall_s"] - facts["ready_s"]
    return FreeRun(facts["frames"], facts["people"], after_s, facts["cpu_s"], facts["threads"], facts["lock"])


def table(job: BenchJob, video: Path, boxes: Sequence[Boxes], checkpoint: Checkpoint, folder: Path) -> Table:
    """Measure runs to JSON alone and runs to a video, in turns, beside decoding and encoding alone."""
    detections = folder / "boxes.json"
    write_detections(detections, boxes)
    runs: dict[bool, list[FreeRun]] = {False: [], True: []}
    bounds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(max(2, job.rounds // 2)):
        bounds[False].append(_decode_s(video))
        bounds[True].append(_encode_s(video, folder / "ffmpeg.mp4"))
        for drawn, measured in runs.items():
            measured.append(run_once(video, detections, drawn, job, checkpoint, folder))
    frames, last = runs[True][-1].frames, runs[True][-1]

    def row(name: str, read: Callable[[FreeRun], float | None]) -> tuple[Cell, ...]:
        return name, *(Spread.if_known(read(run) for run in of_kind) for of_kind in runs.values())

    names = dict.fromkeys(name for of_kind in runs.values() for run in of_kind for name in run.threads)
    rows = [
        row("frames/s after start-up", lambda run: run.frames / run.wall_s),
        ("bound: decoding alone, and ffmpeg alone, frames/s", *(_rate(frames, spent) for spent in bounds.values())),
        row("CPU ms a frame", lambda run: 1e3 * run.cpu_s / run.frames),
        *(row(f"in thread {name}", partial(_of_thread, name)) for name in names),
        row("in threads of libraries", lambda run: 1e3 * (run.cpu_s - sum(run.threads.values())) / run.frames),
        row("ms a frame under the interpreter's lock", _lock_ms),
    ]
    notes = [
        f"{frames} frames of 720p, {last.people / frames:.1f} people each, whose boxes come from a file and whose "
        "heatmaps are always the same; each run in its own process.",
        f"ffmpeg alone: -c:v {ENCODER} -preset {DEFAULT_PRESETS[ENCODER]} -crf {QUALITY[ENCODER]}, decoding included.",
        "Under the lock: the share of time in which another thread cannot get it, by gilknocker (- without it).",
    ]
    return Table("overhead", "Whole runs with nets that cost nothing", COLUMNS, rows, notes)


def _of_thread(name: str, run: FreeRun) -> float:
    return 1e3 * run.threads.get(name, 0.0) / run.frames


def _lock_ms(run: FreeRun) -> float | None:
    return None if run.lock is None else 1e3 * run.lock * run.wall_s / run.frames


def _rate(frames: int, seconds: Sequence[float]) -> Spread | None:
    return Spread.of([frames / each for each in seconds]) if all(seconds) else None


def _decode_s(video: Path) -> float:
    start = time.perf_counter()
    with open_video(video) as source:
        for _ in source:
            pass
    return time.perf_counter() - start


def _encode_s(video: Path, path: Path) -> float:
    """Return the time that FFmpeg's program takes to encode the video again; 0 if it is not installed."""
    if shutil.which("ffmpeg") is None:
        return 0.0
    how = ["-c:v", ENCODER, "-preset", DEFAULT_PRESETS[ENCODER], "-crf", str(QUALITY[ENCODER]), "-pix_fmt", "yuv420p"]
    start = time.perf_counter()
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-i", video, *how, path], check=True, capture_output=True)
    return time.perf_counter() - start
