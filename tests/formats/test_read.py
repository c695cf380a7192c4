"""Poses of other tools are read as they were written, and what is wrong with them is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from tposecli.cli.main import cli
from tposecli.formats.align import PoseInput, align, read_aligned
from tposecli.formats.base import MARGIN, PoseFile
from tposecli.formats.coco.write import CocoDatasetSink, CocoResultsSink
from tposecli.formats.journal.journal import Journal, JournalWriter
from tposecli.formats.mmpose import MmposeSink
from tposecli.formats.openpose import OpenposeSink
from tposecli.formats.read import read_poses
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.sinks.base import Sink
from tposecli.sources import open_video
from tposecli.sources.timestamps import timestamps
from tposecli.sources.video import VideoSource
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.errors import InputError, TposeError, UsageError

PICTURE = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (480, 640, 3))
INFO = {"tool": "tposecli", "source": "in.mp4", "fps": "25", "time_base": "1/12800", "keypoint_names": list(KEYPOINTS)}

BODY_25 = [
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("middle", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
]
"""As OpenPose documents them."""

WRITERS: dict[str, Callable[[Path], Sink]] = {
    "dataset": lambda path: CocoDatasetSink(path, {"description": "poses", **INFO}),
    "results": CocoResultsSink,
    "coco18": lambda path: OpenposeSink(path, 0.0),
    "coco17": lambda path: OpenposeSink(path, 0.0, "coco17"),
    "mmpose": MmposeSink,
}


def poses(index: int, people: int) -> Poses:
    """People with ids from 4 on, scores and coordinates that the formats' decimals hold."""
    rng = np.random.default_rng(index)
    corners = np.array([[40 + 120 * n, 50, 130 + 120 * n, 350] for n in range(people)], np.float32).reshape(-1, 4)
    xy = (corners[:, None, :2] + rng.uniform(2, 80, (people, 17, 2))).round(2)
    score = rng.uniform(0.3, 0.9, (people, 17)).round(4)
    return Poses(Boxes(corners, np.full(people, 0.75)), xy, score, np.arange(people) + 4)


def film(count: int = 8) -> list[Result]:
    """Frames with 2, 0, 1, 2, 0, 1 ... people."""
    frames = [Frame(PICTURE, index, index / 25, "in.mp4", 512 * index) for index in range(count)]
    return [Result(frame, poses(frame.index, (2, 0, 1)[frame.index % 3])) for frame in frames]


def write(sink: Sink, results: list[Result]) -> None:
    for result in results:
        sink.write(result)
    sink.close(complete=True)


