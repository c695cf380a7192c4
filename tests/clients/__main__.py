# ruff: noqa: T201
"""Make pose files with every command that writes them, and read them with the programs that users open them with.

Each group of clients gets an environment of its own, because their wheels of OpenCV overwrite one another. The
environments (4.5 GB) are made in a temporary folder and removed at the end. Prints a table; exits with 1 if a client
fails, cannot be installed, or finds other images, people, coordinates, times or tracks than are in the file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import cv2

from tests.clients.readers import corners, mean, triples
from tposecli.sources import open_video

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "sample_media" / "crossing.mp4"

ENVIRONMENTS = {
    ("pycocotools==2.0.11", "supervision==0.31.2", "opencv-python-headless==4.14.0.94"): ("pycocotools", "supervision"),
    ("sleap-io==0.9.5",): ("sleap-io",),
    ("datumaro==1.13.12",): ("datumaro",),
    ("fiftyone==1.22.1",): ("fiftyone",),
    ("movement==0.15.0",): ("movement",),
    ("kineticstoolkit==0.17.0",): ("kineticstoolkit",),
}
"""Clients by the packages of their environment."""

TOLERANCE = 0.02
"""Pixels by which means of coordinates may differ."""

READERS_OF_JSON = "pycocotools", "supervision", "sleap-io", "datumaro", "fiftyone"
"""The others read files of ``tpose convert --to``."""

LARGEST_PX, LARGEST_S = 1e-4, 1e-6
"""Pixels and seconds by which these may differ from the arrays of ``--npz``."""

TIMEOUT_S = 1800
"""Seconds for everything."""


def tpose(*arguments: object) -> None:
    """Run a command of tposecli."""
    code = "import sys; sys.argv[0] = 'tpose'; from tposecli.cli.main import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments), "-q"]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "TPOSE_OFFLINE": "1"})


def make_files(work: Path) -> list[Path]:
    """Write JSON with each command, and the images that it names; return a folder for each."""
    names = "video", "render", "convert", "sequence", "images", "truth"
    folders = {name: work / name for name in names}
    for folder in folders.values():
        (folder / "images").mkdir(parents=True)
    path = {name: folder / "poses.json" for name, folder in folders.items()}
    frames = folders["render"] / "images" / "%06d.png"
    quick = "--model", "transpose-m-a3"
    tpose("video", CLIP, "--json", path["video"], "--end", 1, *quick)
    journal = path["video"].with_name("poses.json.poses.jsonl")
    tpose("render", journal, "-i", CLIP, "-o", frames, "--json", path["render"])
    tpose("convert", journal, "--json", path["convert"], "--frame-names", "frame_{index:06d}.png")
    tpose("video", frames, "--json", path["sequence"], "--end", 0.5, *quick)
    stills = ROOT / "sample_media" / "stills"
    tpose("images", stills, "--json", path["images"], *quick)
    path["truth"].write_bytes(CLIP.with_suffix(".json").read_bytes())
    write_frames({name: folders[name] for name in ("video", "convert", "truth")})
    for still in stills.iterdir():
        shutil.copy(still, folders["images"] / "images")
    for image in content(path["sequence"])["images"]:
        shutil.copy(frames.with_name(image["file_name"]), folders["sequence"] / "images")
    return list(folders.values())


def make_exchange(folder: Path, journal: Path) -> Path:
    """Write the poses of a journal in formats of other programs, one person with a name; return the folder."""
    folder.mkdir()
    own = Path(shutil.copy(journal, folder))
    tpose("edit", own, "--name", "1=Ana")
    whole = {"dlc-csv": "poses.dlc.csv", "dlc-h5": "poses.h5", "slp": "poses.slp"}
    each = {"nwb": "poses.nwb", "c3d": "poses.c3d"}
    tpose("convert", own, "--npz", folder / "poses.npz", *to(folder, whole))
    tpose("convert", own, "--per-person", *to(folder, each))
    return folder


def to(folder: Path, names: dict[str, str]) -> list[object]:
    return [word for name, file in names.items() for word in ("--to", name, folder / file)]


def write_frames(folders: dict[str, Path]) -> None:
    """Write the frames of the clip under the names that each JSON has for them."""
    tables = [
        (
            folder / "images",
            {image["frame_index"]: image["file_name"] for image in content(folder / "poses.json")["images"]},
        )
        for folder in folders.values()
    ]
    with open_video(CLIP) as video:
        for frame in video:
            for folder, table in tables:
                if frame.index in table:
                    cv2.imwrite(str(folder / table[frame.index]), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))


def content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def expected(path: Path) -> dict[str, float]:
    """Return what a client must find in a file."""
    data = content(path)
    people = data["annotations"]
    return {
        "images": len(data["images"]),
        "people": len(people),
        "keypoints": mean(xy for person in people for xy in triples(person["keypoints"])),
        "boxes": mean(corners(person["bbox"]) for person in people),
        "tracks": len({person["track_id"] for person in people} - {None}),
    }


def verdict(found: dict[str, Any], wanted: dict[str, float]) -> str:
    """Return how a client's findings differ from the file; empty if they do not."""
    if "error" in found:
        return str(found["error"])
    wrong = [
        f"{what}: got {value:g}, expected {wanted[what]:g}"
        for what, value in found.items()
        if abs(value - wanted[what]) > TOLERANCE
    ]
    return "; ".join(wrong)


