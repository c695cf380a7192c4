"""Train on the corrected half of a clip, and score the other half: ``python -m tests.studies.fine_tuning``.

The truth of the first half of a rendered crossing stands for poses that were corrected by hand. ``tpose convert --to
coco-train`` makes a training set of it, ``tpose train`` goes on from a bundled model, and ``tpose score`` compares both
models on the second half, and on another clip, in which the new one may have forgotten something. Takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import REPOSITORY

MEDIA = REPOSITORY / "sample_media"
MODEL = "transpose-m-a3"
SHOWN = ("PCK@0.2 of the torso", "OKS-AP ", "mean error, % of height")


def tpose(*words: object) -> str:
    """Run a command, and return what it prints."""
    command = [sys.executable, "-m", "tposecli", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TPOSE_OFFLINE": "1"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def halves(folder: Path, cut: int) -> tuple[Path, Path]:
    """Write the truth before and from a frame into two files."""
    data = json.loads((MEDIA / "crossing.json").read_text(encoding="utf-8"))
    files = folder / "first.json", folder / "second.json"
    for file, later in zip(files, (False, True), strict=True):
        images = [image for image in data["images"] if (image["frame_index"] >= cut) == later]
        ids = {image["id"] for image in images}
        people = [person for person in data["annotations"] if person["image_id"] in ids]
        file.write_text(json.dumps({**data, "images": images, "annotations": people}), encoding="utf-8")
    return files


def score(folder: Path, name: str, second: Path, *weights: object) -> None:
    """Run a model on both clips, and print how it scores."""
    clips = (("crossing", second, ("--start", 2.8)), ("walk", MEDIA / "walk.json", ()))
    for clip, truth, words in clips:
        found = folder / f"{clip}.{name}.json"
        tpose("video", MEDIA / f"{clip}.mp4", "--json", found, *words, *weights, "-q")
        for line in tpose("score", found, truth).splitlines():
            if line.strip().startswith(SHOWN):
                print(f"{name:<7} {clip:<9} {line.strip()}")  # noqa: T201


def main(steps: int) -> None:
    """Print the figures of both models: as measured, and smoothed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = halves(folder, 70)
        score(folder, "before", second, "--model", MODEL)
        corrected, run = folder / "corrected", folder / "run"
        frames = ("--smooth", "none", "--every", 0.12)
        tpose("convert", first, "-i", MEDIA / "crossing.mp4", *frames, "--to", "coco-train", corrected)
        start = tpose("weights", "path", MODEL).strip()
        how = ("--model", MODEL, "--init", start, "--rate", 5e-5, "--final-rate", 5e-6, "--batch-size", 16)
        how += ("--rotate", 0.3, "--colour", 0.5, "--threads", 1)
        tpose("train", "--data", f"{corrected}/ann.json:{corrected}/images", *how, "--steps", steps, "-o", run)
        score(folder, "after", second, "--weights", run / "last.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=54)
    main(parser.parse_args().steps)
