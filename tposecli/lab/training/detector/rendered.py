"""Render crowds as training photos into a folder, with a COCO annotation file beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tposecli.lab.synth.scene import Scene, Stage
from tposecli.lab.synth.training import random_scene
from tposecli.lab.training.shared import LogCallback, check_render_folder
from tposecli.types import Image
from tposecli.utils.files import write_text

SIZES = ((384, 288), (288, 384), (384, 224))
MIN_PIXELS = 60
ANNOTATIONS = "annotations.json"


def render_crowds(folder: Path, count: int, log: LogCallback, seed: int = 0) -> Path:
    """Render ``count`` crowds unless they are there already, and return the path of the annotation file.

    The same seed gives the same images. Takes about a third of a second per image on one core.
    """
    annotations = folder / ANNOTATIONS
    if annotations.is_file() and len(json.loads(annotations.read_text(encoding="utf-8"))["images"]) == count:
        return annotations
    check_render_folder(folder, (ANNOTATIONS, *(f"{number:05d}.png" for number in range(count))))
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        size_wh = SIZES[rng.integers(len(SIZES))]
        scene = random_scene(rng, size_wh)
        name = f"{number:05d}.png"
        cv2.imwrite(str(folder / name), np.ascontiguousarray(scene.render().image[:, :, ::-1]))
        images.append({"id": number, "file_name": name, "width": size_wh[0], "height": size_wh[1]})
        people += [_annotation(mask, number) for mask in person_masks(scene)]
        if (number + 1) % 100 == 0:
            log(f"{number + 1} of {count} crowds rendered")
    write_text(annotations, json.dumps({"images": images, "annotations": people}))
    return annotations


def person_masks(scene: Scene) -> list[Image]:
    """Return an (H, W) uint8 mask of the visible pixels of each person; those who are hardly visible are left out."""
    camera = scene.view.at(0.0)
    stage = Stage.of(scene, 0.0, camera)
    masks = []
    for index in range(len(scene.people)):
        pixels = stage.hits.pixel[stage.owner == index]
        if len(pixels) >= MIN_PIXELS:
            mask = np.zeros(camera.size_wh[0] * camera.size_wh[1], np.uint8)
            mask[pixels] = 1
            masks.append(mask.reshape(camera.size_wh[1], camera.size_wh[0]))
    return masks


def _annotation(mask: Image, image_id: int) -> dict[str, Any]:
    """Return the COCO annotation of a person's visible pixels."""
    x, y, width, height = cv2.boundingRect(mask)
    outlines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    segments = [outline.reshape(-1).tolist() for outline in outlines if len(outline) >= 3]
    return {
        "image_id": image_id,
        "bbox": [x, y, width, height],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": segments,
    }
