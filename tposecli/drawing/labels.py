"""Boxes and the small plates that name them, in the colours of ids."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.types import UNTRACKED, Float32, Image

Colour = tuple[int, int, int]
Float64 = NDArray[np.float64]

FRACTION: Final = 4
"""Bits of a pixel's fraction that OpenCV draws with: movements of a sixteenth of a pixel are seen, nothing jitters."""

INK: Final[Colour] = (14, 17, 23)
PALETTE: Final[tuple[Colour, ...]] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 190, 140),
    (240, 228, 66),
    (204, 121, 167),
    (240, 110, 40),
    (120, 140, 255),
    (187, 187, 187),
)
"""Colours of ids: those of Okabe and Ito (2008), told apart by the colour-blind, brightened to carry dark text."""


def id_colour(track: int) -> Colour:
    """The colour of a track wherever it appears; white without id."""
    return (255, 255, 255) if track == UNTRACKED else PALETTE[(int(track) - 1) % len(PALETTE)]


@lru_cache(maxsize=512)
def plate(text: str, height: int, colour: Colour) -> tuple[Image, Float64]:
    """(height, w, 3) picture and (height, w, 1) opacity of a plate with rounded ends, text in ink on ``colour``.

    Drawn four times too large, from the ink of the letters alone, so that every OpenCV font sits in its middle.
    """
    fine = 4 * height
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, fine / 40
    (width, above), below = cv2.getTextSize(text, font, scale, fine // 11)
    page = np.zeros((above + below + fine, width + fine), np.uint8)
    cv2.putText(page, text, (fine // 2, above + fine // 2), font, scale, 255, fine // 11, cv2.LINE_AA)
    x, y, width, above = cv2.boundingRect(page)
    rows = round(0.52 * fine)
    if any(letter.islower() for letter in text):  # words of one size, whichever letters they have
        y, above, rows = *_line(font, scale, fine), round(0.68 * fine)
    letters = cv2.resize(page[y : y + above, x : x + width], (max(1, width * rows // above), rows))
    wide = max(fine, letters.shape[1] + round(0.62 * fine))
    wide += -wide % 4
    mask, middle = np.zeros((2, fine, wide), np.uint8)
    for layer, inset in ((mask, 0), (middle, 5)):
        radius = fine // 2 - inset
        cv2.line(layer, (fine // 2, fine // 2), (wide - fine // 2, fine // 2), 255, 2 * radius - 1)
    top, left = (fine - rows) // 2, (wide - letters.shape[1]) // 2
    inside = middle[top : top + rows, left : left + letters.shape[1]]
    np.minimum(inside, 255 - letters, out=inside)
    size = (wide // 4, height)
    mask, middle = (cv2.resize(layer, size, interpolation=cv2.INTER_AREA)[:, :, None] / 255 for layer in (mask, middle))
    covered = np.divide(middle, mask, out=np.zeros_like(mask), where=mask > 0)
    picture = np.array(INK) + (np.array(colour) - np.array(INK)) * covered
    return picture.astype(np.uint8), mask


def _line(font: int, scale: float, fine: int) -> tuple[int, int]:
    """First row and number of rows of a line of words, on a page as in ``plate``."""
    (width, above), below = cv2.getTextSize("bp", font, scale, fine // 11)
    page = np.zeros((above + below + fine, width + fine), np.uint8)
    cv2.putText(page, "bp", (fine // 2, above + fine // 2), font, scale, 255, fine // 11, cv2.LINE_AA)
    _, y, _, rows = cv2.boundingRect(page)
    return y, rows


def outline(image: Image, xyxy: Float32, colour: Colour) -> None:
    """A frame with a dark rim; (4,) ``xyxy`` in pixels."""
    if not np.isfinite(xyxy).all():
        return
    left, top, right, bottom = np.rint(np.clip(xyxy, -9999, 29999) * (1 << FRACTION)).astype(int).tolist()
    thickness = max(2, round(0.0022 * min(image.shape[:2])))
    for ink, line in ((INK, thickness + 2), (colour, thickness)):
        cv2.rectangle(image, (left, top), (right, bottom), ink, line, cv2.LINE_AA, FRACTION)


def lay(image: Image, picture: Image, weight: Float64, corner: tuple[int, int]) -> None:
    """Lay a plate over the picture, moved inside it where it would stick out."""
    height, width = picture.shape[:2]
    if height > image.shape[0] or width > image.shape[1]:
        return
    left = min(max(corner[0], 0), image.shape[1] - width)
    top = min(max(corner[1], 0), image.shape[0] - height)
    below = image[top : top + height, left : left + width]
    below[:] = np.rint(below + (picture.astype(np.float64) - below) * weight).astype(np.uint8)
