"""What reads files of others, and good files for it to begin with."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.support.media import Film, numbered, orient, write_image

MAX_PIXELS = 1 << 22
MAX_FRAMES = 200
CORPUS = Path(__file__).resolve().parent / "corpus"

Seeds = dict[str, bytes]


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: Also of its folder in the corpus.
        seeds: Makes good files, by file name, in a folder.
        read: Reads one; raises TposeError at most.
        is_json: Values are changed, too, not only bytes.
    """

    name: str
    seeds: Callable[[Path], Seeds]
    read: Callable[[Path], object]
    is_json: bool = False

    def examples(self, folder: Path) -> Seeds:
        """The good files, and the bad ones that were trouble once."""
        kept = sorted((CORPUS / self.name).glob("*")) if (CORPUS / self.name).is_dir() else []
        return self.seeds(folder) | {path.name: path.read_bytes() for path in kept}


# ---- poses


def _poses(folder: Path) -> Seeds:
    """A journal and all that can be made of it."""
    from tposecli.cli.watchers import QuietWatcher
    from tposecli.formats.align import PoseInput
    from tposecli.formats.journal.journal import JournalWriter
    from tposecli.pipeline.job import FileSettings, Outputs, RunFlags, Settings
    from tposecli.pipeline.rerun import ConvertJob, convert
    from tposecli.types import Boxes, Frame, Poses

    header: dict[str, Any] = {"source": "in.mp4", "size_wh": [64, 48], "fps": "25", "time_base": "1/25"}
    header |= {"options": {"smooth": "one-euro"}, "tool_version": "0", "command": "tpose", "window": None}
    journal = folder / "walk.poses.jsonl"
    with_frames = JournalWriter(journal, header)
    for index in range(4):
        frame = Frame(np.zeros((48, 64, 3), np.uint8), index, index / 25, "in.mp4", index)
        people = index % 3
        boxes = Boxes(np.tile([1.0, 2.0, 30.0, 40.0], (people, 1)), np.full(people, 0.9))
        with_frames.write(frame, Poses(boxes, np.full((people, 17, 2), 9.5), np.full((people, 17), 0.8)))
    with_frames.close()
    names = {"coco": "walk.json", "mmpose": "walk.mmpose.json", "openpose": "openpose"}
    names |= {"wide-csv": "walk.wide.csv", "dlc-csv": "walk.dlc.csv"}
    outputs = Outputs(poses={key: folder / name for key, name in names.items()})
    flags = RunFlags(overwrite=True)
    convert(ConvertJob(PoseInput(journal), outputs), Settings(flags=flags), QuietWatcher())
    results = Outputs(poses={"coco": folder / "results.json"})
    settings = Settings(files=FileSettings({"coco": "results"}), flags=flags)
    convert(ConvertJob(PoseInput(journal), results), settings, QuietWatcher())
    files = [journal, *folder.glob("*.json"), *folder.glob("*.csv"), *sorted((folder / "openpose").glob("*.json"))[-1:]]
    return {path.name: path.read_bytes() for path in files}


def _journal(path: Path) -> None:
    from tposecli.formats.journal.journal import read_journal

    for _ in read_journal(path):
        pass


def _convert(path: Path) -> None:
    from tposecli.cli.watchers import QuietWatcher
    from tposecli.formats.align import PoseInput
    from tposecli.pipeline.job import Outputs, RunFlags, Settings
    from tposecli.pipeline.rerun import ConvertJob, convert

    folder = path.parent / "out"
    names = {"csv": "o.csv", "coco": "o.json", "npz": "o.npz", "mmpose": "o.mmpose.json"}
    outputs = Outputs(poses={key: folder / name for key, name in names.items()})
    given = PoseInput(path, fps=Fraction(25), size_wh=(64, 48))
    convert(ConvertJob(given, outputs), Settings(flags=RunFlags(overwrite=True)), QuietWatcher())


def _validate(path: Path) -> None:
    from tposecli.formats.validate import validate

    validate(path)


# ---- boxes and annotations


def _annotations(folder: Path) -> Seeds:
    person: dict[str, Any] = {"image_id": 139, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 900.5, "iscrowd": 0}
    person |= {"keypoints": [5, 6, 2] * 17, "num_keypoints": 17}
    image = {"id": 139, "file_name": "000000000139.jpg", "width": 64, "height": 48}
    category = {"id": 1, "name": "person", "keypoints": [str(n) for n in range(17)], "skeleton": [[1, 2]]}
    people = [{**person, "id": number, "segmentation": [[1, 2, 30, 2, 30, 40]]} for number in range(3)]
    dataset = {"images": [image, {**image, "id": 7, "frame_index": 0}], "annotations": people, "categories": [category]}
    return {
        "dataset.json": json.dumps(dataset).encode(),
        "detections.json": json.dumps([{**person, "score": 0.5}] * 3).encode(),
    }


def _boxes(path: Path) -> None:
    from tposecli.detection.boxes_file import BoxesFile
    from tposecli.types import Frame

    image = np.zeros((48, 64, 3), np.uint8)
    BoxesFile(path).detect([Frame(image, 0, name="000000000139.jpg"), Frame(image, 0, 0.0, "in.mp4", 0)])


def _truth(path: Path) -> None:
    from tposecli.evaluation.coco.boxes import truth_boxes
    from tposecli.evaluation.coco.job import DataChoice
    from tposecli.evaluation.coco.keypoint_set import load_set
    from tposecli.evaluation.coco.problems import Problems
    from tposecli.lab.training.dataset import AnnotationFile, read_people
    from tposecli.lab.training.detector.dataset import read_photos
    from tposecli.utils.errors import TposeError

    readers: tuple[Callable[[], object], ...] = (
        lambda: truth_boxes(load_set(DataChoice(None, annotations=path, images=path.parent), Problems())),
        lambda: read_people(AnnotationFile(path, path.parent), Problems()),
        lambda: read_photos(path, path.parent),
    )
    (path.parent / "000000000139.jpg").touch()
    for read in readers:
        try:
            read()
        except TposeError:
            continue


