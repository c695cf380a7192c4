"""What is compared: how each program is started, and what it needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.lab.bench.nets import checkpoint_of
from tposecli.utils.system import cores

PEERS: Final = Path(__file__).parent / "peers"
EXPLAINING: Final = "transpose-s-a4"
AUTHORS_MODEL: Final = "transpose-m-a3"
YOLO: Final = ("yolo11n-pose", "yolo11s-pose")
FAIR: Final = {"OMP_NUM_THREADS": str(cores()), "OMP_WAIT_POLICY": "PASSIVE"}
"""For other programs on torch: all cores, where ultralytics takes one, and threads that sleep while they wait, as those
of ``tpose`` do, so that a busy machine costs all of them the same."""
HOW_TO_GET: Final = {
    "ultralytics": "pip install ultralytics (its licence is the AGPL-3.0)",
    "mediapipe": "python -m venv mp && mp/bin/pip install 'mediapipe<=0.10.21', then --mediapipe mp/bin/python",
}


@dataclass(frozen=True, slots=True)
class Files:
    """What a program reads and writes.

    Attributes:
        clip: The video.
        poses: Where the poses go.
        drawn: Where the annotated video goes; None for no video.
        boxes: The people of each frame, for programs that find none themselves.
    """

    clip: Path
    poses: Path
    drawn: Path | None
    boxes: Path


Command = Callable[[Files], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Program:
    """A program to compare.

    Attributes:
        name: Its name and model.
        command: Its command line for some files.
        licence: Its licence.
        trained: Whether it has weights from training; random ones are as fast, and as accurate as chance.
        draws: Whether it can write an annotated video.
        environment: Variables to set.
        missing: How to get it, where it is not there; None if it is.
    """

    name: str
    command: Command
    licence: str
    trained: bool = True
    draws: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user says of the programs.

    Attributes:
        models: Models of ``tpose``: names of the catalogue, or ``auto``.
        yolo: Names of YOLO models without a suffix, or ``.pt`` files.
        mediapipe: The interpreter that has MediaPipe.
        authors: The model that is run the authors' way.
    """

    models: tuple[str, ...] = ("auto", EXPLAINING)
    yolo: tuple[str, ...] = YOLO
    mediapipe: str = sys.executable
    authors: str = AUTHORS_MODEL


def programs(choice: Choice, folder: Path) -> Iterator[Program]:
    """Yield the programs; weights that are not on this machine are random ones in ``folder``."""
    for name in choice.models:
        yield _tpose(name, checkpoint_of(name, folder), folder)
    for name in choice.yolo:
        yield _yolo(name)
    yield _mediapipe(choice.mediapipe)
    checkpoint = checkpoint_of(choice.authors, folder)
    yield _authors(checkpoint, checkpoint.path.parent != folder)


def _tpose(name: str, checkpoint: Checkpoint, folder: Path) -> Program:
    own = checkpoint.path.parent != folder
    how = ["--offline", "--overwrite", "--quiet"]
    if name != "auto":
        how += ["--model", name]
    if not own:
        how += ["--weights", str(checkpoint.path)]

    def command(files: Files) -> Sequence[object]:
        drawn = [] if files.drawn is None else ["-o", files.drawn]
        return [sys.executable, "-m", "tposecli", "video", files.clip, "--json", files.poses, *drawn, *how]

    default = ", the default without a network" if name == "auto" else ""
    return Program(f"tpose, {checkpoint.spec.name}{default}", command, "MIT", own)


def _yolo(name: str) -> Program:
    trained = name.endswith(".pt")
    model = str(Path(name).resolve()) if trained else f"{name}.yaml"

    def command(files: Files) -> Sequence[object]:
        drawn = [] if files.drawn is None else [files.drawn.with_suffix("")]
        return [sys.executable, PEERS / "ultralytics_pose.py", files.clip, files.poses, model, *drawn]

    return Program(
        f"ultralytics, {Path(name).stem}",
        command,
        "AGPL-3.0",
        trained,
        environment=FAIR,
        missing=None if _has(sys.executable, "ultralytics") else HOW_TO_GET["ultralytics"],
    )


def _mediapipe(python: str) -> Program:
    def command(files: Files) -> Sequence[object]:
        drawn = [] if files.drawn is None else [files.drawn]
        return [python, PEERS / "mediapipe_pose.py", files.clip, files.poses, *drawn]

    there = _has(python, "mediapipe.python.solutions.pose")
    return Program(
        "MediaPipe Pose (one person)", command, "Apache-2.0", missing=None if there else HOW_TO_GET["mediapipe"]
    )


def _authors(checkpoint: Checkpoint, trained: bool) -> Program:
    name, script = checkpoint.spec.name, f"{__package__}.peers.authors_way"

    def command(files: Files) -> Sequence[object]:
        return [sys.executable, "-m", script, files.clip, files.poses, files.boxes, name, checkpoint.path]

    return Program(f"the authors' way, {name}, boxes given", command, "MIT", trained, draws=False, environment=FAIR)


def _has(python: str, module: str) -> bool:
    """Return whether an interpreter finds a module."""
    code = f"import sys, importlib.util as u; sys.exit(u.find_spec({module!r}) is None)"
    try:
        return not subprocess.run([python, "-c", code], capture_output=True, check=False).returncode
    except OSError:
        return False
