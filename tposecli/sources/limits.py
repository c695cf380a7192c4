"""How large a picture may be, and how large it claims to be before anybody unpacks it."""

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
"""Larger pictures and frames are refused: a file of a few kilobytes can claim any size, and its pixels need memory."""

RARE: Final = ("BMP", "DIB", "PPM", "JPEG2000", "AVIF")
"""What Pillow looks at. Its readers of the other kinds look at more than the size, warn of what they find there, or
have limits of their own."""

_HEAD = 32
_DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, struct.error, Pillow.DecompressionBombError),
)
"""What reading a damaged header raises, depending on where."""

Wh: TypeAlias = tuple[int, int]


def check_pixels(title: str, size_wh: Wh, most: int) -> None:
    """Refuse a picture of more than ``most`` pixels.

    Raises:
        InputError: It is one.
    """
    width, height = size_wh
    if width * height > most:
        raise InputError(
            f"{title}: {width}x{height} pixels are too many; add --max-pixels {width * height} if it can be trusted"
        )


def claimed_wh(data: NDArray[np.uint8]) -> Wh | None:
    """Width and height that an encoded picture claims; None for what is no picture of a known kind, or damaged."""
    head = data[:_HEAD].tobytes().ljust(_HEAD, b"\0")
    try:
        for start, read in _READERS:
            if head.startswith(start):
                return read(data.data)
        return _rare_wh(head, data)
    except _DAMAGE:
        return None


def _rare_wh(head: bytes, data: NDArray[np.uint8]) -> Wh | None:
    """Asks Pillow's readers directly: ``Image.open`` would warn of large pictures, by a limit of its own."""
    Pillow.init()
    for name in RARE:
        make, accepts = Pillow.OPEN.get(name, (None, None))
        if make is not None and accepts is not None and accepts(head) is True:
            with make(io.BytesIO(data.data), "") as picture:
                width, height = picture.size
                return int(width), int(height)
    return None


def _jpeg_wh(data: memoryview) -> Wh:
    """Size in the first frame header, ITU T.81, B.2.2."""
    at = 2
    while True:
        while data[at] != 0xFF or data[at + 1] in (0x00, 0xFF):
            at += 1
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        alone = marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 2 if alone else 2 + struct.unpack_from(">H", data, at + 2)[0]


def _png_wh(data: memoryview) -> Wh:
    """Size in the first chunk, which must be ``IHDR``."""
    kind, width, height = struct.unpack_from(">4sII", data, 12)
    if kind != b"IHDR":
        raise ValueError("no IHDR")
    return width, height


def _gif_wh(data: memoryview) -> Wh:
    """Size of the whole picture, in which its frames lie."""
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp_wh(data: memoryview) -> Wh:
    """Size of a WebP, https://developers.google.com/speed/webp/docs/riff_container."""
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
    """Size in the first directory of a TIFF (6.0, section 2) or BigTIFF."""
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
"""What a file begins with, and who reads its size."""
