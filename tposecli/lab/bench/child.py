"""Run the program once in its own process and measure it: ``python -m tposecli.lab.bench.child``.

It reads a JSON object from standard input, ``video``, ``output``, ``model``, ``weights``, ``device`` and ``started``
(seconds since the epoch), and writes one to standard output, the fields of :class:`tposecli.lab.bench.whole.Run`. With
``boxes``, a file of detections, the nets cost nothing, and those of :class:`tposecli.lab.bench.overhead.FreeRun` are
written, too; with ``drawn`` false there is no annotated video.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

SAMPLED = 8
"""Frames between two looks at the threads."""


class _Recorder:
    """Records when things happen; implements :class:`tposecli.pipeline.job.Watcher`."""

    def __init__(self, started: float) -> None:
        from tposecli.utils.system import machine_busy_s
        from tposecli.utils.threads import running_s

        self._started, self._busy_s, self._running_s = started, machine_busy_s, running_s
        self.ready_s = self.first_s = self.ready_cpu_s = 0.0
        self._busy_before: float | None = None
        self._threads_before: dict[str, float] = {}
        self._threads: dict[str, float] = {}
        self._seen = 0
        self._lock = _lock_watch()
        self.facts: dict[str, Any] = {}

    def begin(self, source: object, expected: int | None) -> None:
        """Record that everything is loaded."""
        self.ready_s, self.ready_cpu_s = time.time() - self._started, time.process_time()
        self._busy_before = self._busy_s()
        self._threads_before = self._running_s()
        if self._lock is not None:
            self._lock.start()

    def seen(self, result: object) -> None:
        """Record the first finished frame; and what threads have taken, while they run."""
        self.first_s = self.first_s or time.time() - self._started
        self._seen += 1
        if self._seen % SAMPLED == 0:
            for name, taken in self._running_s().items():
                taken -= self._threads_before.get(name, 0.0)
                self._threads[name] = max(taken, self._threads.get(name, 0.0))

    def end(self, summary: Any) -> None:
        """Record the end of the run."""
        wall_s, cpu_s = time.time() - self._started, time.process_time() - self.ready_cpu_s
        busy, others_s = self._busy_s(), None
        if self._lock is not None:
            self._lock.stop()
        if busy is not None and self._busy_before is not None:
            others_s = max(0.0, busy - self._busy_before - cpu_s)
        self.facts = {
            "frames": summary.frames,
            "people": summary.people,
            "wall_s": wall_s,
            "ready_s": self.ready_s,
            "first_s": self.first_s,
            "cpu_s": cpu_s,
            "others_s": others_s,
            "stages": summary.seconds,
            "failed": [reason for _, reason in summary.failed],
            "threads": self._threads,
            "lock": None if self._lock is None else self._lock.contention_metric,
        }


def _lock_watch() -> Any:
    """Return what watches the interpreter's lock; None if it is not installed."""
    try:
        from gilknocker import KnockKnock
    except ImportError:
        return None
    return KnockKnock(1000)


def _device_mib() -> float | None:
    """Return the peak memory that torch has held on the CUDA device, in MiB; None if it has used none."""
    import torch

    there = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.cuda.max_memory_reserved() / 2**20 if there else None


def main() -> None:
    """Read the job, run it, and write the results."""
    job = json.load(sys.stdin)
    recorder = _Recorder(job["started"])
    from tposecli.detection.factory import DetectorOptions
    from tposecli.inference.options import ModelChoice
    from tposecli.lab.bench.clock import peak_resident_mib
    from tposecli.lab.bench.free_nets import make_free
    from tposecli.pipeline.job import InferenceSettings, Outputs, RunFlags, Settings, VideoJob
    from tposecli.pipeline.session import Session

    output = Path(job["output"])
    model = ModelChoice(job["model"], Path(job["weights"]), job["device"])
    boxes = job.get("boxes")
    detector = DetectorOptions(f"boxes:{boxes}") if boxes else DetectorOptions()
    settings = Settings(InferenceSettings(model, detector), flags=RunFlags(overwrite=True))
    picture = output if job.get("drawn", True) else None
    video = VideoJob(Path(job["video"]), Outputs(picture, {"coco": output.with_suffix(".json")}))
    session = Session(settings, recorder)
    if boxes:
        make_free(session.nets())
    session.run(video)
    json.dump({**recorder.facts, "peak_mib": peak_resident_mib(), "device_mib": _device_mib()}, sys.stdout)


if __name__ == "__main__":
    main()
