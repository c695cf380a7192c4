"""Conversion of RGB images to the pixel format of an encoder."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import av
import av.filter
import av.video.frame
import av.video.reformatter
import cv2
import numpy as np

from tposecli.sinks.scale import Scale
from tposecli.types import Image

BT709 = 1
LIMITED_RANGE = 1

_THREADS = 2
_TICK = Fraction(1, 1000)


class FrameConverter(Protocol):
    """Converts (H, W, 3) uint8 RGB to a frame in the encoder's pixel format."""

    def size_wh(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height of the frames that are made from images of this size."""
        ...

    def convert(self, image: Image) -> av.video.frame.VideoFrame:
        """Convert, scale and pad one image."""
        ...


class VideoConverter(FrameConverter):
    """Converts to limited-range BT.709; odd sides are padded by one pixel, which repeats the edge."""

    def __init__(self, pix_fmt: str, scale: Scale | None) -> None:
        self._pix_fmt, self._scale = pix_fmt, scale
        self._reformatter = av.video.reformatter.VideoReformatter()

    def size_wh(self, width: int, height: int) -> tuple[int, int]:
        """Return the size, with even sides."""
        if self._scale is not None:
            width, height = self._scale.size_wh(width, height)
        return width + width % 2, height + height % 2

    def convert(self, image: Image) -> av.video.frame.VideoFrame:
        """Convert, scale and pad one image."""
        height, width = image.shape[:2]
        even_wh = self.size_wh(width, height)
        pixels: Image = np.ascontiguousarray(image)
        if self._scale is None and even_wh != (width, height):
            pixels = np.asarray(cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
        frame = self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(pixels, format="rgb24"),
            width=even_wh[0],
            height=even_wh[1],
            format=self._pix_fmt,
            dst_colorspace=BT709,
            dst_color_range=LIMITED_RANGE,
            interpolation=None if self._scale is None else "BICUBIC",
            threads=_THREADS,
        )
        frame.color_primaries = frame.color_trc = BT709
        return frame


class PaletteConverter(FrameConverter):
    """Converts to 256 colours, chosen for each frame, so that no later frame needs to be known."""

    def __init__(self, scale: Scale | None) -> None:
        self._scale = scale
        self._graph: av.filter.Graph | None = None
        self._count = 0

    def size_wh(self, width: int, height: int) -> tuple[int, int]:
        """Return the size, with even or odd sides."""
        return (width, height) if self._scale is None else self._scale.size_wh(width, height)

    def convert(self, image: Image) -> av.video.frame.VideoFrame:
        """Scale one image and reduce it to a palette, with error diffusion."""
        height, width = image.shape[:2]
        wanted = self.size_wh(width, height)
        pixels: Any = image if wanted == (width, height) else cv2.resize(image, wanted, interpolation=cv2.INTER_AREA)
        if self._graph is None:
            self._graph = _palette_graph(*wanted)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = self._count, _TICK
        self._count += 1
        self._graph.push(frame)
        reduced = self._graph.pull()
        if not isinstance(reduced, av.video.frame.VideoFrame):
            raise ValueError(f"palette: expected a video frame, got {type(reduced)}")
        return reduced


def _palette_graph(width: int, height: int) -> av.filter.Graph:
    """Build the filter graph that creates a palette of each frame and applies it."""
    graph = av.filter.Graph()
    source = graph.add("buffer", f"video_size={width}x{height}:pix_fmt=rgb24:time_base={_TICK}")
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use = graph.add("paletteuse", "new=1:dither=sierra2_4a")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(graph.add("buffersink"))
    graph.configure()
    return graph
