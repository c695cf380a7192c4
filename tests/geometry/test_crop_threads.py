"""Crops do not depend on OpenCV's threads, nor on what else the machine does."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

from tposecli.geometry.crop import crop_regions, cut, frame_to_crop


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_crops_are_equal_to_the_bit(threads: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (1080, 1920, 3), np.uint8)
    corner = rng.uniform(0, 900, (24, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(40, 700, (24, 2))], axis=1).astype(np.float32)
    matrices = frame_to_crop(*crop_regions(boxes, 0.75), (192, 256))
    before = cv2.getNumThreads()
    stop = threading.Event()

    def busy() -> None:
        noise = image.copy()
        while not stop.is_set():
            cv2.GaussianBlur(noise, (9, 9), 0)

    beside = threading.Thread(target=busy)
    try:
        cv2.setNumThreads(1)
        expected = cut(image, matrices, (192, 256))
        cv2.setNumThreads(threads)  # Not while another thread computes: OpenCV does not say that this is safe.
        beside.start()
        for _ in range(5):
            assert np.array_equal(cut(image, matrices, (192, 256)), expected)
    finally:
        stop.set()
        beside.join()
        cv2.setNumThreads(before)
