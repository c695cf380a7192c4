"""The data types of the program: frozen, batched, validated on construction.

Letters used for shapes throughout the package:

- ``H, W``: height and width in pixels; ``h, w``: of a heatmap or attention grid
- ``N``: people in the frame; ``K``: keypoints (17 for COCO); ``L``: attention layers; ``B``: batch size

Coordinates are pixels of the frame, x to the right and y down, with the centre of the first pixel at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntFlag
from fractions import Fraction
from typing import Any, Self, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

Float32 = NDArray[np.float32]
Image = NDArray[np.uint8]
Index = Any
"""Anything that numpy accepts as an index of a column: a mask, integers, a slice."""

UNTRACKED = -1


class Flag(IntFlag):
    """What happened to a keypoint after the network estimated it; 0 means untouched."""

    MEASURED = 0
    FILLED = 1
    REPAIRED = 2
    OUTLIER = 4
    CORRECTED = 8


def as_column(what: str, value: Any, shape: tuple[int | None, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return ``value`` as an array of ``dtype``; ``None`` in ``shape`` matches any length.

    Raises:
        ValueError: The shape does not match; the message gives the expected and the actual one.
    """
    array = np.asarray(value, dtype=dtype)
    if array.ndim == len(shape):
        for want, got in zip(
            shape, array.shape, strict=True
        ):  # A loop, as this runs several times per frame and a generator is slower.
            if want is not None and want != got:
                break
        else:
            return array
    wanted = ", ".join("any" if n is None else str(n) for n in shape)
    raise ValueError(f"{what}: expected shape ({wanted}), got {array.shape}")


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One frame of a video, or one image.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        index: Position in the source, from 0; with ``--stride`` some numbers are skipped.
        time_s: Presentation time in seconds from the beginning of what is read, or on the source's own clock if that
            was asked for (``Window.clock``); 0 for images.
        name: File name of the image, or of the video that the frame belongs to.
        pts: The same time in units of the source's time base, or None.
        duration_s: Seconds for which the frame is shown; None if the source does not say.
    """

    image: Image
    index: int
    time_s: float = 0.0
    name: str = ""
    pts: int | None = None
    duration_s: float | None = None

    def __post_init__(self) -> None:
        image = self.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")

    def __repr__(self) -> str:
        width, height = self.size_wh
        name = f"{self.name!r}, " if self.name else ""
        return f"Frame({name}index={self.index}, time_s={self.time_s:.3f}, {width} x {height} pixels)"

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, eq=False, slots=True)
class Boxes:
    """Person boxes of one frame.

    Attributes:
        xyxy: (N, 4) float32: left, top, right, bottom, in frame pixels.
        score: (N,) float32 in 0..1.
        exact: ``xyxy`` in double precision if its source is that precise, otherwise None. Crops are cut from it:
            rounding an annotated box to float32 can change a pixel of the crop by one grey level.
    """

    xyxy: Float32
    score: Float32
    exact: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy", as_column("xyxy", self.xyxy, (None, 4), np.float32))
        object.__setattr__(self, "score", as_column("score", self.score, (len(self.xyxy),), np.float32))
        if self.exact is not None:
            object.__setattr__(self, "exact", as_column("exact", self.exact, (len(self.xyxy), 4), np.float64))

    def __repr__(self) -> str:
        return f"Boxes({len(self)})"

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Index) -> Self:
        return type(self)(self.xyxy[index], self.score[index], None if self.exact is None else self.exact[index])

    @property
    def corners(self) -> NDArray[np.floating]:
        """(N, 4) left, top, right, bottom, in the highest precision available."""
        return self.xyxy if self.exact is None else self.exact

    @classmethod
    def empty(cls) -> Self:
        """Return zero boxes."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, eq=False, slots=True)
