"""Training sets of corrected poses with their pictures: COCO's for ``tpose train``, and YOLO's for pose models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.base import HEAD_BYTES, WriteOptions
from tposecli.formats.exchange.whole_files import publish_folder
from tposecli.formats.frame_names import FrameNames
from tposecli.types import UNTRACKED, Flag, Image, Poses, Result
from tposecli.utils.coco_records import COCO_PERSON
from tposecli.utils.errors import UsageError
from tposecli.utils.files import TemporaryFolder, unwritable, write_text
from tposecli.utils.strict_json import as_json, pixels

IMAGES: Final = "images"
ANNOTATIONS: Final = "ann.json"
PATTERN: Final = f"{IMAGES}/*.jpg"

MIN_KEYPOINTS: Final = 5
"""Labelled keypoints that a person needs."""

GUESSED: Final = Flag.FILLED | Flag.OUTLIER
"""Keypoints that smoothing put in are not labels."""

SURROUNDINGS: Final = 0.5
"""What is kept around people on each side, relative to the longer side of their box: training turns crops."""

QUALITY: Final = 95

HEAD: Final = "# Written by tpose convert. These frames follow one another: validate on those of other clips."
"""First line of ``data.yaml``."""


class TrainingSet(ABC):
    """A folder with the pictures of some frames and the labels of the people in them.

    A frame is taken every ``every_s`` seconds if it has people, and where a keypoint was set by hand. Keypoints below
    the minimum score and those that smoothing put in are not labelled.

    Args:
        path: The folder.
        options: What it holds.
    """

    main: str
    """The file that describes the set."""
    mark: bytes
    """What its beginning holds if it was made here."""
    patterns: tuple[str, ...] = (PATTERN,)
    """Files of a set that is replaced."""

    def __init__(self, path: Path, options: WriteOptions) -> None:
        self._check_old(path)
        self._path, self._options = path, options
        self._names = options.frame_names or FrameNames(str(options.info.get("source") or ""))
        self._next_s, self.count = -np.inf, 0
        self._taken: set[str] = set()
        try:
            self._folder = TemporaryFolder(path)
            (self._folder.path / IMAGES).mkdir()
        except OSError as error:
            raise unwritable(path, error) from error

    def _check_old(self, path: Path) -> None:
        """Refuse a folder with images that are not of a set made here: an old set is removed.

        Raises:
            UsageError: There are such images.
        """
        if not any(path.glob(PATTERN)):
            return
        try:
            with (path / self.main).open("rb") as file:
                ours = self.mark in file.read(HEAD_BYTES)
        except OSError:
            ours = False
        if not ours:
            raise UsageError(f"{path}: holds images that are not of a training set of tpose; choose another folder")

    @property
    def folder(self) -> Path:
        """Where the files are until they are complete."""
        return self._folder.path

    def write(self, result: Result) -> None:
        """Take a frame, or leave it out."""
        frame, poses = result.frame, result.final
        labelled = _labelled(poses, self._options.min_score)
        kept = labelled.sum(axis=1) >= MIN_KEYPOINTS
        corrected = (poses.flags[kept] & Flag.CORRECTED).any()
        due = self._options.stills or frame.time_s >= self._next_s
        if not kept.any() or not (due or corrected):
            return
        if due:
            self._next_s = frame.time_s + self._options.exchange.every_s - 1e-6
        name = frame.name if self._options.stills else self._names.name(frame.name, frame.index, self.count)
        self.count += 1
        self.add(result, poses[kept], labelled[kept], f"{self._unique(Path(name).stem)}.jpg")

    def _unique(self, stem: str) -> str:
        """Return a name that no image before has; those of different folders may be the same."""
        stem = stem if stem not in self._taken else f"{stem}_{self.count}"
        self._taken.add(stem)
        return stem

    @abstractmethod
    def add(self, result: Result, poses: Poses, labelled: NDArray[np.bool_], name: str) -> None:
        """Add a picture and its people.

        Args:
            result: The frame.
            poses: Its people.
            labelled: (N, K) keypoints that are labels.
            name: Name of the picture.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what belongs to all pictures."""

    def save(self, image: Image, name: str) -> None:
        """Write a picture, (H, W, 3) RGB.

        Raises:
            OutputError: It cannot be written.
        """
        import cv2

        _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        try:
            (self.folder / IMAGES / name).write_bytes(data.tobytes())
        except OSError as error:
            raise unwritable(self._path, error) from error

    def close(self, complete: bool) -> None:
        """Publish the folder, or remove it; closing twice is harmless.

        Raises:
            UsageError: There is nobody to train on.
        """
        try:
            if complete and self.folder.is_dir():
                if not self.count:
                    raise UsageError(
                        f"{self._path}: no frame has a person with {MIN_KEYPOINTS} reliable keypoints; use a lower "
                        "--min-score"
                    )
                self.finish()
                publish_folder(self.folder, self._path, self.patterns)
        finally:
            self._folder.remove()


class CocoTrainingSet(TrainingSet):
    """``ann.json`` and ``images/``, cut to the people and their surroundings; see :class:`TrainingSet`."""

    main = ANNOTATIONS
    mark = b'"tool":"tposecli"'

    def __init__(self, path: Path, options: WriteOptions) -> None:
        super().__init__(path, options)
        self._images: list[dict[str, Any]] = []
        self._people: list[dict[str, Any]] = []

    def add(self, result: Result, poses: Poses, labelled: NDArray[np.bool_], name: str) -> None:
        """Add a picture and its people."""
        frame = result.frame
        left, top, right, bottom = _around(poses, labelled, frame.size_wh)
        self.save(frame.image[top:bottom, left:right], name)
        image = {"id": self.count, "file_name": name, "width": right - left, "height": bottom - top}
        origin = {"offset": [left, top], "video": frame.name, "frame_index": frame.index, "time_s": frame.time_s}
        self._images.append({**image, **origin})
        corners = poses.boxes.xyxy.astype(np.float64) - (left, top, left, top)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        xyv = _with_visibility(poses.xy - np.array((left, top), np.float32), labelled)
        for box, keypoints, track in zip(boxes, xyv, poses.track_id.tolist(), strict=True):
            self._people.append(
                {
                    "id": len(self._people) + 1,
                    "image_id": self.count,
                    "category_id": COCO_PERSON,
                    "bbox": pixels(box),
                    "area": pixels(box[2] * box[3]),
                    "iscrowd": 0,
                    "keypoints": pixels(keypoints.ravel()),
                    "num_keypoints": int((keypoints[:, 2] > 0).sum()),
                    "track_id": None if track == UNTRACKED else track,
                }
            )

    def finish(self) -> None:
        """Write the annotations."""
        layout = self._options.layout
        skeleton = [[first + 1, second + 1] for first, second in layout.limbs]
        person = {"id": COCO_PERSON, "name": "person", "keypoints": list(layout.names), "skeleton": skeleton}
        lists = {"categories": [person], "images": self._images, "annotations": self._people}
        write_text(self.folder / self.main, as_json({"info": self._options.info, **lists}), durable=False)


class YoloTrainingSet(TrainingSet):
    """``images/``, whole frames; ``labels/``, a line for each person; ``data.yaml``; see :class:`TrainingSet`."""

    main = "data.yaml"
    mark = HEAD.encode()
    patterns = (PATTERN, "labels/*.txt")

    def __init__(self, path: Path, options: WriteOptions) -> None:
        super().__init__(path, options)
        (self.folder / "labels").mkdir()

    def add(self, result: Result, poses: Poses, labelled: NDArray[np.bool_], name: str) -> None:
        """Add a picture and its people."""
        self.save(result.frame.image, name)
        size = np.array(result.frame.size_wh, np.float64)
        inside = (poses.xy >= -0.5) & (poses.xy <= size - 0.5)
        xyv = _with_visibility((poses.xy + 0.5) / size, labelled & inside.all(axis=2))
        corners = ((poses.boxes.xyxy.reshape(-1, 2, 2) + 0.5) / size).clip(0, 1)
        centres, sides = corners.mean(axis=1), corners[:, 1] - corners[:, 0]
        rows = np.concatenate([np.zeros((len(poses), 1)), centres, sides, xyv.reshape(len(poses), -1)], axis=1)
        lines = [" ".join(f"{number:.7g}" for number in row) + "\n" for row in rows[sides.min(axis=1) > 0]]
        write_text(self.folder / "labels" / f"{Path(name).stem}.txt", "".join(lines), durable=False)

    def finish(self) -> None:
        """Write the description of the data set."""
        layout = self._options.layout
        lines = [
            HEAD,
            f"train: {IMAGES}",
            f"val: {IMAGES}",
            f"kpt_shape: [{len(layout)}, 3]",
            f"flip_idx: {list(layout.mirror)}",
            "names:",
            "  0: person",
            "kpt_names:",
            f"  0: {as_json(layout.names)}",
        ]
        write_text(self.folder / self.main, "\n".join(lines) + "\n", durable=False)


def _labelled(poses: Poses, min_score: float) -> NDArray[np.bool_]:
    """Return the (N, K) keypoints that are labels."""
    by_hand = (poses.flags & Flag.CORRECTED) > 0
    measured = (poses.score >= min_score) & ((poses.flags & GUESSED) == 0)
    return np.asarray((poses.score > 0) & (measured | by_hand))


def _with_visibility(xy: NDArray[Any], labelled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (N, K, 3) x, y, v: v is 2, or all are 0."""
    return np.where(labelled[:, :, None], np.concatenate([xy, np.full_like(xy[:, :, :1], 2)], axis=2), 0.0)


def _around(poses: Poses, labelled: NDArray[np.bool_], size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of people with their surroundings, whole pixels within the frame."""
    joints = poses.xy[labelled]
    low = np.minimum(poses.boxes.xyxy[:, :2].min(axis=0), joints.min(axis=0))
    high = np.maximum(poses.boxes.xyxy[:, 2:].max(axis=0), joints.max(axis=0))
    sides = poses.boxes.xyxy[:, 2:] - poses.boxes.xyxy[:, :2]
    margin = SURROUNDINGS * max(float(sides.max()), 1.0)
    left, top = np.floor(np.maximum(low - margin, 0)).astype(int).tolist()
    right, bottom = np.ceil(np.minimum(high + margin + 1, size_wh)).astype(int).tolist()
    return left, top, max(right, left + 1), max(bottom, top + 1)
