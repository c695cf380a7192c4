"""Attention as overlays, statistics, files and the figure."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests import REPOSITORY
from tposecli.attention.overlay import AttentionPainter, onto_frame
from tposecli.attention.stats import summarise
from tposecli.attention.style import AttentionStyle
from tposecli.cli.main import cli
from tposecli.geometry import crop
from tposecli.sinks.npz_archive import NpzArchive
from tposecli.types import Boxes, Frame, Poses
from tposecli.types import Result as PoseResult
from tposecli.utils.errors import TposeError

PAGE = REPOSITORY / "tposecli" / "docs" / "how-to" / "attention-maps.md"
STRIDE = 8
GRID = (24, 18)
SIZE_WH = (320, 240)
WHOLE = Boxes([[100, 40, 180, 200]], [1])
OUTSIDE = Boxes([[-60, 100, 60, 300]], [1])


def with_attention(boxes: Boxes, xy: np.ndarray, maps: np.ndarray) -> PoseResult:
    """Return a result of one person with the given attention maps (L, K, h, w)."""
    region = crop.crop_regions(boxes.xyxy, GRID[1] / GRID[0])
    matrices = crop.frame_to_crop(*region, (GRID[1] * STRIDE, GRID[0] * STRIDE))
    poses = Poses(boxes, xy[None], np.linspace(0.9, 0.1, 17)[None])
    frame = Frame(np.full((SIZE_WH[1], SIZE_WH[0], 3), 90, np.uint8), 0)
    return PoseResult(frame, poses, attention=maps[None].astype(np.float32), matrices=matrices)


def one_hot(boxes: Boxes, point: tuple[float, float]) -> PoseResult:
    """Return a result in which all attention of every keypoint lies in the cell under one point of the frame."""
    xy = np.tile(np.array(point), (17, 1))
    empty = with_attention(boxes, xy, np.zeros((1, 17, *GRID)))
    assert empty.matrices is not None
    row, column = crop.grid_cells(xy[None], empty.matrices, STRIDE, GRID)[0, 0]
    maps = np.zeros((1, 17, *GRID))
    maps[:, :, row, column] = 1
    return with_attention(boxes, xy, maps)


@pytest.mark.parametrize(
    ("boxes", "point"), [(WHOLE, (131.0, 77.0)), (OUTSIDE, (25.0, 190.0)), (OUTSIDE, (3.0, 170.0))]
)
def test_attention_is_painted_where_its_cell_lies_in_the_frame(boxes: Boxes, point: tuple[float, float]) -> None:
    result = one_hot(boxes, point)
    assert result.attention is not None and result.matrices is not None
    placed = onto_frame(result.attention[0, 0, 0], result.matrices[0], STRIDE, SIZE_WH)
    y, x = np.unravel_index(placed.argmax(), placed.shape)
    cell = STRIDE / result.matrices[0, 0, 0]
    assert abs(x - point[0]) <= cell / 2 + 1 and abs(y - point[1]) <= cell / 2 + 1
    picture = AttentionPainter(AttentionStyle(), STRIDE).paint(result)
    changed = (abs(picture.astype(int) - result.frame.image) > 20).any(axis=2)
    changed[-40:] = False
    rows, columns = np.nonzero(changed)
    assert np.hypot(columns - point[0], rows - point[1]).max() < 2 * cell + 15


def test_maps_outside_the_frame_leave_the_image_unchanged() -> None:
    far = Boxes([[-500, -500, -400, -400]], [1])
    result = one_hot(far, (-450.0, -450.0))
    picture = AttentionPainter(AttentionStyle(), STRIDE).paint(result)
    assert (picture[:150] == result.frame.image[:150]).all()


def test_threshold_hides_low_scores() -> None:
    maps = np.full((1, 17, *GRID), 0.0005)
    maps[:, :, 8:16, 5:13] = 0.009
    maps[:, :, 5, 5] = 0.05
    result = with_attention(WHOLE, np.full((17, 2), 120.0), maps)
    shown, hidden = (
        (AttentionPainter(AttentionStyle(threshold=threshold), STRIDE).paint(result)[:200] != 90).sum()
        for threshold in (0.0, 0.01)
    )
    assert hidden < shown / 3


def test_statistics_of_uniform_and_one_hot_maps() -> None:
    flat = with_attention(WHOLE, np.full((17, 2), 120.0), np.full((1, 17, *GRID), 1 / math.prod(GRID)))
    peak = one_hot(WHOLE, (131.0, 77.0))
    assert np.allclose(summarise(flat, STRIDE).entropy, math.log(math.prod(GRID)), atol=1e-5)
    assert np.allclose(summarise(peak, STRIDE).entropy, 0, atol=1e-6)
    assert np.allclose(summarise(peak, STRIDE).inside, 1)
    assert 0.1 < summarise(flat, STRIDE).inside[0, 0] < 0.9


def test_strongest_joint_is_the_one_under_the_attention() -> None:
    xy = np.stack((105 + 22 * (np.arange(17) % 4), 45 + 35 * (np.arange(17) // 4)), axis=1).astype(float)
    empty = with_attention(WHOLE, xy, np.zeros((1, 17, *GRID)))
    assert empty.matrices is not None
    cells = crop.grid_cells(xy[None], empty.matrices, STRIDE, GRID)[0]
    maps = np.full((1, 17, *GRID), 1e-4)
    maps[0, 9, cells[2, 0], cells[2, 1]] = 0.9
    summary = summarise(with_attention(WHOLE, xy, maps), STRIDE)
    assert summary.strongest(1)[0, 9, 0] == 2


@pytest.mark.parametrize("view", ["overlay", "layers", "keypoints"])
@pytest.mark.parametrize("style", ["heat", "lines"])
def test_images_have_the_same_size_with_and_without_people(view: str, style: str) -> None:
    painter = AttentionPainter(AttentionStyle(layers=(0, 1), style=style, view=view), STRIDE)  # type: ignore[arg-type]
    somebody = with_attention(WHOLE, np.full((17, 2), 120.0), np.random.default_rng(0).random((2, 17, *GRID)))
    nobody = PoseResult(somebody.frame, Poses.empty(), attention=np.zeros((0, 2, 17, *GRID), np.float32))
    assert painter.paint(somebody).shape == painter.paint(nobody).shape


def test_archive_written_in_parts_reads_back(tmp_path: Path) -> None:
    archive = NpzArchive(tmp_path / "a.npz")
    archive.put({"names": np.array(["x", "y"])})
    parts = [
        np.random.default_rng(seed).random((count, 3, 2)).astype(np.float16) for seed, count in ((0, 2), (1, 0), (2, 5))
    ]
    for part in parts:
        archive.append({"maps": part})
    with pytest.raises(ValueError, match="expected rows"):
        archive.append({"maps": np.zeros((1, 3, 2), np.float32)})
    archive.close(complete=True)
    with np.load(tmp_path / "a.npz") as content:
        assert np.array_equal(content["maps"], np.concatenate(parts))
        assert content["names"].tolist() == ["x", "y"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_incomplete_archive_leaves_no_file(tmp_path: Path) -> None:
    archive = NpzArchive(tmp_path / "a.npz")
    archive.append({"x": np.zeros(3)})
    archive.close(complete=False)
    assert list(tmp_path.iterdir()) == []


def tpose(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_attention_as_video_keeps_frames_and_times(tmp_path: Path, media: Path) -> None:
    out = tmp_path / "why.mp4"
    result = tpose(
        *("video", media / "walk.mp4", "--attention", out, "--end", "0.3", "-q", "--attention-layer", "rollout"),
        *("--attention-keypoints", "left_wrist,nose", "--detector", f"boxes:{media / 'walk.json'}"),
    )
    assert result.exit_code == 0, result.output
    with av.open(str(out)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert np.allclose(times, np.arange(9) * 1001 / 30000, atol=1e-3)


def example(word: str) -> str:
    """Return the Python example of the page that contains this word."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(next(block for block in blocks if word in block))


