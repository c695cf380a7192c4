"""Model, crop size and keypoints of a checkpoint, from the metadata that ``tpose train`` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.utils.errors import WeightsError
from tposecli.utils.strict_json import json_integer

MAX_CROP_SIDE: Final = 1024
"""Maximum height and width of a crop, in pixels: a few bytes of metadata must not ask for gigabytes of memory."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a checkpoint declares about itself, read without loading it.

    Attributes:
        model: Name in the catalogue, or None.
        input_hw: Height and width of its crops in pixels, or None.
        layout: Its keypoints.
    """

    model: str | None = None
    input_hw: tuple[int, int] | None = None
    layout: KeypointLayout = COCO


def read_metadata(path: Path) -> Metadata:
    """Read the metadata of a checkpoint; all fields are defaults if the file has none.

    Raises:
        WeightsError: A safetensors file is damaged or inconsistent.
    """
    if path.suffix != ".safetensors":
        return Metadata()
    try:
        with safe_open(path, "numpy") as file:
            texts: dict[str, str] = file.metadata() or {}
        if "model" not in texts:
            return Metadata()
        fields: dict[str, Any] = {key: json.loads(text) for key, text in texts.items()}
        return Metadata(str(fields["model"]), _input_hw(fields["input_hw"]), KeypointLayout.from_dict(fields))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise WeightsError(f"{path}: not a readable checkpoint ({error}); download the file again") from error


def _input_hw(value: Any) -> tuple[int, int]:
    height, width = (json_integer(side, "input_hw", integral_floats=True) for side in value)
    if not (0 < height <= MAX_CROP_SIDE and 0 < width <= MAX_CROP_SIDE):
        raise ValueError(f"input_hw: expected sides of 1 to {MAX_CROP_SIDE} pixels, got {height} x {width}")
    return height, width
