"""On CUDA everything is what it is on the CPU: crops, nets, decoding, attention, detection, whole runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests import REPOSITORY
from tposecli.api import run
from tposecli.detection.factory import DetectorOptions, build_detector
from tposecli.geometry import heatmaps
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.models.attention_readout import Attention
from tposecli.sources import open_video
from tposecli.types import Boxes, Frame, Poses

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")
WALK = REPOSITORY / "sample_media" / "walk.mp4"
MODEL = "transpose-r18-a3"
CLOSE_PX = 0.05
"""Of the frame: what crops and decoding may move a keypoint."""


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    with open_video(WALK) as source:
        return [frame for frame, _ in zip(source, range(6), strict=False)]


@pytest.fixture(scope="module")
def found(frames: list[Frame]) -> list[Boxes]:
    return build_detector(DetectorOptions(), Runtime(CPU)).detect(frames)


def estimate(frames: list[Frame], found: list[Boxes], runtime: Runtime, **options: object) -> list[Poses]:
    estimator = PoseEstimator(MODEL, runtime=runtime, **options)  # type: ignore[arg-type]
    return [result.poses for result in estimator.estimate(frames, found)]


def distances(first: list[Poses], second: list[Poses]) -> np.ndarray:
    """Of every keypoint that is seen well, pixels."""
    return np.concatenate(
        [np.linalg.norm(a.xy - b.xy, axis=2)[a.score > 0.3] for a, b in zip(first, second, strict=True)]
    )


def test_crops_are_those_of_opencv(frames: list[Frame], found: list[Boxes]) -> None:
    crops = PoseEstimator(MODEL).crops(frames, found)
    ours, theirs = crops.batch(slice(None), CUDA), crops.batch(slice(None), CPU)
    assert ours.device == CUDA
    assert (ours.cpu().float() - theirs.float()).abs().max() <= 4


def test_decoding_equals_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(9, 17, 8, 6, generator=generator)
    maps = torch.nn.functional.interpolate(rough, (64, 48), mode="bicubic")
    maps[0, :8] *= 1e-9
    maps[1, 0] = -1
    ours, theirs = heatmaps.decode(maps.to(CUDA)), heatmaps.decode(maps)
    assert torch.allclose(ours[0].cpu(), theirs[0], atol=1e-3)
    assert torch.equal(ours[1].cpu(), theirs[1])


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_poses_equal_the_cpu(frames: list[Frame], found: list[Boxes], batch: int) -> None:
    expected = estimate(frames, found, Runtime(CPU))
    ours = estimate(frames, found, Runtime(CUDA, batch_size=batch))
    assert distances(expected, ours).max() < CLOSE_PX


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_half_precisions_stay_close(frames: list[Frame], found: list[Boxes], precision: str) -> None:
    apart = distances(estimate(frames, found, Runtime(CPU)), estimate(frames, found, Runtime(CUDA, precision)))
    assert np.median(apart) < {"fp32": 0.05, "fp16": 0.05, "bf16": 0.5}[precision]


def test_flip_test_and_attention_equal_the_cpu(frames: list[Frame], found: list[Boxes]) -> None:
    results = [
        PoseEstimator(MODEL, runtime=Runtime(device), flip_test=True, attention=Attention("mean")).estimate(
            frames, found
        )
        for device in (CPU, CUDA)
    ]
    for ours, theirs in zip(*results, strict=True):
        assert ours.attention is not None and theirs.attention is not None
        assert np.abs(ours.attention - theirs.attention).max() < 1e-3
        assert np.abs(ours.poses.xy - theirs.poses.xy).max() < 1


def test_two_workers_equal_one(frames: list[Frame], found: list[Boxes]) -> None:
    one = estimate(frames, found, Runtime(CUDA, batch_size=2))
    two = estimate(frames, found, Runtime(CUDA, batch_size=2, others=(CUDA,)))
    assert distances(one, two).max() < 1e-3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch about itself
def test_compiled_equals_eager(frames: list[Frame], found: list[Boxes]) -> None:
    one = estimate(frames, found, Runtime(CUDA, batch_size=4))
    two = estimate(frames, found, Runtime(CUDA, batch_size=4, backend="compile"))
    assert distances(one, two).max() < CLOSE_PX


def test_detector_finds_the_same_people(frames: list[Frame], found: list[Boxes]) -> None:
    ours = build_detector(DetectorOptions(), Runtime(CUDA, "bf16")).detect(frames)
    for mine, theirs in zip(ours, found, strict=True):
        assert len(mine) == len(theirs)
        assert np.abs(mine.xyxy - theirs.xyxy).max() < 20


def test_whole_runs_give_the_same_people() -> None:
    counts = []
    for device in (CPU, CUDA):
        with open_video(WALK) as source:
            results = list(run(source, PoseEstimator(MODEL, runtime=replace(Runtime(device), batch_size=8))))
        counts.append([len(result.poses) for result in results])
    assert len(counts[0]) == len(counts[1])
    assert np.mean(np.array(counts[0]) == counts[1]) > 0.95
