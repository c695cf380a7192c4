"""COCO files: a dataset that annotation tools open, and results that the COCO API scores.

Both are written as the run goes, one record per line, so memory does not grow with the length of the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.types import UNTRACKED, Float32, Frame, Result
from tposecli.utils.files import NamedFile, PartFile
from tposecli.utils.strict_json import JsonArrayWriter, as_json, pixels, scores

PERSON: Final = 1
"""COCO's category of people."""


def image_ids(names: Sequence[str]) -> list[int]:
    """Ids of the images, in their order: the file names' own numbers if all are numbers and distinct, else 1..n.

    ``000000000139.jpg`` is image 139, as in COCO.
    """
    stems = [PurePath(name).stem for name in names]
    if all(stem.isascii() and stem.isdecimal() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(names) + 1))


class CocoResultsSink:
    """A results file: a bare list for ``COCO.loadRes`` and for test servers, without boxes, which would change AP.

    Everybody is written with ``Poses.person_score``, smoothed where smoothing ran.
    """

    def __init__(self, path: Path, ids: Sequence[int] | None = None) -> None:
        """Begin the file.

        Args:
            path: The file to write; it appears when ``close`` is told that the run is complete.
            ids: Image id for each ``Frame.index``, see :func:`image_ids`; None numbers the frames written from 1.

        Raises:
            OutputError: The file cannot be written.
        """
        self._ids = ids
        self._frames = 0
        self._part = PartFile(path)
        self._lines = JsonArrayWriter(self._part.file, "[")

    def write(self, result: Result) -> None:
        """Add the people of a frame."""
        self._frames += 1
        image_id = self._frames if self._ids is None else self._ids[result.frame.index]
        poses = result.final
        numbers = zip(_triples(poses.xy, scores(poses.score.ravel())), scores(poses.person_score), strict=True)
        same = {"image_id": image_id, "category_id": PERSON}
        self._lines.add(*({**same, "keypoints": keypoints, "score": score} for keypoints, score in numbers))

    def close(self, complete: bool) -> None:
        """End the file and give it its name, or remove it; closing twice is harmless."""
        self._part.close(complete, [b"\n]\n"])


