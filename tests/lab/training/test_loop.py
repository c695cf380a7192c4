"""Training of the pose nets: reading data, crops, targets, learning, and resuming."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open

from tposecli.cli.main import cli
from tposecli.evaluation.coco.problems import Problems
from tposecli.formats.journal.journal import journal_path
from tposecli.geometry import crop, heatmaps
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.hub.checkpoints.load import read_state
from tposecli.hub.download.options import Downloads
from tposecli.lab.training import dataset
from tposecli.lab.training.augment import CropSampler, CropView, Sample, mirror_sample, paste_neighbour
from tposecli.lab.training.batches import Batches, SamplingConfig, samples_per_source
from tposecli.lab.training.data_sources import DataSource, ReadOptions, read_checks, read_sources
from tposecli.lab.training.dataset import (
    AnnotatedPerson,
    AnnotationFile,
    read_people,
    read_training_image,
    with_readable_images,
)
from tposecli.lab.training.init_weights import load_initial_weights
from tposecli.lab.training.job import NO_AUGMENTATION, Augmentation, Intervals, Length, PoseJob, Recipe
from tposecli.lab.training.keypoint_layout import halves, layout_of
from tposecli.lab.training.loop import BEST, WEIGHTS, train
from tposecli.lab.training.rendered import render_people
from tposecli.lab.training.shared import save_weights
from tposecli.lab.training.targets import gaussians, heatmap_loss
from tposecli.models import build, find_spec
from tposecli.utils.errors import InputError, UsageError

MODEL = "transpose-r18-a3"
SIZE = (64, 48)
PETS = {
    "id": 1,
    "name": "pet",
    "keypoints": ["nose", "left_paw", "right_paw"],
    "skeleton": [[1, 2], [1, 3]],
    "flip_pairs": [["left_paw", "right_paw"]],
}
COLOURS = ((250, 30, 30), (30, 250, 30), (60, 60, 255))
LogCallback = Callable[[str], None]


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_set(folder: Path, annotations: list[dict[str, Any]], category: Any = None, pictures: int = 1) -> Path:
    """Write a COCO file with grey images 0.png, 1.png ... beside it."""
    images = [{"id": n, "file_name": f"{n}.png", "width": 96, "height": 128} for n in range(pictures)]
    for image in images:
        if not (folder / str(image["file_name"])).exists():
            cv2.imwrite(str(folder / str(image["file_name"])), np.full((128, 96, 3), 90, np.uint8))
    content = {"images": images, "annotations": annotations, "categories": [category] if category else []}
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def person(number: int = 1, image: int = 0, joints: int = 17, **other: Any) -> dict[str, Any]:
    """Return an annotation with all joints in the middle."""
    box = [20, 30, 50, 70]
    usual = {"id": number, "image_id": image, "category_id": 1, "bbox": box, "area": 3500.0, "iscrowd": 0}
    return {**usual, "keypoints": [45, 60, 2] * joints, "num_keypoints": joints, **other}


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write twelve images, each with three coloured dots as joints."""
    folder = tmp_path_factory.mktemp("pets")
    rng = np.random.default_rng(3)
    animals = []
    for number in range(12):
        picture = np.full((128, 96, 3), 100, np.uint8)
        xy = np.stack([rng.uniform(28, 68, 3), rng.permutation([42, 64, 88]) + rng.uniform(-6, 6, 3)], axis=1)
        for (x, y), colour in zip(xy, COLOURS, strict=True):
            cv2.circle(picture, (round(x), round(y)), 7, colour[::-1], -1)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        joints = [value for x, y in xy for value in (float(x), float(y), 2)]
        animals.append(person(number + 1, number, 3, keypoints=joints))
    write_set(folder, animals, PETS, 12)
    return folder


def job_of(folder: Path, out: Path, **other: Any) -> PoseJob:
    """Return a job for a short run on those images."""
    mild = Augmentation(rotation=10, scale=0.1, half_body=0)
    recipe = Recipe("adamw", 1.5e-3, 1e-4, warm_up=5, sigma=1.0, averaging=0.9, precision="fp32")
    usual: dict[str, Any] = {
        "data": (f"{folder / 'people.json'}:{folder}",),
        "out": out,
        "model": MODEL,
        "input_hw": SIZE,
        "recipe": recipe,
        "augmentation": mild,
        "length": Length(steps=8),
        "every": Intervals(save_minutes=0, log_steps=1),
        "batch": 4,
        "device": "cpu",
    }
    return PoseJob(**{**usual, **other})


