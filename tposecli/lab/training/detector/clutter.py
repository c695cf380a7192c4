"""Make images without people, as negative examples for the detector: cut-outs of objects pasted on backgrounds.

Any folder of cut-outs (PNG with transparency) will do, with any backgrounds (opaque images) in it; drawings, letters
and people are excluded by the names of their folders and files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from tposecli.lab.training.detector.rendered import ANNOTATIONS
from tposecli.lab.training.shared import LogCallback, check_render_folder
from tposecli.types import Float32, Image
from tposecli.utils.errors import InputError
from tposecli.utils.files import write_text

SIZES: Final = ((360, 270), (270, 360), (320, 320))
MAX_CUT_OUT: Final = 360
MIN_CUT_OUT: Final = 60
UNWANTED: Final = ("cartoon", "mirror", "symbols", "seasonal", "clothes", "people", "flags", "roadsigns", "space")


def paste_clutter(things: Path, folder: Path, count: int, log: LogCallback, seed: int = 5) -> Path:
    """Make ``count`` images unless they are there already, and return their annotation file, which has no people.

    Args:
        things: Folder that is searched recursively for cut-outs and backgrounds.
        folder: Folder for the images.
        count: Number of images.
        log: Receives progress lines.
        seed: The same seed gives the same images.

    Raises:
        InputError: There are no cut-outs.
    """
    annotations = folder / ANNOTATIONS
    if annotations.is_file() and len(json.loads(annotations.read_text(encoding="utf-8"))["images"]) == count:
        return annotations
    cut_outs, backgrounds = read_things(things)
    log(f"{things}: {len(cut_outs)} cut-outs, {len(backgrounds)} backgrounds")
    check_render_folder(folder, (ANNOTATIONS, *(f"{number:05d}.jpg" for number in range(count))))
    images = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        image = compose(rng, cut_outs, backgrounds)
        name = f"{number:05d}.jpg"
        cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        images.append({"id": number, "file_name": name, "width": image.shape[1], "height": image.shape[0]})
    write_text(annotations, json.dumps({"images": images, "annotations": []}))
    return annotations


def read_things(things: Path) -> tuple[list[Image], list[Image]]:
    """Return the cut-outs (H, W, 4) without their empty margins, and the backgrounds (H, W, 3), both BGR.

    Raises:
        InputError: There are no cut-outs.
    """
    cut_outs, backgrounds = [], []
    for path in sorted(things.rglob("*")):
        name = str(path.relative_to(things)).lower()
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp") or any(word in name for word in UNWANTED):
            continue
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 3 or image.dtype != np.uint8:
            continue
        if image.shape[2] == 3:
            backgrounds.append(np.asarray(image, np.uint8))
        elif max((trimmed := _trimmed(np.asarray(image, np.uint8))).shape[:2]) >= MIN_CUT_OUT:
            cut_outs.append(trimmed)
    if not cut_outs:
        raise InputError(f"{things}: no cut-outs in it or its subfolders; expected PNG files with transparency")
    return cut_outs, backgrounds


def compose(rng: np.random.Generator, cut_outs: list[Image], backgrounds: list[Image]) -> Image:
    """Compose one (H, W, 3) image, BGR, with zero to four cut-outs."""
    width, height = SIZES[rng.integers(len(SIZES))]
    if backgrounds and rng.random() < 0.6:
        image = _background(rng, backgrounds[rng.integers(len(backgrounds))], (width, height))
    else:
        image = _clouds(rng, (width, height))
    for _ in range(rng.choice(5, p=(0.06, 0.4, 0.28, 0.16, 0.1))):
        _paste(rng, image, cut_outs[rng.integers(len(cut_outs))])
    return np.clip(image, 0, 255).astype(np.uint8)


def _trimmed(image: Image) -> Image:
    """Return a cut-out without its transparent margin, reduced to at most ``MAX_CUT_OUT`` pixels."""
    left, top, width, height = cv2.boundingRect((image[:, :, 3] > 30).astype(np.uint8))
    inside = image[top : top + height, left : left + width]
    if not inside.size:
        return inside
    scale = min(1.0, MAX_CUT_OUT / max(inside.shape[:2]))
    return np.asarray(cv2.resize(inside, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _background(rng: np.random.Generator, image: Image, size_wh: tuple[int, int]) -> Float32:
    """Return a random part of a background, resized to ``size_wh``."""
    width, height = size_wh
    rows = min(image.shape[0] * rng.uniform(0.25, 1), image.shape[1] * height / width)
    columns = rows * width / height
    top, left = rng.uniform(0, image.shape[0] - rows), rng.uniform(0, image.shape[1] - columns)
    part = image[int(top) : int(top + rows) or 1, int(left) : int(left + columns) or 1]
    return np.asarray(cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.float32)


def _clouds(rng: np.random.Generator, size_wh: tuple[int, int]) -> Float32:
    """Return random coloured clouds with grain."""
    width, height = size_wh
    colours = rng.uniform(0, 255, (rng.integers(2, 7), rng.integers(2, 7), 3)).astype(np.float32)
    grain = cv2.resize(rng.normal(0, 18, (height // 2, width // 2)).astype(np.float32), size_wh)
    clouds = cv2.resize(colours, size_wh, interpolation=cv2.INTER_CUBIC)
    return np.asarray(clouds + grain[:, :, None] * np.float32(rng.uniform(0, 1.2)), np.float32)


def _paste(rng: np.random.Generator, image: Float32, cut_out: Image) -> None:
    """Paste a cut-out at a random place and size, at random rotated, mirrored, blurred and relit."""
    height, width = image.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(0.15), np.log(1.1)))) * max(width, height) / max(cut_out.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    layer = np.asarray(cv2.resize(cut_out, None, fx=scale, fy=scale, interpolation=way), np.float32)
    if rng.random() < 0.5:
        layer = np.ascontiguousarray(layer[:, ::-1])
    if rng.random() < 0.3:
        turn = cv2.getRotationMatrix2D((layer.shape[1] / 2, layer.shape[0] / 2), rng.uniform(-40, 40), 1)
        layer = np.asarray(cv2.warpAffine(layer, turn, (layer.shape[1], layer.shape[0])), np.float32)
    layer[:, :, :3] = np.clip(layer[:, :, :3] * rng.uniform(0.5, 1.2) + rng.uniform(-25, 25), 0, 255)
    if rng.random() < 0.3:
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.5, 1.5)), np.float32)
    left, top = int(rng.uniform(-0.3, 1) * width), int(rng.uniform(-0.3, 1) * height)
    seen = layer[max(-top, 0) : height - top, max(-left, 0) : width - left]
    below = image[max(top, 0) :, max(left, 0) :][: seen.shape[0], : seen.shape[1]]
    opacity = seen[:, :, 3:] / 255
    below += (seen[:, :, :3] - below) * opacity
