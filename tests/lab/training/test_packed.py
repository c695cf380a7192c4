"""Packed people: what is stored, the views of it, and a run of some steps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from tposecli.evaluation.coco.problems import Problems
from tposecli.geometry.keypoints import COCO
from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.lab.training.augment import CropSampler
from tposecli.lab.training.dataset import AnnotatedPerson, AnnotationFile, read_people, read_training_image
from tposecli.lab.training.job import NO_AUGMENTATION, Augmentation
from tposecli.lab.training.packed.pack import MAX_BYTES, STORED_HW, PackedPeople, read_packs, write_packs
from tposecli.lab.training.packed.run import LOG, VIEWS, PackedJob, correct_share, train_packed
from tposecli.lab.training.packed.views import ViewMaker
from tposecli.lab.training.rendered import render_people
from tposecli.utils.errors import InputError, UsageError

HW = (256, 192)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnnotatedPerson, ...]:
    folder = tmp_path_factory.mktemp("people")
    annotations = render_people(folder, 8, (256, 341), lambda _: None)
    return read_people(AnnotationFile(annotations, folder), Problems(strict=True))[1]


@pytest.fixture(scope="module")
def packs(people: tuple[AnnotatedPerson, ...], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_packs(people, tmp_path_factory.mktemp("packs"))


def test_files_are_small_and_hold_everybody_in_order(
    people: tuple[AnnotatedPerson, ...], packs: list[Path], tmp_path: Path
) -> None:
    whole = read_packs(packs)
    assert len(packs) == 1 and len(whole) == len(people)
    assert packs[0].stat().st_size < MAX_BYTES
    limit = packs[0].stat().st_size // 3
    several = write_packs(people, tmp_path, "some", limit)
    assert len(several) > 2 and all(path.stat().st_size <= limit for path in several)
    parts = read_packs(several)
    for name in ("images", "xy", "weight"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))


def test_a_damaged_file_is_named(packs: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(packs[0].read_bytes()[:2000])
    with pytest.raises(InputError, match=r"broken\.npz"):
        read_packs([broken])
    with pytest.raises(InputError, match="no packed people"):
        read_packs([])


def test_a_view_without_changes_is_the_crop_of_inference(
    people: tuple[AnnotatedPerson, ...], packs: list[Path]
) -> None:
    views = ViewMaker(COCO, HW)(read_packs(packs), torch.arange(len(people)), torch.Generator())
    cut = CropSampler(COCO, HW, NO_AUGMENTATION)
    for number, person in enumerate(people):
        sample = cut(np.random.default_rng(0), person, read_training_image(person.path))
        np.testing.assert_allclose(views.xy[number], sample.xy, atol=0.05)
        np.testing.assert_array_equal(views.weight[number], sample.weight)
        apart = abs(views.clean[number].numpy().astype(int) - sample.image)
        assert np.median(apart) <= 6 and apart.mean() < 9
    assert torch.equal(views.seen, views.clean)


def test_joints_move_with_the_picture() -> None:
    joint, elsewhere = 9, 10
    xy = torch.full((6, 17, 2), 150.0)
    xy[:, joint] = torch.tensor([120.0, 170.0])
    images = torch.zeros(6, *STORED_HW, 3, dtype=torch.uint8)
    image = images[0].numpy()
    cv2.circle(image, (120, 170), 3, (255, 255, 255), -1)
    images[:] = images[0].clone()
    how = replace(NO_AUGMENTATION, rotation=30, rotate=1, scale=0.3, shift=0.03, flip=0.5)
    make = ViewMaker(COCO, HW, how)
    packed = PackedPeople(images, xy, torch.ones(6, 17))
    views = make(packed, torch.arange(6), torch.Generator().manual_seed(2))
    again = make(packed, torch.arange(6), torch.Generator().manual_seed(2))
    assert torch.equal(views.seen, again.seen) and torch.equal(views.xy, again.xy)
    mirrored = 0
    for number in range(6):
        light = views.clean[number, ..., 0].numpy().astype(float)
        rows, columns = np.nonzero(light > 100)
        seen = np.array([columns.mean(), rows.mean()]) * 63 / 255
        apart = (views.xy[number] - torch.from_numpy(seen).float()).norm(dim=1)
        assert apart[[joint, elsewhere]].min() < 0.5
        mirrored += int(apart[elsewhere] < apart[joint])
    assert 0 < mirrored < 6


def test_the_student_sees_more_changes_than_the_teacher(packs: list[Path]) -> None:
    packed = read_packs(packs)
    how = Augmentation(rotate=0, scale=0, flip=0, colour=1, blur=1, cut_out=1, neighbour=1)
    views = ViewMaker(COCO, HW, how)(packed, torch.arange(8), torch.Generator().manual_seed(1))
    plain = ViewMaker(COCO, HW)(packed, torch.arange(8), torch.Generator())
    assert (views.seen != views.clean).any(dim=3).float().mean() > 0.9
    same = (views.clean == plain.clean).all(dim=3).float().mean()
    assert 0.6 <= same <= 0.95  # But for a neighbour's strip.
    assert views.weight.sum() < plain.weight.sum()


def test_the_bundled_model_is_right_about_packed_people(packs: list[Path]) -> None:
    net = load(resolve("transpose-m-a3"))
    assert correct_share(net, read_packs(packs), ViewMaker(COCO, HW)) > 0.6


def test_a_run_learns_and_is_resumed(packs: list[Path], tmp_path: Path) -> None:
    lines: list[str] = []
    job = PackedJob(packs, packs, tmp_path / "run", steps=2, batch=4, device="cpu")
    weights = train_packed(job, lines.append)
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["model"]) == "transpose-s-a4" and json.loads(metadata["input_hw"]) == list(HW)
    with pytest.raises(UsageError, match="--resume"):
        train_packed(job, lines.append)
    train_packed(replace(job, resume=True, steps=3, teacher=None), lines.append)
    rows = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 3]
    assert all(np.isfinite(row["loss"]) and 0 <= row["pck"] <= 1 for row in rows)
    assert load(resolve("transpose-s-a4", weights)).input_hw == HW
    assert VIEWS.half_body == 0
