"""Metadata of checkpoints: a few bytes must not ask for gigabytes, nor crash the reader."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tposecli.hub.checkpoints.metadata import MAX_CROP_SIDE, read_metadata
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.models.catalog import find_spec
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


def test_a_model_without_weights_says_so_and_a_shared_folder_may_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = "transpose-r18-a3"
    assert resolve(small).path.parent == Path(os.environ["TPOSE_WEIGHTS"])
    monkeypatch.setenv("TPOSE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=f"there are no weights of it; train some .tpose train --model {small}"):
        resolve(small)
    official = find_spec("transpose-r-a4")
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "home"))
    (tmp_path / official.file).write_bytes(b"weights")
    assert resolve(official.name).path == tmp_path / official.file
