"""Detectors: the same truths for all of them, files of boxes, interpolation, and nothing touched that is not ours."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tposecli.detection.torchvision as torchvision_detect
from tests import REPOSITORY
from tposecli.detection.base import BoxFilter, Detector, same_size_batches
from tposecli.detection.boxes_file import BoxesFile
from tposecli.detection.factory import DetectorOptions, build_detector
from tposecli.detection.full_frame import FullFrame
from tposecli.detection.interpolate import detect_group, interpolate, key_positions
from tposecli.detection.torchvision import MODELS, TorchvisionDetector
from tposecli.detection.yolo import YoloDetector, contained, find_model, load_ultralytics
from tposecli.inference.runtime import Runtime
from tposecli.types import Boxes, Frame
from tposecli.utils.errors import InputError, UsageError, WeightsError
from tposecli.utils.files import sha256_of

CPU = Runtime(torch.device("cpu"))
EVERYTHING = BoxFilter(min_score=0.0, nms=0.9)
SMALL_NET = "fasterrcnn_mobilenet_v3_large_320_fpn"


def frame(index: int = 0, name: str = "", size_wh: tuple[int, int] = (160, 90), **more: Any) -> Frame:
    pixels = np.random.default_rng(index).integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
    return Frame(pixels, index, name=name, **more)


def boxes(*rows: Sequence[float]) -> Boxes:
    """Rows of left, top, right, bottom, score."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Boxes(table[:, :4], table[:, 4])


def same(first: Boxes, second: Boxes) -> bool:
    return np.array_equal(first.xyxy, second.xyxy) and np.array_equal(first.score, second.score)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No test here may reach out; the cache is an empty folder."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("TPOSE_HOME", str(folder))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Nets this small only lose time by sharing their work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def yolo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO26n that was never trained, with a head that sees people, more and less clearly."""
    pytest.importorskip("torchvision")
    path = tmp_path_factory.mktemp("yolo") / "random.pt"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TPOSE_HOME", str(path.parent))
        library = load_ultralytics()
        with contained():
            torch.manual_seed(0)
            model = library.YOLO("yolo26n.yaml")
            for branch in (*model.model.model[-1].cv3, *model.model.model[-1].one2one_cv3):
                torch.nn.init.normal_(branch[-1].weight, std=0.1)
                torch.nn.init.constant_(branch[-1].bias, -9)
                branch[-1].bias.data[0] = 0
            model.save(str(path))
    return path


def official_like(name: str, folder: Path) -> tuple[Any, torchvision_detect.TorchvisionModel]:
    """The net as torchvision builds it for its own weights, with random ones.

    They are put into ``folder``; the row of the table that names that file comes with the net.
    """
    detection = pytest.importorskip("torchvision").models.detection
    row = torchvision_detect.find_model(name)
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys.modules["torchvision.models._api"].WeightsEnum, "get_state_dict", lambda *_, **__: {})
        patched.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        options = torchvision_detect._options(row, EVERYTHING, None)
        net = getattr(detection, name)(weights="COCO_V1", progress=False, **options)
    for key, value in net.state_dict().items():
        if key.endswith(("running_var", "running_mean")):
            value.uniform_(0.5, 1.5)
        elif "cls_" in key and key.endswith("weight"):
            value.normal_(std=0.1)
        elif key.endswith("cls_score.bias"):
            value[torchvision_detect.PERSON] = 4
    torch.save(net.state_dict(), folder / "weights.pth")
    file = f"{name}-{sha256_of(folder / 'weights.pth')[:8]}.pth"
    (folder / "weights.pth").rename(folder / file)
    return net.eval(), dataclasses.replace(row, file=file)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torchvision_detect.TorchvisionModel]:
    """Random weights of the smallest net, and the row that names them."""
    folder = tmp_path_factory.mktemp("torchvision")
    _, row = official_like(SMALL_NET, folder)
    return folder / row.file, row


