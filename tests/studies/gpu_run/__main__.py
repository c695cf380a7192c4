"""Measure all that is to be known of a CUDA machine within minutes, the most important first.

    python -m tests.studies.gpu_run OUT_DIR
    python -m tests.studies.gpu_run OUT_DIR --device cpu --minutes 4

``OUT_DIR/report.md`` has the tables, each row as soon as it is known, so that a run that is cut off brings what it
has measured; ``OUT_DIR/log.txt`` has the rest of the output. Each part is a process of its own with a limit of its own;
those for which no time is left are skipped, and said to be. ``--only`` runs parts by the beginnings of their names. On
a CPU, it measures little, to show that all of it runs.

It needs ``tposecli/``, ``tests/``, ``weights/*.safetensors`` and ``sample_media/walk.mp4`` of the repository (35 MB),
torch with CUDA, and the package's dependencies without ``openvino``, ``ultralytics`` and ``torchvision``; for tests
also ``pytest`` and ``pytest-timeout``. Official weights that are not there are random ones, which are as fast.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from tests import REPOSITORY
from tests.studies.gpu_run.plan import LARGE, SMALL, Part, parts
from tposecli.lab.bench.report import environment, heading

RESERVE_S = 3.0
"""Seconds that are left for the end."""
PATIENCE_S = 2.0
"""Seconds that a part has to end after it was told to."""


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run writes, and until when.

    Attributes:
        report: The tables.
        log: Everything else.
        deadline: The end, on the monotonic clock.
    """

    report: Path
    log: Path
    deadline: float

    def left_s(self) -> float:
        """Return the seconds that are left."""
        return self.deadline - time.monotonic() - RESERVE_S


def run_part(part: Part, run: Run, variables: dict[str, str]) -> str:
    """Run a part, and return how it ended, in words."""
    if run.left_s() < part.least_s:
        return f"not measured: {max(0.0, run.left_s()):.0f} s were left, and it takes at least {part.least_s:.0f}"
    limit_s, began = min(part.limit_s, run.left_s()), time.monotonic()
    with run.report.open("ab") as report, run.log.open("ab") as log:
        log.write(f"\n== {part.name}\n".encode())
        log.flush()
        status = _wait(part, limit_s, (report, log), variables)
    took = f"{time.monotonic() - began:.0f} s"
    if status is None:
        return f"ended after {took}, its limit"
    return took if status == 0 else f"failed with status {status} after {took}: {_last_line(run.log)}"


def _wait(part: Part, limit_s: float, outputs: tuple[IO[bytes], IO[bytes]], variables: dict[str, str]) -> int | None:
    """Run a part to its end, and return its status; None if it and its children were ended at the limit."""
    process = subprocess.Popen(
        list(part.command),
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=outputs[0],
        stderr=outputs[1],
        start_new_session=True,
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or [""])[-1]


def run_all(chosen: Sequence[Part], run: Run, device: str) -> None:
    """Run the parts, one after another, and write how each ended."""
    run.report.parent.mkdir(parents=True, exist_ok=True)
    run.log.write_text("")
    run.report.write_text(heading(environment(" ".join(["gpu_run", *sys.argv[1:]]), torch.device(device))) + "\n")
    say(run.report.read_text().strip())
    with tempfile.TemporaryDirectory() as home:
        variables = {"TPOSE_HOME": home, "TPOSE_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        for part in chosen:
            before = run.report.stat().st_size
            _add(run.report, f"\n## {part.title}\n\n")
            how = run_part(part, run, variables)
            _add(run.report, f"\n_{part.name}: {how}_\n")
            say(run.report.read_bytes()[before:].decode(errors="replace"))


def _add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)  # noqa: T201


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUT_DIR")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", action="append", default=[], metavar="PART")
    given = parser.parse_args()
    output = given.output.resolve()
    sizes = SMALL if given.device == "cpu" else LARGE
    chosen = [part for part in parts(given.device, sizes) if not given.only or part.name.startswith(tuple(given.only))]
    deadline = time.monotonic() + 60 * given.minutes
    run_all(chosen, Run(output / "report.md", output / "log.txt", deadline), given.device)


if __name__ == "__main__":
    main()
