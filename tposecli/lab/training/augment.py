"""Sample training crops of annotated people: the authors' random geometry, and optional pixel augmentations.

The geometry follows ``lib/dataset/JointsDataset.py`` of HRNet (Sun et al., CVPR 2019), with which TransPose is trained.
The crop itself is that of inference; rotation turns the frame about the crop's centre before the crop is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.geometry import crop
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.lab.training.dataset import AnnotatedPerson
from tposecli.lab.training.job import Augmentation
from tposecli.lab.training.keypoint_layout import halves
from tposecli.models.catalog import heatmap_size
from tposecli.types import Float32, Image

Rng = np.random.Generator
Float64 = NDArray[np.float64]
HALF_PADDING = 1.5
"""Side of a half-body crop relative to the extent of its joints."""
MIN_HALF_BODY_JOINTS = 8
"""Half-body crops are only made of people with more annotated joints than this."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One training sample.

    Attributes:
        image: (H, W, 3) uint8 RGB crop.
        xy: (K, 2) joints, heatmap pixels.
        weight: (K,) weights of the joints in the loss; 0 ignores a joint.
    """

    image: Image
    xy: Float32
    weight: Float32


@dataclass(frozen=True, eq=False, slots=True)
class CropView:
    """The part of the frame that a crop shows.

    Attributes:
        center: (2,) frame pixels.
        scale: (2,) width and height in units of 200 pixels.
        angle: Degrees, counter-clockwise as seen.
    """

    center: Float32
    scale: Float32
    angle: float

    def matrix(self, size_wh: tuple[int, int]) -> Float64:
        """Return the (2, 3) matrix from the frame to a crop or heatmap of this size.

        Without rotation, it is exactly that of inference.
        """
        straight: Float64 = crop.frame_to_crop(self.center[None], self.scale[None], size_wh)[0]
        if self.angle == 0:
            return straight
        turn = cv2.getRotationMatrix2D((float(self.center[0]), float(self.center[1])), self.angle, 1.0)
        turned: Float64 = straight[:, :2] @ turn
        turned[:, 2] += straight[:, 2]
        return turned


class CropSampler:
    """Samples training crops.

    Args:
        layout: The keypoints.
        input_hw: Height and width of a crop.
        augmentation: How crops vary.
    """

    def __init__(self, layout: KeypointLayout, input_hw: tuple[int, int], augmentation: Augmentation) -> None:
        self._layout = layout
        self._size_wh = input_hw[1], input_hw[0]
        self._heatmap_wh = heatmap_size(input_hw)[::-1]
        self._augmentation = augmentation

    def __call__(self, rng: Rng, person: AnnotatedPerson, image: Image) -> Sample:
        """Sample one crop of a person from ``image``; it depends only on the generator's state."""
        view = self._view(rng, person)
        pixels = crop.cut(image, view.matrix(self._size_wh)[None], self._size_wh)[0]
        matrix = view.matrix(self._heatmap_wh)
        xy = person.joints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        sample = Sample(self._distort(rng, pixels), xy.astype(np.float32), person.joints[:, 2])
        return mirror_sample(sample, self._layout) if rng.random() < self._augmentation.flip else sample

    def _view(self, rng: Rng, person: AnnotatedPerson) -> CropView:
        how, aspect = self._augmentation, self._size_wh[0] / self._size_wh[1]
        chance, normal = rng.random(3), rng.standard_normal(4)
        half = None
        if chance[0] < how.half_body and np.count_nonzero(person.joints[:, 2]) > MIN_HALF_BODY_JOINTS:
            half = _half_body(person.joints, self._layout, aspect, bool(chance[1] < 0.5))
        if half is None:
            centers, scales = crop.crop_regions(person.box[None], aspect)
            half = centers[0], scales[0]
        center, scale = half
        scale = scale * np.float32(np.clip(1 + normal[0] * how.scale, 1 - how.scale, 1 + how.scale))
        center = (center + normal[1:3] * how.shift * scale * crop.UNIT).astype(np.float32)
        angle = float(np.clip(normal[3], -2, 2)) * how.rotation if chance[2] < how.rotate else 0.0
        return CropView(center, scale, angle)

    def _distort(self, rng: Rng, image: Image) -> Image:
        """Apply the pixel augmentations."""
        how, chance = self._augmentation, rng.random(3)
        if chance[0] < how.colour:
            image = jitter_colour(rng, image)
        if chance[1] < how.blur:
            image = blur_randomly(rng, image)
        if chance[2] < how.cut_out:
            image = cut_out_randomly(rng, image)
        return image


