"""Numbers in names are numbers: order, frames of sparse annotations, and files of several cameras."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.support.media import Film
from tposecli.formats.align import PoseInput, read_aligned
from tposecli.formats.frame_numbers import frame_indices, split_number
from tposecli.formats.with_frames import read_with_frames
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.utils.errors import InputError


def openpose(folder: Path, names: list[str]) -> Path:
    """Write OpenPose files; the x coordinate of the nose is the position in the list."""
    folder.mkdir(exist_ok=True)
    for place, name in enumerate(names):
        numbers = [10.0 + place, 20.0, 1.0] + [30.0, 40.0, 1.0] * 16
        people = {"people": [{"person_id": [-1], "pose_keypoints_2d": numbers}]}
        (folder / f"{name}_keypoints.json").write_text(json.dumps(people))
    return folder


def dataset(path: Path, names: list[str]) -> Path:
    """Write a COCO dataset without frame_index; the x coordinate of the nose is the position in the list."""
    images = [{"id": place + 1, "file_name": name, "width": 128, "height": 64} for place, name in enumerate(names)]
    annotations: list[dict[str, Any]] = [
        {"id": n, "image_id": n, "category_id": 1, "keypoints": [10 + n - 1, 20, 2] + [30, 40, 2] * 16}
        for n in range(1, len(names) + 1)
    ]
    categories = [{"id": 1, "name": "person", "keypoints": list(KEYPOINTS)}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def noses(given: PoseInput) -> dict[int, float]:
    """Return the x coordinate of the nose by frame index."""
    return {frame.index: float(frame.poses.xy[0, 0, 0]) for frame in read_aligned(given).frames if len(frame.poses)}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("frame_000003.PNG", ("frame_", 3)),
        ("12", ("", 12)),
        ("a1b22c.jpg", ("a1b", 22)),
        ("folder9/x", None),
        ("a\\b7", ("b", 7)),
    ],
)
def test_last_number_of_a_name(name: str, found: tuple[str, int] | None) -> None:
    assert split_number(name) == found


@pytest.mark.parametrize(
    ("names", "indices"),
    [
        (["frame_000000.png", "frame_000003.png"], [0, 3]),
        (["f1.png", "f2.png", "f3.png"], [0, 1, 2]),
        (["f3.png", "f7.png"], [3, 7]),
        (["a.png", "b.png"], None),
        (["a1.png", "b2.png"], None),
        (["f1.png", "f01.png"], None),
        (["20240101120000.png"], None),
    ],
)
def test_frames_of_names(names: list[str], indices: list[int] | None) -> None:
    assert frame_indices(names) == indices


# ---- OpenPose


@pytest.mark.parametrize("pattern", ["cam_{}", "{}", "cam{:02}", "x{:06}", "x_{:012}"])
def test_openpose_files_are_in_the_order_of_their_numbers(tmp_path: Path, pattern: str) -> None:
    folder = openpose(tmp_path / "op", [pattern.format(number) for number in range(12)])
    found = noses(PoseInput(folder, fps=Fraction(30), size_wh=(64, 64)))
    assert found == {number: 10.0 + number for number in range(12)}


def test_gaps_between_unpadded_files_stay(tmp_path: Path) -> None:
    folder = openpose(tmp_path / "op", ["cam_0", "cam_9", "cam_10"])
    assert noses(PoseInput(folder, fps=Fraction(30), size_wh=(64, 64))) == {0: 10.0, 9: 11.0, 10: 12.0}


@pytest.mark.parametrize("pattern", ["{}_{:012}", "{}_{}", "{}{:03}", "{}_{:06}"])
def test_files_of_two_cameras_are_refused(tmp_path: Path, pattern: str) -> None:
    names = [pattern.format(camera, number) for camera in ("camA", "camB") for number in range(3)]
    with pytest.raises(InputError, match=r"camA.*camB"):
        read_aligned(PoseInput(openpose(tmp_path / "op", names), fps=Fraction(30), size_wh=(64, 64)))


def test_stills_with_numbers_are_no_cameras(tmp_path: Path) -> None:
    folder = openpose(tmp_path / "op", ["cat1", "cat2", "dog1", "dog2"])
    assert len(list(read_aligned(PoseInput(folder, size_wh=(64, 64))).frames)) == 4


# ---- COCO datasets of some frames of a video


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return Film(pts=range(12), options={"bf": "0"}).write(tmp_path / "clip.mp4")


SPARSE = [
    ([f"frame_{n:06}.PNG" for n in (0, 3, 7, 9)], [0, 3, 7, 9]),
    (["clip_9.jpg", "clip_3.jpg", "clip_11.jpg"], [9, 3, 11]),
    ([f"{n:03}.png" for n in range(1, 13)], list(range(12))),
]


@pytest.mark.parametrize(("names", "frames"), SPARSE)
def test_sparse_annotations_land_on_their_frames(
    tmp_path: Path, film: Path, names: list[str], frames: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    path = dataset(tmp_path / "cvat.json", names)
    expected = {frame: 10.0 + place for place, frame in enumerate(frames)}
    assert noses(PoseInput(path, inputs=(str(film),))) == expected
    assert noses(PoseInput(path, fps=Fraction(25))) == expected
    _, _, results = read_with_frames(PoseInput(path, inputs=(str(film),)), another=False)
    drawn = {r.frame.index: float(r.poses.xy[0, 0, 0]) for r in results if len(r.poses)}
    assert drawn == expected
    assert "frame numbers" not in caplog.text


def test_annotations_without_numbers_are_told(tmp_path: Path, film: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = dataset(tmp_path / "some.json", ["a.png", "b.png", "c.png"])
    assert noses(PoseInput(path, inputs=(str(film),))) == {0: 10.0, 1: 11.0, 2: 12.0}
    assert "3 images without frame numbers" in caplog.text and "12" in caplog.text
