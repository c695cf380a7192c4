"""Figures of explanations: against other libraries, and on nets of which it is known what they need."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from tests.support.eval_data import MODEL, tpose_eval, write_set
from tposecli.attention.stats import distinctness, entropies, shares
from tposecli.evaluation.coco.boxes import truth_boxes
from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import load_set
from tposecli.evaluation.coco.problems import Problems
from tposecli.evaluation.explain.curves import (
    DELETION,
    DRAWS,
    FRACTIONS,
    GREY,
    INSERTION,
    RATIO_AT,
    Curves,
    Probe,
    descending_orders,
    measure_curves,
    random_orders,
)
from tposecli.evaluation.explain.figures import Places, figures_of
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.models.attention_readout import Attention
from tposecli.sources.images import read_image
from tposecli.types import Frame
from tposecli.utils.errors import UsageError

GRID = (8, 6)
STRIDE = 8
SPOT = 17
"""The one cell that the fake net looks at."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate the tests from the user's cache."""
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "home"))


def test_distinctness_and_entropy_equal_those_of_scipy(rng: np.random.Generator) -> None:
    share = shares(rng.random((3, 4, *GRID)) ** 4)
    pairs = [(first, second) for first in range(4) for second in range(first)]
    for found, maps in zip(distinctness(share), share.reshape(3, 4, -1), strict=True):
        expected = np.mean([jensenshannon(maps[first], maps[second], base=2) ** 2 for first, second in pairs])
        assert math.isclose(found, expected, rel_tol=1e-9)
    one_hot = np.eye(48)[None, :4].reshape(1, 4, *GRID)
    assert np.allclose(distinctness(shares(one_hot)), 1) and np.allclose(entropies(shares(one_hot)), 0)
    flat = np.ones((1, 4, *GRID))
    assert np.allclose(distinctness(shares(flat)), 0) and np.allclose(entropies(shares(flat)), math.log2(48))
    assert distinctness(shares(flat[:, :1])).tolist() == [0]