def saved(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def read(path: Path, kind: Any = None) -> PoseFile:
    found = read_poses(path, kind)
    assert isinstance(found, PoseFile)
    return found


def person(**fields: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 1, "keypoints": [10.0, 20.0, 0.5] * 17, "score": 0.4, **fields}


def flat(poses: Poses) -> list[float]:
    return np.concatenate([poses.xy, poses.score[:, :, None]], axis=2)[0].ravel().tolist()


def tpose(*arguments: object) -> Ran:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


class TestRoundTrips:
    @pytest.mark.parametrize("name", WRITERS)
    def test_written_files_are_read_back(self, tmp_path: Path, name: str) -> None:
        results = film()
        write(WRITERS[name](tmp_path / "out"), results)
        found = read(tmp_path / "out")
        last = 6 if name == "results" else 7
        assert [stamp.index for stamp in found.frames] == list(range(last + 1))
        for stamp in found.frames:
            expected, got = results[stamp.index].poses, found.poses.get(stamp.id, Poses.empty())
            np.testing.assert_allclose(got.xy, expected.xy, atol=0.006)
            np.testing.assert_allclose(got.score, expected.score, atol=1e-5)
            if name != "results":
                np.testing.assert_array_equal(got.track_id, expected.track_id)
            if name in ("dataset", "mmpose"):
                np.testing.assert_allclose(got.boxes.xyxy, expected.boxes.xyxy, atol=0.006)
            if name in ("dataset", "mmpose", "results"):
                np.testing.assert_allclose(got.person_score, expected.person_score, atol=1e-4)
        assert found.tracked == (name != "results")
        assert found.is_own == (name == "dataset")

    @pytest.mark.parametrize("name", WRITERS)
    def test_converting_again_gives_the_same_file(self, tmp_path: Path, name: str) -> None:
        write(WRITERS[name](tmp_path / "a"), film(9))
        kinds = {"dataset": "--json", "results": "--json", "mmpose": "--mmpose"}
        extra = {
            "results": ("--json-format", "results"),
            "dataset": (),
            "mmpose": (),
        }.get(name, ("--openpose-format", name, "--min-score", "0"))
        frame_facts = () if name == "dataset" else ("--input-fps", 25, "--size", "640x480")
        option = kinds.get(name, "--openpose")
        ran = tpose("convert", tmp_path / "a", option, tmp_path / "b", "--smooth", "none", *extra, *frame_facts)
        assert ran.exit_code == 0, ran.output + str(ran.exception)
        if option == "--openpose":
            ours, again = (
                {p.name[-30:]: json.loads(p.read_text()) for p in (tmp_path / n).iterdir()} for n in ("a", "b")
            )
        else:
            ours, again = (json.loads((tmp_path / n).read_text()) for n in ("a", "b"))
        if name == "dataset":
            for content in (ours, again):
                content.pop("info")
        assert ours == again

    def test_our_dataset_keeps_raw_and_smoothed(self, tmp_path: Path) -> None:
        results = [Result(r.frame, r.poses, Poses(r.poses.boxes, r.poses.xy + 3, r.poses.score)) for r in film(3)]
        write(WRITERS["dataset"](tmp_path / "out"), results)
        found = read(tmp_path / "out")
        assert found.smoothed is not None
        for key, measured in found.poses.items():
            np.testing.assert_allclose(found.smoothed[key].xy - measured.xy, 3, atol=0.02)

    def test_a_journal_is_detected_by_its_first_line(self, tmp_path: Path) -> None:
        writer = JournalWriter(tmp_path / "j", INFO)
        writer.close()
        assert isinstance(read_poses(tmp_path / "j"), Journal)


class TestOpenpose:
    @pytest.mark.parametrize("names", [BODY_25, BODY_25[:0]])
    def test_body_25_by_name(self, tmp_path: Path, names: list[str]) -> None:
        layout = names or list(KEYPOINTS)
        numbers = [value for place, _ in enumerate(layout) for value in (100 + place, 7, 0.5)]
        people = [{"person_id": [-1], "pose_keypoints_2d": numbers}]
        saved(tmp_path / "v_000000000003_keypoints.json", {"version": 1.3, "people": people})
        saved(tmp_path / "v_000000000004_keypoints.json", {"version": 1.3, "people": []})
        found = read(tmp_path)
        assert [stamp.index for stamp in found.frames] == [3, 4]
        assert found.poses[3].xy[0, :, 0].tolist() == [100 + layout.index(name) for name in KEYPOINTS]
        assert not found.tracked

    def test_missing_joints_stay_missing_and_boxes_enclose_the_others(self, tmp_path: Path) -> None:
        numbers = np.zeros((25, 3))
        numbers[0], numbers[11] = (200, 100, 0.9), (260, 400, 0.8)
        saved(tmp_path / "a_000000000000_keypoints.json", {"people": [{"pose_keypoints_2d": numbers.ravel().tolist()}]})
        found = read(tmp_path).poses[0]
        assert np.flatnonzero(found.score[0]).tolist() == [0, KEYPOINTS.index("right_ankle")]
        assert not found.xy[0, 1:16].any()
        margin = MARGIN * 300
        np.testing.assert_allclose(found.boxes.xyxy[0], [200 - margin, 100 - margin, 260 + margin, 400 + margin])
        ran = tpose("convert", tmp_path, "--input-fps", 25, "--size", "640x480", "--json", tmp_path / "o.json")
        assert ran.exit_code == 0
        annotation = json.loads((tmp_path / "o.json").read_text())["annotations"][0]
        assert annotation["num_keypoints"] == 2
        assert annotation["keypoints"][3:6] == [0, 0, 0]

    def test_scaled_coordinates_are_refused(self, tmp_path: Path) -> None:
        file = saved(tmp_path / "a_keypoints.json", {"people": [{"pose_keypoints_2d": [0.5, 0.4, 0.9] * 25}]})
        with pytest.raises(InputError, match="--keypoint_scale 0"):
            read(file)


class TestOthers:
    def test_results_of_other_tools(self, tmp_path: Path) -> None:
        entries = [
            person(image_id=0, keypoints=[[10, 20, 0.5]] * 17, bbox=[5, 6, 30, 40], track_id=0),
            person(image_id=2, track_id=3),
            person(image_id=2, category_id=3),
        ]
        found = read(saved(tmp_path / "r.json", entries))
        assert [stamp.index for stamp in found.frames] == [0, 1, 2]
        assert found.poses[0].boxes.xyxy.tolist() == [[5, 6, 35, 46]]
        assert found.poses[0].person_score == pytest.approx(0.4)
        assert found.tracked
        assert [found.poses[key].track_id.tolist() for key in (0, 2)] == [[1], [4]]

    def test_alphapose(self, tmp_path: Path) -> None:
        entries = [person(image_id=f"{n}.jpg", box=[1, 2, 30, 40], idx=n + 1, score=2.5) for n in (0, 10)]
        found = read(saved(tmp_path / "r.json", entries))
        assert [len(found.poses.get(key, ())) for key in (0, 5, 10)] == [1, 0, 1]
        assert found.poses[10].track_id.tolist() == [11]

    def test_visibilities_of_annotations_are_not_scores(self, tmp_path: Path, media: Path) -> None:
        found = read(media / "crossing.json")
        truth = json.loads((media / "crossing.json").read_text())
        labelled = sum(v > 0 for a in truth["annotations"] for v in a["keypoints"][2::3])
        assert {float(s) for p in found.poses.values() for s in p.score.ravel()} == {0.0, 1.0}
        assert sum(int(p.score.sum()) for p in found.poses.values()) == labelled
        assert found.tracked
        assert found.has_times

    def test_keypoints_are_matched_by_name(self, tmp_path: Path) -> None:
        names = ["thumb", *reversed(KEYPOINTS)]
        numbers = [value for place, _ in enumerate(names) for value in (100 + place, 7, 2)]
        annotation = {"image_id": 1, "category_id": 5, "keypoints": numbers, "attributes": {"track_id": 2}}
        content = {
            "annotations": [annotation, {**annotation, "iscrowd": 1}],
            "images": [{"id": 1, "file_name": "frame_000000.png", "width": 640, "height": 480}],
            "categories": [{"id": 5, "name": "worker", "keypoints": names}],
        }
        found = read(saved(tmp_path / "d.json", content))
        assert found.poses[1].xy[0, :, 0].tolist() == [117 - place for place in range(17)]

    @pytest.mark.parametrize("shape", ["demo", "inferencer", "nested", "person"])
    def test_mmpose(self, tmp_path: Path, shape: str) -> None:
        one = {"keypoints": [[1.5, 2.5]] * 17, "keypoint_scores": [0.5] * 17, "bbox": [[0, 1, 9, 8]], "bbox_score": 0.7}
        content = {
            "demo": {"meta_info": {}, "instance_info": [{"frame_id": n, "instances": [one] * (n % 2)} for n in (1, 2)]},
            "inferencer": {"predictions": [[one], []]},
            "nested": [{"instances": [one]}, {"instances": []}],
            "person": [one],
        }[shape]
        found = read(saved(tmp_path / "m.json", content))
        assert [stamp.index for stamp in found.frames] == ([0] if shape == "person" else [0, 1])
        first = found.poses[found.frames[0].id]
        assert first.boxes.xyxy.tolist() == [[0, 1, 9, 8]]
        assert first.boxes.score == pytest.approx(0.7)
        assert (first.xy == [1.5, 2.5]).all()

    def test_nan_is_a_missing_joint(self, tmp_path: Path) -> None:
        (tmp_path / "r.json").write_text(json.dumps([person(keypoints=[float("nan")] * 6 + [5.0, 6.0, 0.5] * 15)]))
        found = read(tmp_path / "r.json").poses[1]
        assert (found.score[0] > 0).sum() == 15
        assert np.isfinite(found.xy).all()


BROKEN: dict[str, tuple[Any, str]] = {
    "short": ([person(), person(keypoints=[1.0] * 50)], "result 2.*50 numbers"),
    "text": ([person(keypoints=["a"] * 51)], "result 1.*numbers only"),
    "null": ([person(keypoints=None)], "result 1.*expected a list"),
    "no object": ([person(), 5], "result 2.*expected an object"),
    "box": ([person(bbox=[1, 2, 3])], "result 1.*width, height"),
    "negative box": ([person(bbox=[1, 2, -3, 4])], "result 1.*negative size"),
    "endless": ([person(keypoints=[1e300, 5, 0.5] * 17)], "result 1.*out of range"),
    "endless score": ([person(score=1e308)], "result 1.*out of range"),
    "image id": ([person(image_id="cat.jpg")], "result 1.*contains no number"),
    "keypoints": ([person(keypoints=[1.0] * 63)], "21 keypoints"),
    "unknown image": ({"images": [], "annotations": [person()], "categories": []}, "image 1, which is not"),
    "image twice": ({"images": [{"id": 1}, {"id": 1}], "annotations": []}, "same id"),
    "frame twice": ([{"frame_id": 3, "instances": []}] * 2, "frame 2.*frame_id 3"),
    "scores": ([{"keypoints": [[1, 2]] * 17, "keypoint_scores": [1.0]}], "frame 1.*one score per keypoint"),
    "instances": ([{"instances": 5}], "frame 1.*instances"),
    "openpose": ({"people": [{"pose_keypoints_2d": [1.0] * 30}]}, "person 1.*10 keypoints.*17, 18, 25"),
    "something": ({"answer": 42}, "--from"),
    "number": (42, "expected a list or an object"),
}


class TestErrors:
    @pytest.mark.parametrize("name", BROKEN)
    def test_file_and_entry_are_named(self, tmp_path: Path, name: str) -> None:
        content, said = BROKEN[name]
        with pytest.raises(InputError, match=said) as raised:
            read(saved(tmp_path / "some.json", content))
        assert "some.json" in str(raised.value)

    def test_unreadable_files_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "binary").write_bytes(bytes(range(256)))
        (tmp_path / "empty").write_bytes(b"")
        (tmp_path / "deep").write_text("[" * 100_000)
        (tmp_path / "folder").mkdir()
        for name in ("binary", "empty", "deep", "folder", "missing"):
            with pytest.raises(InputError, match=name):
                read_poses(tmp_path / name)

    def test_file_without_people(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "r.json", [person(keypoints=[0] * 51)])
        assert read(path).poses == {}
        category = {"id": [], "name": "person"}
        content = {"images": [{"id": 1}], "annotations": [person()], "categories": [category]}
        assert len(read(saved(path, content)).poses[1]) == 1

    @pytest.mark.parametrize("name", ["dataset", "results", "mmpose"])
    def test_truncated_and_damaged_files_never_crash(self, tmp_path: Path, name: str) -> None:
        write(WRITERS[name](tmp_path / "whole"), film(3))
        whole = (tmp_path / "whole").read_bytes()
        rng = np.random.default_rng(1)
        refused = 0
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 3):
                data[place] = rng.choice(np.frombuffer(b'0-[]{}",:ex', np.uint8))
            (tmp_path / "bad").write_bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)
            try:
                read_poses(tmp_path / "bad")
            except TposeError as error:
                assert "bad" in str(error)
                refused += 1
        assert refused > 20

    def test_format_can_be_named(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "r.json", [person()])
        assert read(path).format == "COCO results"
        with pytest.raises(InputError, match="no list of people"):
            read(path, "openpose")
        ran = tpose("convert", path, "--from", "journal", "--csv", tmp_path / "o.csv")
        assert "not a journal" in str(ran.exception)


