"""Images without people for training the detector."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tposecli.lab.training.detector.clutter import paste_clutter, read_things
from tposecli.lab.training.detector.data_sources import sources
from tposecli.utils.errors import InputError


@pytest.fixture
def things(tmp_path: Path) -> Path:
    """Write a red disc with transparency, a grey background, and files that must be left out."""
    folder = tmp_path / "things"
    (folder / "people").mkdir(parents=True)
    disc = np.zeros((200, 300, 4), np.uint8)
    cv2.circle(disc, (150, 100), 60, (0, 0, 255, 255), -1)
    cv2.imwrite(str(folder / "disc.png"), disc)
    cv2.imwrite(str(folder / "people" / "somebody.png"), disc)
    cv2.imwrite(str(folder / "wall.jpg"), np.full((400, 500, 3), 128, np.uint8))
    (folder / "notes.txt").write_text("nothing")
    return folder


def test_cut_outs_lose_their_margin_and_people_are_left_out(things: Path) -> None:
    cut_outs, backgrounds = read_things(things)
    assert [cut_out.shape for cut_out in cut_outs] == [(121, 121, 4)]
    assert [background.shape for background in backgrounds] == [(400, 500, 3)]


def test_images_are_made_only_once_and_are_reproducible(things: Path, tmp_path: Path) -> None:
    first = paste_clutter(things, tmp_path / "a", 6, lambda line: None)
    again = paste_clutter(things, tmp_path / "b", 6, lambda line: None)
    content = json.loads(first.read_text())
    assert content["annotations"] == [] and len(content["images"]) == 6
    for image in content["images"]:
        name = image["file_name"]
        assert (first.parent / name).read_bytes() == (again.parent / name).read_bytes()
        assert cv2.imread(str(first.parent / name)).shape == (image["height"], image["width"], 3)
    assert paste_clutter(Path("gone"), tmp_path / "a", 6, lambda line: None) == first


def test_clutter_is_a_source_of_complete_photos_without_people(things: Path, tmp_path: Path) -> None:
    said: list[str] = []
    (source,) = sources([f"clutter:{things}:0.5:4"], tmp_path / "run" / "rendered", said.append)
    assert source.weight == 0.5
    assert all(photo.complete and not photo.people for photo in source.photos)
    assert "1 cut-outs, 1 backgrounds" in said[0]


def test_a_folder_without_cut_outs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no cut-outs"):
        read_things(tmp_path)