def test_the_example_of_the_page_maps_attention_arrays_back_onto_the_frame(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "why.npz"
    result = tpose(
        *("video", media / "walk.mp4", "--attention", out, "--end", "0.3", "-q", "--attention-every", "4"),
        *("--attention-keypoints", "nose", "--attention-layer", "all", "--detector", f"boxes:{media / 'walk.json'}"),
    )
    assert result.exit_code == 0, result.output
    with np.load(out) as archive:
        data = dict(archive)
    assert data["maps"].shape == (3, 4, 1, 32, 24)
    assert data["frame"].tolist() == [0, 4, 8]
    assert data["keypoints"].tolist() == ["nose"]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example("why.npz"), names)
    heat = names["heat"]
    names["data"].close()
    assert heat.shape == (480, 640) and heat.max() > 0


def test_images_command_writes_attention_images(tmp_path: Path, media: Path) -> None:
    still = sorted((media / "stills").glob("*.jpg"))[0]
    result = tpose("images", still, "--attention", tmp_path / "why", "--detector", "full-frame", "-q")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "why").iterdir()] == [f"{still.name}.jpg"]


def test_svg_figure_keeps_text_as_text(tmp_path: Path, media: Path) -> None:
    still = sorted((media / "stills").glob("*.jpg"))[0]
    figure = tmp_path / "why.svg"
    arguments = [
        "attention",
        still,
        "-o",
        figure,
        "--detector",
        "full-frame",
        "--keypoints",
        "nose",
        "--point",
        "50,60",
        "--threshold",
        "p95",
    ]
    result = tpose(*arguments)
    assert result.exit_code == 0, result.output
    content = figure.read_text()
    for text in ("nose", "(50, 60)", "layer 2", "attention score", "transpose-s-a4, dependency, scores from p95"):
        assert f">{text}" in content
    again = tpose(*arguments)
    assert isinstance(again.exception, TposeError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--attention-keypoints", "left_wirst"], "did you mean left_wrist"),
        (["--attention-layer", "9"], "this model has 4 layers"),
        (["--attention-layer", "first"], "is not a layer"),
        (["--attention-threshold", "2"], "is not a threshold"),
        (["--attention-layer", "rollout", "--attention-mode", "influence"], "rollout has no influence"),
    ],
)
def test_usage_errors_name_the_remedy(tmp_path: Path, media: Path, arguments: list[str], message: str) -> None:
    result = tpose("video", media / "walk.mp4", "--attention", tmp_path / "why", *arguments)
    assert getattr(result.exception, "exit_status", result.exit_code) == 2
    assert message in f"{result.output}{result.exception}"
