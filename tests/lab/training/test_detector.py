"""Training of the person detector: reading photos, composing images, metrics, and resuming."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tposecli.detection.bundled import load_person_detector
from tposecli.lab.training.detector import loop
from tposecli.lab.training.detector.canvas import Canvas, Placement
from tposecli.lab.training.detector.data_sources import checks, sources
from tposecli.lab.training.detector.dataset import (
    BoxedPerson,
    Photo,
    PhotoSource,
    body_outline,
    capsule,
    read_photos,
    turned,
)
from tposecli.lab.training.detector.loop import DetectorJob, save_weights, train
from tposecli.lab.training.detector.scenes import Composer, stack
from tposecli.lab.training.detector.validation import average_precision, evaluate, match_boxes, recall_at
from tposecli.models.person_detector import PersonDetector
from tposecli.types import Boxes, Float32, Frame
from tposecli.utils.errors import InputError, UsageError


def photo(size_wh: tuple[int, int], box: tuple[float, float, float, float], complete: bool = True) -> Photo:
    """Return a grey photo with a bright block as a person."""
    image = np.full((size_wh[1], size_wh[0], 3), 60, np.uint8)
    x0, y0, x1, y1 = (round(v) for v in box)
    image[y0:y1, x0:x1] = (250, 200, 160)
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    person = BoxedPerson(np.array(box, np.float32), (corners,), True, np.array(box, np.float32), (x1 - x0) * (y1 - y0))
    made = Photo(Path("drawn"), (person,), np.zeros((0, 4), np.float32), complete)
    made.__dict__["image"] = image
    return made


class TestScenes:
    def test_boxes_follow_the_placement_of_the_photo(self) -> None:
        shown = photo((100, 80), (10, 20, 40, 70))
        place = Placement((100, 80), np.array([1.5, 1.5], np.float32), np.array([-6, 10], np.float32), mirror=True)
        canvas = Canvas((160, 128), np.zeros(3, np.float32))
        canvas.place(shown, place, (0, 0, 160, 128))
        sample = canvas.finish()
        np.testing.assert_allclose(sample.boxes, [[(100 - 40) * 1.5 - 6, 40, (100 - 10) * 1.5 - 6, 115]], atol=1.5)
        x0, y0, x1, y1 = sample.boxes[0].astype(int)
        assert sample.image[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].min() > 150

    def test_hidden_people_are_ignored_in_the_loss(self) -> None:
        plain = Placement((64, 64), np.ones(2, np.float32), np.zeros(2, np.float32), mirror=False)
        canvas = Canvas((64, 64), np.zeros(3, np.float32))
        canvas.place(photo((64, 64), (8, 8, 56, 56)), plain, (0, 0, 64, 64))
        canvas.place(photo((64, 64), (0, 0, 1, 1)), plain, (0, 0, 64, 48))
        sample = canvas.finish()
        assert len(sample.boxes) == 0
        assert sample.weight[6, 3] == 0 and sample.weight[0, 4] == 1

    def test_false_positives_weigh_less_in_incompletely_annotated_photos(self) -> None:
        plain = Placement((128, 128), np.ones(2, np.float32), np.zeros(2, np.float32), mirror=False)
        weights = {}
        for complete in (True, False):
            canvas = Canvas((128, 128), np.zeros(3, np.float32))
            canvas.place(photo((128, 128), (8, 8, 40, 40), complete), plain, (0, 0, 128, 128))
            weights[complete] = canvas.finish().weight
        assert (weights[True] == 1).all()
        assert weights[False][2, 2] == 1 and 0 < weights[False][15, 15] < 1

    def test_composed_images_depend_only_on_the_generator(self) -> None:
        compose = Composer(
            [PhotoSource("a", (photo((90, 70), (10, 10, 50, 60)), photo((50, 80), (5, 5, 40, 70), False)))]
        )
        for seed in range(12):
            first = compose(np.random.default_rng(seed), (96, 64))
            second = compose(np.random.default_rng(seed), (96, 64))
            assert first.image.shape == (64, 96, 3) and first.weight.shape == (8, 12)
            np.testing.assert_array_equal(first.image, second.image)
            np.testing.assert_array_equal(first.boxes, second.boxes)
            assert (first.boxes >= 0).all() and (first.boxes <= (96, 64, 96, 64)).all()
            images, boxes, real, _ = stack([first, second])
            assert images.shape[0] == 2 and real.sum() == 2 * len(first.boxes) and boxes.shape[1] >= 1

    def test_boxes_and_outlines_turn_with_the_photo(self) -> None:
        shown = photo((100, 80), (10, 20, 40, 70))
        for quarters in (1, 2, 3):
            made = turned(shown, quarters)
            assert made.image.shape[:2] == ((80, 100) if quarters == 2 else (100, 80))
            x0, y0, x1, y1 = made.people[0].box.astype(int)
            bright = np.argwhere(made.image[:, :, 0] > 200)
            assert [x0, y0, x1, y1] == [*bright.min(axis=0)[::-1], *(bright.max(axis=0)[::-1] + 1)]
            corners = np.concatenate(made.people[0].outline)
            np.testing.assert_array_equal([*corners.min(axis=0), *corners.max(axis=0)], made.people[0].box)
        np.testing.assert_array_equal(turned(shown, 4).people[0].box, shown.people[0].box)

    def test_a_body_outline_encloses_its_joints(self) -> None:
        line = capsule(np.array([0, 0], np.float32), np.array([10, 0], np.float32), 2)
        np.testing.assert_allclose([line.min(axis=0), line.max(axis=0)], [[-2, -2], [12, 2]], atol=0.1)
        xy = np.zeros((17, 2), np.float32)
        half = np.array([[10, 40], [15, 60], [18, 80], [6, 80], [6, 105], [6, 130]], np.float32)
        xy[5::2], xy[6::2] = half * (1, 1) + (50, 0), half * (-1, 1) + (50, 0)
        head = np.array([[50, 36], [50, 15]], np.float32)
        corners = np.concatenate(body_outline(xy, np.arange(17) >= 5, head, 115))
        low, high = corners.min(axis=0), corners.max(axis=0)
        assert (low < (32, 20)).all() and (low > (15, 0)).all()
        assert (high > (68, 132)).all() and (high < (85, 150)).all()


class Oracle:
    """A detector that returns the given boxes, frame after frame."""

    def __init__(self, answers: list[Boxes]) -> None:
        self._answers = iter(answers)

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        return [next(self._answers) for _ in frames]


def boxes_of(*rows: tuple[float, float, float, float, float]) -> Boxes:
    array = np.array(rows, np.float32).reshape(-1, 5)
    return Boxes(array[:, :4], array[:, 4])


class TestFigures:
    none: Float32 = np.zeros((0, 4), np.float32)

    def test_each_person_is_matched_once_and_ignored_people_do_not_count(self) -> None:
        truth, ignored = np.array([[0, 0, 10, 10]], np.float32), np.array([[20, 0, 24, 10]], np.float32)
        crowd = np.array([[50, 0, 90, 40]], np.float32)
        found = boxes_of((0, 0, 10, 9, 0.9), (0, 1, 10, 10, 0.8), (20, 0, 24, 10, 0.7), (60, 10, 70, 20, 0.6))
        assert [hit for _, hit in match_boxes(found, truth, ignored, crowd)] == [True, False]
        assert match_boxes(found[1:], self.none, self.none, self.none)[0][1] is False

    def test_false_boxes_of_another_size_and_poor_overlaps_depend_on_what_is_asked(self) -> None:
        truth, found = np.array([[0, 0, 40, 40]], np.float32), boxes_of((0, 0, 40, 30, 0.9), (50, 0, 60, 10, 0.5))
        match = [hit for _, hit in match_boxes(found, truth, self.none, self.none)]
        assert match == [True, False]
        large = match_boxes(found, truth, self.none, self.none, limits=(1024, 1e10))
        assert [hit for _, hit in large] == [True]
        strict = match_boxes(found, truth, self.none, self.none, iou=0.8)
        assert [hit for _, hit in strict] == [False, False]

    def test_metrics_of_a_known_precision_recall_curve(self) -> None:
        scored = [(0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, False)]
        assert recall_at(scored, 4, precision=0.7) == (0.75, 0.6)
        assert average_precision(scored, 4) == pytest.approx((51 + 25 * 0.75) / 101)
        assert recall_at([], 3, 0.7) == (0, 1) and average_precision([], 3) == 0

    def test_a_perfect_detector_scores_one(self) -> None:
        photos = [photo((200, 160), (10, 10, 120, 150)), photo((200, 160), (30, 20, 60, 40))]
        answers = [boxes_of((10, 10, 120, 150, 0.9)), boxes_of((30, 20, 60, 40, 0.99))]
        found = evaluate(Oracle(answers), photos)
        assert found["all"].average_precision == pytest.approx(1) == found["all"].at_50
        assert {size: metrics.people for size, metrics in found.items()} == {
            "all": 2,
            "small": 1,
            "medium": 0,
            "large": 1,
        }


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[Path, Path]:
    """Write six photos with a person each, one crowd, one bad box and one missing image."""
    images, annotations = [], []
    for number in range(6):
        box = (10.0 + number, 8.0, 50.0 + number, 70.0)
        cv2.imwrite(str(tmp_path / f"{number}.png"), photo((96, 80), box).image[:, :, ::-1])
        images.append({"id": 10 - number, "file_name": f"{number}.png", "width": 96, "height": 80})
        bbox = [box[0], box[1], 40, 62]
        outline = [[box[0], 8, box[0] + 40, 8, box[0] + 40, 70, box[0], 70]]
        row = {"image_id": 10 - number, "bbox": bbox, "area": 2480, "iscrowd": 0, "segmentation": outline}
        annotations.append(row)
    annotations.append({"image_id": 10, "bbox": [0, 0, 30, 30], "area": 900, "iscrowd": 1, "segmentation": {}})
    annotations.append({"image_id": 9, "bbox": [4, 4, 0, 10], "area": 0, "iscrowd": 0, "segmentation": []})
    images.append({"id": 99, "file_name": "lost.png", "width": 96, "height": 80})
    file = tmp_path / "ann.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations}), encoding="utf-8")
    return file, tmp_path


class TestReading:
    def test_bad_annotations_are_counted(self, dataset: tuple[Path, Path]) -> None:
        photos, bad = read_photos(*dataset)
        assert bad == Counter({"image missing": 1, "box empty or outside the image": 1})
        assert [len(p.people) for p in photos] == [1] * 6
        assert len(photos[-1].crowds) == 1 and photos[-1].complete
        assert photos[0].image.shape == (80, 96, 3)

    def test_even_and_odd_split_the_sorted_image_ids(self, dataset: tuple[Path, Path]) -> None:
        even, odd = (read_photos(*dataset, half)[0] for half in ("even", "odd"))
        assert [p.path.stem for p in even] == ["5", "3", "1"]
        assert [p.path.stem for p in odd] == ["4", "2", "0"]

    def test_boxes_around_joints_are_enlarged_to_the_body(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 60, 3), np.uint8))
        row = {"image_id": 1, "bbox": [20, 20, 20, 20], "area": 400, "iscrowd": 0, "keypoints": [0] * 51}
        row |= {"neck": None, "head_top": None}
        data = {"images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 60}], "annotations": [row]}
        (tmp_path / "a.json").write_text(json.dumps(data), encoding="utf-8")
        photos, bad = read_photos(tmp_path / "a.json", tmp_path)
        person = photos[0].people[0]
        assert not photos[0].complete and not person.cuttable and sum(bad.values()) == 1
        assert (person.box[:2] < 20).all() and (person.box[2:] > 40).all()
        np.testing.assert_array_equal(person.given, [20, 20, 40, 40])

    def test_data_and_check_specifications(self, dataset: tuple[Path, Path]) -> None:
        said: list[str] = []
        spec = f"{dataset[0]}:{dataset[1]}"
        made = sources([f"{spec}:0.5:odd", spec], dataset[1], said.append)
        assert [source.weight for source in made] == [0.5, 1.0]
        assert [len(source.photos) for source in made] == [3, 6]
        assert any("box empty" in line for line in said)
        partial = sources([f"{spec}:2:even:partial", f"{spec}:partial"], dataset[1], said.append)
        assert not any(photo.complete for source in partial for photo in source.photos)
        assert [source.weight for source in partial] == [2.0, 1.0]
        assert len(checks([f"{spec}:even"], said.append)[0].photos) == 3
        with pytest.raises(UsageError, match="not a number"):
            sources([f"{spec}:heavy"], dataset[1], said.append)
        with pytest.raises(UsageError, match="ANN"):
            sources(["alone.json"], dataset[1], said.append)
        with pytest.raises(InputError, match=r"none\.json"):
            sources(["none.json:."], dataset[1], said.append)

    def test_crowds_are_rendered_only_once(self, tmp_path: Path) -> None:
        said: list[str] = []
        made = sources(["rendered:0.5:2"], tmp_path / "crowds", said.append)[0]
        drawn = {path: path.stat().st_mtime_ns for path in (tmp_path / "crowds").iterdir()}
        assert made.weight == 0.5 and len(made.photos) == 2
        for drawn_photo in made.photos:
            height, width = drawn_photo.image.shape[:2]
            assert drawn_photo.complete
            assert all((person.box <= (width, height, width, height)).all() for person in drawn_photo.people)
        sources(["rendered:0.5:2"], tmp_path / "crowds", said.append)
        assert drawn == {path: path.stat().st_mtime_ns for path in (tmp_path / "crowds").iterdir()}


class TestTraining:
    def test_a_stopped_run_resumes(
        self, dataset: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loop, "SHAPES", ((64, 64),))
        said: list[str] = []
        data = sources([f"{dataset[0]}:{dataset[1]}"], tmp_path, said.append)
        out = tmp_path / "run"
        with pytest.raises(InputError, match="resume"):
            train(DetectorJob(data, (), out, resume=True), said.append)
        job = DetectorJob(data, (), out, minutes=0.002, batch=1)
        weights = train(job, said.append)
        first = torch.load(out / "checkpoint.pt", weights_only=True)
        train(DetectorJob(data, (), out, minutes=first["seconds"] / 60 + 0.002, batch=1, resume=True), said.append)
        second = torch.load(out / "checkpoint.pt", weights_only=True)
        assert second["step"] > first["step"] >= 1
        assert second["seconds"] > first["seconds"]
        load_person_detector(weights)

    def test_a_run_begins_with_the_weights_it_is_given_and_measures(
        self, dataset: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loop, "SHAPES", ((64, 64),))
        torch.manual_seed(3)
        donor, said = PersonDetector(), [""]
        save_weights(donor, tmp_path / "donor.safetensors", half=True)
        spec = f"{dataset[0]}:{dataset[1]}"
        job = DetectorJob(
            sources([spec], tmp_path, [].append),
            checks([spec], [].append),
            tmp_path / "run",
            init=tmp_path / "donor.safetensors",
            minutes=0.002,
            batch=1,
        )
        kept = load_person_detector(train(job, said.append)).state_dict()
        for name, value in donor.state_dict().items():
            assert torch.allclose(kept[name], value, atol=0.02)
        assert "6 people" in said[-1] and "AP50" in said[-1] and "medium" in said[-1]
        rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
        assert {row["size"] for row in rows} == {"all", "medium"} and rows[0]["people"] == 6

    def test_a_run_of_zero_minutes_writes_the_initial_weights(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        donor = PersonDetector()
        monkeypatch.setattr(loop, "start_from_nanodet", lambda net, _: net.load_state_dict(donor.state_dict()))
        weights = train(DetectorJob((), (), tmp_path, init=tmp_path / "nanodet.json", minutes=0), [].append)
        kept = load_person_detector(weights).state_dict()
        for name, value in donor.state_dict().items():
            assert torch.equal(kept[name], value.half().float())