@pytest.fixture
def small_net(
    small_file: tuple[Path, torchvision_detect.TorchvisionModel], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The same, in the cache and in the table."""
    path, row = small_file
    monkeypatch.setattr(torchvision_detect, "MODELS", (row,))
    return Path(shutil.copy(path, cache))


class Recorder:
    """A detector that knows its answers by frame index and remembers what it was shown."""

    def __init__(self, answer: Callable[[int], Boxes]) -> None:
        self.answer = answer
        self.calls: list[list[int]] = []

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        self.calls.append([shown.index for shown in frames])
        return [self.answer(shown.index) for shown in frames]


# ---------------------------------------------------------------------------------------------- truths of all detectors


def _full_frame(_: pytest.FixtureRequest) -> Detector:
    return FullFrame(EVERYTHING)


def _boxes_file(request: pytest.FixtureRequest) -> Detector:
    path = request.getfixturevalue("tmp_path") / "boxes.json"
    rows = [(i + 1, [10 * i - 5, 3, 500, 40], 0.1 * i) for i in range(4)] + [(1, [20, 20, 9, 9], 0.9)]
    path.write_text(
        json.dumps([{"image_id": i, "category_id": 1, "bbox": box, "score": score} for i, box, score in rows])
    )
    return BoxesFile(path, EVERYTHING)


def _yolo(request: pytest.FixtureRequest) -> Detector:
    return YoloDetector(str(request.getfixturevalue("yolo_file")), EVERYTHING, 160)


def _torchvision(request: pytest.FixtureRequest) -> Detector:
    request.getfixturevalue("small_net")
    return TorchvisionDetector(SMALL_NET, EVERYTHING, 160)


@pytest.mark.parametrize("make", [_full_frame, _boxes_file, _yolo, _torchvision])
def test_every_detector_keeps_the_promises(make: Callable[..., Detector], request: pytest.FixtureRequest) -> None:
    detector = make(request)
    frames = [frame(0), frame(1, size_wh=(80, 120)), frame(2), frame(3)]
    found = detector.detect(frames)
    assert detector.detect([]) == []
    assert len(found) == len(frames)
    assert any(len(one) for one in found)
    for one, shown in zip(found, frames, strict=True):
        width, height = shown.size_wh
        assert (one.xyxy >= 0).all() and (one.xyxy[:, 2:] <= [width - 1, height - 1]).all()
        assert (one.xyxy[:, 2:] > one.xyxy[:, :2]).all()
        assert ((one.score >= 0) & (one.score <= 1)).all() and (np.diff(one.score) <= 0).all()
        alone = detector.detect([shown])[0]
        assert len(alone) == len(one)
        np.testing.assert_allclose(alone.score, one.score, atol=1e-4)
        gaps = np.pad(-np.diff(one.score), 1, constant_values=1)
        ranked = np.minimum(gaps[1:], gaps[:-1]) > 1e-3
        np.testing.assert_allclose(alone.xyxy[ranked], one.xyxy[ranked], atol=0.05)


# -------------------------------------------------------------------------------------------------------- whole frame


def test_full_frame_is_one_box_to_the_last_pixel() -> None:
    found = FullFrame().detect([frame(), frame(size_wh=(30, 200))])
    assert [one.xyxy.tolist() for one in found] == [[[0, 0, 159, 89]], [[0, 0, 29, 199]]]
    assert [one.score.tolist() for one in found] == [[1], [1]]


# ------------------------------------------------------------------------------------------------------ file of boxes


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def detection(
    image_id: Any = 1, bbox: Any = (10, 20, 30, 40), score: Any = 0.9, category_id: Any = 1
) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}


def dataset(*images: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One annotation for each image, whose left side is ten times the image's id."""
    numbered = [{"id": number, **image} for number, image in enumerate(images, 1)]
    annotations = [
        {"id": image["id"], "image_id": image["id"], "category_id": 1, "bbox": [image["id"] * 10, 0, 20, 30], **more}
        for image in numbered
    ]
    return {"images": numbered, "annotations": annotations}


def lefts(found: list[Boxes]) -> list[list[float]]:
    return [one.xyxy[:, 0].tolist() for one in found]


def test_detections_of_stills_by_the_number_in_their_name(tmp_path: Path) -> None:
    content = [detection(139), detection(139, (60, 0, 5, 5), 0.5), detection(7, category_id=2), detection(8, score=0.2)]
    detector = BoxesFile(written(tmp_path / "d.json", content))
    found = detector.detect([frame(0, "val/000000000139.jpg"), frame(1, "000000000007.jpg"), frame(2, "8.png")])
    assert [len(one) for one in found] == [2, 0, 0]
    assert found[0].xyxy.tolist() == [[10, 20, 40, 60], [60, 0, 65, 5]]
    np.testing.assert_allclose(found[0].score, [0.9, 0.5])


def test_detections_of_other_frames_by_index_plus_one(tmp_path: Path) -> None:
    detector = BoxesFile(written(tmp_path / "d.json", [detection(1), detection(5.0, (50, 0, 9, 9))]))
    video = [frame(0, "7.mp4", pts=0), frame(1, "7.mp4", pts=1), frame(4, "7.mp4", pts=4)]
    assert lefts(detector.detect(video)) == [[10], [], [50]]
    assert lefts(detector.detect([frame(4, "dancer.jpg")])) == [[50]]


def test_ids_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    zero_based = BoxesFile(written(tmp_path / "zero.json", [detection(0)]))
    with pytest.raises(InputError, match=r"zero\.json: has an image 0.*add 1"):
        zero_based.detect([frame(0, "v.mp4", pts=0)])
    assert lefts(zero_based.detect([frame(0, "000.jpg")])) == [[10]]
    mixed = BoxesFile(written(tmp_path / "mixed.json", [detection(2)]))
    with pytest.raises(InputError, match=r"2\.jpg and b\.jpg would both be image 2"):
        mixed.detect([frame(0, "2.jpg"), frame(1, "b.jpg")])


def test_dataset_of_stills_by_name_then_by_its_last_part(tmp_path: Path) -> None:
    names = ("a/x.jpg", "b/x.jpg", "c\\y.jpg", "z.jpg")
    detector = BoxesFile(written(tmp_path / "d.json", dataset(*({"file_name": name} for name in names))))
    shown = ["b/x.jpg", "x.jpg", "elsewhere/y.jpg", "c/y.jpg", "q/z.jpg", "none.jpg"]
    found = detector.detect([frame(index, name) for index, name in enumerate(shown)])
    assert lefts(found) == [[20], [], [30], [30], [40], []]


def test_dataset_of_a_video_by_frame_index(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = [{"file_name": "v.mp4", "frame_index": index} for index in (0, 3, 6)]
    detector = BoxesFile(written(tmp_path / "d.json", dataset(*images)))
    assert lefts(detector.detect([frame(3, "v.mp4", pts=9), frame(1, "v.mp4", pts=3)])) == [[20], []]
    assert not caplog.records
    assert lefts(detector.detect([frame(6, "copy.mp4", pts=9), frame(0, "copy.mp4", pts=0)])) == [[30], [10]]
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'd.json'}: the boxes of v.mp4 are used for copy.mp4"
    ]


