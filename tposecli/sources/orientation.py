"""Orientation of still images, wherever their formats write it, as Pillow's ``ImageOps.exif_transpose`` reads it."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import JpegImagePlugin

from tposecli.sources.limits import DAMAGE
from tposecli.types import Image

UPRIGHT: Final = 1
TAG: Final = 0x0112
"""EXIF tag of the orientation."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
_FLIPS: Final = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""OpenCV's flip code by orientation, after the transposition of 5 to 8."""


def orientation_of(data: NDArray[np.uint8]) -> int | None:
    """Return the EXIF orientation of an encoded image, 1 to 8; None for formats in which OpenCV applies it.

    Besides EXIF blocks, with or without a prefix, it may be written in XMP (JPEG, PNG, WebP), in ImageMagick's "Raw
    profile type exif" (PNG), and in the boxes ``irot`` and ``imir`` (AVIF).
    """
    encoded = data.tobytes()
    if encoded.startswith(b"\xff\xd8\xff"):
        return _read("JPEG", encoded) if b"Exif" in encoded or b"rientation" in encoded else UPRIGHT
    if encoded.startswith(_PNG):
        return _read("PNG", encoded) if _has_metadata(encoded) else UPRIGHT
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return _read("WEBP", encoded) if b"EXIF" in encoded or b"rientation" in encoded else UPRIGHT
    return _read("AVIF", encoded) if encoded[4:8] == b"ftyp" else None


def apply_orientation(image: Image, orientation: int) -> Image:
    """Return an (H, W, C) image upright."""
    turned: Any = cv2.transpose(image) if orientation >= 5 else image
    if orientation in _FLIPS:
        turned = cv2.flip(turned, _FLIPS[orientation])
    return np.ascontiguousarray(turned)


def _read(name: str, encoded: bytes) -> int:
    """Return the orientation that Pillow's reader of a format finds; bypasses ``Image.open``, which has limits."""
    Pillow.init()
    make = JpegImagePlugin.JpegImageFile if name == "JPEG" else Pillow.OPEN.get(name, (None, None))[0]
    if make is None:
        return UPRIGHT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with make(io.BytesIO(encoded), "") as image:
                found = image.getexif().get(TAG, UPRIGHT)
    except DAMAGE:
        return UPRIGHT
    return found if isinstance(found, int) and 1 <= found <= 8 else UPRIGHT


def _has_metadata(encoded: bytes) -> bool:
    """Return whether a PNG has a chunk that may contain an orientation; Pillow decodes the image to find some."""
    at = len(_PNG)
    while at + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, at)
        text = encoded[at + 8 : at + 8 + min(length, 64)]
        if kind == b"eXIf" or (kind in _PNG_CHUNKS and text.startswith((b"XML:com.adobe.xmp", b"Raw profile type"))):
            return True
        at += 12 + length
    return False