class Poses:
    """The people of one frame with their keypoints; indexing filters every column.

    Attributes:
        boxes: N boxes.
        xy: (N, K, 2) float32, frame pixels.
        score: (N, K) float32, peak of each keypoint's heatmap.
        track_id: (N,) int64, from 1; ``UNTRACKED`` (-1) if no tracker has assigned one.
        flags: (N, K) uint8, bits of :class:`Flag`.
    """

    boxes: Boxes
    xy: Float32
    score: Float32
    track_id: NDArray[np.int64] = field(default=cast(Any, None))
    flags: NDArray[np.uint8] = field(default=cast(Any, None))

    def __post_init__(self) -> None:
        people = len(self.boxes)
        xy = as_column("xy", self.xy, (people, None, 2), np.float32)
        keypoints = xy.shape[1]
        track_id = np.full(people, UNTRACKED) if self.track_id is None else self.track_id
        flags = np.zeros((people, keypoints)) if self.flags is None else self.flags
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "score", as_column("score", self.score, (people, keypoints), np.float32))
        object.__setattr__(self, "track_id", as_column("track_id", track_id, (people,), np.int64))
        object.__setattr__(self, "flags", as_column("flags", flags, (people, keypoints), np.uint8))

    def __repr__(self) -> str:
        ids = [str(number) for number in self.track_id.tolist() if number != UNTRACKED]
        tracks = f", track_id={' '.join(ids)}" if ids else ""
        return f"Poses({len(self)} x {self.xy.shape[1]} keypoints{tracks})"

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Index) -> Self:
        return type(self)(self.boxes[index], self.xy[index], self.score[index], self.track_id[index], self.flags[index])

    @classmethod
    def empty(cls, keypoints: int = 17) -> Self:
        """Return zero poses."""
        return cls(Boxes.empty(), np.zeros((0, keypoints, 2), np.float32), np.zeros((0, keypoints), np.float32))

    @property
    def person_score(self) -> Float32:
        """(N,) float32: box score times the mean of the keypoint scores above 0.2, as the authors rank people."""
        above = self.score > 0.2
        count = above.sum(axis=1)
        mean = np.where(above, self.score, 0).sum(axis=1) / np.maximum(count, 1)
        return np.asarray(self.boxes.score * mean, np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """The complete result for one frame.

    Attributes:
        frame: The frame.
        poses: As estimated by the network, with track ids.
        smoothed: The same people in the same order after repair and smoothing, followed by people missed in this frame
            and filled in, with every joint flagged; None if neither ran.
        attention: (N, L, K, h, w) float32 attention scores; None unless requested.
        matrices: (N, 2, 3) affine maps from the frame to each person's crop; None unless attention was requested.
    """

    frame: Frame
    poses: Poses
    smoothed: Poses | None = None
    attention: Float32 | None = None
    matrices: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        parts = [repr(self.frame), repr(self.final)]
        parts += ["smoothed"] if self.smoothed is not None else []
        parts += [f"attention {self.attention.shape}"] if self.attention is not None else []
        return f"{type(self).__name__}({', '.join(parts)})"

    def select(self, index: Index) -> Self:
        """Return this result with only the indexed people; to be called before smoothing."""
        attention = None if self.attention is None else self.attention[index]
        matrices = None if self.matrices is None else self.matrices[index]
        return replace(self, poses=self.poses[index], attention=attention, matrices=matrices)

    @property
    def final(self) -> Poses:
        """The smoothed poses if smoothing ran, otherwise the estimated ones."""
        return self.poses if self.smoothed is None else self.smoothed

    @property
    def shown(self) -> Poses:
        """The former name of ``final``, which programs may still use."""
        return self.final

    @property
    def raw_xy(self) -> Float32:
        """(N, K, 2) float32 keypoints of the people in ``final`` as estimated; NaN for people who were filled in."""
        raw = np.full_like(self.final.xy, np.nan)
        raw[: len(self.poses)] = self.poses.xy
        return raw


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Metadata of a source, available before its first frame.

    Attributes:
        name: File name or URL, without credentials.
        size_wh: Width and height after rotation; None for images, which may differ in size.
        fps: Average frame rate, exact; None for images.
        time_base: Seconds per tick of ``Frame.pts``; None for images.
        frames: Number of frames according to the container: a hint, never a loop bound.
        rotation: Counter-clockwise rotation in degrees that was applied to make the pixels upright.
    """

    name: str
    size_wh: tuple[int, int] | None = None
    fps: Fraction | None = None
    time_base: Fraction | None = None
    frames: int | None = None
    rotation: int = 0
