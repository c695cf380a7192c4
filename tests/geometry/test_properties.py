"""What holds for any input: round trips, suppression, decoding, strict JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tposecli.cli.watchers import QuietWatcher
from tposecli.formats.align import PoseInput
from tposecli.formats.journal.journal import JournalWriter, read_journal
from tposecli.formats.read import read_poses
from tposecli.geometry import crop, heatmaps
from tposecli.geometry.similarity import box_iou, box_nms
from tposecli.pipeline.job import Outputs, Settings
from tposecli.pipeline.postprocess import PostOptions
from tposecli.pipeline.rerun import ConvertJob, convert
from tposecli.smoothing.options import SmoothOptions
from tposecli.types import Boxes, Frame, Poses
from tposecli.utils.files import safe_relative_name

PIXEL = st.floats(0, 4000, width=32)
SCORE = st.floats(0, 1, width=32)


@st.composite
def some_boxes(draw: st.DrawFn, most: int = 12) -> Boxes:
    """Up to ``most`` boxes, many of them alike."""
    count = draw(st.integers(0, most))
    corner = draw(hnp.arrays(np.float32, (count, 2), elements=st.floats(0, 40, width=32)))
    size = draw(hnp.arrays(np.float32, (count, 2), elements=st.floats(0, 40, width=32)))
    return Boxes(np.concatenate([corner, corner + size], axis=1), draw(hnp.arrays(np.float32, count, elements=SCORE)))


@st.composite
def some_poses(draw: st.DrawFn) -> Poses:
    """Up to three people anywhere in a frame."""
    boxes = draw(some_boxes(most=3))
    people = len(boxes)
    xy = draw(hnp.arrays(np.float32, (people, 17, 2), elements=PIXEL, fill=st.just(3.25)))
    return Poses(boxes, xy, draw(hnp.arrays(np.float32, (people, 17), elements=SCORE, fill=st.just(0.5))))


def strict(text: str | bytes) -> Any:
    """JSON without NaN and infinities."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


# ---- suppression


@given(boxes=some_boxes(), threshold=st.floats(0, 1))
def test_of_boxes_that_are_alike_the_best_stays(boxes: Boxes, threshold: float) -> None:
    kept = box_nms(boxes.xyxy, boxes.score, threshold)
    assert len(set(kept.tolist())) == len(kept) and (np.diff(boxes.score[kept]) <= 0).all()
    iou = box_iou(boxes.xyxy, boxes.xyxy)
    assert all(iou[one, other] <= threshold for one in kept for other in kept if one != other)
    for gone in set(range(len(boxes))) - set(kept.tolist()):
        assert any(iou[gone, one] > threshold and boxes.score[one] >= boxes.score[gone] for one in kept)
    again = box_nms(boxes.xyxy[kept], boxes.score[kept], threshold)
    assert again.tolist() == list(range(len(kept)))


@given(boxes=some_boxes())
def test_likeness_is_symmetric_and_a_share(boxes: Boxes) -> None:
    iou = box_iou(boxes.xyxy, boxes.xyxy)
    assert np.array_equal(iou, iou.T) and (iou >= 0).all() and (iou <= 1 + 1e-6).all()


# ---- decoding and cropping


def bump(x: float, y: float) -> torch.Tensor:
    """(1, 17, 64, 48): a Gaussian in every map."""
    rows, columns = np.mgrid[:64, :48]
    return torch.from_numpy(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8).astype(np.float32)).expand(
        1, 17, 64, 48
    )


@settings(max_examples=40)
@given(x=st.floats(6, 41), y=st.floats(6, 57))
def test_a_bump_is_found_wherever_it_is_and_however_high(x: float, y: float) -> None:
    xy, score = heatmaps.decode(bump(x, y).clone())
    lower, half = heatmaps.decode(bump(x, y) / 2)
    assert np.abs(xy.numpy() - [x, y]).max() < 0.02
    assert torch.allclose(xy, lower, atol=1e-3) and torch.allclose(score / 2, half)


@settings(max_examples=40)
@given(maps=hnp.arrays(np.float32, (1, 17, 16, 12), elements=st.floats(-1, 1, width=16), fill=st.just(0.0)))
def test_any_map_gives_finite_positions_near_its_highest_cell(maps: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    xy, score = heatmaps.decode(torch.from_numpy(maps))
    assert torch.isfinite(xy).all() and torch.equal(score, torch.from_numpy(maps).flatten(2).amax(2))


@given(
    box=st.tuples(st.floats(-200, 2000), st.floats(-200, 2000), st.floats(8, 2000), st.floats(8, 2000)),
    point=hnp.arrays(np.float64, (1, 17, 2), elements=st.floats(0, 47)),
)
def test_from_crop_to_frame_keeps_what_is_straight(
    box: tuple[float, float, float, float], point: np.ndarray[Any, np.dtype[np.float64]]
) -> None:
    """The map is affine without turning: the middle of two points goes to the middle, axes stay axes."""
    x, y, width, height = box
    centre, scale = crop.crop_regions(np.array([[x, y, x + width, y + height]]), 0.75)
    there = crop.to_frame(point, centre, scale, (48, 64))
    middle = crop.to_frame((point + point[:, ::-1]) / 2, centre, scale, (48, 64))
    assert np.allclose(middle, (there + there[:, ::-1]) / 2, atol=1e-5 * (1 + np.abs(there).max()))


# ---- files


@settings(max_examples=10, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(people=st.lists(some_poses(), max_size=4), name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_poses_survive_every_format(tmp_path_factory: pytest.TempPathFactory, people: list[Poses], name: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = folder / "o.poses.jsonl"
    writer = JournalWriter(path, {"source": name, "size_wh": [4000, 4000], "fps": "25", "time_base": "1/25"})
    for index, poses in enumerate(people):
        writer.write(Frame(np.zeros((4000, 1, 3), np.uint8)[:, :1], index, index / 25, name, index), poses)
    writer.close()
    for line in path.read_bytes().splitlines():
        strict(line)
    for entry, poses in zip(read_journal(path), people, strict=True):
        assert entry.name == name and entry.poses.xy.tobytes() == poses.xy.tobytes()
    names = {"coco": "o.json", "csv": "o.csv", "npz": "o.npz", "mmpose": "o.mm.json"}
    outputs = Outputs(poses={key: folder / file for key, file in names.items()})
    settings = Settings(post=PostOptions(smooth=SmoothOptions("none")))
    convert(ConvertJob(PoseInput(path), outputs), settings, QuietWatcher())
    count = sum(len(poses) for poses in people)
    dataset = strict((folder / "o.json").read_text())
    assert len(dataset["images"]) == len(people) and len(dataset["annotations"]) == count
    keys = [(person["image_id"], person["track_id"]) for person in dataset["annotations"]]
    tracked = [key for key in keys if key[1] is not None]
    assert len(set(tracked)) == len(tracked) and len({person["id"] for person in dataset["annotations"]}) == count
    with (folder / "o.csv").open(newline="") as file:
        assert sum(bool(row["joint"]) for row in csv.DictReader(file)) == 17 * count
    with np.load(folder / "o.npz") as arrays:
        assert len(arrays["track"]) == count
    strict((folder / "o.mm.json").read_text())
    if people:
        back = read_poses(folder / "o.json")
        assert len(list(back.frames)) == len(people)  # type: ignore[union-attr]


@given(name=st.text(max_size=30))
def test_a_name_that_is_accepted_stays_in_its_folder(name: str) -> None:
    try:
        safe_relative_name(name)
    except ValueError:
        return
    folder = Path("/a/b")
    assert (folder / name).is_relative_to(folder) and ".." not in (folder / name).parts
