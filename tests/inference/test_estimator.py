"""Keypoints of people in frames: batches, order, memory, attention."""

from __future__ import annotations

import copy
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.fakes import fake_capture
from tposecli.geometry import crop
from tposecli.geometry.keypoints import MIRROR
from tposecli.inference import device_worker
from tposecli.inference import runtime as device_module
from tposecli.inference.backends.base import Engine, NetOutput
from tposecli.inference.crop_batches import CropBatch
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.models.attention_readout import Attention
from tposecli.types import Boxes, Frame
from tposecli.utils.errors import TposeError, UsageError
from tposecli.utils.timings import Timings


def frames(rng: np.random.Generator, count: int) -> list[Frame]:
    """Noise of different sizes, smooth enough to give the net something to see."""
    pictures = []
    for index in range(count):
        noise = rng.integers(0, 255, (6 + index, 8, 3), dtype=np.uint8)
        pictures.append(Frame(np.kron(noise, np.ones((16, 16, 1), np.uint8)), index))
    return pictures


def boxes(rng: np.random.Generator, people: int) -> Boxes:
    corner = rng.uniform(-20, 40, (people, 2))
    return Boxes(np.concatenate((corner, corner + rng.uniform(20, 90, (people, 2))), axis=1), np.full(people, 0.9))


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator("transpose-r18-a3", runtime=Runtime(torch.device("cpu"), batch_size=4))


def test_people_of_many_frames_equal_each_frame_alone(estimator: PoseEstimator, rng: np.random.Generator) -> None:
    pictures = frames(rng, 5)
    found = [boxes(rng, people) for people in (3, 0, 1, 5, 0)]
    together = estimator.estimate(pictures, found)
    for picture, people, result in zip(pictures, found, together, strict=True):
        (alone,) = estimator.estimate([picture], [people])
        assert result.frame is picture
        assert result.poses.xy.shape == (len(people), 17, 2)
        assert np.allclose(result.poses.xy, alone.poses.xy, atol=1e-2)
        assert np.allclose(result.poses.score, alone.poses.score, atol=1e-5)


def test_flip_test_sees_the_mirrored_picture_mirrored(rng: np.random.Generator) -> None:
    flipping = PoseEstimator("transpose-r18-a3", runtime=Runtime(torch.device("cpu")), flip_test=True)
    picture = frames(rng, 1)[0]
    width = picture.image.shape[1]
    found = Boxes([[10, 5, 90, 90]], [1])
    mirrored = Boxes([[width - 90, 5, width - 10, 90]], [1])
    turned = Frame(np.ascontiguousarray(picture.image[:, ::-1]), 0)
    first, second = flipping.estimate([picture, turned], [found, mirrored])
    assert np.allclose(first.poses.score, second.poses.score[:, list(MIRROR)], atol=0.02)


def test_attention_that_says_little_is_said(caplog: pytest.LogCaptureFixture) -> None:
    PoseEstimator("transpose-r18-a3", attention=Attention((-1,)))
    PoseEstimator("transpose-m-a3")
    assert not caplog.records
    PoseEstimator("transpose-m-a3", attention=Attention((-1,)))
    assert "--model transpose-s-a4" in caplog.text


def test_attention_is_a_share_of_the_grid(rng: np.random.Generator) -> None:
    explaining = PoseEstimator("transpose-r18-a3", attention=Attention((0, -1)))
    first, second = explaining.estimate(frames(rng, 2), [boxes(rng, 2), Boxes.empty()])
    assert first.attention is not None and second.attention is not None
    assert first.attention.shape == (2, 2, 17, 24, 18)
    assert np.allclose(first.attention.sum((3, 4)), 1, atol=1e-4)
    assert second.attention.shape == (0, 2, 17, 24, 18)


class Starving:
    """An engine on a device that has memory for so many crops."""

    def __init__(self, engine: Engine, most: int) -> None:
        self.engine, self.most = engine, most
        self.sizes: list[int] = []

    def __call__(self, crops: Tensor) -> NetOutput:
        """Run out of memory above the limit."""
        if len(crops) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        self.sizes.append(len(crops))
        return self.engine(crops)


def starved(most: int) -> tuple[PoseEstimator, Starving]:
    estimator = PoseEstimator("transpose-r18-a3", runtime=Runtime(torch.device("cpu"), batch_size=8))
    starving = Starving(estimator.workers[0].engine, most)
    estimator.workers = [replace(estimator.workers[0], engine=starving)]
    return estimator, starving


