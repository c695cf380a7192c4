"""Every frame of a video has an image name of its own, which our readers map back to its frame."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.formats.test_coco import result
from tposecli.cli.main import cli
from tposecli.detection.boxes_file import BoxesFile
from tposecli.formats.base import PoseFile
from tposecli.formats.coco.write import CocoDatasetSink
from tposecli.formats.frame_names import FrameNames, check_pattern, frame_name
from tposecli.formats.read import read_poses
from tposecli.formats.validate import validate
from tposecli.geometry.keypoints import COCO
from tposecli.pipeline.outputs import written_names
from tposecli.sinks.encoding import VideoOptions
from tposecli.sinks.scale import Scale
from tposecli.types import Frame
from tposecli.utils.errors import UsageError


def dataset(path: Path, names: list[str], frame_names: FrameNames | None = None, source: str = "walk.mp4") -> Any:
    """Write a dataset of frames 3, 4, ... whose own names are given."""
    info = {"tool": "tposecli", "source": source, **COCO.to_dict()}
    sink = CocoDatasetSink(path, info, names=frame_names)
    for index, name in enumerate(names, start=3):
        one = result(index, 1 + index % 2)
        sink.write(replace(one, frame=replace(one.frame, name=name)))
    sink.close(complete=True)
    return json.loads(path.read_text())


def names_of(content: Any) -> list[str]:
    return [image["file_name"] for image in content["images"]]


def test_frames_of_a_video_have_distinct_names(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    content = dataset(path, ["walk.mp4"] * 3)
    assert names_of(content) == ["walk_000003.jpg", "walk_000004.jpg", "walk_000005.jpg"]
    assert {image["video"] for image in content["images"]} == {"walk.mp4"}
    for person in content["annotations"]:
        assert person["segmentation"] == [] and person["attributes"] == {"track_id": person["track_id"]}
    assert validate(path).problem_count == 0


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a b%20.mov", "a b_20_000007.jpg"),
        ("http://x/y/z.m3u8", "z_000007.jpg"),
        ("", "frame_000007.jpg"),
        ("-", "-_000007.jpg"),
        ("...", "frame_000007.jpg"),
        ("camera 0", "camera 0_000007.jpg"),
        ("dance.gif", "dance_000007.jpg"),
        ("x" * 300 + ".mp4", "x" * 180 + "_000007.jpg"),
    ],
)
def test_names_are_safe_file_names(source: str, name: str) -> None:
    assert FrameNames(source).name(source, 7, 0) == name


def test_frames_read_from_images_keep_their_names(tmp_path: Path) -> None:
    content = dataset(tmp_path / "p.json", ["b.png", "c/d.PNG"], source="%06d.png")
    assert names_of(content) == ["b.png", "c/d.PNG"]
    assert "video" not in content["images"][0]


def test_frames_written_as_images_have_the_names_of_the_files(tmp_path: Path) -> None:
    names = FrameNames("walk.mp4", written="x%04d.png")
    content = dataset(tmp_path / "p.json", ["walk.mp4"] * 2, names)
    assert names_of(content) == ["x0000.png", "x0001.png"]
    assert [image["frame_index"] for image in content["images"]] == [3, 4]


@pytest.mark.parametrize(
    ("picture", "options", "side_by_side", "names"),
    [
        ("d/%06d.png", VideoOptions(), False, "%06d.png"),
        ("d/%06d.png", VideoOptions(), True, ""),
        ("d/%06d.png", VideoOptions(scale=Scale.parse("0.5")), False, ""),
        ("d/%06d.png", VideoOptions(rate=25), False, ""),  # type: ignore[arg-type]
        ("d/o.mp4", VideoOptions(), False, ""),
        (None, VideoOptions(), False, ""),
    ],
)
def test_names_of_written_images_only_where_coordinates_fit(
    picture: str | None, options: VideoOptions, side_by_side: bool, names: str
) -> None:
    assert written_names(None if picture is None else Path(picture), options, side_by_side) == names


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("frame_{index:06d}.png", "frame_000012.png"),
        ("frame_{index:06}.PNG", "frame_000012.PNG"),
        ("{stem}-{index}.jpg", "walk-12.jpg"),
        ("f%04d.jpg", "f0012.jpg"),
        ("sub/{index:3d}.png", "sub/ 12.png"),
    ],
)
def test_patterns(pattern: str, name: str) -> None:
    assert frame_name(check_pattern(pattern), "walk.mp4", 12) == name


@pytest.mark.parametrize(
    "pattern",
    ["", "x.png", "{index}", "{index}.mp4", "{index}{index}.png", "{other}.png", "{index.__class__}.png", "%s.png"],
)
def test_bad_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="frame-names"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["", "frame_{index:06d}.png"])
def test_datasets_read_back_and_converted_keep_frames_and_names(tmp_path: Path, pattern: str) -> None:
    first, second = tmp_path / "p.json", tmp_path / "q.json"
    content = dataset(first, ["walk.mp4"] * 3, FrameNames("walk.mp4", pattern))
    found = read_poses(first)
    assert isinstance(found, PoseFile) and not found.stills
    assert [frame.index for frame in found.frames] == [3, 4, 5]
    if not pattern:
        assert {frame.name for frame in found.frames} == {"walk.mp4"}
    ran = CliRunner().invoke(cli, ["convert", str(first), "--json", str(second), "--smooth", "none", "-q"])
    assert ran.exit_code == 0, ran.output
    assert names_of(json.loads(second.read_text())) == names_of(content)
    image = np.zeros((480, 640, 3), np.uint8)
    frames = [Frame(image, index, index / 30, "walk.mp4", index) for index in (3, 4, 5)]
    assert [len(boxes) for boxes in BoxesFile(second).detect(frames)] == [2, 1, 2]
    third = ["convert", str(first), "--json", str(second), "--frame-names", "f%d.png", "--overwrite", "-q"]
    assert CliRunner().invoke(cli, third).exit_code == 0
    assert names_of(json.loads(second.read_text())) == ["f3.png", "f4.png", "f5.png"]


@pytest.mark.parametrize("name", ["walk.mp4", "walk.gif"])
def test_old_files_in_which_all_frames_have_one_name_are_read(tmp_path: Path, name: str) -> None:
    path, again = tmp_path / "old.json", tmp_path / "new.json"
    content = dataset(path, ["walk.mp4"] * 3)
    for image in content["images"]:
        image.update(file_name=name)
        del image["video"]
    content["info"]["source"] = name
    path.write_text(json.dumps(content))
    assert any("occurs 3 times" in problem for problem in validate(path).problems)
    ran = CliRunner().invoke(cli, ["convert", str(path), "--json", str(again), "-q"])
    assert ran.exit_code == 0, ran.output
    assert names_of(json.loads(again.read_text())) == ["walk_000003.jpg", "walk_000004.jpg", "walk_000005.jpg"]
    del content["info"]["source"]
    path.write_text(json.dumps(content))
    assert CliRunner().invoke(cli, ["convert", str(path), "--json", str(again), "--overwrite", "-q"]).exit_code == 0
    assert len(set(names_of(json.loads(again.read_text())))) == 3


def test_boxes_of_our_datasets_are_found_by_frame_and_by_image_name(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    content = dataset(path, ["walk.mp4"] * 3)
    image = np.zeros((480, 640, 3), np.uint8)
    counts = [sum(one["image_id"] == number for one in content["annotations"]) for number in (1, 2, 3)]
    for frames in (
        [Frame(image, index, index / 30, "walk.mp4", index) for index in (3, 4, 5)],
        [Frame(image, place, 0.0, name) for place, name in enumerate(names_of(content))],
    ):
        assert [len(boxes) for boxes in BoxesFile(path).detect(frames)] == counts


def test_track_ids_that_contradict_each_other_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    content = dataset(path, ["walk.mp4"])
    content["annotations"][0]["attributes"]["track_id"] = 9
    path.write_text(json.dumps(content))
    assert validate(path).problems == ["annotation 1: track_id 1, but attributes have 9"]
