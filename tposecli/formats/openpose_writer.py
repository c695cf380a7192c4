"""Poses as OpenPose writes them: a folder with a file for each frame, which Pose2Sim and many others read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Poses, Result
from tposecli.utils.errors import OutputError, UsageError
from tposecli.utils.files import check_output, part_path, unwritable, write_text
from tposecli.utils.strict_json import as_json, pixels, scores

OpenposeFormat = Literal["coco18", "coco17"]

SUFFIX: Final = "_keypoints.json"
VERSION: Final = 1.3
NECK: Final = len(KEYPOINTS)
SHOULDERS: Final = [KEYPOINTS.index("left_shoulder"), KEYPOINTS.index("right_shoulder")]
ORDERS: Final[dict[str, list[int]]] = {
    "coco18": [0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3],
    "coco17": list(range(len(KEYPOINTS))),
}
"""Our keypoint (17 is the neck) at each place of a format."""

_UNUSED: Final[dict[str, list[float]]] = {
    f"{part}_keypoints_{d}d": []
    for d in (2, 3)
    for part in ("pose", "face", "hand_left", "hand_right")
    if (part, d) != ("pose", 2)
}
"""What OpenPose writes of parts it did not look for."""


class OpenposeSink:
    """``FOLDER/NAME_000000000000_keypoints.json`` for each frame, empty ones included; the number is the frame's index.

    NAME is the stem of the video's, or of each still's, own name. ``pose_keypoints_2d`` are x, y, score, smoothed where
    smoothing ran; ``person_id`` is the track id, or -1. Keypoints below the minimum score are 0, 0, 0, which is
    OpenPose's way to say that they were not found. Where smoothing ran, ``raw_pose_keypoints_2d`` are as measured
    (none for people put in where they were missed), and ``coco_keypoint_flags`` the 17 flags in COCO's order.

    ``coco18`` is OpenPose's own COCO model: its order of keypoints, and a neck in the middle of the shoulders, as sure
    as the less sure of them. ``coco17`` keeps COCO's order; Pose2Sim calls the two ``COCO`` and ``COCO_17``.

    The files are written into a folder beside and moved when ``close`` is told that the run is complete. Files of an
    earlier run in FOLDER go then, lest a reader take the frames of both for one run.

    Args:
        folder: Where to.
        min_score: Keypoints scored lower count as not found.
        layout: Which keypoints in which order.

    Raises:
        OutputError: The folder cannot be made.
    """

    def __init__(self, folder: Path, min_score: float = 0.2, layout: OpenposeFormat = "coco18") -> None:
        self._folder = folder
        self._part = part_path(folder)
        self._min_score = min_score
        self._order = ORDERS[layout]
        self._closed = False
        try:
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error

    def write(self, result: Result) -> None:
        """Write the file of one frame."""
        frame = result.frame
        name = f"{PurePath(frame.name).stem}_{frame.index:012d}{SUFFIX}"
        people = [
            {"person_id": [track], "pose_keypoints_2d": numbers, **_UNUSED}
            for track, numbers in zip(result.final.track_id.tolist(), self._numbers(result.final), strict=True)
        ]
        if result.smoothed is not None:
            raw = [*self._numbers(result.poses), *[[]] * (len(people) - len(result.poses))]
            for person, numbers, flags in zip(people, raw, result.final.flags.tolist(), strict=True):
                person |= {"raw_pose_keypoints_2d": numbers, "coco_keypoint_flags": flags}
        write_text(self._part / name, as_json({"version": VERSION, "people": people}), durable=False)

    def close(self, complete: bool) -> None:
        """Move the files into the folder, or remove them; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        try:
            if complete:
                self._publish()
        finally:
            shutil.rmtree(self._part, ignore_errors=True)

    def _publish(self) -> None:
        try:
            self._folder.mkdir(exist_ok=True)
            for old in list(openpose_files(self._folder)):
                old.unlink()
            for new in os.listdir(self._part):
                os.replace(self._part / new, self._folder / new)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _numbers(self, poses: Poses) -> list[list[Any]]:
        """Flat x, y, score of each person."""
        xy = np.concatenate([poses.xy, poses.xy[:, SHOULDERS].mean(axis=1, keepdims=True)], axis=1)
        score = np.concatenate([poses.score, poses.score[:, SHOULDERS].min(axis=1, keepdims=True)], axis=1)
        found: NDArray[np.bool_] = score >= self._min_score
        columns = pixels(np.where(found[:, :, None], xy, 0)), scores(np.where(found, score, 0))
        return [
            [number for joint in self._order for number in (*points[joint], sure[joint])]
            for points, sure in zip(*columns, strict=True)
        ]


def check_openpose(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds such files already, before any work is done.

    Raises:
        UsageError: It does and ``overwrite`` is off, or it is a file.
        OutputError: The folder cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for the OpenPose files")
    if not overwrite and folder.is_dir() and next(openpose_files(folder), None) is not None:
        raise UsageError(f"{folder} holds *{SUFFIX} files already; add --overwrite to replace them all")
    check_output(folder.with_name(folder.name + SUFFIX), overwrite=True)


def openpose_files(folder: Path) -> Iterator[Path]:
    """The files that OpenPose, or this sink, left in a folder."""
    return folder.glob(f"*{SUFFIX}")