def test_dataset_of_several_videos_keeps_them_apart(tmp_path: Path) -> None:
    images = [{"file_name": name, "frame_index": 0} for name in ("v.mp4", "w.mp4")]
    detector = BoxesFile(written(tmp_path / "d.json", dataset(*images)))
    assert lefts(detector.detect([frame(0, name, pts=0) for name in ("w.mp4", "v.mp4", "u.mp4")])) == [[20], [10], []]


def test_annotations_are_certain_and_none_is_suppressed(tmp_path: Path) -> None:
    content = dataset({"file_name": "a.jpg"}, score=0.01)
    truth = content["annotations"][0]
    content["annotations"] += [{**truth, "bbox": [11, 0, 20, 30]}, {**truth, "iscrowd": 1}, {**truth, "category_id": 3}]
    path = written(tmp_path / "d.json", content)
    (found,) = BoxesFile(path).detect([frame(0, "a.jpg")])
    assert found.score.tolist() == [1, 1]
    assert sorted(found.xyxy[:, 0].tolist()) == [10, 11]
    (fewer,) = BoxesFile(path, truth_nms=0.6).detect([frame(0, "a.jpg")])
    assert len(fewer) == 1


def test_filter_is_applied(tmp_path: Path) -> None:
    content = [detection(1, (0, 0, 50, 50), 0.5), detection(1, (1, 0, 50, 50), 0.6), detection(1, (90, 0, 90, 99), 0.4)]
    path = written(tmp_path / "d.json", [*content, detection(1, (60, 60, 2, 2), 0.9)])
    (found,) = BoxesFile(path, BoxFilter(min_size=5)).detect([frame(0, "1.jpg")])
    assert found.xyxy.tolist() == [[1, 0, 51, 50], [90, 0, 159, 89]]
    (one,) = BoxesFile(path, BoxFilter(max_people=1)).detect([frame(0, "1.jpg")])
    assert one.xyxy.tolist() == [[60, 60, 62, 62]]