def _half_body(joints: Float32, layout: KeypointLayout, aspect: float, upper: bool) -> tuple[Float32, Float32] | None:
    """Return centre and scale of the chosen half; of the other one if it has too few joints, None if both have."""
    high, low = ([k for k in half if joints[k, 2] > 0] for half in halves(layout))
    chosen = high if (upper and len(high) > 2) or len(low) <= 2 else low
    if len(chosen) < 2:
        return None
    xy = joints[chosen, :2]
    width, height = np.maximum(np.ptp(xy, axis=0), 1.0)
    size = np.array([max(width, height * aspect), max(height, width / aspect)])
    return xy.mean(axis=0).astype(np.float32), (size / crop.UNIT * HALF_PADDING).astype(np.float32)


def mirror_sample(sample: Sample, layout: KeypointLayout) -> Sample:
    """Return the mirrored sample, with left and right joints swapped."""
    order = list(layout.mirror)
    xy = sample.xy[order]
    xy[:, 0] = heatmap_size(sample.image.shape[:2])[1] - 1 - xy[:, 0]
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), xy, sample.weight[order])


def paste_neighbour(rng: Rng, sample: Sample, other: Image) -> Sample:
    """Paste the middle of another crop into a strip at the left or right; joints behind it get weight 0."""
    width = sample.image.shape[1]
    strip = round(width * rng.uniform(0.2, 0.4))
    start = round((width - strip) * rng.uniform(0.4, 0.6))
    place = 0 if rng.random() < 0.5 else width - strip
    image = sample.image.copy()
    image[:, place : place + strip] = other[:, start : start + strip]
    across = sample.xy[:, 0] * 4
    hidden = (across >= place) & (across < place + strip)
    return Sample(image, sample.xy, np.where(hidden, np.float32(0), sample.weight))


def jitter_colour(rng: Rng, image: Image) -> Image:
    """Change brightness, contrast, gamma, saturation and tint at random."""
    gain = rng.uniform(0.65, 1.35) * rng.uniform(0.9, 1.1, 3)
    tone = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.7, 1.4)
    table = np.clip((tone - 0.5) * gain * 255 + 127.5 + rng.uniform(-30, 30), 0, 255).astype(np.uint8)
    other = cv2.LUT(image, np.ascontiguousarray(table[:, None]))
    strength = float(rng.uniform(0, 1.5))
    grey = cv2.cvtColor(cv2.cvtColor(other, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(other, strength, grey, 1 - strength, 0), np.uint8)


def blur_randomly(rng: Rng, image: Image) -> Image:
    """Blur the image, or reduce its resolution, at random."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.0))), np.uint8)
    part = float(rng.uniform(0.3, 0.8))
    small = cv2.resize(image, (round(width * part), round(height * part)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def cut_out_randomly(rng: Rng, image: Image) -> Image:
    """Cover one to three random rectangles with a colour or with noise."""
    image = image.copy()
    sides = np.array(image.shape[:2])
    for _ in range(int(rng.integers(1, 4))):
        size = np.maximum(1, (sides * rng.uniform(0.08, 0.3, 2)).astype(int))
        top, left = (rng.random(2) * (sides - size)).astype(int)
        shape = (*size, 3) if rng.random() < 0.3 else (1, 1, 3)
        image[top : top + size[0], left : left + size[1]] = rng.integers(0, 256, shape, np.uint8)
    return image