class CocoDatasetSink:
    """A COCO keypoint dataset that CVAT, FiftyOne and the COCO API open.

    ``keypoints`` are smoothed where smoothing ran, ``raw_keypoints`` as measured (null for people put in where they
    were missed), both as x, y, v with v = 2 at or above the minimum score, 1 below it, and 0 for joints that another
    tool has not found: the net gives every keypoint a score above 0. ``num_keypoints`` counts v > 0, as COCO's does.
    ``area`` is that of the box. Ours besides: ``score`` (``Poses.person_score``), ``keypoint_scores``,
    ``keypoint_flags`` and ``track_id``, null for people that were not tracked.
    """

    def __init__(
        self,
        path: Path,
        info: Mapping[str, Any],
        min_score: float = 0.2,
        ids: Sequence[int] | None = None,
        explain: Callable[[Result], Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        """Begin the file.

        Args:
            path: The file to write; it appears when ``close`` is told that the run is complete.
            info: Where the poses came from and which keypoints they have, for the ``info`` field.
            min_score: Keypoints scored lower are marked as not visible.
            ids: Image id for each ``Frame.index`` of stills, see :func:`image_ids`; None for a video, whose frames are
                numbered from 1 as they are written and carry ``frame_index``, ``pts`` and ``time_s``.
            explain: Gives a frame's people what goes into their field ``attention``; None for no such field.

        Raises:
            OutputError: The file cannot be written.
        """
        self._min_score = min_score
        self._explain = explain
        self._ids = ids
        category = as_json(_category(KeypointLayout.of_facts(info)))
        head = f'{{"info":{as_json(info)},\n"licenses":[],\n"categories":[{category}],\n"images":['
        self._part = PartFile(path)
        self._images = JsonArrayWriter(self._part.file, head)
        self._rest = path.with_name(path.name + ".annotations.part")
        self._rest_file = NamedFile(self._rest)
        self._annotations = JsonArrayWriter(self._rest_file)

    def write(self, result: Result) -> None:
        """Add a frame, people or not."""
        image = self._image(result.frame)
        self._images.add(image)
        same, people = {"image_id": image["id"], "category_id": PERSON}, self._people(result)
        numbers = range(self._annotations.count + 1, self._annotations.count + 1 + len(people))
        self._annotations.add(*({"id": n, **same, **person} for n, person in zip(numbers, people, strict=True)))

    def close(self, complete: bool) -> None:
        """Join images and annotations and give the file its name, or remove it; closing twice is harmless."""
        try:
            self._part.close(complete, self._ending())
        finally:
            self._rest_file.raw.close()
            self._rest.unlink(missing_ok=True)

    def _ending(self) -> Iterator[bytes]:
        """The annotations, behind the images."""
        yield b'\n],\n"annotations":['
        self._rest_file.seek(0)
        while piece := self._rest_file.read(1 << 20):
            yield piece
        yield b"\n]}\n"

    def _image(self, frame: Frame) -> dict[str, Any]:
        width, height = frame.size_wh
        if self._ids is not None:
            return {"id": self._ids[frame.index], "file_name": frame.name, "width": width, "height": height}
        times = {"frame_index": frame.index, "pts": frame.pts, "time_s": frame.time_s}
        return {"id": self._images.count + 1, "file_name": frame.name, **times, "width": width, "height": height}

    def _people(self, result: Result) -> list[dict[str, Any]]:
        """An annotation for each person, without its ids."""
        poses, raw = result.final, result.poses
        marked = self._marked(np.concatenate([poses.xy, raw.xy]), np.concatenate([poses.score, raw.score]))
        corners = poses.boxes.xyxy.astype(np.float64)
        sides = corners[:, 2:] - corners[:, :2]
        columns: dict[str, Sequence[Any]] = {
            "bbox": pixels(np.concatenate([corners[:, :2], sides], axis=1)),
            "area": pixels(sides.prod(axis=1)),
            "iscrowd": [0] * len(poses),
            "keypoints": marked[: len(poses)],
            "num_keypoints": (poses.score > 0).sum(axis=1).tolist(),
            "score": scores(poses.person_score),
            "keypoint_scores": scores(poses.score),
            "raw_keypoints": marked[len(poses) :] + [None] * (len(poses) - len(raw)),
            "keypoint_flags": poses.flags.tolist(),
            "track_id": [None if track == UNTRACKED else track for track in poses.track_id.tolist()],
        }
        if self._explain is not None:
            columns["attention"] = [*self._explain(result), *[{}] * (len(poses) - len(result.poses))]
        return [dict(zip(columns, person, strict=True)) for person in zip(*columns.values(), strict=True)]

    def _marked(self, xy: Float32, score: Float32) -> list[list[Any]]:
        """Flat x, y, v of each person."""
        marks = np.where(score >= self._min_score, 2, 1)
        return _triples(xy, np.where(score > 0, marks, 0).ravel().tolist())


def _category(layout: KeypointLayout) -> dict[str, Any]:
    skeleton = [[first + 1, second + 1] for first, second in layout.limbs]
    return {"id": PERSON, "name": "person", "supercategory": "person", "keypoints": layout.names, "skeleton": skeleton}


def _triples(xy: Float32, third: list[Any]) -> list[list[Any]]:
    """Flat x, y, third of each person; ``xy`` is (N, K, 2) pixels, ``third`` has N * K numbers."""
    flat: list[Any] = [0] * (3 * len(third))
    flat[::3], flat[1::3] = pixels(xy.reshape(-1, 2).T)
    flat[2::3] = third
    width = 3 * xy.shape[1]
    return [flat[person * width : (person + 1) * width] for person in range(len(xy))]
