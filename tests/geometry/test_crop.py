"""Crops against the authors' arrays; there and back is the identity."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tposecli.geometry import crop

GREY_LEVELS = {"5.0": 0, "5.1": 1}.get(cv2.__version__[:3], 4)
"""By how much OpenCV's own bilinear warp may differ from the one that made the arrays."""


def test_crop_equals_the_authors(golden: Path) -> None:
    expected = np.load(golden / "crop.npz")
    center, scale = crop.crop_regions(crop.as_xyxy(expected["boxes_xywh"]), 192 / 256)
    matrices = crop.frame_to_crop(center, scale, (192, 256))
    crops = crop.cut(expected["image"], matrices[: len(expected["crops"])], (192, 256))
    assert abs(center - expected["center"]).max() < 1e-4
    assert abs(scale - expected["scale"]).max() < 1e-6
    assert abs(matrices - expected["affine"]).max() < 1e-9
    assert abs(crops.astype(int) - expected["crops"]).max() <= GREY_LEVELS


@given(
    x=st.floats(-500, 4000),
    y=st.floats(-500, 4000),
    width=st.floats(4, 4000),
    height=st.floats(4, 4000),
)
def test_crop_and_back_is_the_identity(x: float, y: float, width: float, height: float) -> None:
    center, scale = crop.crop_regions(np.array([[x, y, x + width, y + height]]), 0.75)
    matrix = crop.frame_to_crop(center, scale, (48, 64))[0]
    corners = np.array([[x, y], [x + width, y], [x + width / 2, y + height / 3]])
    there = corners @ matrix[:, :2].T + matrix[:, 2]
    back = crop.to_frame(there[None].astype(np.float32), center, scale, (48, 64))[0]
    assert abs(back - corners).max() < 0.02 + 1e-5 * max(width, height)


def test_outside_the_frame_is_black() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    matrices = crop.frame_to_crop(*crop.crop_regions(np.array([[-60.0, 0.0, 20.0, 40.0]]), 0.75), (96, 128))
    picture = crop.cut(image, matrices, (96, 128))[0]
    assert (picture[:, :20] == 0).all()
    assert (picture == 200).any()


def test_crops_go_into_a_given_batch(rng: np.random.Generator) -> None:
    image = rng.integers(0, 255, (50, 60, 3), dtype=np.uint8)
    matrices = crop.frame_to_crop(*crop.crop_regions(np.array([[5.0, 5, 30, 40], [0, 0, 60, 50]]), 0.75), (48, 64))
    batch = np.zeros((4, 64, 48, 3), np.uint8)
    crop.cut(image, matrices, (48, 64), batch[1:3])
    assert np.array_equal(batch[1:3], crop.cut(image, matrices, (48, 64)))
    assert not batch[[0, 3]].any()
