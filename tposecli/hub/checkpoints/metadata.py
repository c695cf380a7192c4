"""What a checkpoint says of itself: model, crop size and keypoints, in the metadata that `tpose train` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.utils.errors import WeightsError


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a checkpoint without loading it.

    Attributes:
        model: Its name in the catalogue; None where it does not say.
        input_hw: Height and width of its crops, pixels; None where it does not say.
        layout: Its keypoints.
    """

    model: str | None = None
    input_hw: tuple[int, int] | None = None
    layout: KeypointLayout = COCO


def metadata_of(path: Path) -> Metadata:
    """Read it; of files that hold none, nothing is known.

    Raises:
        WeightsError: A safetensors file is damaged, or contradicts itself.
    """
    if path.suffix != ".safetensors":
        return Metadata()
    try:
        with safe_open(path, "numpy") as file:
            texts: dict[str, str] = file.metadata() or {}
        if "model" not in texts:
            return Metadata()
        facts: dict[str, Any] = {key: json.loads(text) for key, text in texts.items()}
        height, width = facts["input_hw"]
        return Metadata(str(facts["model"]), (int(height), int(width)), KeypointLayout.of_facts(facts))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: not a readable checkpoint ({error}); get the file again") from error
