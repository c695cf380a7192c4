"""How large a picture may be, and how large it claims to be before anybody unpacks it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tposecli.errors import InputError

MOST_PIXELS: Final = 16384 * 16384
"""Larger pictures and frames are refused: a file of a few kilobytes can claim any size, and its pixels need memory."""

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
"""What is decoded, in Pillow's words; what is none of these is no picture."""

_HEAD = 16
_TIFF_HEAD = 8
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError),
    *(ValueError, struct.error, zlib.error),
)
"""What Pillow raises where a header is damaged, depending on where."""

Wh = tuple[int, int]


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
    """Width and height that an encoded picture claims; None for what is none of ``FORMATS``, or damaged.

    ``Image.open`` would warn of large pictures, all over the process, by a limit of its own: its readers are asked
    directly, and look at no more than the header.
    """
    Pillow.init()
    head = data[:_HEAD].tobytes()
    for name in FORMATS:
        make, accepts = Pillow.OPEN.get(name, (None, None))
        if make is not None and accepts is not None and accepts(head) is True:
            try:
                width, height = _READERS.get(name, _reader(make))(io.BytesIO(data.data))
            except _DAMAGE:
                return None
            return int(width), int(height)
    return None


def _reader(make: Callable[..., Any]) -> Callable[[io.BytesIO], Wh]:
    """Reads a size by opening a picture with Pillow."""

    def size_wh(file: io.BytesIO) -> Wh:
        with make(file, "") as picture:
            size: Wh = picture.size
            return size

    return size_wh


def _tiff_wh(file: io.BytesIO) -> Wh:
    """Size of the first picture of a TIFF, whatever is in its pixels."""
    directory = ImageFileDirectory_v2(file.read(_TIFF_HEAD))
    file.seek(directory.next)
    directory.load(file)
    return directory[_TIFF_WIDTH], directory[_TIFF_HEIGHT]


def _gif_wh(file: io.BytesIO) -> Wh:
    """Size of the whole picture of a GIF, in which its frames lie."""
    width, height = struct.unpack("<6xHH", file.read(10))
    return width, height


def _webp_wh(file: io.BytesIO) -> Wh:
    """Size of a WebP, see https://developers.google.com/speed/webp/docs/riff_container."""
    head = file.read(30)
    kind, lossless, width, height = struct.unpack("<12x4s5xI1xHH", head)
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:], "little")
    if kind == b"VP8L":
        return 1 + (lossless & 0x3FFF), 1 + (lossless >> 14 & 0x3FFF)
    return width & 0x3FFF, height & 0x3FFF


_READERS: Final = {"GIF": _gif_wh, "JPEG": _reader(JpegImageFile), "TIFF": _tiff_wh, "WEBP": _webp_wh}
"""In the place of Pillow's own, which look at more than the size: at further pictures, or into the pixels."""
