"""From an annotated person to a crop for training: the authors' random geometry, and changes of the pixels.

Recipe: ``lib/dataset/JointsDataset.py`` of HRNet (Sun et al., CVPR 2019), which TransPose trains with. The crop itself
is the inference code's; rotation turns the frame about the crop's centre before it is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.geometry import crop
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.training.dataset import AnnotatedPerson
from tposecli.training.keypoint_layout import halves
from tposecli.types import Float32, Image

Rng = np.random.Generator
Float64 = NDArray[np.float64]
HALF_PADDING = 1.5
MIN_HALF_BODY_JOINTS = 8
"""More joints than so many must be annotated before half a body is cut out."""


@dataclass(frozen=True)
class Augmentation:
    """How crops vary; chances are 0..1.

    Attributes:
        rotation: Deviation in degrees, clipped at twice that.
        rotate: Chance of a rotation.
        scale: Deviation of the size about 1, clipped at once that.
        shift: Deviation of the centre, as a part of the crop's sides.
        half_body: Chance that only the upper or the lower body is shown.
        flip: Chance of the mirror image.
        colour: Chance of other brightness, contrast, gamma, saturation and tint.
        blur: Chance of a blurred or coarser picture.
        cut_out: Chance of one to three covering rectangles.
        neighbour: Chance that somebody else stands in a strip at one side.
    """

    rotation: float = 45.0
    rotate: float = 0.6
    scale: float = 0.35
    shift: float = 0.0
    half_body: float = 0.3
    flip: float = 0.5
    colour: float = 0.0
    blur: float = 0.0
    cut_out: float = 0.0
    neighbour: float = 0.0


NONE = Augmentation(rotate=0, scale=0, half_body=0, flip=0)
"""The crop that inference would cut."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """What the net is shown and told.

    Attributes:
        image: (H, W, 3) uint8 RGB crop.
        xy: (K, 2) joints in heatmap pixels.
        weight: (K,) of each joint; 0 teaches nothing.
    """

    image: Image
    xy: Float32
    weight: Float32


@dataclass(frozen=True, eq=False, slots=True)
class CropView:
    """Which part of the frame a crop shows.

    Attributes:
        center: (2,) frame pixels.
        scale: (2,) width and height in units of 200 pixels.
        angle: Degrees, counter-clockwise as seen.
    """

    center: Float32
    scale: Float32
    angle: float

    def matrix(self, size_wh: tuple[int, int]) -> Float64:
        """(2, 3) map from the frame to a crop or heatmap of that size; without rotation the inference code's own."""
        straight: Float64 = crop.frame_to_crop(self.center[None], self.scale[None], size_wh)[0]
        if self.angle == 0:
            return straight
        turn = cv2.getRotationMatrix2D((float(self.center[0]), float(self.center[1])), self.angle, 1.0)
        turned: Float64 = straight[:, :2] @ turn
        turned[:, 2] += straight[:, 2]
        return turned


class Cutter:
    """Cuts crops for training.

    Args:
        layout: The keypoints.
        input_hw: Height and width of a crop.
        augmentation: How crops vary.
    """

    def __init__(self, layout: KeypointLayout, input_hw: tuple[int, int], augmentation: Augmentation) -> None:
        self._layout = layout
        self._size_wh = input_hw[1], input_hw[0]
        self._heatmap_wh = input_hw[1] // 4, input_hw[0] // 4
        self._how = augmentation

    def __call__(self, rng: Rng, person: AnnotatedPerson, picture: Image) -> Sample:
        """One crop of a person; it depends on the generator's state alone."""
        view = self._view(rng, person)
        image = crop.cut(picture, view.matrix(self._size_wh)[None], self._size_wh)[0]
        matrix = view.matrix(self._heatmap_wh)
        xy = person.joints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        sample = Sample(self._weathered(rng, image), xy.astype(np.float32), person.joints[:, 2])
        return mirrored(sample, self._layout) if rng.random() < self._how.flip else sample

    def _view(self, rng: Rng, person: AnnotatedPerson) -> CropView:
        how, aspect = self._how, self._size_wh[0] / self._size_wh[1]
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

    def _weathered(self, rng: Rng, image: Image) -> Image:
        """Other colours, less sharpness, things in front."""
        how, chance = self._how, rng.random(3)
        if chance[0] < how.colour:
            image = recoloured(rng, image)
        if chance[1] < how.blur:
            image = blurred(rng, image)
        if chance[2] < how.cut_out:
            image = covered(rng, image)
        return image


