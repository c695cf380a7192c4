"""Training sets of corrected poses: read by ``tpose train`` and by ultralytics."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.formats.test_exchange import INFO, SIZE, film, poses_of, run, write
from tposecli.detection.yolo import load_ultralytics
from tposecli.formats.base import WriteOptions
from tposecli.formats.exchange.options import ExchangeOptions
from tposecli.formats.exchange.training_set import CocoTrainingSet
from tposecli.lab.training.data_sources import ReadOptions, read_sources
from tposecli.types import Flag, Frame, Result


def clip(folder: Path, frames: int = 8) -> tuple[Path, Path]:
    """A film of noise, and its poses."""
    rng = np.random.default_rng(1)
    for index in range(frames):
        noise = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"f{index:03d}.png"), cv2.resize(noise, SIZE))
    poses = write(folder / "poses.csv", "wide-csv", film(frames, time_s=lambda index: index / 25))
    return folder / "f%03d.png", poses


def convert_clip(folder: Path, name: str, *words: object) -> Path:
    frames, poses = clip(folder)
    ran = run("convert", poses, "-i", frames, "--to", name, folder / "set", "--smooth", "none", *words)
    assert ran.exception is None, ran.output
    return folder / "set"


def test_a_coco_training_set_has_the_people_at_their_places(tmp_path: Path) -> None:
    folder = convert_clip(tmp_path, "coco-train", "--every", 0.08)
    data = json.loads((folder / "ann.json").read_text())
    assert [image["frame_index"] for image in data["images"]] == [0, 2, 4, 6]
    images = {image["id"]: image for image in data["images"]}
    truth = {result.frame.index: result.final for result in film(8)}
    assert len(data["annotations"]) == sum(len(truth[image["frame_index"]]) for image in data["images"])
    for person in data["annotations"]:
        image = images[person["image_id"]]
        poses = truth[image["frame_index"]]
        row = poses.track_id.tolist().index(person["track_id"])
        xyv = np.array(person["keypoints"]).reshape(17, 3)
        seen = poses.score[row] > 0
        assert (xyv[:, 2] == np.where(seen, 2, 0)).all() and person["num_keypoints"] == seen.sum()
        assert np.abs(xyv[seen, :2] + image["offset"] - poses.xy[row][seen]).max() <= 0.011
        left, top, width, height = person["bbox"]
        assert left >= 0 and top >= 0 and left + width <= image["width"] and top + height <= image["height"]
    for image in data["images"]:
        left, top = image["offset"]
        whole = cv2.imread(str(tmp_path / f"f{image['frame_index']:03d}.png"))
        cut = cv2.imread(str(folder / "images" / image["file_name"]))
        assert cut.shape[:2] == (image["height"], image["width"])
        same = whole[top : top + image["height"], left : left + image["width"]]
        assert np.corrcoef(cut.ravel(), same.ravel())[0, 1] > 0.99


def test_tpose_train_accepts_the_training_set(tmp_path: Path) -> None:
    folder = convert_clip(tmp_path, "coco-train", "--every", 0)
    assert run("validate", folder / "ann.json").exception is None
    how = ReadOptions(tmp_path, tmp_path, (192, 256), tmp_path / "readable", strict=True)
    layout, (source,) = read_sources([f"{folder}/ann.json:{folder}/images"], how, print)
    assert layout.is_coco and len(source.people) == 13


def test_ultralytics_accepts_yolos_labels(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    load_ultralytics()  # Keeps it from changing the process and from the network.
    from ultralytics.data.utils import verify_image_label as check

    folder = convert_clip(tmp_path, "yolo-pose", "--every", 0)
    results = film(8)
    assert (folder / "data.yaml").read_text().startswith("# ")
    for result, image in zip(results, sorted((folder / "images").iterdir()), strict=True):
        label = folder / "labels" / f"{image.stem}.txt"
        _, boxes, _, _, keypoints, missing, found, empty, corrupt, message = check(
            (str(image), str(label), "", True, 1, 17, 3, False)
        )
        assert (missing, found, empty, corrupt, message) == (0, 1, 0, 0, "")
        poses, size = result.final, np.array(SIZE)
        assert len(boxes) == len(poses)
        seen = poses.score > 0
        order = np.argsort(keypoints[:, 0, 0])
        assert (keypoints[order][:, :, 2] == np.where(seen, 2, 0)).all()
        assert np.abs((keypoints[order][:, :, :2] * size - 0.5 - poses.xy)[seen]).max() < 0.006


def test_a_training_set_needs_its_pictures_and_people(tmp_path: Path) -> None:
    frames, poses = clip(tmp_path)
    ran = run("convert", poses, "--to", "coco-train", tmp_path / "set")
    assert "name the video or the images with -i" in str(ran.exception)
    ran = run("convert", poses, "-i", frames, "--to", "coco-train", tmp_path / "set", "--min-score", 1)
    assert "no frame has a person with 5 reliable keypoints" in str(ran.exception)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("name", ["coco-train", "yolo-pose"])
def test_only_a_training_set_is_replaced(tmp_path: Path, name: str) -> None:
    folder = convert_clip(tmp_path, name, "--every", 0)
    words = "convert", tmp_path / "poses.csv", "-i", tmp_path / "f%03d.png", "--smooth", "none"
    assert run(*words, "--to", name, folder, "--every", 0.2, "--overwrite").exception is None
    assert [len(list(part.iterdir())) for part in folder.iterdir() if part.is_dir()] == [2] * (
        1 + (name == "yolo-pose")
    )
    (tmp_path / "mine" / "images").mkdir(parents=True)
    photo = tmp_path / "mine" / "images" / "photo.jpg"
    photo.write_bytes(b"mine")
    ran = run(*words, "--to", name, tmp_path / "mine", "--overwrite")
    assert "not of a training set of tpose" in str(ran.exception) and photo.read_bytes() == b"mine"


def test_images_of_the_same_name_and_people_without_ids(tmp_path: Path) -> None:
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    results = [Result(Frame(image, n, 0.0, f"{n}/a.png"), poses_of(n, [-1])) for n in range(3)]
    sink = CocoTrainingSet(tmp_path / "set", WriteOptions(INFO, image_ids=[1, 2, 3]))
    for result in results:
        sink.write(result)
    sink.close(complete=True)
    data = json.loads((tmp_path / "set" / "ann.json").read_text())
    names = [image["file_name"] for image in data["images"]]
    assert len(set(names)) == 3 == len(list((tmp_path / "set" / "images").iterdir()))
    assert {person["track_id"] for person in data["annotations"]} == {None}
    assert run("validate", tmp_path / "set" / "ann.json").exception is None


def test_keypoints_that_were_guessed_are_no_labels_and_corrected_ones_are(tmp_path: Path) -> None:
    folder, results = tmp_path / "set", []
    for index in range(6):
        poses = poses_of(index, [1])
        poses.flags[0, 5] = Flag.FILLED
        poses.flags[0, 6] = Flag.CORRECTED if index == 3 else Flag.OUTLIER
        poses.score[0, 6] = 0.05
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        results.append(Result(Frame(image, index, index / 25, "walk.mp4"), poses))
    sink = CocoTrainingSet(folder, WriteOptions(INFO, exchange=ExchangeOptions(every_s=10)))
    for result in results:
        sink.write(result)
    sink.close(complete=True)
    data = json.loads((folder / "ann.json").read_text())
    assert [image["frame_index"] for image in data["images"]] == [0, 3]
    marks = [person["keypoints"][2::3] for person in data["annotations"]]
    assert [mark[5:7] for mark in marks] == [[0, 0], [0, 2]]