def test_out_of_memory_halves_the_batch_and_goes_on(
    estimator: PoseEstimator, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    pictures, found = frames(rng, 1), [boxes(rng, 11)]
    poor, engine = starved(2)
    (result,) = poor.estimate(pictures, found)
    (expected,) = estimator.estimate(pictures, found)
    assert engine.sizes == [2, 2, 2, 2, 2, 1]
    assert poor.runtime.batch_size == 2
    assert np.allclose(result.poses.xy, expected.poses.xy, atol=1e-2)
    assert "batches of 2" in caplog.text


def test_out_of_memory_records_smaller_batches(
    estimator: PoseEstimator, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[int] = []
    monkeypatch.setattr(device_worker, "capture_on_cuda", fake_capture(recorded))
    pictures, found = frames(rng, 1), [boxes(rng, 11)]
    poor, engine = starved(2)
    poor.workers = [poor.workers[0].with_cuda_graphs(8)]
    (result,) = poor.estimate(pictures, found)
    (expected,) = estimator.estimate(pictures, found)
    assert recorded == [8, 4, 2] and {*engine.sizes} == {2}
    assert np.allclose(result.poses.xy, expected.poses.xy, atol=1e-2)


def test_out_of_memory_with_one_crop_tells_what_to_do(rng: np.random.Generator) -> None:
    with pytest.raises(TposeError, match="--device cpu"):
        starved(0)[0].estimate(frames(rng, 1), [boxes(rng, 1)])


@pytest.mark.parametrize(
    ("device", "precision", "batch"),
    [
        *[("cuda:99", "auto", None), ("gpu", "auto", None), ("cpu,mps", "auto", None)],
        *[("cpu", "fp16", None), ("cpu", "fp8", None), ("cpu", "auto", 0)],
    ],
)
def test_impossible_runtimes_are_refused(device: str, precision: str, batch: int | None) -> None:
    with pytest.raises(UsageError):
        Runtime.resolve(device, precision, batch)


@pytest.mark.parametrize(
    ("cores", "bf16", "expected"), [(True, True, "bf16"), (True, False, "fp16"), (False, False, "fp32")]
)
def test_precision_suits_the_device(cores: bool, bf16: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "resolve_device", torch.device)
    monkeypatch.setattr(device_module, "has_tensor_cores", lambda device: cores)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    assert Runtime.resolve("cuda").precision == expected


def test_numbers_out_of_range_are_an_error(estimator: PoseEstimator, rng: np.random.Generator) -> None:
    class Overflowing:
        def __call__(self, crops: Tensor) -> NetOutput:
            return NetOutput(torch.full((len(crops), 17, 48, 36), torch.nan), [])

    broken = copy.copy(estimator)
    broken.workers = [replace(estimator.workers[0], engine=Overflowing())]
    broken.runtime = replace(estimator.runtime, precision="fp16")
    with pytest.raises(TposeError, match="not finite in fp16; choose --precision bf16 or fp32"):
        broken.estimate(frames(rng, 1), [boxes(rng, 2)])


def test_several_devices_give_what_one_gives(estimator: PoseEstimator, rng: np.random.Generator) -> None:
    pictures, found = frames(rng, 4), [boxes(rng, people) for people in (3, 0, 6, 2)]
    cpu = torch.device("cpu")
    both = PoseEstimator("transpose-r18-a3", runtime=Runtime(cpu, batch_size=4, others=(cpu,)))
    engines = [Starving(worker.engine, 4) for worker in both.workers]
    both.workers = [replace(worker, engine=engine) for worker, engine in zip(both.workers, engines, strict=True)]
    for one, two in zip(estimator.estimate(pictures, found), both.estimate(pictures, found), strict=True):
        assert np.array_equal(one.poses.xy, two.poses.xy)
        assert np.array_equal(one.poses.score, two.poses.score)
    assert [engine.sizes for engine in engines] == [[4, 3], [4]]
    assert both.runtime.device_names == "cpu,cpu"


def test_nobody_in_any_frame(rng: np.random.Generator) -> None:
    explaining = PoseEstimator("transpose-r18-a3", attention=Attention("mean", per_head=True, keypoints=(3, 5)))
    (result,) = explaining.estimate(frames(rng, 1), [Boxes.empty()])
    assert result.poses.xy.shape == (0, 17, 2)
    assert result.attention is not None
    assert result.attention.shape == (0, 1, 4, 2, 24, 18)


@pytest.mark.skipif(cv2.__version__ < "5", reason="older OpenCV rounds coordinates to 1/32 pixel")
def test_crops_cut_by_torch_give_the_same_keypoints(estimator: PoseEstimator, rng: np.random.Generator) -> None:
    pictures, found = frames(rng, 3), [boxes(rng, people) for people in (2, 0, 3)]
    size = estimator.net.input_hw[1], estimator.net.input_hw[0]
    corners = np.concatenate([people.corners for people in found])
    matrices = crop.frame_to_crop(*crop.crop_regions(corners, size[0] / size[1]), size)
    ours, theirs = (
        torch.cat(
            [
                CropBatch(pictures, [2, 0, 3], matrices, size, way).batch(slice(*part), torch.device("cpu"))
                for part in parts
            ]
        )
        for way, parts in ((True, [(0, 3), (3, 5)]), (False, [(0, 5)]))
    )
    assert ours.shape == theirs.shape == (5, size[1], size[0], 3)
    assert (ours.float() - theirs.float()).abs().max() <= 4
    with torch.inference_mode():
        mine, cvs = (estimator.workers[0].estimate(crops, Timings()) for crops in (ours, theirs))
    frame_pixels = 4 / torch.from_numpy(matrices[:, 0, 0])
    assert ((mine.xy - cvs.xy).abs().amax((1, 2)) * frame_pixels).max() < 0.05


def test_bf16_stays_close_to_fp32(estimator: PoseEstimator, rng: np.random.Generator) -> None:
    half = PoseEstimator("transpose-r18-a3", runtime=Runtime(torch.device("cpu"), "bf16"))
    pictures, found = frames(rng, 1), [boxes(rng, 2)]
    exact, rough = estimator.estimate(pictures, found)[0].poses, half.estimate(pictures, found)[0].poses
    assert abs(exact.score - rough.score).max() < 0.05
