"""Keypoints of people in frames: batches, order, memory, attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tposecli.errors import TposeError, UsageError
from tposecli.models.attention import Attention
from tposecli.models.device import Runtime
from tposecli.pose import PoseEstimator
from tposecli.skeleton import MIRROR
from tposecli.types import Boxes, Frame


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


def test_attention_is_a_share_of_the_grid(rng: np.random.Generator) -> None:
    explaining = PoseEstimator("transpose-r18-a3", attention=Attention((0, -1)))
    first, second = explaining.estimate(frames(rng, 2), [boxes(rng, 2), Boxes.empty()])
    assert first.attention is not None and second.attention is not None
    assert first.attention.shape == (2, 2, 17, 24, 18)
    assert np.allclose(first.attention.sum((3, 4)), 1, atol=1e-4)
    assert second.attention.shape == (0, 2, 17, 24, 18)


class Starving:
    """A net on a device that has memory for so many crops."""

    def __init__(self, net: Any, most: int) -> None:
        self.net, self.most = net, most
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)

    def encode(self, x: Tensor) -> Any:
        """Run out of memory above the limit."""
        if len(x) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        self.sizes.append(len(x))
        return self.net.encode(x)


def starved(most: int) -> PoseEstimator:
    estimator = PoseEstimator("transpose-r18-a3", runtime=Runtime(torch.device("cpu"), batch_size=8))
    estimator.net = Starving(estimator.net, most)  # type: ignore[assignment]
    return estimator


def test_out_of_memory_halves_the_batch_and_goes_on(
    estimator: PoseEstimator, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    pictures, found = frames(rng, 1), [boxes(rng, 11)]
    poor = starved(2)
    (result,) = poor.estimate(pictures, found)
    (expected,) = estimator.estimate(pictures, found)
    assert poor.net.sizes == [2, 2, 2, 2, 2, 1]  # type: ignore[comparison-overlap]
    assert poor.runtime.batch_size == 2
    assert np.allclose(result.poses.xy, expected.poses.xy, atol=1e-2)
    assert "batches of 2" in caplog.text


def test_out_of_memory_with_one_crop_tells_what_to_do(rng: np.random.Generator) -> None:
    with pytest.raises(TposeError, match="--device cpu"):
        starved(0).estimate(frames(rng, 1), [boxes(rng, 1)])


@pytest.mark.parametrize(
    ("device", "precision", "batch"),
    [("cuda:99", "auto", None), ("gpu", "auto", None), ("cpu", "fp16", None), ("cpu", "fp8", None), ("cpu", "auto", 0)],
)
def test_impossible_runtimes_are_refused(device: str, precision: str, batch: int | None) -> None:
    with pytest.raises(UsageError):
        Runtime.resolve(device, precision, batch)


def test_bf16_stays_close_to_fp32(estimator: PoseEstimator, rng: np.random.Generator) -> None:
    half = PoseEstimator("transpose-r18-a3", runtime=Runtime(torch.device("cpu"), "bf16"))
    pictures, found = frames(rng, 1), [boxes(rng, 2)]
    exact, rough = estimator.estimate(pictures, found)[0].poses, half.estimate(pictures, found)[0].poses
    assert abs(exact.score - rough.score).max() < 0.05
