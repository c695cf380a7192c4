"""Boxes and text labels in the colours of track ids."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.drawing.style import Colour
from tposecli.types import UNTRACKED, Float32, Image

Float64 = NDArray[np.float64]

SUBPIXEL_BITS: Final = 4
"""Fractional bits of the coordinates passed to OpenCV: positions are drawn to 1/16 of a pixel, so nothing jitters."""

OUTLINE_COLOUR: Final[Colour] = (14, 17, 23)
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
"""Track colours: the colour-blind safe palette of Okabe and Ito (2008), brightened so that dark text is legible."""


def id_colour(track: int) -> Colour:
    """Return the colour of a track; white without an id."""
    return (255, 255, 255) if track == UNTRACKED else PALETTE[(int(track) - 1) % len(PALETTE)]


@lru_cache(maxsize=512)
def render_label(text: str, height: int, colour: Colour) -> tuple[Image, Float64]:
    """Render a text label with rounded ends, dark text on ``colour``; the text may end with a sign of degrees.

    The label is drawn at four times its size and scaled down. The text is placed by the bounding box of its pixels
    rather than by the font's metrics, so that it is centred whatever the font.

    Returns:
        (height, w, 3) pixels and (height, w, 1) opacity in 0..1.
    """
    fine = 4 * height
    degrees = text.endswith("°")
    text = text.removesuffix("°")
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, fine / 40
    (width, above), below = cv2.getTextSize(text, font, scale, fine // 11)
    page = np.zeros((above + below + fine, width + fine), np.uint8)
    cv2.putText(page, text, (fine // 2, above + fine // 2), font, scale, 255, fine // 11, cv2.LINE_AA)
    x, y, width, above = cv2.boundingRect(page)
    if degrees:  # OpenCV's font has no such sign.
        ring = above // 6
        page = np.pad(page, ((0, 0), (0, fine)))
        cv2.circle(page, (x + width + 2 * ring, y + ring), ring, 255, fine // 16, cv2.LINE_AA)
        x, y, width, above = cv2.boundingRect(page)
    rows = round(0.52 * fine)
    if any(letter.islower() for letter in text):  # one letter size for all words, with or without ascenders
        y, above, rows = *_text_rows(font, scale, fine), round(0.68 * fine)
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
    image = np.array(OUTLINE_COLOUR) + (np.array(colour) - np.array(OUTLINE_COLOUR)) * covered
    return image.astype(np.uint8), mask


def _text_rows(font: int, scale: float, fine: int) -> tuple[int, int]:
    """Return the first row and the number of rows of a line of text, on a page as in ``render_label``."""
    (width, above), below = cv2.getTextSize("bp", font, scale, fine // 11)
    page = np.zeros((above + below + fine, width + fine), np.uint8)
    cv2.putText(page, "bp", (fine // 2, above + fine // 2), font, scale, 255, fine // 11, cv2.LINE_AA)
    _, y, _, rows = cv2.boundingRect(page)
    return y, rows


def draw_box(image: Image, xyxy: Float32, colour: Colour) -> None:
    """Draw a rectangle with a dark rim on ``image`` itself; (4,) ``xyxy`` in pixels."""
    if not np.isfinite(xyxy).all():
        return
    left, top, right, bottom = np.rint(np.clip(xyxy, -9999, 29999) * (1 << SUBPIXEL_BITS)).astype(int).tolist()
    thickness = max(2, round(0.0022 * min(image.shape[:2])))
    for line_colour, line in ((OUTLINE_COLOUR, thickness + 2), (colour, thickness)):
        cv2.rectangle(image, (left, top), (right, bottom), line_colour, line, cv2.LINE_AA, SUBPIXEL_BITS)


def paste(image: Image, label: Image, opacity: Float64, corner: tuple[int, int]) -> None:
    """Blend a label into ``image`` itself, moved so that it lies inside; one larger than the image is left out.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (h, w, 3) uint8 RGB.
        opacity: (h, w, 1) in 0..1.
        corner: Left and top, pixels.
    """
    height, width = label.shape[:2]
    if height > image.shape[0] or width > image.shape[1]:
        return
    left = min(max(corner[0], 0), image.shape[1] - width)
    top = min(max(corner[1], 0), image.shape[0] - height)
    below = image[top : top + height, left : left + width]
    below[:] = np.rint(below + (label.astype(np.float64) - below) * opacity).astype(np.uint8)
