"""What a call of :class:`tposecli.Pose` returns."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from tposecli.api.inputs import Input
from tposecli.attention.overlay import onto_frame
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.types import Float32, Result, SourceInfo


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class PoseResult(Result):
    """The people of one image or frame.

    Coordinates are pixels of the frame, x to the right and y down, the centre of the first pixel at (0, 0).

    Attributes:
        frame: The frame: ``frame.image`` is (H, W, 3) uint8 RGB, ``frame.index``, ``frame.time_s``, ``frame.name``.
        poses: The people as measured: ``poses.xy`` is (N, K, 2) float32 pixels, ``poses.score`` (N, K) float32,
            ``poses.boxes.xyxy`` (N, 4) float32 pixels, ``poses.track_id`` (N,) int64 from 1, -1 without track.
        smoothed: The same people smoothed, followed by people who were filled in; None where nothing is smoothed.
        attention: (N, L, K, h, w) float32: for each person, layer and keypoint the share of attention that each cell of
            the grid gets; None unless asked for.
        matrices: (N, 2, 3) float64 maps from the frame to the crop of each person; None without attention.
        header: What the poses depend on: model, weights, detector, options. Pose files have it as ``info``.
        stride: Pixels of the crop per cell of the attention grid.
        is_still: Whether this is an image of its own and no frame of a video.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    stride: int = 0
    is_still: bool = False

    def __len__(self) -> int:
        """Return the number of people in :attr:`final`."""
        return len(self.final)

    @property
    def layout(self) -> KeypointLayout:
        """The K keypoints: ``layout.names`` are their names, ``layout.limbs`` pairs of them."""
        return KeypointLayout.from_dict(self.header)

    def attention_map(self, person: int, keypoint: int | str, layer: int = -1) -> Float32:
        """Put an attention map back onto the image.

        Args:
            person: Row of ``poses``.
            keypoint: Its number or its name, such as ``"left_wrist"``.
            layer: Which of the layers that were asked for; the last one by default.

        Returns:
            (H, W) float32: the attention of the cell over each pixel, interpolated; 0 outside the person's crop.

        Raises:
            ValueError: There is no attention, or no such keypoint.
            IndexError: There is no such person or layer.
        """
        if self.attention is None or self.matrices is None:
            raise ValueError("attention_map: this result has no attention; ask for it with Pose(attention=True)")
        grid = np.ascontiguousarray(self.attention[person, layer, self.keypoint_number(keypoint)])
        return onto_frame(grid, self.matrices[person].copy(), self.stride, self.frame.size_wh)

    def keypoint_number(self, keypoint: int | str) -> int:
        """Return the number of a keypoint, from 0, that is given by its number or name.

        Raises:
            ValueError: There is no such keypoint.
        """
        names = self.layout.names
        if isinstance(keypoint, str) and keypoint in names:
            return names.index(keypoint)
        if isinstance(keypoint, str) or not -len(names) <= keypoint < len(names):
            raise ValueError(f"no keypoint {keypoint!r}; known: {', '.join(names)}")
        return int(keypoint) % len(names)


class Results(Iterator[PoseResult]):
    """The results of one call, in order, made while they are taken: nothing holds a whole video.

    Take them once, by ``for result in results``, ``list(results)`` or ``next(results)``. Whoever stops early calls
    ``close()``, or uses a ``with`` block, to stop reading ahead at once.

    Attributes:
        info: Name, size and frame rate of what is read.
        header: As :attr:`PoseResult.header`.
        names: Names of the images, in order; None for a video, or where they are not known in advance.
        is_still: Whether images are independent of one another: not tracked, not smoothed.
        stride: As :attr:`PoseResult.stride`.
    """

    def __init__(self, source: Input, results: Generator[Result], header: Mapping[str, Any], stride: int) -> None:
        self.header, self._source, self.stride = header, source, stride
        self._stack = ExitStack()
        self._stack.enter_context(source)
        self._stack.callback(results.close)
        self._results = results

    @property
    def info(self) -> SourceInfo:
        """Metadata of the source."""
        return self._source.info

    @property
    def names(self) -> Sequence[str] | None:
        """Names of the images."""
        return self._source.names

    @property
    def is_still(self) -> bool:
        """Whether these are images that have nothing to do with one another."""
        return self._source.is_still

    @property
    def source(self) -> Input:
        """What the frames come from."""
        return self._source

    @property
    def failed(self) -> list[tuple[str, str]]:
        """Name and reason of each image that could not be read so far; a warning is logged for each, too."""
        return self._source.failed

    def __repr__(self) -> str:
        kind = "images" if self.is_still else "frames"
        expected = self._source.expected
        return f"Results({self.info.name!r}, {'about ' + str(expected) if expected else 'some'} {kind})"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PoseResult:
        result = next(self._results, None)
        if result is None:
            self.close()
            raise StopIteration
        return PoseResult(
            *(result.frame, result.poses, result.smoothed, result.attention, result.matrices),
            header=self.header,
            stride=self.stride,
            is_still=self.is_still,
        )

    def __length_hint__(self) -> int:
        return self._source.expected or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop reading."""
        self.close()

    def close(self) -> None:
        """Stop reading and wait for what runs ahead; closing twice is harmless."""
        self._stack.close()