def _half_body(joints: Float32, layout: KeypointLayout, aspect: float, upper: bool) -> tuple[Float32, Float32] | None:
    """Centre and scale of the upper or lower half, the other one where it has too few joints; None if both have."""
    high, low = ([k for k in half if joints[k, 2] > 0] for half in halves(layout))
    chosen = high if (upper and len(high) > 2) or len(low) <= 2 else low
    if len(chosen) < 2:
        return None
    xy = joints[chosen, :2]
    width, height = np.maximum(np.ptp(xy, axis=0), 1.0)
    size = np.array([max(width, height * aspect), max(height, width / aspect)])
    return xy.mean(axis=0).astype(np.float32), (size / crop.UNIT * HALF_PADDING).astype(np.float32)


def mirrored(sample: Sample, layout: KeypointLayout) -> Sample:
    """The mirror image, left and right joints swapped."""
    order = list(layout.mirror)
    xy = sample.xy[order]
    xy[:, 0] = sample.image.shape[1] // 4 - 1 - xy[:, 0]
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), xy, sample.weight[order])


def beside(rng: Rng, sample: Sample, other: Image) -> Sample:
    """The sample with the middle of another crop in a strip at its left or right; joints behind it teach nothing."""
    width = sample.image.shape[1]
    strip = round(width * rng.uniform(0.2, 0.4))
    start = round((width - strip) * rng.uniform(0.4, 0.6))
    place = 0 if rng.random() < 0.5 else width - strip
    image = sample.image.copy()
    image[:, place : place + strip] = other[:, start : start + strip]
    across = sample.xy[:, 0] * 4
    hidden = (across >= place) & (across < place + strip)
    return Sample(image, sample.xy, np.where(hidden, np.float32(0), sample.weight))


def recoloured(rng: Rng, image: Image) -> Image:
    """Another brightness, contrast, gamma, saturation and tint."""
    gain = rng.uniform(0.65, 1.35) * rng.uniform(0.9, 1.1, 3)
    tone = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.7, 1.4)
    table = np.clip((tone - 0.5) * gain * 255 + 127.5 + rng.uniform(-30, 30), 0, 255).astype(np.uint8)
    other = cv2.LUT(image, np.ascontiguousarray(table[:, None]))
    strength = float(rng.uniform(0, 1.5))
    grey = cv2.cvtColor(cv2.cvtColor(other, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(other, strength, grey, 1 - strength, 0), np.uint8)


def blurred(rng: Rng, image: Image) -> Image:
    """Out of focus, or enlarged from a smaller original."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.0))), np.uint8)
    part = float(rng.uniform(0.3, 0.8))
    small = cv2.resize(image, (round(width * part), round(height * part)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def covered(rng: Rng, image: Image) -> Image:
    """One to three rectangles in front, of a colour or of noise."""
    image = image.copy()
    sides = np.array(image.shape[:2])
    for _ in range(int(rng.integers(1, 4))):
        size = np.maximum(1, (sides * rng.uniform(0.08, 0.3, 2)).astype(int))
        top, left = (rng.random(2) * (sides - size)).astype(int)
        shape = (*size, 3) if rng.random() < 0.3 else (1, 1, 3)
        image[top : top + size[0], left : left + size[1]] = rng.integers(0, 256, shape, np.uint8)
    return image
