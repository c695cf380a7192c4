"""Whole runs on 720p: ``python -m tests.studies.gpu_run.whole_runs --people 1,3,10``, or with ``--workers 1,4,8``.

Without ``--workers``, runs of one process, whose start is told apart; with it, runs of the command ``tpose video`` on
several videos, start and end included.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.studies.gpu_run import rows
from tests.studies.spent import spend
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.nets import checkpoint_of
from tposecli.lab.bench.scene import rendered_clip
from tposecli.lab.bench.whole import measured_child

OUTPUTS = {False: "JSON alone", True: "with video"}


def one_process(people: Sequence[int], frames: int, device: str, folder: Path) -> None:
    """Print a row for each number of people and kind of output."""
    columns = ("people", "outputs", "frames", "first frame, s", "frames/s after it", "people/s after it")
    rows.head((*columns, "CPU ms a frame", "slowest stage", "memory, MiB", "on the device, MiB"))
    checkpoint = checkpoint_of("auto", folder)
    for count in people:
        clip = folder / f"{count}.mp4"
        rendered_clip(clip, count, frames)
        for drawn, kind in OUTPUTS.items():
            facts = measured_child(clip, BenchJob(device=device), checkpoint, folder, drawn=drawn)
            after_s = facts["wall_s"] - facts["first_s"]
            rates = [facts[what] / after_s for what in ("frames", "people")]
            stage = max(facts["stages"], key=facts["stages"].__getitem__)
            slowest = f"{stage}, {facts['stages'][stage]:.1f} s"
            spent = 1e3 * facts["cpu_s"] / facts["frames"]
            memory = facts["peak_mib"], facts["device_mib"]
            rows.row(count, kind, facts["frames"], facts["first_s"], *rates, spent, slowest, *memory)
    what = f"{checkpoint.spec.name}; each run in a process of its own"
    rows.note(f"{what}. Frames of the first one's group come with it, which flatters short runs.")


def several(workers: Sequence[int], videos: int, people: int, frames: int, folder: Path, device: str) -> None:
    """Print a row for each number of processes and kind of output."""
    rows.head(("workers", "outputs", "videos", "all, s", "frames/s", "CPU ms a frame", "memory of the largest, MiB"))
    inputs = folder / "in"
    inputs.mkdir()
    rendered_clip(inputs / "0.mp4", people, frames)
    for number in range(1, videos):
        shutil.copy(inputs / "0.mp4", inputs / f"{number}.mp4")
    for count in workers:
        for drawn, kind in OUTPUTS.items():
            out = folder / f"{count}-{drawn}"
            output = ["-o", f"{out}/"] if drawn else ["--json", f"{out}/"]
            how = [*output, "--workers", count, "--device", device, "--offline", "--quiet"]
            spent = spend([sys.executable, "-m", "tposecli", "video", inputs, *how], log=folder / "log.txt")
            every = frames * videos
            rows.row(count, kind, videos, spent.wall_s, every / spent.wall_s, 1e3 * spent.cpu_s / every, spent.peak_mib)
            shutil.rmtree(out, ignore_errors=True)
    rows.note(f"{frames} frames of 720p with {people} people in each video; start and end included.")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=800)
    parser.add_argument("--people", default="1,3,10")
    parser.add_argument("--workers", default="")
    parser.add_argument("--videos", type=int, default=8)
    given = parser.parse_args()
    people = [int(word) for word in given.people.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.workers:
            workers = [int(word) for word in given.workers.split(",")]
            several(workers, given.videos, people[0], given.frames, folder, given.device)
        else:
            one_process(people, given.frames, given.device, folder)


if __name__ == "__main__":
    main()
