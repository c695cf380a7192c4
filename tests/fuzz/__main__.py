"""Fuzz every reader for a while: ``python -m tests.fuzz --minutes 5 --out /tmp/fuzz``; exit status 1 if one fails.

Each reader runs in a process of its own, which may neither hang nor need much memory, and is started again if it dies.
Inputs that end in anything but a ``TposeError`` are left in ``OUT/finds``; once the fault is mended, the input belongs
into ``tests/fuzz/corpus/READER``, where the tests read it for ever after.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import HANG_S, work

QUIET = {"OMP_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "OFF", "OPENCV_FFMPEG_LOGLEVEL": "-8", "TPOSE_OFFLINE": "1"}


def main() -> int:
    """Parse, share the time out, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for all readers together")
    parser.add_argument("--target", action="append", choices=[target.name for target in TARGETS])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--out", type=Path, default=None, help="folder for what is found")
    parser.add_argument("--worker", nargs=2, metavar=("NAME", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, seconds = options.worker
        click.echo(work(name, float(seconds), options.seed, options.out))
        return 0
    names = options.target or [target.name for target in TARGETS]
    if options.out is not None:
        return fuzz(names, options.minutes * 60 / len(names), options.seed, options.out.resolve())
    with tempfile.TemporaryDirectory() as folder:
        return fuzz(names, options.minutes * 60 / len(names), options.seed, Path(folder))


def fuzz(names: list[str], seconds: float, seed: int, out: Path) -> int:
    """Run the readers one after the other; 1 if one failed."""
    for name in names:
        run(name, seconds, seed, out)
    finds = sorted((out / "finds").glob("*.txt")) if (out / "finds").is_dir() else []
    for find in finds:
        click.echo(f"\n{find.name.removesuffix('.txt')}\n{find.read_text()[-1500:]}")
    click.echo(f"seed {seed}: {len(finds)} finds")
    return int(bool(finds))


def run(name: str, seconds: float, seed: int, out: Path) -> None:
    """One reader; its process is started again when it dies, until the time is up."""
    folder, end, deaths = out / name, time.monotonic() + seconds, 0
    folder.mkdir(parents=True, exist_ok=True)
    runs = "0"
    while deaths == 0 or (time.monotonic() < end and deaths < 10):
        left = max(1.0, end - time.monotonic())
        command = [sys.executable, "-m", "tests.fuzz", "--worker", name, str(left), "--seed", str(seed + deaths)]
        try:
            done = subprocess.run(
                [*command, "--out", str(folder)],
                capture_output=True,
                text=True,
                env={**os.environ, **QUIET},
                timeout=seconds + 4 * HANG_S,
            )
        except subprocess.TimeoutExpired:  # A busy machine: each file has a watch of its own.
            click.echo(f"{name}: too slow, stopped")
            return
        if done.returncode == 0:
            runs = done.stdout.split()[-1]
            break
        deaths += 1
        died(folder, done.returncode, done.stderr)
    click.echo(f"{name}: {runs} files in {seconds:.0f} s" + (f", died {deaths} times" if deaths else ""))


def died(folder: Path, status: int, stderr: str) -> None:
    """Save what the process was reading."""
    finds = folder.parent / "finds"
    finds.mkdir(exist_ok=True)
    current = folder / (folder / "current").read_text() if (folder / "current").exists() else folder / "unknown"
    data = current.read_bytes() if current.is_file() else b""
    path = finds / f"{folder.name}-died{-status}-{len(list(finds.iterdir()))}-{current.name}"
    path.write_bytes(data)
    path.with_name(path.name + ".txt").write_text(f"exit status {status}\n{stderr[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
