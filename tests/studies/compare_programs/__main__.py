"""Compare whole runs of ``tpose`` with what people would take instead: speed and accuracy on the same clip.

    python -m tests.studies.compare_programs sample_media/walk.mp4
    python -m tests.studies.compare_programs match.mp4 --annotations match.json --yolo yolo11n-pose.pt --json table.json

Each program runs in a process of its own, from its start to the last file, in turns; the medians are shown. The clip is
repeated until it has ``--frames`` frames; accuracy is that of the first time. YOLO models that are no files have random
weights, which are as fast. Programs that are not there are left out, with a line that says how to get them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import av

from tests import REPOSITORY
from tests.studies.compare_programs.programs import Choice, Files, Program, programs
from tests.studies.spent import Spent, spend
from tposecli.detection.factory import AUTO_BUNDLED, DetectorOptions, build_detector
from tposecli.evaluation.clips.run import ScoreJob, compare
from tposecli.formats.align import PoseInput
from tposecli.inference.options import ModelChoice
from tposecli.inference.runtime import runtime_for
from tposecli.pipeline.postprocess import PostOptions
from tposecli.sources import open_video
from tposecli.utils.report_tables import format_number, markdown_table, to_json
from tposecli.utils.system import cores, processor

HEAD = (
    *("program", "JSON alone, frames/s", "CPU ms a frame", "with video, frames/s", "CPU ms a frame"),
    *("memory, MiB", "OKS-AP", "PCK@0.2", "licence"),
)


@dataclass(slots=True)
class Measured:
    """The runs of one program.

    Attributes:
        program: The program.
        runs: What its runs took, by whether they wrote a video.
        accuracy: OKS-AP and PCK@0.2 by variant of its poses: as measured, smoothed; empty if they are unknown.
        failed: Why it could not run.
    """

    program: Program
    runs: dict[bool, list[Spent]] = field(default_factory=lambda: {False: [], True: []})
    accuracy: list[tuple[float, float | None]] = field(default_factory=list)
    failed: str = ""


def repeated(clip: Path, least: int, path: Path) -> int:
    """Write a clip again and again, its packets copied, until it has so many frames; return how many it has."""
    with av.open(str(clip)) as container:
        once = sum(packet.size > 0 for packet in container.demux(video=0))
    times = max(1, -(-least // once))
    with av.open(str(clip)) as template, av.open(str(path), "w") as output:
        stream = template.streams.video[0]
        copy = output.add_stream_from_template(stream)
        length, shift = 0, 0
        for _ in range(times):
            template.seek(0)
            for packet in template.demux(stream):
                if packet.dts is None or packet.pts is None:
                    continue
                length = max(length, packet.pts + (packet.duration or 0))
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, copy
                output.mux(packet)
            shift += length
    return once * times


def write_boxes(clip: Path, path: Path) -> None:
    """Write the people that the bundled detector finds in each frame, as COCO detections."""
    detector = build_detector(DetectorOptions(AUTO_BUNDLED), runtime_for(ModelChoice(device="cpu"), exact=False))
    rows: list[dict[str, Any]] = []
    with open_video(clip) as source:
        for frame in source:
            (found,) = detector.detect([frame])
            for (left, top, right, bottom), score in zip(found.xyxy.tolist(), found.score.tolist(), strict=True):
                bbox = [left, top, right - left, bottom - top]
                rows.append({"image_id": frame.index + 1, "category_id": 1, "bbox": bbox, "score": score})
    path.write_text(json.dumps(rows))


def accuracy(poses: Path, truth: Path) -> list[tuple[float, float | None]]:
    """Return OKS-AP and PCK@0.2 of the poses of a file, and of the smoothed ones if it has them."""
    if poses.read_text().strip() == "[]":
        return [(0.0, 0.0)]
    scores = compare(ScoreJob(PoseInput(poses), truth), PostOptions()).scores
    own = json.loads(poses.read_text())
    chosen = scores if isinstance(own, dict) else scores[:1]
    return [(score.oks.figures[0], score.accuracy.pck_torso) for score in chosen]


def measure(chosen: Sequence[Program], clip: Path, boxes: Path, truth: Path | None, rounds: int) -> list[Measured]:
    """Run all programs in turns; their files are beside the clip."""
    found, folder = [Measured(program) for program in chosen], clip.parent
    for number in range(rounds):
        for drawn in (False, True):
            for each in found:
                if not each.failed and (each.program.draws or not drawn):
                    _run(each, Files(clip, folder / "poses.json", folder / "drawn.mp4" if drawn else None, boxes))
                    if truth is not None and each.program.trained and not each.failed and not each.accuracy:
                        each.accuracy = accuracy(folder / "poses.json", truth)
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)  # noqa: T201
    return found


def _run(each: Measured, files: Files) -> None:
    drawn = files.drawn is not None
    shutil.rmtree(files.clip.parent / "drawn", ignore_errors=True)
    try:
        each.runs[drawn].append(
            spend(each.program.command(files), each.program.environment, files.clip.parent / "log.txt")
        )
    except RuntimeError as error:
        each.failed = str(error)


def row(each: Measured, frames: int) -> list[str]:
    """Return the cells of a program."""
    cells = [each.program.name]
    for of_kind in each.runs.values():
        rate = median(frames / run.wall_s for run in of_kind) if of_kind else None
        spent = median(1e3 * run.cpu_s / frames for run in of_kind) if of_kind else None
        cells += [format_number(rate, ".1f"), format_number(spent, ".1f")]
    runs = [run for of_kind in each.runs.values() for run in of_kind]
    cells.append(format_number(max((run.peak_mib for run in runs), default=None), ".0f"))
    for figure, form in ((0, ".3f"), (1, ".1%")):
        cells.append(" → ".join(format_number(pair[figure], form) for pair in each.accuracy) or "-")
    return [*cells, each.program.licence]


def notes(found: Sequence[Measured], left_out: Iterable[Program], frames: int) -> Iterator[str]:
    """Yield what must be known about the table."""
    yield f"{frames} frames, start and end of each program included; {processor()}, {cores()} cores."
    others = [run.other_cores for each in found for runs in each.runs.values() for run in runs]
    known = [cores_taken for cores_taken in others if cores_taken is not None]
    if known:
        yield f"Other processes took {median(known):.1f} cores meanwhile (median; {max(known):.1f} at most)."
    if any(not each.program.trained for each in found):
        names = ", ".join(each.program.name for each in found if not each.program.trained)
        yield f"Random weights, so that nothing is found, drawn or scored: {names}."
    for each in found:
        if each.failed:
            yield f"{each.program.name}: failed ({each.failed})."
    for program in left_out:
        yield f"{program.name}: not there; {program.missing}."


def report(found: Sequence[Measured], left_out: Sequence[Program], frames: int) -> list[str]:
    """Return the lines of the table and its notes."""
    rows = [row(each, frames) for each in found if not each.failed]
    return [*markdown_table(HEAD, rows, "---:"), "", *(f"- {note}" for note in notes(found, left_out, frames))]


def _record(each: Measured) -> dict[str, Any]:
    runs = {"with video" if drawn else "JSON alone": list(map(asdict, of)) for drawn, of in each.runs.items()}
    return {"program": each.program.name, "runs": runs, "accuracy": each.accuracy, "failed": each.failed}


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--annotations", type=Path, help="the truth, a COCO keypoint dataset [that of a sample clip]")
    parser.add_argument("--frames", type=int, default=240, help="repeat the clip until it has so many")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default=",".join(Choice().models), help="models of tpose, or auto")
    parser.add_argument("--yolo", default=",".join(Choice().yolo), help="names, or .pt files for accuracy, too")
    parser.add_argument("--mediapipe", default=Choice().mediapipe, metavar="PYTHON", help="interpreter that has it")
    parser.add_argument("--authors", default=Choice().authors, help="the model to run the authors' way")
    parser.add_argument("--json", type=Path, help="write all runs here")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the table."""
    given = _given()
    names = {key: tuple(filter(None, getattr(given, key).split(","))) for key in ("models", "yolo")}
    truth = given.annotations
    if truth is None and given.clip.resolve().parent == REPOSITORY / "sample_media":
        truth = given.clip.with_suffix(".json")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = list(programs(Choice(**names, mediapipe=given.mediapipe, authors=given.authors), folder))
        there = [program for program in every if program.missing is None]
        clip = folder / f"clip{given.clip.suffix}"
        frames = repeated(given.clip, given.frames, clip)
        boxes = folder / "boxes.json"
        write_boxes(clip, boxes)
        found = measure(there, clip, boxes, truth, given.rounds)
    command = shlex.join(["python", "-m", "tests.studies.compare_programs", *sys.argv[1:]])
    print("\n".join([f"`{command}`", "", *report(found, [p for p in every if p.missing], frames)]))  # noqa: T201
    if given.json is not None:
        given.json.write_text(to_json({"command": command, "frames": frames, "programs": list(map(_record, found))}))


if __name__ == "__main__":
    main()
