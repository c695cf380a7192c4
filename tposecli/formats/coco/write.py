"""Write COCO JSON: a keypoint dataset, for annotation tools, and a list of results, for the COCO API.

Files are written during the run, one record per line, so that memory does not grow with the length of the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from tposecli.formats.base import WriteOptions
from tposecli.formats.frame_names import FrameNames
from tposecli.formats.jsonlines import JsonLinesSink
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.hub.checkpoints.calibration import calibration_of
from tposecli.sinks.base import Sink
from tposecli.sinks.destination import STDOUT
from tposecli.types import UNTRACKED, Float32, Frame, Result
from tposecli.utils.coco_records import COCO_PERSON
from tposecli.utils.files import PartFile
from tposecli.utils.strict_json import JsonArrayWriter, as_json, pixels, scores


def image_ids(names: Sequence[str]) -> list[int]:
    """Return the ids of images, in their order: the numbers in the file names if all are distinct, else 1..n.

    ``000000000139.jpg`` is image 139, as in COCO.
    """
    stems = [PurePath(name).stem for name in names]
    if all(stem.isascii() and stem.isdecimal() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(names) + 1))


def numbering(ids: Sequence[int]) -> str:
    """Return what the ids of images are: their ``order``, or the numbers in their ``names``."""
    return "order" if list(ids) == list(range(1, len(ids) + 1)) else "names"


def open_coco(path: Path, options: WriteOptions) -> Sink:
    """Open a sink for a COCO dataset or for COCO results; on standard output, JSON lines."""
    if path == STDOUT:
        return JsonLinesSink(label=options.label)
    if options.variant == "results":
        return CocoResultsSink(path, options.image_ids)
    return CocoDatasetSink(
        path, options.info, options.min_score, options.image_ids, options.describe_attention, options.frame_names
    )


class CocoResultsSink:
    """A bare list of results for ``COCO.loadRes`` and for test servers, without boxes, which would change AP.

    People are written with ``Poses.person_score``, smoothed if smoothing ran.
    """

    def __init__(self, path: Path, ids: Sequence[int] | None = None) -> None:
        """Begin the file.

        Args:
            path: The file to write; it appears once ``close`` marks the run as complete.
            ids: Image id for each ``Frame.index``, see :func:`image_ids`; None numbers the written frames from 1.

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
        common = {"image_id": image_id, "category_id": COCO_PERSON}
        self._lines.add(*({**common, "keypoints": keypoints, "score": score} for keypoints, score in numbers))

    def close(self, complete: bool) -> None:
        """Finish and publish the file, or remove it; closing twice is harmless."""
        self._part.close(complete, [b"\n]\n"])


