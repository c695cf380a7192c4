"""What several workers and a cluster bring and cost: one hour of video, many short ones, and nets that cost nothing.

``python -m tests.studies.many_machines hour|short|free [FOLDER]`` prints a table. Machines are raylets of one CPU each
on this machine; processor time is that of the whole machine, so nothing else may run on it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import psutil

from tests import REPOSITORY
from tposecli.detection.factory import DetectorOptions
from tposecli.inference.options import ModelChoice
from tposecli.lab.bench.free_nets import make_free
from tposecli.lab.bench.overhead import write_detections
from tposecli.lab.bench.scene import rendered_clip
from tposecli.pipeline.job import InferenceSettings, Outputs, RunFlags, Settings, Unwatched, VideoJob
from tposecli.pipeline.segments import workers
from tposecli.pipeline.segments.workers import TaskRunner
from tposecli.pipeline.session import Session
from tposecli.utils.processes import Tell
from tposecli.utils.report_tables import markdown_table
from tposecli.utils.system import machine_busy_s

CLIP = REPOSITORY / "sample_media" / "walk.mp4"
HOW = ["--threads", "1", "--detector", "full-frame", "--quiet"]
HOUR_S = 3600
SIZE = "640:360"
SHORT_S, SHORTS = 0.4, 200
FREE_FRAMES = 1200


def hour(path: Path) -> None:
    """Write an hour: the walking clip in 360p, again and again, its packets copied."""
    small = path.with_name("small.mp4")
    _ffmpeg("-i", CLIP, "-vf", f"scale={SIZE}", "-g", "50", "-an", small)
    with av.open(str(small)) as container:
        length_s = float(container.duration or 0) / 1e6
    _ffmpeg("-stream_loop", str(int(HOUR_S / length_s)), "-i", small, "-c", "copy", "-t", str(HOUR_S), path)


def shorts(folder: Path) -> list[Path]:
    """Write many short videos."""
    first = folder / "000.mp4"
    _ffmpeg("-i", CLIP, "-t", str(SHORT_S), "-vf", f"scale={SIZE}", "-an", first)
    return [first, *(Path(shutil.copy(first, folder / f"{number:03d}.mp4")) for number in range(1, SHORTS))]


def _ffmpeg(*words: object) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-v", "error", *map(str, words)], check=True)


@contextmanager
def raylets(count: int) -> Iterator[list[str]]:
    """Start machines of one CPU each, and provide the options that name them."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(count - 1):
        cluster.add_node(num_cpus=1)
    try:
        yield ["--cluster", str(cluster.address)]
    finally:
        cluster.shutdown()


def measure(words: Sequence[object]) -> tuple[float, float, float]:
    """Run ``tpose``, and return its wall time, processor time, and the most memory, in MiB, of what computes."""
    command = [sys.executable, "-m", "tposecli", *map(str, words)]
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            used = 0
            for process in psutil.process_iter(["cmdline", "memory_info"]):
                line = " ".join(process.info["cmdline"] or ())
                if "tposecli" in line or "spawn_main" in line or line.startswith("ray::run_step"):
                    used += process.info["memory_info"].rss
            most[0] = max(most[0], used / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    wall, busy = time.perf_counter(), machine_busy_s() or 0.0
    try:
        subprocess.run(command, check=True, cwd=REPOSITORY)
    finally:
        done.set()
        watcher.join()
    return time.perf_counter() - wall, (machine_busy_s() or 0.0) - busy, most[0]


def compare(inputs: Sequence[Path], folder: Path, how: Sequence[str], segments: Sequence[str]) -> list[list[str]]:
    """Measure one process, two workers, and clusters of one and two machines."""
    rows = []
    for name, machines, words in [
        ("one process", 0, []),
        ("--workers 1", 0, ["--workers", "1"]),
        ("--workers 2", 0, ["--workers", "2"]),
        ("one machine", 1, segments),
        ("two machines", 2, segments),
    ]:
        out = folder / name.replace(" ", "")
        given = ["video", *inputs, "--json", f"{out}/", *HOW, *how, *words]
        if machines:
            with raylets(machines) as cluster:
                figures = measure([*given, *cluster])
        else:
            figures = measure(given)
        rows.append([name, *(f"{figure:.0f}" for figure in figures)])
        print(rows[-1], flush=True)  # noqa: T201
    return rows


class FreeRunner(TaskRunner):
    """Does the tasks of a worker with nets that cost nothing."""

    def _session_with(self, settings: Settings, tell: Tell) -> Session:
        new = self._session is None
        session = super()._session_with(settings, tell)
        if new:
            make_free(session.nets())
        return session


def free(folder: Path) -> list[list[str]]:
    """Measure one and two workers around nets that cost nothing, to JSON alone and to a video, start-up included."""
    write_detections(folder / "boxes.json", rendered_clip(folder / "clip.mp4", 4, FREE_FRAMES))
    inference = InferenceSettings(ModelChoice(threads=1), DetectorOptions(f"boxes:{folder}/boxes.json"))
    settings = Settings(inference, flags=RunFlags(overwrite=True))
    workers.TaskRunner = FreeRunner  # type: ignore[misc]
    rows = []
    for name, picture in (("JSON alone", None), ("with video", folder / "out.mp4")):
        for count in (1, 2):
            job = VideoJob(folder / "clip.mp4", Outputs(picture, {"coco": folder / "out.json"}))
            wall, busy = time.perf_counter(), machine_busy_s() or 0.0
            workers.run_in_workers([job], settings, count, _Nobody())
            figures = time.perf_counter() - wall, (machine_busy_s() or 0.0) - busy
            rows.append([f"{name}, --workers {count}", *(f"{figure:.1f}" for figure in figures), ""])
    return rows


class _Nobody(Unwatched):
    def advance(self, frames: int, people: int) -> None:
        """Do nothing."""


def main(what: str, place: str | None = None) -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        if what == "hour":
            hour(folder / "hour.mp4")
            rows = compare([folder / "hour.mp4"], folder, ["--stride", "25"], ["--segment", "10m"])
        elif what == "free":
            rows = free(folder)
        else:
            (folder / "in").mkdir()
            rows = compare(shorts(folder / "in"), folder, [], [])
    head = ["", "wall, s", "CPU, s", "memory, MiB"]
    print("\n".join(markdown_table(head, rows)))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