class TestTimes:
    @pytest.mark.parametrize("name", ["portrait.mp4", "walk.mp4"])
    def test_of_a_video_without_decoding(self, media: Path, name: str) -> None:
        with open_video(media / name) as video:
            assert isinstance(video, VideoSource)
            assert timestamps(video) == [frame.pts for frame in video]

    def test_come_from_the_video(self, tmp_path: Path, media: Path) -> None:
        path = saved(tmp_path / "r.json", [person(image_id=n) for n in (1, 40)])
        recording = read_aligned(PoseInput(path, inputs=(str(media / "portrait.mp4"),)))
        truth = read(media / "portrait.json")
        frames = list(recording.frames)
        assert [frame.time_s for frame in frames] == pytest.approx([stamp.time_s for stamp in truth.frames])
        assert [frame.index for frame in frames if len(frame.poses)] == [0, 39]
        assert {frame.size_wh for frame in frames} == {(480, 848)}

    def test_come_from_a_rate(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        found = read(saved(tmp_path / "r.json", [person(image_id=n) for n in (1, 31)]))
        recording = align(found, PoseInput(found.path, fps=Fraction(30000, 1001)))
        assert [frame.time_s for frame in recording.frames][30] == pytest.approx(1.001)
        assert recording.header["time_base"] == "1001/30000"
        assert "--size" in caplog.text

    def test_unknown_times_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"-i, or give .* --input-fps"):
            read_aligned(PoseInput(saved(tmp_path / "r.json", [person()])))

    def test_people_after_the_end_are_reported(
        self, tmp_path: Path, media: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = saved(tmp_path / "r.json", [person(image_id=n) for n in (1, 500)])
        read_aligned(PoseInput(path, inputs=(str(media / "walk.mp4"),)))
        assert "1 frames after the end of walk.mp4" in caplog.text


class TestPictures:
    def test_results_are_matched_by_the_numbers_in_names(self, tmp_path: Path) -> None:
        import cv2

        for name in ("000000000139.jpg", "000000000285.jpg"):
            cv2.imwrite(str(tmp_path / name), np.zeros((48, 64, 3), np.uint8))
        path = saved(tmp_path / "r.json", [person(image_id=285)])
        recording = read_aligned(PoseInput(path, inputs=(str(tmp_path),)))
        assert [(f.name, len(f.poses)) for f in recording.frames] == [("000000000139.jpg", 0), ("000000000285.jpg", 1)]
        assert recording.stills
        ran = tpose("convert", path, "-i", tmp_path, "--json", tmp_path / "o.json", "--json-format", "results")
        assert ran.exit_code == 0
        assert [entry["image_id"] for entry in json.loads((tmp_path / "o.json").read_text())] == [285]

    def test_datasets_are_matched_by_name_and_keep_their_ids(self, tmp_path: Path, media: Path) -> None:
        ran = tpose("convert", media / "stills.json", "--json", tmp_path / "o.json")
        assert ran.exit_code == 0
        ours, again = (json.loads(path.read_text()) for path in (media / "stills.json", tmp_path / "o.json"))
        assert [image["id"] for image in again["images"]] == [image["id"] for image in ours["images"]]
        for first, second in zip(ours["annotations"], again["annotations"], strict=True):
            there = np.array(first["keypoints"][2::3]) > 0
            xy = [np.array(a["keypoints"]).reshape(-1, 3)[there, :2] for a in (first, second)]
            np.testing.assert_allclose(*xy, atol=0.006)

    def test_drawn_on_the_images(self, tmp_path: Path, media: Path) -> None:
        ran = tpose("render", media / "stills.json", "-i", media / "stills", "-o", tmp_path / "drawn")
        assert ran.exit_code == 0, ran.output + str(ran.exception)
        assert len(list((tmp_path / "drawn").iterdir())) == 10

    def test_images_of_something_else(self, tmp_path: Path, media: Path) -> None:
        content = {"images": [{"id": 1, "file_name": "cat.jpg"}], "annotations": [person()]}
        ran = tpose("render", saved(tmp_path / "d.json", content), "-i", media / "stills", "-o", tmp_path / "drawn")
        assert "none of its people" in str(ran.exception)


def small_video(path: Path, count: int) -> Path:
    """Dark frames at irregular times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((480, 640, 3), 30, np.uint8), "rgb24")
            frame.pts, frame.time_base = 40 * index + 7 * (index % 2), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class TestCommands:
    def test_drawn_on_the_video_with_its_times(self, tmp_path: Path) -> None:
        video = small_video(tmp_path / "in.mp4", 6)
        write(WRITERS["coco18"](tmp_path / "op"), film(4))
        outputs = "-o", tmp_path / "out.mp4", "--mmpose", tmp_path / "m.json"
        ran = tpose("render", tmp_path / "op", "-i", video, *outputs, "--smooth", "none")
        assert ran.exit_code == 0, ran.output + str(ran.exception)
        with open_video(tmp_path / "out.mp4") as drawn, open_video(video) as source:
            bright = [(frame.time_s, int(frame.image.max()) > 120) for frame in drawn]
            assert [time_s for time_s, _ in bright] == pytest.approx([frame.time_s for frame in source])
        assert [seen for _, seen in bright] == [True, False, True, True, False, False]
        content = json.loads((tmp_path / "m.json").read_text())
        assert [one["track_id"] for one in content[0]["instances"]] == [4, 5]

    def test_ids_of_the_file_or_new_ones(self, tmp_path: Path) -> None:
        write(WRITERS["mmpose"](tmp_path / "m.json"), film(4))
        for option, expected in (((), [4, 5]), (("--track-again",), [1, 2])):
            out = tmp_path / f"out{len(option)}.json"
            ran = tpose("convert", tmp_path / "m.json", "--input-fps", 25, "--mmpose", out, *option)
            assert ran.exit_code == 0, ran.output + str(ran.exception)
            assert [one["track_id"] for one in json.loads(out.read_text())[0]["instances"]] == expected

    def test_our_dataset_is_smoothed_again_from_raw_poses(self, tmp_path: Path) -> None:
        results = [Result(r.frame, r.poses, Poses(r.poses.boxes, r.poses.xy + 3, r.poses.score)) for r in film(6)]
        write(WRITERS["dataset"](tmp_path / "d.json"), results)
        tpose("convert", tmp_path / "d.json", "--json", tmp_path / "o.json", "--smooth", "none")
        content = json.loads((tmp_path / "o.json").read_text())
        assert content["info"]["poses"] == {
            "file": "d.json",
            "tool_version": None,
            "command": None,
            "format": "COCO dataset",
        }
        np.testing.assert_allclose(
            np.array(content["annotations"][0]["keypoints"]).reshape(-1, 3)[:, :2], results[0].poses.xy[0], atol=0.006
        )

    def test_other_frames_are_refused(self, tmp_path: Path, media: Path) -> None:
        video = small_video(tmp_path / "in.mp4", 3)
        ran = tpose("render", media / "walk.json", "-i", video, "-o", tmp_path / "out.mp4")
        assert "frame 1: got time" in str(ran.exception)
        assert not (tmp_path / "out.mp4").exists()


def test_numbers_of_too_many_digits_are_bad_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [], "annotations": [{"id": ' + "1" * 5000 + "}]}")
    with pytest.raises(InputError, match=r"a\.json, line 1: .*too many digits"):
        read_poses(tmp_path / "a.json")