class CocoDatasetSink:
    """A COCO keypoint dataset that CVAT, FiftyOne and the COCO API open.

    ``keypoints`` are smoothed if smoothing ran, ``raw_keypoints`` are unsmoothed (null for people whom gap filling
    added), both as x, y, v with v = 2 at or above the minimum score, 1 below it, and 0 for joints that another tool
    did not find: the net gives every keypoint a score above 0. ``num_keypoints`` counts v > 0, as COCO's does. ``area``
    is that of the box, ``segmentation`` is empty, and CVAT and datumaro read track ids from ``attributes``. Extensions:
    ``score`` (``Poses.person_score``), ``keypoint_scores``, ``keypoint_flags`` and ``track_id``, null for people that
    were not tracked; and, from models with a calibration, ``probability`` and ``keypoint_probabilities``, which say
    what both kinds of scores are worth. Every frame of a video has its own ``file_name``; ``video`` names the video.
    """

    def __init__(
        self,
        path: Path,
        info: Mapping[str, Any],
        min_score: float = 0.2,
        ids: Sequence[int] | None = None,
        describe_attention: Callable[[Result], Sequence[Mapping[str, Any]]] | None = None,
        names: FrameNames | None = None,
    ) -> None:
        """Begin the file.

        Args:
            path: The file to write; it appears once ``close`` marks the run as complete.
            info: Provenance and keypoint layout, for the ``info`` field.
            min_score: Keypoints with a lower score are marked as not visible.
            ids: Image id for each ``Frame.index`` of stills, see :func:`image_ids`; None for a video, whose frames are
                numbered from 1 as they are written and carry ``frame_index``, ``pts`` and ``time_s``.
            describe_attention: Returns the ``attention`` field of each person; None for no such field.
            names: Image names of a video's frames; None for the default ones.

        Raises:
            OutputError: The file cannot be written.
        """
        self._min_score = min_score
        self._calibration, self._detector = calibration_of(info), str(info.get("detector"))
        self._describe_attention = describe_attention
        self._ids = ids
        self._names = names or FrameNames(str(info.get("source") or ""))
        category = as_json(_category(KeypointLayout.from_dict(info)))
        head = f'{{"info":{as_json(info)},\n"licenses":[],\n"categories":[{category}],\n"images":['
        self._part = PartFile(path)
        self._images = JsonArrayWriter(self._part.file, head)
        # JSON has one list after the other, but frames bring both at once: annotations wait in a file of their own.
        self._annotations_part = PartFile(path)
        self._annotations = JsonArrayWriter(self._annotations_part.file)

    def write(self, result: Result) -> None:
        """Add a frame, with or without people."""
        image = self._image(result.frame)
        self._images.add(image)
        common, people = {"image_id": image["id"], "category_id": COCO_PERSON}, self._people(result)
        numbers = range(self._annotations.count + 1, self._annotations.count + 1 + len(people))
        self._annotations.add(*({"id": n, **common, **person} for n, person in zip(numbers, people, strict=True)))

    def close(self, complete: bool) -> None:
        """Join images and annotations and publish the file, or remove it; closing twice is harmless."""
        try:
            self._part.close(complete, self._ending())
        finally:
            self._annotations_part.close(False)

    def _ending(self) -> Iterator[bytes]:
        """Yield what follows the images: the annotations."""
        yield b'\n],\n"annotations":['
        self._annotations_part.file.seek(0)
        while piece := self._annotations_part.file.read(1 << 20):
            yield piece
        yield b"\n]}\n"

    def _image(self, frame: Frame) -> dict[str, Any]:
        width, height = frame.size_wh
        if self._ids is not None:
            return {"id": self._ids[frame.index], "file_name": frame.name, "width": width, "height": height}
        name = self._names.name(frame.name, frame.index, self._images.count)
        video = {} if name == frame.name else {"video": frame.name or self._names.source}
        times = {"frame_index": frame.index, "pts": frame.pts, "time_s": frame.time_s}
        return {
            "id": self._images.count + 1,
            "file_name": name,
            **video,
            **times,
            "width": width,
            "height": height,
        }

    def _people(self, result: Result) -> list[dict[str, Any]]:
        """Return an annotation for each person, without its ids."""
        poses, raw = result.final, result.poses
        keypoints = self._keypoints(np.concatenate([poses.xy, raw.xy]), np.concatenate([poses.score, raw.score]))
        corners = poses.boxes.xyxy.astype(np.float64)
        sides = corners[:, 2:] - corners[:, :2]
        track_ids = [None if track == UNTRACKED else track for track in poses.track_id.tolist()]
        columns: dict[str, Sequence[Any]] = {
            "segmentation": [[]] * len(poses),
            "bbox": pixels(np.concatenate([corners[:, :2], sides], axis=1)),
            "area": pixels(sides.prod(axis=1)),
            "iscrowd": [0] * len(poses),
            "keypoints": keypoints[: len(poses)],
            "num_keypoints": (poses.score > 0).sum(axis=1).tolist(),
            "score": scores(poses.person_score),
            "keypoint_scores": scores(poses.score),
            "raw_keypoints": keypoints[len(poses) :] + [None] * (len(poses) - len(raw)),
            "keypoint_flags": poses.flags.tolist(),
            "track_id": track_ids,
            "attributes": [{} if track is None else {"track_id": track} for track in track_ids],
        }
        if self._calibration is not None:
            columns["probability"] = scores(self._calibration.person_probability(poses, self._detector))
            columns["keypoint_probabilities"] = scores(self._calibration.keypoint_probability(poses.score))
        if self._describe_attention is not None:
            added: list[Mapping[str, Any]] = [{}] * (len(poses) - len(raw))
            columns["attention"] = [*self._describe_attention(result), *added]
        return [dict(zip(columns, person, strict=True)) for person in zip(*columns.values(), strict=True)]

    def _keypoints(self, xy: Float32, score: Float32) -> list[list[Any]]:
        """Return flat x, y, v of each person."""
        visibility = np.where(score >= self._min_score, 2, 1)
        return _triples(xy, np.where(score > 0, visibility, 0).ravel().tolist())


def _category(layout: KeypointLayout) -> dict[str, Any]:
    skeleton = [[first + 1, second + 1] for first, second in layout.limbs]
    return {
        "id": COCO_PERSON,
        "name": "person",
        "supercategory": "person",
        "keypoints": layout.names,
        "skeleton": skeleton,
    }


def _triples(xy: Float32, third: list[Any]) -> list[list[Any]]:
    """Return flat x, y, third of each person; ``xy`` is (N, K, 2) pixels, ``third`` has N * K numbers."""
    flat: list[Any] = [0] * (3 * len(third))
    flat[::3], flat[1::3] = pixels(xy.reshape(-1, 2).T)
    flat[2::3] = third
    width = 3 * xy.shape[1]
    return [flat[person * width : (person + 1) * width] for person in range(len(xy))]