NONSENSE: list[Any] = [
    None,
    "box",
    [1, 2],
    {},
    detection([1]),
    detection(True),
    detection(1.5),
    detection(float("nan")),
    detection(bbox=[1, 2, 3]),
    detection(bbox="1 2 3 4"),
    detection(bbox=[1, 2, float("nan"), 4]),
    detection(bbox=[1, 2, float("inf"), 4]),
    detection(bbox=[10**400, 2, 3, 4]),
    detection(bbox=[1, 2, -3, 4]),
    detection(bbox=[1, 2, None, 4]),
    detection(score=None),
    detection(score="0.9"),
    detection(score=1.5),
    detection(score=-0.1),
    detection(category_id=[1]),
]


def test_nonsense_is_skipped_counted_and_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "d.json", [*NONSENSE, detection()])
    assert lefts(BoxesFile(path).detect([frame(0, "1.jpg")])) == [[10]]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"d.json: {len(NONSENSE)} boxes skipped (number 0: expected an object)" in record.message


@pytest.mark.parametrize("entry", NONSENSE)
def test_a_file_of_nothing_but_nonsense_is_refused(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(InputError, match=r"d\.json: none of its 1 boxes is valid \(number 0: "):
        BoxesFile(written(tmp_path / "d.json", [entry]))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1, 2", '"text"', "3", "{}", "null", '{"images": [], "annotations": {}}', "[" * 100_000, "\x00\xff"],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"d\.json"):
        BoxesFile(written(tmp_path / "d.json", content))


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            BoxesFile(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["images", "annotations", "id", "image_id", "bbox", "score"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@settings(max_examples=40)
@given(content=json_values)
def test_no_json_whatever_makes_it_crash(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    try:
        found = BoxesFile(written(path, content)).detect([frame(0, "a.jpg")])
    except InputError as error:
        assert "any.json" in str(error)
    else:
        assert len(found) == 1


def test_damaged_images_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = dataset({"file_name": "a.jpg"})
    content["images"] += [None, {"id": 2}, {"id": "x", "file_name": "b.jpg"}, {"id": 3, "file_name": 4}]
    content["images"] += [{"id": 4, "file_name": "v.mp4", "frame_index": "0"}]
    detector = BoxesFile(written(tmp_path / "d.json", content))
    assert lefts(detector.detect([frame(0, "a.jpg")])) == [[10]]
    assert [record.message.split(": ", 1)[1] for record in caplog.records] == [
        "4 images skipped (number 1: expected an object)"
    ]


def test_a_file_of_another_source_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    detector = BoxesFile(written(tmp_path / "d.json", dataset({"file_name": "a.jpg"})))
    assert lefts(detector.detect([frame(0, "x.jpg"), frame(1, "y.jpg")])) == [[], []]
    detector.detect([frame(2, "z.jpg")])
    (record,) = caplog.records
    assert "contains neither x.jpg nor any other of the first 2 frames" in record.message


def test_an_empty_file_means_nobody(tmp_path: Path) -> None:
    assert lefts(BoxesFile(written(tmp_path / "d.json", [])).detect([frame(0, "1.jpg")])) == [[]]


def test_other_categories_only_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    BoxesFile(written(tmp_path / "d.json", [detection(category_id=0)]))
    assert "contains no boxes of people" in caplog.text


# ------------------------------------------------------------------------------------------------------ interpolation


@given(count=st.integers(0, 70), every=st.integers(1, 20))
def test_key_positions_hold_the_ends_and_leave_no_wider_gap(count: int, every: int) -> None:
    keys = key_positions(count, every)
    assert keys == sorted(set(keys))
    assert (keys[0], keys[-1]) == (0, count - 1) if count else keys == []
    assert all(1 <= gap <= every for gap in np.diff(keys))
    assert len(keys) <= -(-count // every) + 1


def test_key_positions_of_nonsense_are_refused() -> None:
    for count, every in ((3, 0), (-1, 1)):
        with pytest.raises(ValueError, match="expected every >= 1"):
            key_positions(count, every)


@given(seed=st.integers(0, 1000), count=st.integers(0, 6))
def test_every_frame_seen_is_the_detector_itself(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    answers = [boxes(*rng.uniform(0, 99, (rng.integers(0, 4), 5))) for _ in range(count)]
    detector = Recorder(answers.__getitem__)
    found = detect_group(detector, [frame(index) for index in range(count)], 1)
    assert all(one is answer for one, answer in zip(found, answers, strict=True))


@given(
    start=st.tuples(*[st.floats(0, 100)] * 2),
    speed=st.tuples(*[st.floats(-20, 20)] * 4),
    every=st.integers(1, 9),
    steps=st.lists(st.floats(0.01, 0.5), min_size=1, max_size=30),
)
def test_a_box_that_moves_steadily_is_recovered(
    start: tuple[float, ...], speed: tuple[float, ...], every: int, steps: list[float]
) -> None:
    times = np.concatenate([[0.0], np.cumsum(steps)])
    corners = np.array([*start, start[0] + 300, start[1] + 400])
    truth = [boxes((*(corners + np.array(speed) * time), 0.9 - 0.02 * time)) for time in times]
    detector = Recorder(truth.__getitem__)
    frames = [frame(index, time_s=float(time), size_wh=(8, 8)) for index, time in enumerate(times)]
    found = detect_group(detector, frames, every)
    assert detector.calls == [key_positions(len(frames), every)]
    for one, wanted in zip(found, truth, strict=True):
        np.testing.assert_allclose(one.xyxy, wanted.xyxy, atol=1e-3)
        np.testing.assert_allclose(one.score, wanted.score, atol=1e-6)


@pytest.mark.parametrize("times", [[0.0] * 5, [3.0, 2.0, 1.0, 0.5, 0.0], [0.0, 1.0, 1.0, 2.0, 9.0], [float("nan")] * 5])
def test_frames_without_increasing_times_go_by_position(times: list[float]) -> None:
    detector = Recorder(lambda index: boxes((index, 0, index + 50, 60, 0.5)))
    frames = [frame(index, time_s=time) for index, time in enumerate(times)]
    assert lefts(detect_group(detector, frames, 4)) == [[0], [1], [2], [3], [4]]


def test_a_change_of_size_is_seen_from_both_sides() -> None:
    detector = Recorder(lambda index: boxes((index, 0, index + 50, 60, 0.5)))
    sizes = [(160, 90)] * 3 + [(90, 160)] * 4
    found = detect_group(detector, [frame(index, size_wh=size) for index, size in enumerate(sizes)], 10)
    assert detector.calls == [[0, 2, 3, 6]]
    assert lefts(found) == [[index] for index in range(7)]


def seen(answer: Callable[[int], Boxes], count: int = 9) -> list[list[int]]:
    """Return the frames of a group that the detector is asked for with ``auto``, call by call."""
    detector = Recorder(answer)
    found = detect_group(detector, [frame(index) for index in range(count)], "auto")
    for position in (position for call in detector.calls for position in call):
        assert same(found[position], answer(position))
    return detector.calls


ALL = [[0, 8], [4], [1, 2, 3, 5, 6, 7]]


class TestAuto:
    """With ``auto`` the detector sees a frame in eight where everybody moves steadily, else more."""

    def test_steady_people(self) -> None:
        assert seen(lambda at: boxes((at, 0, at + 50, 60, 0.8), (200, at, 260, 100 + at, 0.7))) == [[0, 8]]

    def test_nobody(self) -> None:
        assert seen(lambda at: boxes()) == [[0, 8]]

    def test_who_comes_in_is_seen_in_every_frame_around(self) -> None:
        assert seen(lambda at: boxes((at, 0, at + 50, 60, 0.8)) if at >= 6 else boxes()) == [[0, 8], [4], [5, 6, 7]]

    def test_people_who_meet(self) -> None:
        assert seen(lambda at: boxes((at, 0, at + 50, 60, 0.8), (45, 0, 95, 60, 0.8))) == ALL

    def test_fast_movement_is_checked_half_way(self) -> None:
        assert seen(lambda at: boxes((4 * at, 0, 4 * at + 50, 60, 0.8))) == [[0, 8], [4]]

    def test_abrupt_movement(self) -> None:
        assert seen(lambda at: boxes((at * at, 0, at * at + 50, 60, 0.8))) == ALL

    def test_falling_scores(self) -> None:
        assert seen(lambda at: boxes((at, 0, at + 50, 60, 0.9 - 0.06 * at))) == [[0, 8], [4], [5, 6, 7]]

    def test_weak_boxes_alone_are_no_reason_to_look(self) -> None:
        weak = lambda at: boxes((200, 0, 250, 60, 0.35)) if at % 2 else boxes()  # noqa: E731
        assert seen(lambda at: weak(at)) == [[0, 8]]

    def test_a_short_group_ends_with_its_last_frame(self) -> None:
        assert seen(lambda at: boxes((at, 0, at + 50, 60, 0.8)), 4) == [[0, 3]]
        assert seen(lambda at: boxes((20 * at, 0, 20 * at + 50, 60, 0.8)), 4) == [[0, 3], [1, 2]]


def test_no_frames_bother_no_detector() -> None:
    detector = Recorder(lambda _: boxes())
    assert detect_group(detector, [], 3) == []
    assert detector.calls == []


def test_a_box_without_partner_lives_for_the_nearer_half() -> None:
    before = boxes((0, 0, 10, 10, 0.9), (100, 0, 110, 20, 0.8))
    after = boxes((50, 50, 60, 70, 0.95), (2, 0, 12, 10, 0.8))
    kept = {fraction: lefts([interpolate(before, after, fraction)])[0] for fraction in (0, 0.25, 0.5, 0.75, 1)}
    assert kept == {0: [0, 100], 0.25: [0.5, 100], 0.5: [1, 100], 0.75: [50, 1.5], 1: [50, 2]}
    assert same(interpolate(before, after, 0), before)
    assert same(interpolate(before, after, 1), after)


def test_neighbours_are_not_swapped() -> None:
    before = boxes((0, 0, 40, 100, 0.9), (30, 0, 70, 100, 0.8))
    after = boxes((38, 0, 78, 100, 0.9), (8, 0, 48, 100, 0.8))
    assert sorted(lefts([interpolate(before, after, 0.5)])[0]) == [4, 34]


people = st.lists(
    st.tuples(st.floats(0, 80), st.floats(0, 80), st.floats(1, 60), st.floats(1, 60), st.floats(0, 1)), max_size=5
).map(lambda rows: boxes(*sorted(((x, y, x + w, y + h, s) for x, y, w, h, s in rows), key=lambda row: -row[4])))


@given(before=people, after=people, fraction=st.floats(0, 1))
def test_interpolation_stays_between_its_ends(before: Boxes, after: Boxes, fraction: float) -> None:
    between = interpolate(before, after, fraction)
    assert len(between) <= max(len(before), len(after))
    assert (np.diff(between.score) <= 0).all()
    every = np.concatenate([before.xyxy, after.xyxy])
    for row in between.xyxy:
        assert (row >= every.min(axis=0) - 1e-3).all() and (row <= every.max(axis=0) + 1e-3).all()
    mirrored = interpolate(after, before, 1 - fraction)
    if fraction != 0.5 and 1 - fraction != 0.5:
        assert len(mirrored) == len(between)
    assert same(interpolate(before, before, fraction), before) or len(before) != len(np.unique(before.xyxy, axis=0))


def test_batches_are_of_one_size_and_hold_every_frame_once() -> None:
    sizes = [(8, 8), (9, 8), (8, 8), (8, 8), (9, 8)]
    batches = same_size_batches([frame(index, size_wh=size) for index, size in enumerate(sizes)], 2)
    assert batches == [[0, 2], [3], [1, 4]]


# --------------------------------------------------------------------------------------------------------------- YOLO


def _process_state() -> tuple[Any, ...]:
    printing = np.get_printoptions(), torch._tensor_str.get_printoptions()
    return dict(os.environ), printing, cv2.getNumThreads(), torch.get_num_threads(), torch.save


@pytest.mark.parametrize("name", ["yolov5s.pt", "o'brien.pt"])
def test_yolo_takes_the_very_file_and_leaves_the_process_as_it_was(
    name: str, yolo_file: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that ultralytics would change, and then download."""
    shutil.copy(yolo_file, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = _process_state()
    assert len(YoloDetector(name, EVERYTHING, 64).detect([frame()])) == 1
    assert _process_state() == before
    assert {path.name for path in tmp_path.iterdir()} == {name, cache.name}


def test_importing_ultralytics_anew_changes_and_asks_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    program = """
        import os, socket
        def refuse(*_, **__):
            raise SystemExit("the network was touched")
        socket.socket.connect = socket.getaddrinfo = refuse
        import cv2, numpy, torch
        from tposecli.detection.yolo import load_ultralytics
        state = lambda: (dict(os.environ), numpy.get_printoptions(), torch._tensor_str.get_printoptions(),
                         cv2.getNumThreads(), torch.get_num_threads(), torch.save)
        before = state()
        load_ultralytics()
        assert state() == before
        from ultralytics import utils
        assert utils.SAFE_LOAD and not utils.ONLINE and not utils.AUTOINSTALL and not utils.VERBOSE
        assert str(utils.USER_CONFIG_DIR).startswith(os.environ["TPOSE_HOME"])
        from ultralytics.utils import events
        assert not events.events.enabled
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    environment |= {"TPOSE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} <= {"home", "cache"}


def test_yolo_names_are_looked_for_here_and_in_the_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"download https://\S+/yolo26n\.pt and put it at \S+cache/yolo26n\.pt"):
        find_model("yolo26n")
    with pytest.raises(WeightsError, match=r"models/mine\.pt: no such model file"):
        find_model("models/mine.pt")
    (cache / "yolo26n.pt").touch()
    assert find_model("yolo26n") == find_model("yolo26n.pt") == cache / "yolo26n.pt"
    (tmp_path / "yolo26n").mkdir()
    assert find_model("yolo26n") == cache / "yolo26n.pt"
    (tmp_path / "yolo26n.pt").touch()
    assert find_model("yolo26n") == tmp_path / "yolo26n.pt"


def test_files_that_are_no_models_are_refused_without_running_code(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    hostile = tmp_path / "hostile.pt"
    torch.save({"model": os.system}, hostile)
    (tmp_path / "empty.pt").touch()
    (tmp_path / "junk.pt").write_bytes(b"junk")
    (tmp_path / "zip.pt").write_bytes(hostile.read_bytes()[:200])
    for name in ("hostile.pt", "empty.pt", "junk.pt", "zip.pt"):
        with pytest.raises(WeightsError, match=name):
            YoloDetector(str(tmp_path / name))


# -------------------------------------------------------------------------------------------------------- torchvision


@pytest.mark.parametrize(
    "name", [SMALL_NET, *(pytest.param(row.name, marks=pytest.mark.slow) for row in MODELS if row.name != SMALL_NET)]
)
def test_nets_compute_what_the_official_ones_do(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official, row = official_like(name, cache)
    monkeypatch.setattr(torchvision_detect, "MODELS", (row,))
    ours: Any = TorchvisionDetector(name, EVERYTHING)._net
    state = ours.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in official.state_dict().items())
    pictures = torch.rand(1, 3, 160, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features, wanted = ours.backbone(pictures), official.backbone(pictures)
    assert features.keys() == wanted.keys()
    for level, feature in features.items():
        torch.testing.assert_close(feature, wanted[level], rtol=1e-3, atol=1e-3 * float(wanted[level].abs().max()))
    assert str(ours.transform) == str(official.transform)
    added, theirs = ({key: getattr(part, "eps", None) for key, part in net.named_modules()} for net in (ours, official))
    assert added == theirs


def test_table_agrees_with_torchvision() -> None:
    models = pytest.importorskip("torchvision").models
    for row in MODELS:
        weights = models.get_model_weights(row.name).COCO_V1
        assert weights.url == row.url
        assert weights.meta["categories"][torchvision_detect.PERSON] == "person"
        assert len(weights.meta["categories"]) == torchvision_detect.CLASSES


@pytest.mark.usefixtures("small_net")
def test_image_size_is_the_longer_side() -> None:
    net: Any = TorchvisionDetector(SMALL_NET, EVERYTHING, 128)._net
    (sized, _) = net.transform([torch.zeros(3, 90, 160)])
    assert sized.image_sizes == [(72, 128)]


def test_torchvision_weights_that_are_absent_or_damaged_say_where_to_get_them(cache: Path) -> None:
    pytest.importorskip("torchvision")
    row = MODELS[0]
    with pytest.raises(WeightsError, match=f"download {row.url} and put it at {cache / row.file}"):
        TorchvisionDetector(row.name)
    (cache / row.file).write_bytes(b"cut short")
    with pytest.raises(WeightsError, match="damaged, truncated"):
        TorchvisionDetector(row.name)


def test_torchvision_weights_in_the_hub_folder_serve(small_net: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    small_net.rename(checkpoints / small_net.name)
    assert torchvision_detect.find_weights(torchvision_detect.MODELS[0]) == checkpoints / small_net.name


def test_weights_of_another_net_are_refused(small_net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_detect, "MODELS", (dataclasses.replace(MODELS[0], file=small_net.name),))
    with pytest.raises(WeightsError, match="not the weights of torchvision's ssdlite320"):
        TorchvisionDetector(MODELS[0].name)


def test_torchvision_usage_errors() -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(UsageError, match=r"did you mean fasterrcnn_resnet50_fpn\b.*known: ssdlite320"):
        TorchvisionDetector("fastercnn_resnet50_fpn")
    with pytest.raises(UsageError, match="one size only"):
        TorchvisionDetector("ssdlite320_mobilenet_v3_large", image_size=640)


# ---------------------------------------------------------------------------------------------------------- selection


def test_options_become_detectors(tmp_path: Path, yolo_file: Path) -> None:
    path = written(tmp_path / "d.json", [detection(score=0.2)])
    assert isinstance(build_detector(DetectorOptions("full-frame"), CPU), FullFrame)
    shown = [frame(0, "1.jpg")]
    assert len(build_detector(DetectorOptions(f"boxes:{path}"), CPU).detect(shown)[0]) == 0
    assert len(build_detector(DetectorOptions(f"boxes:{path}", min_score=0.1), CPU).detect(shown)[0]) == 1
    assert isinstance(build_detector(DetectorOptions(f"yolo:{yolo_file}", image_size=64), CPU), YoloDetector)


def test_options_left_out_are_the_detectors_own() -> None:
    assert DetectorOptions().box_filter() == BoxFilter()
    assert DetectorOptions().box_filter(0.5, 0.7) == BoxFilter(0.5, 0.7)
    chosen = DetectorOptions(min_score=0.1, nms=0.2, max_people=3, min_size=4)
    assert chosen.box_filter(0.5, 0.7) == BoxFilter(0.1, 0.2, 3, 4)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("yolov:x.pt", "did you mean yolo:NAME_OR_PATH"),
        ("fullframe", "did you mean full-frame"),
        ("mask", "known: auto, bundled, boxes:FILE, full-frame, yolo:NAME_OR_PATH, torchvision:NAME"),
        ("", "known: auto"),
        ("yolo", "write it as yolo:NAME_OR_PATH"),
        ("boxes:", "write it as boxes:FILE"),
        ("full-frame:x", "write it as full-frame"),
        ("auto:", "write it as auto"),
    ],
)
def test_unknown_names_are_usage_errors(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        DetectorOptions(name)


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"image_size": 8}, {"min_score": 1.1}, {"nms": -1.0}, {"max_people": 0}, {"min_size": -1.0}]
)
def test_impossible_options_are_usage_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="it must be"):
        DetectorOptions(**wrong)


def test_selection_imports_nothing_heavy() -> None:
    program = (
        "import sys, tposecli.detection.factory;"
        "print([name for name in ('torch', 'torchvision', 'ultralytics', 'cv2', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]", done.stderr


def test_light_installation_does_without_the_optional_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "ultralytics")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    path = written(tmp_path / "d.json", [detection()])
    for name in ("full-frame", f"boxes:{path}"):
        detector = build_detector(DetectorOptions(name), CPU)
        assert [len(one) for one in detect_group(detector, [frame(0, "1.jpg"), frame(0, "1.jpg")], 2)] == [1, 1]
    (cache / "yolo26n.pt").touch()
    with pytest.raises(UsageError, match="pip install ultralytics"):
        build_detector(DetectorOptions("yolo:yolo26n"), CPU)
    with pytest.raises(UsageError, match="pip install torchvision"):
        build_detector(DetectorOptions(f"torchvision:{SMALL_NET}"), CPU)
