"""Metadata of checkpoints: a few bytes must not ask for gigabytes, nor crash the reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tposecli.hub.checkpoints.metadata import MAX_CROP_SIDE, read_metadata
from tposecli.utils.errors import WeightsError


def checkpoint(path: Path, **metadata: str) -> Path:
    """Write a safetensors file without tensors."""
    header = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@pytest.mark.parametrize(
    "input_hw",
    [
        "[1e999, 8]",
        "[" * 50000 + "]" * 50000,
        f"[{2**62}, {2**62}]",
        "[20000, 20000]",
        f"[{MAX_CROP_SIDE + 1}, 8]",
        "[0, 8]",
        "[-8, 8]",
        "[NaN, 8]",
        "[8.5, 8]",
        "[8]",
        "null",
    ],
    ids=lambda text: text[:12],
)
def test_sizes_that_cannot_be_are_refused(input_hw: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.safetensors", model='"transpose-r18-a3"', input_hw=input_hw, keypoints='["a"]')
    with pytest.raises(WeightsError, match=r"x\.safetensors"):
        read_metadata(path)
