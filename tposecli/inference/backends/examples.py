"""Example people, from whom the ranges of an int8 net's values are measured."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

import cv2
import numpy as np

from tposecli.geometry import crop
from tposecli.hub.checkpoints.resolve import bundled_file
from tposecli.types import Float32, Image
from tposecli.utils.errors import WeightsError
from tposecli.utils.files import sha256_of

FILE: Final = "int8-examples.zip"
"""Rendered people; ``tposecli.lab.synth.examples`` makes it."""
NOTE: Final = "boxes.json"

Picture = tuple[Image, Float32]
"""(H, W, 3) uint8 RGB, and the (N, 4) boxes of its people: left, top, right, bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Pictures with the boxes of their people.

    Attributes:
        name: What they are, for the journal and for messages.
        sha256: Digest of the files that they come from.
        pictures: Reads them, one by one.
    """

    name: str
    sha256: str
    pictures: Callable[[], Iterable[Picture]]

    def crops(self, input_hw: tuple[int, int], count: int) -> Image:
        """Return (B, H, W, 3) uint8 crops of the first people, as a net sees them; fewer if there are fewer."""
        found = chain.from_iterable(_crops(picture, input_hw) for picture in self.pictures())
        return np.stack(list(islice(found, count)))

    def and_then(self, more: Examples) -> Examples:
        """Return both, these first."""
        both = sorted({self.sha256, more.sha256}, key=[self.sha256, more.sha256].index)
        return Examples(f"{self.name}, {more.name}", "+".join(both), lambda: chain(self.pictures(), more.pictures()))


def _crops(picture: Picture, input_hw: tuple[int, int]) -> Iterator[Image]:
    image, xyxy = picture
    height, width = input_hw
    centre, scale = crop.crop_regions(xyxy, width / height)
    yield from crop.cut(image, crop.frame_to_crop(centre, scale, (width, height)), (width, height))


def rendered_examples() -> Examples:
    """Return the rendered people that come with the program.

    Raises:
        WeightsError: Their file is missing.
    """
    path = bundled_file(FILE)
    if path is None:
        raise WeightsError(f"{FILE}: the people with whom nets are quantised are missing; reinstall the package")

    def pictures() -> Iterator[Picture]:
        with zipfile.ZipFile(path) as archive:
            for name, boxes in json.loads(archive.read(NOTE)).items():
                image: Any = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
                yield np.asarray(image[:, :, ::-1], np.uint8), np.array(boxes, np.float32)

    return Examples("rendered people", sha256_of(path), pictures)