class TestData:
    def test_malformed_entries_are_counted_and_named(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_bytes(b"")
        (tmp_path / "2.png").write_bytes(b"no picture at all")
        bad = [
            person(1),
            person(2, 1),
            person(3, 2),
            person(4, 3),
            person(5, joints=16),
            person(6, bbox=[200, 10, 5, 5]),
            person(7, keypoints=["x"] * 51),
            person(8, iscrowd=1),
            person(9, keypoints=[0] * 51),
            {"id": 10},
        ]
        path = write_set(tmp_path, bad, pictures=4)
        (tmp_path / "3.png").unlink()
        problems = Problems()
        layout, people = read_people(AnnotationFile(path, tmp_path), problems)
        good = with_readable_images(people, problems, tmp_path / "record.json", print)
        assert layout is COCO and [one.path.name for one in good] == ["0.png"]
        counts = {kind: len(names) for kind, names in problems.found.items()}
        expected = {dataset.JOINTS: 1, dataset.BOX: 1, dataset.BROKEN: 2, dataset.MISSING: 1}
        assert counts == {**expected, dataset.UNREADABLE: 2, dataset.CROWD: 1, dataset.NO_JOINTS: 1}
        assert "5" in problems.found[dataset.JOINTS][0] and problems.found[dataset.MISSING][0].endswith("3.png")

    def test_annotations_left_out_on_purpose_are_counted_and_named(self, tmp_path: Path) -> None:
        cat = {"id": 1, "name": "cat"}
        people = [
            person(1, category_id=2),
            person(2, category_id="2", image="0"),
            person(3, category_id=1),
            person(4, category_id=2, area=0),
            person(5, category_id=2, image=9),
            {key: value for key, value in person(6, category_id=2).items() if key != "bbox"},
        ]
        path = write_set(tmp_path, people)
        content = json.loads(path.read_text())
        content["categories"] = [cat, {"id": 2, "name": "person"}]
        path.write_text(json.dumps(content))
        problems = Problems()
        assert len(read_people(AnnotationFile(path, tmp_path), problems)[1]) == 2
        kinds = (dataset.OTHER_CATEGORY, dataset.NO_AREA, dataset.UNLISTED, dataset.NO_BOX)
        assert {kind: len(names) for kind, names in problems.found.items()} == dict.fromkeys(kinds, 1)

    def test_areas_that_are_all_0_are_unknown(self, tmp_path: Path) -> None:
        problems = Problems()
        path = write_set(tmp_path, [person(1, area=0), person(2, area=0.0)])
        assert len(read_people(AnnotationFile(path, tmp_path), problems)[1]) == 2
        assert [len(names) for names in problems.found.values()] == [2]

    def test_images_of_another_size_than_annotated_are_named(self, tmp_path: Path) -> None:
        path = write_set(tmp_path, [person()])
        cv2.imwrite(str(tmp_path / "0.png"), np.zeros((64, 48, 3), np.uint8))
        for _ in range(2):
            problems = Problems()
            people = read_people(AnnotationFile(path, tmp_path), problems)[1]
            assert len(with_readable_images(people, problems, tmp_path / "record.json", print)) == 1
            assert problems.found[dataset.WRONG_SIZE] == ["0.png: 48x64, annotated as 96x128"]

    def test_readable_images_are_decoded_only_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _, people = read_people(AnnotationFile(write_set(tmp_path, [person()]), tmp_path), Problems())
        with_readable_images(people, Problems(), tmp_path / "record.json", print)
        monkeypatch.setattr(cv2, "imread", None)
        assert with_readable_images(people, Problems(), tmp_path / "record.json", print) == people

    @pytest.mark.parametrize("text", ["", "[1]", '{"images": []}', "{"])
    def test_other_files_are_refused_by_name(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(InputError, match=r"a\.json"):
            read_people(AnnotationFile(tmp_path / "a.json", tmp_path), Problems())

    def test_boxes_are_clipped_as_in_the_evaluation(self, tmp_path: Path) -> None:
        path = write_set(tmp_path, [person(bbox=[-5.5, 3.25, 300, 60])])
        _, people = read_people(AnnotationFile(path, tmp_path), Problems())
        np.testing.assert_allclose(people[0].box, [0, 3.25, 96, 63.25])

    def test_noses_are_guessed_only_on_request_and_where_missing(self, tmp_path: Path) -> None:
        without = person(keypoints=[0, 0, 0] + [40, 50, 2] * 16, neck=[40, 40], head_top=[40, 20])
        path = write_set(tmp_path, [without, person(2, neck=[1, 1], head_top=[2, 2])])
        for weight, expected in ((0.0, [0, 0, 0]), (0.3, [40, 29, 0.3])):
            _, people = read_people(AnnotationFile(path, tmp_path, weak_nose=weight), Problems())
            np.testing.assert_allclose(people[0].joints[0], expected, rtol=1e-6)
            np.testing.assert_allclose(people[1].joints[0], [45, 60, 1])

    def test_even_and_odd_split_the_sorted_image_ids(self, tmp_path: Path) -> None:
        path = write_set(tmp_path, [person(n + 1, n) for n in range(5)], pictures=5)
        for half, expected in (("even", "024"), ("odd", "13"), ("", "01234")):
            _, people = read_people(AnnotationFile(path, tmp_path, half), Problems())
            assert "".join(one.path.stem for one in people) == expected

    def test_keypoint_layouts_of_other_categories(self) -> None:
        layout = layout_of(PETS, "a.json")
        assert layout.mirror == (0, 2, 1) and layout.limbs == ((0, 1), (0, 2)) and halves(layout) == ((0,), (1, 2))
        plain = layout_of({"keypoints": ["tail", "hand_left", "hand_right"]}, "a.json")
        assert plain.mirror == (0, 2, 1) and layout_of({}, "a.json") is COCO
        assert KeypointLayout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
        for fault in ({"skeleton": [[1, 4]]}, {"flip_pairs": [[1, 9]]}, {"sigmas": [0.1]}, {"skeleton": 3}):
            with pytest.raises(InputError, match=r"a\.json"):
                layout_of({**PETS, **fault}, "a.json")

    def test_data_and_check_specifications(self, tmp_path: Path, pets: Path) -> None:
        how = ReadOptions(tmp_path, tmp_path / "r", (48, 64), tmp_path / "record.json")
        spec = f"{pets / 'people.json'}:{pets}"
        layout, sources = read_sources([f"{spec}:2.5:even"], how, print)
        assert layout.names[0] == "nose" and len(sources[0].people) == 6 and sources[0].weight == 2.5
        assert len(read_checks([f"{spec}:odd"], layout, how, print)[0].truth.images) == 6
        for wrong in ("a.json", f"{spec}:0", f"{spec}:x", f"{spec}:1:some", "rendered:1:x", "coco:train2017"):
            with pytest.raises(UsageError):
                read_sources([wrong], how, print)
        with pytest.raises(UsageError, match="different keypoints"):
            read_sources([spec, "rendered"], how, print)
        with pytest.raises(UsageError, match="its keypoints differ"):
            read_checks([spec], COCO, how, print)

    def test_rendering_people_resumes_after_an_interruption(self, tmp_path: Path) -> None:
        for count, folder in ((2, tmp_path / "a"), (3, tmp_path / "a"), (3, tmp_path / "b")):
            path = render_people(folder, count, (48, 64), print)
        assert path.read_text() == (tmp_path / "a" / path.name).read_text()
        _, people = read_people(AnnotationFile(path, path.parent), Problems())
        assert len(people) == 3 and read_training_image(people[2].path).shape == (64, 48, 3)


class TestCrops:
    def standing(self) -> AnnotatedPerson:
        joints = np.zeros((17, 3), np.float32)
        joints[:, :2] = np.random.default_rng(5).uniform((60, 50), (140, 240), (17, 2))
        joints[:, 2] = 1
        return AnnotatedPerson(Path("drawn"), np.array([55.0, 40.5, 150.25, 250.0]), joints)

    def test_without_augmentation_the_crop_is_that_of_inference(self) -> None:
        picture = np.random.default_rng(1).integers(0, 255, (300, 200, 3), np.uint8)
        one = self.standing()
        sample = CropSampler(COCO, (192, 144), NO_AUGMENTATION)(np.random.default_rng(0), one, picture)
        center, scale = crop.crop_regions(one.box[None], 144 / 192)
        matrices = crop.frame_to_crop(center, scale, (144, 192))
        assert np.array_equal(sample.image, crop.cut(picture, matrices, (144, 192))[0])
        back = crop.to_frame(sample.xy[None], center, scale, (36, 48))[0]
        assert abs(back - one.joints[:, :2]).max() < 1e-3

    def test_joints_follow_the_pixels_through_every_augmentation(self) -> None:
        one = self.standing()
        cutter = CropSampler(COCO, (192, 144), Augmentation(rotate=1.0, shift=0.05))
        for seed in range(12):
            joint = seed % 17
            picture = np.zeros((300, 200, 3), np.uint8)
            x, y = np.round(one.joints[joint, :2]).astype(int)
            one.joints[joint, :2] = x, y
            cv2.circle(picture, (int(x), int(y)), 5, (255, 255, 255), -1)
            sample = cutter(np.random.default_rng(seed), one, picture)
            place = sample.xy[COCO.mirror.index(joint)], sample.xy[joint]
            rows, columns = np.nonzero(sample.image[:, :, 0] > 128)
            if len(rows) > 40:
                seen = np.array([columns.mean() * 35 / 143, rows.mean() * 47 / 191])
                assert min(abs(seen - spot).max() for spot in place) < 0.25

    def test_rotation_is_about_the_centre(self) -> None:
        center, scale = np.array([80, 120], np.float32), np.array([0.9, 1.2], np.float32)
        straight, turned = (CropView(center, scale, angle).matrix((144, 192)) for angle in (0.0, 90.0))
        middle = straight @ (80, 120, 1)
        np.testing.assert_allclose(turned @ (80, 120, 1), middle, atol=1e-3)
        np.testing.assert_allclose(
            turned @ (90, 120, 1) - middle, (straight @ (80, 110, 1) - middle) * (1, 1), atol=1e-2
        )

    def test_mirroring_is_that_of_the_flip_test(self) -> None:
        rng = np.random.default_rng(2)
        image = rng.integers(0, 255, (192, 144, 3), np.uint8)
        sample = Sample(image, rng.uniform(2, 33, (17, 2)).astype(np.float32), rng.random(17).astype(np.float32))
        other = mirror_sample(sample, COCO)
        twice = mirror_sample(other, COCO)
        assert np.array_equal(twice.image, image) and np.array_equal(twice.weight, sample.weight)
        np.testing.assert_allclose(twice.xy, sample.xy, atol=1e-5)
        maps, back = (gaussians(torch.from_numpy(one.xy)[None], (48, 36), 2.0) for one in (sample, other))
        torch.testing.assert_close(heatmaps.flip_back(back), maps, atol=1e-5, rtol=1e-4)

    def test_a_pasted_neighbour_hides_only_the_joints_behind_it(self) -> None:
        image, other = np.zeros((64, 48, 3), np.uint8), np.full((64, 48, 3), 200, np.uint8)
        xy = np.stack([np.arange(12, dtype=np.float32), np.full(12, 8, np.float32)], axis=1)
        sides = set()
        for seed in range(20):
            shown = paste_neighbour(np.random.default_rng(seed), Sample(image, xy, np.ones(12, np.float32)), other)
            columns = shown.image.reshape(64, -1)[0, ::3] == 200
            assert 0.15 < columns.mean() < 0.45 and columns[0] != columns[-1]
            assert np.array_equal(shown.weight == 0, columns[(xy[:, 0] * 4).astype(int)])
            sides.add(bool(columns[0]))
        assert len(sides) == 2 and not image.any()

    def test_crops_depend_only_on_the_generator(self) -> None:
        picture = np.random.default_rng(1).integers(0, 255, (300, 200, 3), np.uint8)
        cutter = CropSampler(COCO, (192, 144), Augmentation(half_body=0.5, colour=1, blur=1, cut_out=1))
        for seed in range(6):
            first, second = (cutter(np.random.default_rng(seed), self.standing(), picture) for _ in range(2))
            assert np.array_equal(first.image, second.image) and np.array_equal(first.xy, second.xy)
            assert first.image.dtype == np.uint8 and np.isfinite(first.xy).all()

    def test_sources_get_their_share_and_their_people_equal_turns(self, pets: Path) -> None:
        layout, people = read_people(AnnotationFile(pets / "people.json", pets), Problems())
        assert (
            samples_per_source(np.array([0.7, 0.1, 0.2])) == [700, 100, 200]
            and sum(samples_per_source(np.ones(7))) == 1000
        )
        sources = (DataSource("a", people[:5], 1.0), DataSource("b", people[5:], 3.0))
        batches = Batches(SamplingConfig(sources, layout, SIZE, NO_AUGMENTATION, batch=4))
        seen = [str(xy.tolist()) for number in range(250) for xy in batches[number].xy]
        counts = {spot: seen.count(spot) for spot in set(seen)}
        assert len(counts) == 12 and sorted(counts.values())[:5] == [50] * 5 and set(counts.values()) <= {50, 107, 108}


class TestTargets:
    @pytest.mark.parametrize("sigma", [1.5, 2.0])
    def test_gaussians_decode_to_their_centres(self, sigma: float) -> None:
        xy = torch.from_numpy(np.random.default_rng(4).uniform((8, 8), (27, 39), (6, 17, 2)).astype(np.float32))
        found, peak = heatmaps.decode(gaussians(xy, (48, 36), sigma))
        assert (found - xy).abs().max() < 0.05
        assert peak.min() > 0.85

    def test_joints_without_annotation_give_no_gradient(self) -> None:
        maps = torch.rand(2, 17, 16, 12, requires_grad=True)
        xy = torch.rand(2, 17, 2) * 10
        weight = torch.ones(2, 17)
        weight[0, 3] = weight[1, 16] = 0
        xy[1, 5] = torch.tensor([40.0, 5.0])
        heatmap_loss(maps, xy, weight, 2.0).backward()
        assert maps.grad is not None
        silent = (maps.grad.abs().amax((2, 3)) == 0).nonzero().tolist()
        assert silent == [[0, 3], [1, 5], [1, 16]]

    def test_the_loss_of_perfect_heatmaps_is_zero(self) -> None:
        xy = torch.rand(2, 17, 2) * 10
        assert heatmap_loss(gaussians(xy, (16, 12), 2.0), xy, torch.ones(2, 17), 2.0) == 0

    def test_learning_rate_schedules(self) -> None:
        recipe = Recipe(rate=1e-3, final_rate=1e-5, warm_up=10)
        assert recipe.rate_at(4, 0.0) == pytest.approx(5e-4) and recipe.rate_at(99, 0.0) == pytest.approx(1e-3)
        assert recipe.rate_at(99, 1.0) == pytest.approx(1e-5) and recipe.rate_at(99, 0.5) == pytest.approx(5.05e-4)
        assert replace(recipe, decay="linear").rate_at(99, 0.25) == pytest.approx(7.525e-4)


def losses(out: Path) -> list[tuple[str, str]]:
    """Return step and loss of every row of the metrics."""
    with (out / "metrics.csv").open(newline="") as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file) if row["loss"]]


