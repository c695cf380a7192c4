"""Read COCO JSON with one client, in that client's own environment: nothing of tposecli is imported here.

Usage: ``python readers.py CLIENT FOLDER...``, where each folder holds ``poses.json`` and ``images/``. Prints one line
of JSON per folder: what the client found, or the error that it raised.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Found = dict[str, Any]


def read_pycocotools(folder: Path) -> Found:
    from pycocotools.coco import COCO

    coco = COCO(folder / "poses.json")
    people = list(coco.anns.values())
    return {
        "images": len({image["file_name"] for image in coco.imgs.values()}),
        "people": len(people),
        "keypoints": mean(xy for person in people for xy in triples(person["keypoints"])),
        "boxes": mean(corners(person["bbox"]) for person in people),
    }


def read_supervision(folder: Path) -> Found:
    import supervision

    dataset = supervision.DetectionDataset.from_coco(str(folder / "images"), str(folder / "poses.json"))
    found = [detections for _, _, detections in dataset]  # Decodes every image.
    boxes = [box.tolist() for detections in found for box in detections.xyxy]
    return {"images": len(dataset), "people": len(boxes), "boxes": mean(boxes)}


def read_sleap_io(folder: Path) -> Found:
    import numpy as np
    import sleap_io

    labels = sleap_io.load_coco(str(folder / "poses.json"), dataset_root=str(folder / "images"))
    instances = [instance for frame in labels for instance in frame.instances]
    points = np.concatenate([instance.numpy() for instance in instances]) if instances else np.zeros((0, 2))
    # Frames without people have no labels; they are in the list of images.
    names = {name for video in labels.videos for name in video.filename}
    return {
        "images": len(names),
        "people": len(instances),
        "keypoints": mean(points.tolist()),
        "tracks": len(labels.tracks),
    }


def read_datumaro(folder: Path) -> Found:
    import datumaro

    with tempfile.TemporaryDirectory() as root:
        os.makedirs(f"{root}/annotations")
        os.makedirs(f"{root}/images")
        shutil.copytree(folder / "images", f"{root}/images/default")
        shutil.copy(folder / "poses.json", f"{root}/annotations/person_keypoints_default.json")
        items = list(datumaro.Dataset.import_from(root, "coco_person_keypoints"))
        people = [one for item in items for one in item.annotations if one.type.name == "points"]
        images = sum(item.media is not None and item.media.data is not None for item in items)
    points = [xy for one in people for xy in zip(one.points[::2], one.points[1::2], strict=True)]
    tracks = {one.attributes["track_id"] for one in people if "track_id" in one.attributes}
    return {"images": images, "people": len(people), "keypoints": mean(points), "tracks": len(tracks)}


def read_fiftyone(folder: Path) -> Found:
    """Use the importer itself: a dataset would need FiftyOne's database server."""
    from fiftyone.utils.coco import COCODetectionDatasetImporter

    importer = COCODetectionDatasetImporter(
        data_path=str(folder / "images"),
        labels_path=str(folder / "poses.json"),
        label_types=["detections", "keypoints"],
    )
    names, points, tracks, boxes = set(), [], set(), 0
    with importer:
        for path, metadata, labels in importer:
            names.add(path)
            if not Path(path).is_file():
                raise ValueError(f"{path} does not exist")
            people = labels["keypoints"].keypoints if labels and labels.get("keypoints") else []
            boxes += len(labels["detections"].detections) if labels and labels.get("detections") else 0
            points += [(x * metadata.width, y * metadata.height) for one in people for x, y in one.points]
            tracks |= {one["track_id"] for one in people if one["track_id"] is not None}
    return {"images": len(names), "people": boxes, "keypoints": mean(points), "tracks": len(tracks)}


def triples(flat: list[float]) -> Iterable[tuple[float, float]]:
    return zip(flat[::3], flat[1::3], strict=True)


def corners(box: list[float]) -> list[float]:
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def mean(rows: Iterable[Iterable[float]]) -> float:
    """Return the mean of all numbers, 0 for none."""
    numbers = [float(number) for row in rows for number in row]
    return sum(numbers) / max(1, len(numbers))


READERS = {
    "pycocotools": read_pycocotools,
    "supervision": read_supervision,
    "sleap-io": read_sleap_io,
    "datumaro": read_datumaro,
    "fiftyone": read_fiftyone,
}


def main() -> None:
    read = READERS[sys.argv[1]]
    answers = sys.stdout
    sys.stdout = sys.stderr  # Some clients print.
    for name in sys.argv[2:]:
        try:
            found = read(Path(name))
        except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer.
            found = {"error": f"{type(error).__name__}: {error}"[:300]}
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
