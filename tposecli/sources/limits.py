"""Limits on image sizes, and the size that an encoded image declares, read before it is decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from tposecli.utils.errors import InputError

MAX_PIXELS: Final = 16384 * 16384
"""Larger images are refused: a file of a few kilobytes can declare any size, and its pixels would need memory."""

PILLOW_FORMATS: Final = ("BMP", "DIB", "PPM", "JPEG2000", "AVIF")
"""Formats whose size is read by Pillow. For the other formats, Pillow's readers parse more than the size, emit warnings
about what they find, or apply limits of their own."""

_HEAD_BYTES = 32
DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, struct.error, Pillow.DecompressionBombError),
)
"""What reading a damaged header raises, depending on where it breaks."""

Wh: TypeAlias = tuple[int, int]


def check_pixels(title: str, size_wh: Wh, max_pixels: int) -> None:
    """Refuse an image of more than ``max_pixels`` pixels.

    Raises:
        InputError: The image is too large.
    """
    width, height = size_wh
    if width * height > max_pixels:
        raise InputError(
            f"{title}: {width}x{height} pixels are too many; if you trust the file, add --max-pixels {width * height}"
        )


def declared_wh(data: NDArray[np.uint8]) -> Wh | None:
    """Return the width and height that an encoded image declares; None if it is damaged or of an unknown format."""
    head = data[:_HEAD_BYTES].tobytes().ljust(_HEAD_BYTES, b"\0")
    try:
        for start, read in _READERS:
            if head.startswith(start):
                return read(data.data)
        return _pillow_wh(head, data)
    except DAMAGE:
        return None


def _pillow_wh(head: bytes, data: NDArray[np.uint8]) -> Wh | None:
    """Read the size with Pillow's plugins, bypassing ``Image.open``, which warns about large images."""
    Pillow.init()
    for name in PILLOW_FORMATS:
        make, accepts = Pillow.OPEN.get(name, (None, None))
        if make is not None and accepts is not None and accepts(head) is True:
            with make(io.BytesIO(data.data), "") as image:
                width, height = image.size
                return int(width), int(height)
    return None


def _jpeg_wh(data: memoryview) -> Wh:
    """Read the size from the first frame header (ITU T.81, B.2.2)."""
    at = 2
    while True:
        while data[at] != 0xFF or data[at + 1] in (0x00, 0xFF):
            at += 1
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        no_payload = marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 2 if no_payload else 2 + struct.unpack_from(">H", data, at + 2)[0]


def _png_wh(data: memoryview) -> Wh:
    """Read the size from the first chunk, which must be ``IHDR``."""
    kind, width, height = struct.unpack_from(">4sII", data, 12)
    if kind != b"IHDR":
        raise ValueError("no IHDR")
    return width, height


def _gif_wh(data: memoryview) -> Wh:
    """Read the size of the logical screen, which contains all frames."""
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp_wh(data: memoryview) -> Wh:
    """Read the size of a WebP, https://developers.google.com/speed/webp/docs/riff_container."""
    form, kind = struct.unpack_from("<4s4s", data, 8)
    if form != b"WEBP":
        raise ValueError("another RIFF file")
    if kind == b"VP8X":
        wide, high = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return 1 + wide, 1 + high
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff_wh(data: memoryview) -> Wh:
    """Read the size from the first directory of a TIFF (6.0, section 2) or BigTIFF."""
    order = "<" if data[0] == ord("I") else ">"
    big = 43 in (data[2], data[3])
    (directory,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, directory)
    found = {}
    for number in range(min(count, 1 << 16)):
        entry = directory + (8 + 20 * number if big else 2 + 12 * number)
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (256, 257):
            (found[tag],) = struct.unpack_from(
                order + {3: "H", 4: "I", 16: "Q"}[kind], data, entry + (12 if big else 8)
            )
    return found[256], found[257]


_READERS: Final[tuple[tuple[tuple[bytes, ...], Callable[[memoryview], Wh]], ...]] = (
    ((b"\xff\xd8\xff",), _jpeg_wh),
    ((b"\x89PNG\r\n\x1a\n",), _png_wh),
    ((b"GIF87a", b"GIF89a"), _gif_wh),
    ((b"RIFF",), _webp_wh),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff_wh),
)
"""Magic numbers, and the function that reads the size."""
