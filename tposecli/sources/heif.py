"""HEIC and HEIF images, which need the package pillow-heif."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from tposecli.sources.limits import DAMAGE, check_pixels
from tposecli.types import Image
from tposecli.utils.errors import InputError

SUFFIXES: Final = frozenset({".heic", ".heif", ".hif"})
REMEDY: Final = "install the extra for them: pip install 'tposecli[heic]'"

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def can_read_heif() -> bool:
    """Return whether pillow-heif is installed."""
    return find_spec("pillow_heif") is not None


def is_heif(data: NDArray[np.uint8]) -> bool:
    """Return whether an encoded image is HEIF, but not AVIF, which shares the container."""
    head = data[:64].tobytes()
    if head[4:8] != b"ftyp":
        return False
    brands = head[8 : min(64, int.from_bytes(head[:4], "big"))]
    return head[8:12] in _BRANDS and b"avif" not in brands


def decode_heif(data: NDArray[np.uint8], title: str, max_pixels: int) -> Image:
    """Decode the bytes of an image as (H, W, 3) uint8 RGB, upright: the format's boxes say how.

    Raises:
        InputError: pillow-heif is missing, or the image is damaged or too large.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(f"{title}: HEIC images need pillow-heif; {REMEDY}, or convert them to JPEG") from error
    try:
        opened = pillow_heif.open_heif(io.BytesIO(data.tobytes()), convert_hdr_to_8bit=True)
        check_pixels(title, opened.size, max_pixels)
        image = ImageOps.exif_transpose(opened.to_pillow()).convert("RGB")
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"{title}: cannot be decoded ({error}); it may be damaged or in another format") from error
    return np.ascontiguousarray(image, dtype=np.uint8)