def killed_at(step: int, how: Callable[[], None]) -> LogCallback:
    """Return a log callback that ends the run at a step."""

    def log(line: str) -> None:
        if line.startswith(f"step {step}/") and "loss" in line:
            how()

    return log


class Killed(BaseException):
    """Ends a run as if its process had been killed."""


def _die() -> None:
    raise Killed


class TestRuns:
    def test_the_loss_falls_and_the_weights_file_describes_the_net(self, pets: Path, tmp_path: Path) -> None:
        spec = f"{pets / 'people.json'}:{pets}"
        # The colours tell the paws apart, so a mirrored image would be mislabelled.
        varied = Augmentation(rotation=10, scale=0.1, half_body=0, flip=0)
        job = job_of(pets, tmp_path, check=(spec,), length=Length(steps=60), batch=8, best="pck", augmentation=varied)
        said: list[str] = []
        weights = train(replace(job, every=Intervals(log_steps=10, check_steps=30)), said.append)
        values = [float(loss) for _, loss in losses(tmp_path)]
        assert values[-1] < 0.4 * values[0]
        measured = next(line for line in reversed(said) if "PCK" in line)
        assert "PCK@0.2 1.000" in measured or "PCK@0.2 0.9" in measured, measured
        assert (tmp_path / "curves.png").stat().st_size > 1000 and (tmp_path / BEST).is_file()
        with safe_open(weights, "pt") as file:
            known = {key: json.loads(value) for key, value in file.metadata().items()}
        assert known["keypoint_names"] == PETS["keypoints"] and known["mirror"] == [0, 2, 1]
        assert known["skeleton"] == [[0, 1], [0, 2]] and known["input_hw"] == list(SIZE) and known["model"] == MODEL
        build(MODEL, SIZE, 3).load_state_dict(read_state(weights), strict=True)

    def test_a_run_killed_twice_equals_an_uninterrupted_one(self, pets: Path, tmp_path: Path) -> None:
        straight, broken = job_of(pets, tmp_path / "a"), job_of(pets, tmp_path / "b")
        train(straight, _nothing)
        with pytest.raises(Killed):
            train(broken, killed_at(4, _die))
        with pytest.raises(UsageError, match="--resume"):
            train(broken, _nothing)
        with pytest.raises(KeyboardInterrupt):
            train(replace(broken, resume=True), killed_at(6, lambda: signal.raise_signal(signal.SIGINT)))
        said: list[str] = []
        train(replace(broken, resume=True), said.append)
        assert "resuming at step 6" in said and not any("changed" in line for line in said)
        assert losses(tmp_path / "a") == losses(tmp_path / "b") and len(losses(tmp_path / "a")) == 8
        one, two = (read_state(tmp_path / name / WEIGHTS) for name in "ab")
        assert all(torch.equal(one[name], two[name]) for name in one)

    def test_options_changed_on_resume_are_logged(self, pets: Path, tmp_path: Path) -> None:
        job = job_of(pets, tmp_path, length=Length(steps=2))
        train(job, _nothing)
        said: list[str] = []
        train(replace(job, resume=True, length=Length(minutes=0.001), batch=2), said.append)
        assert "options changed since the checkpoint was written: batch, length" in said
        with pytest.raises(InputError, match="no checkpoint to resume from"):
            train(replace(job, out=tmp_path / "new", resume=True), _nothing)

    def test_own_weights_are_loaded_completely(self, tmp_path: Path) -> None:
        """The prefix ``backbone.`` is removed only for nets that do not use it themselves."""
        for model in (MODEL, "transpose-m-a3"):
            save_weights(build(model, SIZE), tmp_path / "pose.safetensors", {})
            said = load_initial_weights(
                build(model, SIZE), find_spec(model), str(tmp_path / "pose.safetensors"), Downloads(), no_crops
            )
            assert "initialised at random" not in said, said

    def test_initial_weights_are_loaded_by_name_and_shape(self, tmp_path: Path) -> None:
        spec, pose, other = find_spec(MODEL), build(MODEL, SIZE, 3), build(MODEL)
        save_weights(pose, tmp_path / "pose.safetensors", {})
        assert "initialised at random: final_layer" in load_initial_weights(
            other, spec, str(tmp_path / "pose.safetensors"), Downloads(), no_crops
        )
        assert torch.equal(other.state_dict()["layer1.0.conv1.weight"], pose.state_dict()["layer1.0.conv1.weight"])
        torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "other.pth")
        for init, reason in (("other.pth", "none of its 1 tensors"), ("gone.pth", "no such file")):
            with pytest.raises(UsageError, match=reason):
                load_initial_weights(other, spec, str(tmp_path / init), Downloads(), no_crops)

    def test_train_command_writes_weights_and_checks_its_options(self, pets: Path, tmp_path: Path) -> None:
        run = CliRunner().invoke
        small = [
            "train",
            "--model",
            MODEL,
            "--input-size",
            "64x48",
            "--batch-size",
            "2",
            "--steps",
            "1",
            "--threads",
            "1",
        ]
        where = ["--data", f"{pets / 'people.json'}:{pets}", "--output", str(tmp_path / "run"), "--device", "cpu"]
        done = run(cli, [*small, *where], catch_exceptions=False)
        assert done.exit_code == 0 and "12 people" in done.output and (tmp_path / "run" / WEIGHTS).is_file()
        assert run(cli, ["train", "--output", "x"]).exit_code == 2
        assert run(cli, [*small, *where, "--minutes", "1"]).exit_code == 2
        assert run(cli, [*small, *where, "--input-size", "large"]).exit_code == 2


