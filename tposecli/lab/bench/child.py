"""Run the program once in its own process and measure it: ``python -m tposecli.lab.bench.child``.

It reads a JSON object from standard input, ``video``, ``output``, ``model``, ``weights``, ``device`` and ``started``
(seconds since the epoch), and writes one to standard output, the fields of :class:`tposecli.lab.bench.whole.Run`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


class _Recorder:
    """Records when things happen; implements :class:`tposecli.pipeline.job.Watcher`."""

    def __init__(self, started: float) -> None:
        from tposecli.lab.bench.clock import machine_busy_s

        self._started, self._busy_s = started, machine_busy_s
        self.ready_s = self.first_s = self.ready_cpu_s = 0.0
        self._busy_before: float | None = None
        self.facts: dict[str, Any] = {}

    def begin(self, source: object, expected: int | None) -> None:
        """Record that everything is loaded."""
        self.ready_s, self.ready_cpu_s = time.time() - self._started, time.process_time()
        self._busy_before = self._busy_s()

    def seen(self, result: object) -> None:
        """Record the first finished frame."""
        self.first_s = self.first_s or time.time() - self._started

    def end(self, summary: Any) -> None:
        """Record the end of the run."""
        wall_s, cpu_s = time.time() - self._started, time.process_time() - self.ready_cpu_s
        busy, others_s = self._busy_s(), None
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
        }


def main() -> None:
    """Read the job, run it, and write the results."""
    job = json.load(sys.stdin)
    recorder = _Recorder(job["started"])
    from tposecli.inference.options import ModelChoice
    from tposecli.lab.bench.clock import peak_resident_mib
    from tposecli.pipeline.job import InferenceSettings, Outputs, RunFlags, Settings, VideoJob
    from tposecli.pipeline.session import Session

    output = Path(job["output"])
    model = ModelChoice(job["model"], Path(job["weights"]), job["device"])
    settings = Settings(InferenceSettings(model), flags=RunFlags(overwrite=True))
    video = VideoJob(Path(job["video"]), Outputs(output, {"coco": output.with_suffix(".json")}))
    Session(settings, recorder).run(video)
    json.dump({**recorder.facts, "peak_mib": peak_resident_mib()}, sys.stdout)


if __name__ == "__main__":
    main()