def _detections(path: Path) -> None:
    from tposecli.detection.factory import DetectorOptions
    from tposecli.evaluation.coco.boxes import choose_boxes
    from tposecli.evaluation.coco.job import DataChoice, EvalJob
    from tposecli.evaluation.coco.keypoint_set import load_set
    from tposecli.evaluation.coco.problems import Problems

    data = path.parent / "fixed" / "dataset.json"
    if not data.exists():
        data.parent.mkdir()
        data.write_bytes(_annotations(path.parent)["dataset.json"])
    choice = DataChoice(None, annotations=data, images=path.parent)
    job = EvalJob(choice, boxes=str(path), detector=DetectorOptions())
    choose_boxes(job, load_set(choice, Problems()), Problems())


# ---- weights


def _weights(folder: Path) -> Seeds:
    import torch
    from safetensors.torch import save_file

    state = {"conv1.weight": torch.zeros(2, 3, 3, 3), "bn1.num_batches_tracked": torch.tensor(3)}
    torch.save(state, folder / "new.pth")
    torch.save({"state_dict": state}, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, folder / "small.safetensors")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _state(path: Path) -> None:
    from tposecli.hub.checkpoints.load import read_state

    read_state(path)


# ---- pictures


def _stills(folder: Path) -> Seeds:
    endings = (".jpg", ".png", ".webp", ".bmp", ".tiff", ".gif", ".ppm", ".jp2", ".avif")
    for ending in endings:
        write_image(folder / f"still{ending}", numbered(5))
    orient(write_image(folder / "turned.jpg", numbered(6)), 6)
    write_image(folder / "deep.png", np.full((9, 9), 40_000, np.uint16))
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(numbered(number), cv2.COLOR_RGB2BGRA) for number in range(3)]
    animation.durations = [40, 50, 60]
    cv2.imwriteanimation(str(folder / "moving.webp"), animation, [])
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _image(path: Path) -> None:
    from tposecli.sources.images import read_image
    from tposecli.sources.webp import AnimationSource
    from tposecli.utils.errors import InputError

    if path.suffix == ".webp":
        try:
            for _ in itertools.islice(AnimationSource(path, max_pixels=MAX_PIXELS), MAX_FRAMES):
                pass
        except InputError:
            pass
    read_image(path, max_pixels=MAX_PIXELS)


def _zips(folder: Path) -> Seeds:
    found: Seeds = {}
    picture = write_image(folder / "1.png", numbered(1)).read_bytes()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w", method) as writer:
            for number in range(3):
                writer.writestr(f"in/{number}.png", picture)
        found[f"shots{method}.zip"] = memory.getvalue()
    return found


def _zip(path: Path) -> None:
    from tposecli.sources import ImageSource, find_images
    from tposecli.sources.image_store import ImageZip

    for _ in ImageSource(find_images([path]), max_pixels=MAX_PIXELS):
        pass
    ImageZip(path).read("in/1.png")


def _lists(folder: Path) -> Seeds:
    write_image(folder / "1.png", numbered(1))
    return {"list.txt": b"# pictures\n1.png\n\n*.png\n[1].png\n"}


def _list(path: Path) -> None:
    from tposecli.sources import find_images

    find_images([path])


# ---- videos


def _films(folder: Path) -> Seeds:
    small: dict[str, Any] = {"pts": range(6), "size": (32, 16)}
    makes: dict[str, dict[str, Any]] = {
        **{f"film{ending}": {"options": {"bf": "1", "g": "3"}} for ending in (".mp4", ".mkv", ".avi", ".ts", ".mov")},
        "sound.mp4": {"sound": ("aac",), "sound_s": 0.1},
        "turned.mp4": {"turn": (90, False)},
        "film.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
        "film.gif": {"codec": "gif", "pix_fmt": "rgb8", "options": {}, "format": "gif", "time_base": Fraction(1, 100)},
        "film.h264": {"options": {"bf": "0"}},
        "mpeg4.avi": {"codec": "mpeg4", "options": {}},
        "raw.mkv": {"codec": "ffv1", "options": {}},
        "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "options": {}},
        "film.mpg": {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme"}, "size": (32, 32)},
    }
    for name, make in makes.items():
        Film(**(small | make)).write(folder / name)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _video(path: Path) -> None:
    from tposecli.sources.video import VideoSource

    with VideoSource(path, max_pixels=MAX_PIXELS) as video:
        for frame in itertools.islice(video, MAX_FRAMES):
            assert frame.image.size <= 3 * MAX_PIXELS


TARGETS = (
    Target("journal", _poses, _journal, is_json=True),
    Target("convert", _poses, _convert, is_json=True),
    Target("validate", _poses, _validate, is_json=True),
    Target("boxes", _annotations, _boxes, is_json=True),
    Target("annotations", _annotations, _truth, is_json=True),
    Target("detections", _annotations, _detections, is_json=True),
    Target("weights", _weights, _state),
    Target("images", _stills, _image),
    Target("zip", _zips, _zip),
    Target("list", _lists, _list),
    Target("video", _films, _video),
)


def target(name: str) -> Target:
    """The reader of that name."""
    return next(target for target in TARGETS if target.name == name)


def corpus_files() -> Iterator[tuple[Target, Path]]:
    """What was trouble once."""
    for reader in TARGETS:
        for path in sorted((CORPUS / reader.name).glob("*")):
            yield reader, path