def no_crops(count: int) -> torch.Tensor:
    raise AssertionError(f"{count} crops asked for")


def _nothing(_: str) -> None:
    """Ignore a log line."""


class TestOtherKeypoints:
    def test_a_model_with_other_keypoints_runs_in_every_command(self, pets: Path, tmp_path: Path, media: Path) -> None:
        job = job_of(pets, tmp_path / "run", length=Length(steps=1))
        weights = str(train(job, _nothing))
        clip, boxes = str(media / "walk.mp4"), f"boxes:{media / 'walk.json'}"
        names = {"-o": str(tmp_path / "o.mp4"), "--json": str(tmp_path / "o.json"), "--csv": str(tmp_path / "o.csv")}
        command = ["video", clip, "--weights", weights, "--detector", boxes, "--end", "0.5", "--min-score", "0"]
        ran = CliRunner().invoke(cli, [*command, *chain.from_iterable(names.items())])
        assert ran.exit_code == 0, ran.output + str(ran.exception)
        made = json.loads(Path(names["--json"]).read_text(encoding="utf-8"))
        assert made["categories"][0]["keypoints"] == PETS["keypoints"]
        assert made["categories"][0]["skeleton"] == [[1, 2], [1, 3]]
        assert {len(person["keypoints"]) for person in made["annotations"]} == {9}
        assert {person["track_id"] for person in made["annotations"]} == {1}
        figure = ["attention", str(media / "walk.jpg"), "-o", str(tmp_path / "a.png"), "--weights", weights]
        assert "other" in str(CliRunner().invoke(cli, [*figure, "--detector", "full-frame"]).exception)
        journal = str(journal_path(Path(names["-o"])))
        again = CliRunner().invoke(cli, ["convert", journal, "--csv", str(tmp_path / "again.csv")])
        assert again.exit_code == 0 and (tmp_path / "again.csv").read_bytes() == Path(names["--csv"]).read_bytes()
        measured = ["eval", "--annotations", str(pets / "people.json"), "--images", str(pets), "--boxes", "gt"]
        scored = CliRunner().invoke(
            cli,
            [*measured, "--sigmas", "0.05,0.05,0.05", "--weights", weights, "--output", str(tmp_path / "results.json")],
        )
        assert scored.exit_code == 0, scored.output + str(scored.exception)
        assert len(json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))) == 12
        refused = CliRunner().invoke(cli, [*command, "--openpose", str(tmp_path / "op")])
        assert refused.exit_code == 1 and "17 keypoints" in refused.output


def test_resuming_with_other_data_is_refused(pets: Path, tmp_path: Path) -> None:
    train(job_of(pets, tmp_path / "run", length=Length(steps=1)), print)
    content = json.loads((pets / "people.json").read_text())
    content["annotations"] = content["annotations"][:6]
    (tmp_path / "few.json").write_text(json.dumps(content))
    other = job_of(pets, tmp_path / "run", data=(f"{tmp_path / 'few.json'}:{pets}",), resume=True)
    with pytest.raises(UsageError, match="--data"):
        train(other, print)
    train(job_of(pets, tmp_path / "run", length=Length(steps=2), resume=True), print)