def looks_at_spot(crops: Tensor) -> Tensor:
    """Put the peak of both keypoints in the middle if the cell ``SPOT`` is as bright as it was, else into a corner."""
    row, column = divmod(SPOT, GRID[1])
    spot = crops[:, row * STRIDE : (row + 1) * STRIDE, column * STRIDE : (column + 1) * STRIDE].float().mean((1, 2, 3))
    maps = torch.zeros(len(crops), 2, GRID[0] * STRIDE // 4, GRID[1] * STRIDE // 4)
    maps[spot > 200, :, 8, 6] = 0.8
    maps[spot <= 200, :, 3, 2] = 0.4
    return maps


def probe(orders: np.ndarray, nearest: np.ndarray) -> Probe:
    """Return a dark crop with one bright cell."""
    crop = np.full((GRID[0] * STRIDE, GRID[1] * STRIDE, 3), 40, np.uint8)
    row, column = divmod(SPOT, GRID[1])
    crop[row * STRIDE : (row + 1) * STRIDE, column * STRIDE : (column + 1) * STRIDE] = 255
    inside = np.zeros(GRID, np.bool_)
    inside.flat[SPOT] = True
    return Probe(crop, np.array([0, 1]), orders, nearest, random_orders(inside, 5), size=40.0)


def order_with(cell: int, place: int) -> np.ndarray:
    """Return an order of all cells with one of them at a place."""
    return np.insert(np.delete(np.arange(48), cell), place, cell)


def test_curves_of_a_net_that_needs_a_single_cell() -> None:
    first, last = order_with(SPOT, 0), order_with(SPOT, 47)
    orders = np.array([[first, last], [last, first]])
    curves = measure_curves(probe(orders, np.array([first, last])), looks_at_spot, 5, GRID)
    moved = np.hypot(5, 4) * 4 / 40
    assert curves.moved.shape == (2, 2, 2, len(FRACTIONS)) and curves.random_moved.shape == (
        2,
        DRAWS,
        2,
        len(FRACTIONS),
    )
    for keypoint, layer, wanted in ((0, 0, True), (0, 1, False), (1, 0, False), (1, 1, True)):
        found = curves.moved[keypoint, layer], curves.score[keypoint, layer]
        gone = np.array([False, *[wanted] * (len(FRACTIONS) - 2), True])
        there = np.array([False, *[wanted] * (len(FRACTIONS) - 2), True])
        assert np.allclose(found[0][DELETION], gone * moved, atol=0.02)
        assert np.allclose(found[1][DELETION], ~gone)
        assert np.allclose(found[0][INSERTION], ~there * moved, atol=0.02)
        assert np.allclose(found[1][INSERTION], there)
    assert np.allclose(curves.random_moved[:, :, DELETION, 1:], moved, atol=0.02), "cells of the box come first"
    assert np.allclose(curves.nearest_moved, [moved, 0], atol=0.02)
    ratio = figures_of(["only"], "dependency", [places(1)], [curves]).layers[0].ratio
    assert ratio is not None and 0.4 < ratio < 0.6, "one keypoint of two moves as much as by chance"


def places(people: int) -> Places:
    """Return statistics that say nothing."""
    return Places(np.zeros((people, 2)), np.ones((people, 2)), np.zeros((people, 2, 3)), np.zeros((people, 3)))


def test_random_orders_are_the_same_every_time_and_differ_between_people() -> None:
    inside = np.zeros(GRID, np.bool_)
    inside[2:5, 1:4] = True
    orders = random_orders(inside, 3)
    assert (np.sort(orders, axis=1) == np.arange(48)).all()
    assert inside.ravel()[orders[:, : inside.sum()]].all()
    assert np.array_equal(orders, random_orders(inside, 3)) and not np.array_equal(orders, random_orders(inside, 4))
    assert descending_orders(np.array([[0.1, 0.5], [0.5, 0.2]])).tolist() == [1, 2, 3, 0]


def test_greyed_pixels_are_zero_after_normalisation() -> None:
    from tposecli.models.pose_net import Normalize

    grey = torch.tensor(GREY, dtype=torch.uint8).expand(1, 2, 2, 3)
    assert Normalize()(grey).abs().max() < 0.02


def test_figures_without_a_sure_keypoint_have_no_curves() -> None:
    found = figures_of(["last layer"], "influence", [places(3), places(2)], [])
    assert found.people == 5 and found.probed == (0, 0)
    assert found.layers[0].ratio is None and found.to_dict()["layers"][0]["deletion"] is None
    assert ("deletion ratio at 5%", ["-", "-"]) in found.rows


def test_the_ratio_compares_medians_over_all_keypoints() -> None:
    shape = (4, 1, 2, len(FRACTIONS))
    moved, chance = np.zeros(shape), np.zeros((4, DRAWS, 2, len(FRACTIONS)))
    moved[:, :, DELETION, RATIO_AT] = [[0.1], [0.2], [0.4], [9]]
    chance[:, :, DELETION, RATIO_AT] = 0.1
    curves = Curves(moved, np.ones(shape), chance, np.ones_like(chance), np.full(4, 0.5))
    found = figures_of(["last layer"], "dependency", [places(1)], [curves])
    assert found.layers[0].ratio == pytest.approx(3) and found.nearest_ratio == pytest.approx(5)
    assert found.layers[0].deletion is not None and found.layers[0].deletion.area == pytest.approx(1)


@pytest.mark.slow
def test_eval_explains_in_table_report_and_plot(tmp_path: Path, media: Path) -> None:
    given = ("--annotations", media / "stills.json", "--images", media, "--boxes", "gt", "--no-flip-test", "--limit", 2)
    more = ("--explain", "--explain-limit", 1, "--explain-layer", "all", "--plots", tmp_path / "plots")
    result = tpose_eval(*given, *more, "--report", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    for words in ("distinctness (bits)", "deletion ratio at 5%", "layer 2", "chance", "nearest to the joint"):
        assert words in result.stdout
    assert (tmp_path / "plots" / "explanations.png").stat().st_size > 10_000
    found = json.loads((tmp_path / "report.json").read_text())["explanations"]
    assert [layer["name"] for layer in found["layers"]] == ["layer 0", "layer 1", "layer 2"]
    assert found["probed_people"] == 1 and found["probed_keypoints"] > 3
    assert found["chance"]["near"] < found["chance"]["inside"] < 1
    for layer in found["layers"]:
        assert layer["deletion"]["score"][0] == 1 and layer["insertion"]["score"][-1] == 1
        assert layer["deletion"]["movement_mean"][0] == 0 and len(layer["deletion"]["score"]) == len(FRACTIONS)
    assert found["layers"][2]["distinctness"] == pytest.approx(distinctness_of(media), abs=1e-4)
    assert tpose_eval(*given, *more, "--report", tmp_path / "report.md", "--overwrite").exit_code == 0
    text = (tmp_path / "report.md").read_text()
    assert "## Explanations" in text and "(plots/explanations.png)" in text


def distinctness_of(media: Path) -> float:
    """Return the mean distinctness of the last layer on the first two pictures, by scipy."""
    truth = load_set(DataChoice(None, annotations=media / "stills.json", limit=2), Problems())
    estimator = PoseEstimator(MODEL, runtime=Runtime.resolve(precision="fp32"), attention=Attention())
    values = []
    for image in truth.images:
        frame, boxes = Frame(read_image(media / image.name), 0), truth_boxes(truth)[image.id]
        maps = estimator.estimate([frame], [boxes])[0].attention
        assert maps is not None
        for person in maps[:, 0].reshape(len(maps), 17, -1):
            pairs = [(first, second) for first in range(17) for second in range(first)]
            values.append(
                np.mean([jensenshannon(person[first], person[second], base=2) ** 2 for first, second in pairs])
            )
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results", "SET"], "--explain measures a model's attention"),
        (["--explain-layer", "9"], "this model has 3 layers"),
        (["--explain-layer", "rollout", "--explain-mode", "influence"], "rollout has no influence"),
        (["--explain-limit", "0"], "is not in the range"),
    ],
)
def test_usage_errors_name_the_remedy(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_set(tmp_path)
    annotations = tmp_path / "annotations" / "person_keypoints_val2017.json"
    arguments = [str(annotations) if word == "SET" else word for word in arguments]
    result = tpose_eval("--data-dir", tmp_path, "--boxes", "gt", "--explain", *arguments)
    assert getattr(result.exception, "exit_status", result.exit_code) == 2
    assert message in f"{result.output}{result.exception}"


def test_a_set_without_people_cannot_be_explained(tmp_path: Path) -> None:
    content = write_set(tmp_path)
    content["annotations"] = []
    path = tmp_path / "annotations" / "person_keypoints_val2017.json"
    path.write_text(json.dumps(content))
    result = tpose_eval("--data-dir", tmp_path, "--boxes", "detector", "--detector", "full-frame", "--explain")
    assert isinstance(result.exception, UsageError) and "--explain needs" in str(result.exception)
