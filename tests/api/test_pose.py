"""``Pose`` takes what people have: paths, arrays, PIL images, lists, folders, videos; and parts of their own."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PilImages

import tposecli
from tposecli import AttentionStyle, Boxes, Frame, InputError, KeepOptions, Pose, PoseResult, Poses, open_video
from tposecli.sources.images import read_image
from tposecli.types import Image


@pytest.fixture(scope="module")
def pose() -> Pose:
    return Pose("transpose-s-a4", detector="bundled", keep=KeepOptions(0, 0))


@pytest.fixture
def photo(media: Path) -> Path:
    return sorted((media / "stills").iterdir())[0]


@pytest.fixture
def pixels(photo: Path) -> Image:
    return read_image(photo)


def equal(one: PoseResult, other: PoseResult) -> bool:
    return one.poses.xy.shape == other.poses.xy.shape and bool(np.allclose(one.poses.xy, other.poses.xy))


def test_one_photo(pose: Pose, photo: Path) -> None:
    result = pose.image(photo)
    people = len(result)
    assert people and result.poses.xy.shape == (people, 17, 2) and result.layout.names == pose.keypoints
    assert result.frame.name == photo.name and result.is_still and result.smoothed is None
    assert repr(result) == f"PoseResult({result.frame!r}, Poses({people} x 17 keypoints))"
    assert len(repr(result)) < 200 and "transpose-s-a4" in repr(pose)


def test_the_same_picture_in_every_form_has_the_same_poses(pose: Pose, photo: Path, pixels: Image) -> None:
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    expected = pose.image(str(photo))
    forms: list[Any] = [photo, pixels, bgr[:, :, ::-1], PilImages.fromarray(pixels), pixels[None]]
    for form in forms:
        [result] = pose(form)
        assert equal(result, expected)
    for result in pose(forms[:4]):
        assert equal(result, expected)
    for result in pose(form for form in forms[:4]):
        assert equal(result, expected)


def test_pil_images_given_are_turned_upright_and_converted(pose: Pose, pixels: Image) -> None:
    turned = PilImages.fromarray(np.rot90(pixels).copy())
    exif = PilImages.Exif()
    exif[0x0112] = 6  # To be turned clockwise by 90 degrees.
    turned.info["exif"] = exif.tobytes()
    turned.getexif().update(exif)
    assert pose.image(turned).frame.size_wh == (pixels.shape[1], pixels.shape[0])
    assert equal(pose.image(PilImages.fromarray(pixels).convert("RGBA")), pose.image(pixels))
    assert pose.image(PilImages.fromarray(pixels).convert("L")).frame.image.shape == pixels.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda image: image.astype(np.float32) / 255, r"\(image \* 255\)"),
        (lambda image: image[:, :, 0], "for grey images"),
        (lambda image: np.dstack([image, image[:, :, :1]]), r"for RGBA use image\[:, :, :3\]"),
        (lambda image: image.transpose(2, 0, 1), r"image.transpose\(1, 2, 0\)"),
        (lambda image: image.astype(np.uint16), "uint16"),
        (lambda image: image[:0], "it is empty"),
        (lambda image: [image, image[:, :, 0]], "image 1: .*grey"),
    ],
)
def test_other_arrays_are_refused_with_the_conversion(pose: Pose, pixels: Image, make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pose(make(pixels))


def test_the_conversions_that_messages_name_are_right(pose: Pose, pixels: Image) -> None:
    image: Any = pixels[:, :, 0]
    assert pose.image(np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)).frame.image.shape == pixels.shape
    image = (pixels / 255).astype(np.float32)
    assert np.array_equal(pose.image((image * 255).round().astype(np.uint8)).frame.image, pixels)


@pytest.mark.parametrize("source", [None, 3.5, True, object()])
def test_what_is_no_picture_is_a_type_error(pose: Pose, source: Any) -> None:
    with pytest.raises(TypeError, match=type(source).__name__):
        pose(source)


@pytest.mark.parametrize("name", ["no.jpg", "no.mp4", "no", "no/", "no*.jpg", "no*.mp4"])
def test_a_path_that_is_not_there_is_said_at_once(pose: Pose, tmp_path: Path, name: str) -> None:
    for source in (f"{tmp_path}/{name}", [tmp_path / name]):
        with pytest.raises(InputError, match="no"):
            pose(source)


def test_an_empty_list_has_no_results(pose: Pose) -> None:
    assert list(pose([])) == [] == list(pose(iter(())))


def test_a_folder_and_what_is_broken_in_it(
    pose: Pose, photo: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "b.jpg").write_bytes(photo.read_bytes()[:500])
    (tmp_path / "c.jpg").write_bytes(photo.read_bytes())
    with caplog.at_level(logging.WARNING):
        for source in (tmp_path, f"{tmp_path}/*.jpg", [tmp_path / f"{name}.jpg" for name in "abc"]):
            results = pose(source)
            assert [result.frame.name for result in results] == ["a.jpg", "c.jpg"]
            [(name, reason)] = results.failed
            assert name == "b.jpg" and "decoded" in reason
            assert reason in caplog.text
            caplog.clear()
    with pytest.raises(InputError, match="decoded"):
        pose.image(tmp_path / "b.jpg")


def test_equal_names_in_a_list_are_told_apart(pose: Pose, photo: Path) -> None:
    results = pose([photo, photo])
    assert results.names == (f"000000_{photo.name}", f"000001_{photo.name}")
    results.close()


def test_a_video_streams_tracked_and_smoothed(pose: Pose, media: Path) -> None:
    before = threading.active_count()
    with pose(media / "walk.mp4") as results:
        assert "walk.mp4" in repr(results) and results.info.size_wh == (640, 480)
        seen = list(islice(results, 12))
    assert threading.active_count() == before
    assert [result.frame.index for result in seen] == list(range(12))
    assert all(result.final.track_id.tolist() == [1] and result.smoothed is not None for result in seen)
    assert not list(results)


def test_a_part_of_a_video(pose: Pose, media: Path) -> None:
    seen = list(pose(open_video(media / "walk.mp4", start_s=1, end_s=1.2)))
    assert [result.frame.index for result in seen] == list(range(30, 36))


def test_frames_of_ones_own_with_a_rate_are_a_video(pose: Pose, media: Path) -> None:
    with open_video(media / "walk.mp4", end_s=0.2) as video:
        frames = list(video)
    of_frames = list(pose(frames))
    of_arrays = list(pose([frame.image for frame in frames], fps=30))
    of_generator = list(pose((frame.image for frame in frames), fps=30))
    assert [result.frame.time_s for result in of_arrays] == pytest.approx([index / 30 for index in range(6)])
    for results in (of_frames, of_arrays, of_generator):
        assert all(result.final.track_id.tolist() == [1] for result in results) and len(results) == 6
    still = list(pose([frame.image for frame in frames]))
    assert all(result.final.track_id.tolist() == [-1] and result.smoothed is None for result in still)


def test_frames_of_several_sizes_are_no_video(pose: Pose, pixels: Image) -> None:
    with pytest.raises(ValueError, match="frame 1: its size"):
        list(pose([pixels, pixels[:-2]], fps=10))
    with pytest.raises(ValueError, match="fps"):
        pose([pixels], fps=0)


def test_videos_come_one_at_a_time(pose: Pose, media: Path) -> None:
    for source in ([media / "walk.mp4"], f"{media}/*.mp4"):
        with pytest.raises(InputError, match="one at a time"):
            pose(source)
    with pytest.raises(ValueError, match="expected one image"):
        pose.image(media / "walk.mp4")


def test_own_boxes_give_a_pose_each(pose: Pose, pixels: Image) -> None:
    boxes = [[10, 20, 110, 320], [5, 5, 30, 60], [100, 50, 250, 400]]
    result = pose.image(pixels, boxes=boxes)
    assert np.array_equal(result.poses.boxes.xyxy, np.array(boxes, np.float32)) and len(result) == 3
    scored = pose.image(pixels, boxes=np.array([[10, 20, 110, 320, 0.5]]))
    assert scored.poses.boxes.score.tolist() == [0.5]
    assert np.allclose(scored.poses.xy[0], result.poses.xy[0])
    assert len(pose.image(pixels, boxes=[])) == 0
    assert len(pose.image(pixels, boxes=Boxes.empty())) == 0


def test_own_boxes_of_several_images_given_and_of_a_video(pose: Pose, pixels: Image, media: Path) -> None:
    results = list(pose([pixels, pixels], boxes=[[[10, 20, 110, 320]], []]))
    assert [len(result) for result in results] == [1, 0]
    video = list(pose(open_video(media / "walk.mp4", end_s=0.1), boxes={0: [[10, 20, 110, 320]], 2: []}))
    assert [len(result.poses) for result in video] == [1, 0, 0]
    with pytest.raises(ValueError, match="expected a list of 2"):
        pose([pixels, pixels], boxes=[[[10, 20, 110, 320]]])
    with pytest.raises(ValueError, match="none for frame 1"):
        list(pose(open_video(media / "walk.mp4", end_s=0.1), boxes=[[[10, 20, 110, 320]]]))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[10, 20, 5, 30]], "for x, y, width, height add"),
        ([[10, 20, float("nan"), 30]], "finite"),
        ([[10, 20, 50, 60, 7]], "score from 0 to 1"),
        ([[10, 20, 30]], r"expected \(N, 4\)"),
        ("walk", r"expected an array \(N, 4\)"),
    ],
)
def test_wrong_boxes_are_refused(pose: Pose, pixels: Image, boxes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pose.image(pixels, boxes=boxes)


class HalfDetector:
    """Finds somebody in the left half of every frame, and somebody less sure in the right one."""

    def detect(self, frames: Sequence[Frame]) -> list[Any]:
        found = []
        for frame in frames:
            width, height = frame.size_wh
            found.append([[width / 2, 0, width, height, 0.6], [0, 0, width / 2, height, 0.9]])
        return found


def test_own_detector(pixels: Image) -> None:
    own = Pose("transpose-s-a4", detector=HalfDetector())
    result = own.image(pixels)
    assert result.poses.boxes.score.tolist() == pytest.approx([0.9, 0.6])
    assert result.header["detector"] == "own" and "own" in repr(own)


class Nothing:
    """Has no method at all."""


class ReturnsTooLittle:
    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        return []

    def update(self, poses: Poses, time_s: float) -> list[int]:
        return [1] * (len(poses) + 1)

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        return []

    def flush(self) -> list[Poses]:
        return []


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("detector", r"detector: Nothing has no method detect\(frames\); see help\(tposecli.Detector\)"),
        ("tracker", r"tracker: Nothing has no method update\(poses, time_s\); see help\(tposecli.PoseTracker\)"),
        ("smoother", r"smoother: Nothing has no methods push\(poses, time_s\) and flush\(\); see help\(tposecli.Smo"),
    ],
)
def test_an_object_without_the_method_is_refused_before_anything_is_loaded(part: str, message: str) -> None:
    for thing in (Nothing(), Nothing):
        with pytest.raises(TypeError, match=message):
            Pose("transpose-s-a4", **{part: thing})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("detector", "ReturnsTooLittle.detect: expected boxes of 6 frames, got 0"),
        ("tracker", "ReturnsTooLittle.update: expected 1 ids, one per person"),
        ("smoother", "ReturnsTooLittle.flush: 6 frames went in"),
    ],
)
def test_answers_of_own_parts_are_checked(part: str, message: str, media: Path) -> None:
    own = Pose("transpose-s-a4", **{"detector": "bundled", part: ReturnsTooLittle()})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        list(own(open_video(media / "walk.mp4", end_s=0.2)))


class Counter:
    """Gives everybody the number of the frame as id."""

    def __init__(self) -> None:
        self.frame = 0

    def update(self, poses: Poses, time_s: float) -> NDArray[np.int64]:
        self.frame += 1
        return np.full(len(poses), self.frame)


class OneToTheRight:
    """Shifts every keypoint by one pixel, one frame late."""

    def __init__(self) -> None:
        self.held: list[Poses] = []

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        self.held.append(Poses(poses.boxes, poses.xy + np.float32([1, 0]), poses.score, poses.track_id, poses.flags))
        return [self.held.pop(0)] if len(self.held) > 1 else []

    def flush(self) -> list[Poses]:
        held, self.held = self.held, []
        return held


def test_own_tracker_and_smoother_are_new_for_each_video_if_a_class_is_given(media: Path) -> None:
    own = Pose("transpose-s-a4", detector="bundled", tracker=Counter, smoother=OneToTheRight)
    for _ in range(2):
        seen = list(own(open_video(media / "walk.mp4", end_s=0.1)))
        assert [result.final.track_id.tolist() for result in seen] == [[1], [2], [3]]
        assert all(np.allclose(result.final.xy, result.poses.xy + np.float32([1, 0])) for result in seen)
    [still] = own(media / "stills" / sorted(p.name for p in (media / "stills").iterdir())[0])
    assert still.smoothed is None and set(still.final.track_id.tolist()) == {-1}


def test_an_object_goes_on_from_video_to_video(media: Path) -> None:
    own = Pose("transpose-s-a4", detector="bundled", tracker=Counter(), smoother=False)
    ids = [
        result.final.track_id.tolist() for _ in range(2) for result in own(open_video(media / "walk.mp4", end_s=0.05))
    ]
    assert ids == [[1], [2], [3], [4]]


def test_attention_lies_on_the_person_and_is_put_back_onto_the_picture(pixels: Image) -> None:
    explaining = Pose("transpose-s-a4", detector="bundled", attention=AttentionStyle(layers="all"))
    result = explaining.image(pixels)
    assert result.attention is not None
    people, layers, keypoints = result.attention.shape[:3]
    assert people == len(result) and layers > 1 and keypoints == 17
    wrist = explaining.keypoints.index("left_wrist")
    heat = result.attention_map(0, "left_wrist")
    assert heat.shape == pixels.shape[:2] and heat.dtype == np.float32
    assert np.array_equal(heat, result.attention_map(0, wrist))
    assert not np.array_equal(heat, result.attention_map(0, wrist, layer=0))
    peak = np.array(np.unravel_index(heat.argmax(), heat.shape))[::-1]
    grid = result.attention[0, -1, wrist]
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert result.matrices is not None
    centre = (np.array([column, row]) + 0.5) * result.stride - 0.5
    on_frame = (centre - result.matrices[0][:, 2]) / result.matrices[0][0, 0]
    assert np.abs(peak - on_frame.clip(0, np.array(heat.shape[::-1]) - 1)).max() <= result.stride
    with pytest.raises(ValueError, match="no keypoint 'left_hand'; known: nose"):
        result.attention_map(0, "left_hand")
    with pytest.raises(ValueError, match="no keypoint 17"):
        result.attention_map(0, 17)
    with pytest.raises(IndexError):
        result.attention_map(99, 0)


def test_without_attention_the_map_says_how_to_ask(pose: Pose, pixels: Image) -> None:
    with pytest.raises(ValueError, match=r"Pose\(attention=True\)"):
        pose.image(pixels).attention_map(0, 0)


def test_results_can_be_sent_to_another_process(pose: Pose, pixels: Image) -> None:
    result = pose.image(pixels)
    again = pickle.loads(pickle.dumps(result))
    assert equal(again, result) and again.layout == result.layout and again.header == result.header


def test_reading_begins_when_results_are_taken(pose: Pose, pixels: Image) -> None:
    taken: list[int] = []

    def images() -> Iterator[Image]:
        for number in range(3):
            taken.append(number)
            yield pixels

    results = pose(images())
    assert taken == [0]
    assert len(list(results)) == 3 and taken == [0, 1, 2]


def test_the_command_line_has_the_same_numbers(media: Path, tmp_path: Path) -> None:
    from tposecli import InferenceSettings, ModelChoice, Outputs, Session, Settings, VideoJob, Window
    from tposecli.detection.factory import DetectorOptions

    settings = Settings(InferenceSettings(ModelChoice("transpose-s-a4"), DetectorOptions("bundled")))
    job = VideoJob(media / "crossing.mp4", Outputs(poses={"csv": tmp_path / "a.csv"}), Window(end_s=0.5))
    Session(settings).run(job)
    own = Pose("transpose-s-a4", detector="bundled")
    tposecli.save(own(open_video(media / "crossing.mp4", end_s=0.5)), tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
