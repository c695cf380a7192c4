"""How long the first frame is waited for: ``python -m tests.studies.gpu_run.first_frame MODEL ...``.

In fresh processes: first with empty caches (kernels of Triton and CUDA, exported nets, notes of what is fastest), then
with those that this has left.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.studies.gpu_run import rows
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.nets import checkpoint_of
from tposecli.lab.bench.scene import rendered_clip
from tposecli.lab.bench.whole import measured_child

CACHES = ("TPOSE_HOME", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH", "TORCHINDUCTOR_CACHE_DIR")
FRAMES = 48
PEOPLE = 3


def main() -> None:
    """Measure, and print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    rows.head(("model", "caches", "everything loaded, s", "first frame, s", "all frames, s", "memory, MiB"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        rendered_clip(clip, PEOPLE, FRAMES)
        for model in given.models:
            checkpoint = checkpoint_of(model, folder)
            os.environ |= {cache: str(folder / model / cache.lower()) for cache in CACHES}
            for caches in ("empty", "there"):
                facts = measured_child(clip, BenchJob(device=given.device), checkpoint, folder)
                rows.row(model, caches, *(facts[key] for key in ("ready_s", "first_s", "wall_s", "peak_mib")))
    rows.note(f"{FRAMES} frames of 720p with {PEOPLE} people, annotated video and JSON; from the start of the process.")


if __name__ == "__main__":
    main()
