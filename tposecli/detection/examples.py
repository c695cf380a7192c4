"""People in a user's own pictures, from whom the ranges of an int8 net's values are measured."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.detection.factory import DetectorOptions, build_detector
from tposecli.inference.backends.examples import Examples, Picture
from tposecli.inference.backends.int8 import COUNT
from tposecli.inference.runtime import Runtime
from tposecli.sources import ImageSource, find_images, kind_of, open_video_input
from tposecli.sources.protocols import Source
from tposecli.types import Float32, Frame, Image
from tposecli.utils.errors import InputError
from tposecli.utils.files import sha256_of

FRAMES: Final = 120
"""Maximum number of frames that are looked at, at equal distances."""


def own_examples(path: Path) -> Examples:
    """Return the people whom the bundled detector finds in a video, in a folder of images, or in one image.

    Raises:
        InputError: It cannot be read, or nobody is found in it.
    """
    is_video = path.is_file() and kind_of(str(path)) == "video"
    images = None if is_video else find_images([path], recursive=True)
    digest = sha256()
    for file in (path,) if images is None else images.files:
        digest.update(bytes.fromhex(sha256_of(file)))
    with open_video_input(path) if images is None else ImageSource(images) as source:
        found = list(islice(_people(source), COUNT))
    if not found:
        raise InputError(f"{path}: no people are found in it; choose other images, or leave --calibrate-on out")
    return Examples(path.name, digest.hexdigest(), lambda: found)


def _people(source: Source) -> Iterator[Picture]:
    detector = build_detector(DetectorOptions("bundled"), Runtime.resolve("cpu", "fp32", backend="torch"))
    for frame in _frames(source):
        (boxes,) = detector.detect([frame])
        for xyxy in boxes.xyxy:
            yield _cut_out(frame.image, xyxy)


def _cut_out(image: Image, xyxy: Float32) -> Picture:
    """Return a person with more around than a crop shows, which takes less memory than the frame."""
    first, last = xyxy[:2], xyxy[2:]
    margin = (last - first).max()
    left, top = np.maximum(first - margin, 0).astype(int)
    right, bottom = np.ceil(last + margin).astype(int)
    offset = np.array([left, top, left, top], np.float32)
    return image[top:bottom, left:right].copy(), (xyxy - offset)[None]


def _frames(source: Source) -> Iterator[Frame]:
    """Yield frames at equal distances."""
    step = max(1, (source.expected or FRAMES) // FRAMES)
    return islice(source, 0, step * FRAMES, step)