def start(folder: Path, packages: tuple[str, ...]) -> tuple[subprocess.Popen[bytes], Path]:
    """Make an environment, and begin to install packages into it."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", *packages]
    return subprocess.Popen(command), python


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("--only", choices=[name for names in ENVIRONMENTS.values() for name in names])
    only = parser.parse_args().only
    begun, failures = time.monotonic(), 0
    end = begun + TIMEOUT_S
    with tempfile.TemporaryDirectory(prefix="tpose-clients-") as name:
        work = Path(name)
        wanted = {packages: names for packages, names in ENVIRONMENTS.items() if only is None or only in names}
        installing = {packages: start(work / names[0], packages) for packages, names in wanted.items()}
        folders = make_files(work / "files")
        exchange = make_exchange(work / "exchange", folders[0] / "poses.json.poses.jsonl")
        print(f"{'client':<12} {'JSON of':<10} {'images':>7} {'people':>7} {'tracks':>7}")
        for packages, clients in wanted.items():
            pip, python = installing[packages]
            if pip.wait(max(1, end - time.monotonic())) != 0:
                failures += 1
                print(f"{', '.join(clients)}: FAILED, cannot be installed")
                continue
            for client in clients:
                if client in READERS_OF_JSON:
                    failures += read(client, python, folders, work, end)
                else:
                    failures += read_exchange(client, python, exchange, work, end)
        size = sum(path.lstat().st_size for path in work.rglob("*")) / 1e9
    print(f"{failures} failures, {time.monotonic() - begun:.0f} s, {size:.1f} GB")
    return int(failures > 0)


def read(client: str, python: Path, folders: list[Path], work: Path, end: float) -> int:
    """Read all files with a client, print a line for each, and return the number of failures."""
    lines, log = ask(client, python, "readers.py", folders, work, end)
    failures = 0
    for folder, line in zip(folders, [*lines, *['{"error": "no answer"}'] * (len(folders) - len(lines))], strict=True):
        found = json.loads(line)
        problem = verdict(found, expected(folder / "poses.json"))
        failures += bool(problem)
        counts = " ".join(f"{found.get(what, '-'):>7}" for what in ("images", "people", "tracks"))
        print(f"{client:<12} {folder.name:<10} {counts}  {'FAILED: ' + problem if problem else 'ok'}")
    if failures:
        print(log[-3000:])
    return failures


def read_exchange(client: str, python: Path, folder: Path, work: Path, end: float) -> int:
    """Read files of other programs with a client, print a line for each, and return the number of failures."""
    lines, log = ask(client, python, "exchange.py", [folder], work, end)
    failures = int(not lines)
    for found in map(json.loads, lines):
        wrong = found.get("px", 0) > LARGEST_PX or found.get("s", 0) > LARGEST_S
        problem = found.get("error", "differs" if wrong else "")
        failures += bool(problem)
        apart = "" if "error" in found else f"{found['px']:.1e} px, {found['s']:.1e} s"
        print(f"{client:<15} {found['format']:<10} {apart:<24} {'FAILED: ' + problem if problem else 'ok'}")
    if failures:
        print(log[-3000:])
    return failures


def ask(client: str, python: Path, script: str, folders: list[Path], work: Path, end: float) -> tuple[list[str], str]:
    """Run a client in its environment; return its answers, and what else it said."""
    command = [python, Path(__file__).with_name(script), client, *folders]
    # Nothing is written to the user's own folders, and FiftyOne does not count its users.
    home = {"HOME": str(work), "FIFTYONE_DO_NOT_TRACK": "true", "NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONPATH": ""}
    with (work / f"{client}.log").open("w+b") as log:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            timeout=max(1, end - time.monotonic()),
            env={**os.environ, **home},
            check=False,
        )
        log.seek(0)
        output = log.read().decode(errors="replace")
    return done.stdout.decode().splitlines(), output


if __name__ == "__main__":
    sys.exit(main())
