"""Still images: orientation, bit depths, and all ways of naming them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.media import colours_of, numbered, orient, write_image
from tposecli.sources import ImageSource, expand, find_images
from tposecli.utils.errors import InputError

# ---- pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    path = write_image(tmp_path / "still.jpg", numbered(5))
    stored = next(iter(ImageSource([path]))).image
    orient(path, orientation)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }[orientation]
    assert np.array_equal(next(iter(ImageSource([path]))).image, upright)
    assert np.array_equal(next(iter(ImageSource([path], honour_exif=False))).image, stored)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp", ".jpg", ".JPEG"])
def test_image_formats(tmp_path: Path, suffix: str) -> None:
    image = next(iter(ImageSource([write_image(tmp_path / f"still{suffix}", numbered(9))]))).image
    assert np.abs(colours_of(image) - colours_of(numbered(9))).max() < 8


def test_depths_and_channels(tmp_path: Path) -> None:
    rgb = numbered(9)
    alpha = np.full((*rgb.shape[:2], 1), 77, np.uint8)
    paths = [
        write_image(tmp_path / "deep.png", rgb.astype(np.uint16) * 257),
        write_image(tmp_path / "deep.tif", rgb.astype(np.uint16) * 257),
        write_image(tmp_path / "alpha.png", np.concatenate([rgb, alpha], axis=2)),
        write_image(tmp_path / "grey.png", rgb[..., 0]),
    ]
    deep_png, deep_tif, transparent, grey = (frame.image for frame in ImageSource(paths))
    assert np.array_equal(deep_png, rgb) and np.array_equal(deep_tif, rgb) and np.array_equal(transparent, rgb)
    assert np.array_equal(grey, np.repeat(rgb[..., :1], 3, axis=2))


def test_unreadable_images_are_recorded_and_skipped(tmp_path: Path) -> None:
    for number in range(4):
        write_image(tmp_path / f"{number}.png", numbered(number))
    (tmp_path / "1.png").write_bytes(b"no picture")
    (tmp_path / "2.png").write_bytes(b"")
    stills = ImageSource(find_images([tmp_path]))
    assert [(frame.index, frame.name) for frame in stills] == [(0, "0.png"), (3, "3.png")]
    assert [name for name, _ in stills.failed] == ["1.png", "2.png"]
    assert all(str(tmp_path) in reason for _, reason in stills.failed)


@pytest.mark.parametrize("name", ["照片 ñ.png", "y" * 240 + ".png", "a[1].png"])
def test_odd_image_names(tmp_path: Path, name: str) -> None:
    path = write_image(tmp_path / "plain.png", numbered(1)).rename(tmp_path / name)
    assert find_images([path]).names == (name,)
    assert [frame.name for frame in ImageSource(find_images([tmp_path]))] == [name]


# ---- which files


def _tree(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_folders(tmp_path: Path) -> None:
    _tree(tmp_path, ["f10.jpg", "f2.PNG", "notes.md", ".hidden.png", "sub/a.tif", "sub/b.csv"])
    flat = find_images([tmp_path])
    assert flat.names == ("f2.PNG", "f10.jpg") and flat.skipped == 2
    deep = find_images([str(tmp_path)], recursive=True)
    assert deep.names == ("f2.PNG", "f10.jpg", "sub/a.tif") and deep.skipped == 3
    assert len(deep) == len(set(deep.paths)) == 3


def test_same_file_and_same_name_twice(tmp_path: Path) -> None:
    _tree(tmp_path, ["a/x.jpg", "b/x.jpg", "b/y.jpg"])
    found = find_images([tmp_path / "a", tmp_path / "b", tmp_path / "a" / "x.jpg", tmp_path / "b" / ".." / "b"])
    assert found.names == ("a/x.jpg", "b/x.jpg", "b/y.jpg")


def test_patterns_and_lists(tmp_path: Path) -> None:
    _tree(tmp_path, ["f1.jpg", "f10.jpg", "f2.jpg", "deep/er/g.png", "[z].jpg"])
    (tmp_path / "list.txt").write_text("# chosen\n\nf10.jpg\ndeep/**/*.png\n", encoding="utf-8")
    assert [path.name for path in expand([tmp_path / "f*.jpg"])] == ["f1.jpg", "f2.jpg", "f10.jpg"]
    assert [path.name for path in expand([tmp_path / "list.txt", tmp_path / "[z].jpg"])] == [
        "f10.jpg",
        "g.png",
        "[z].jpg",
    ]
    assert len(find_images([tmp_path / "f?.jpg", tmp_path / "list.txt"])) == 4


def test_inputs_without_images_raise(tmp_path: Path) -> None:
    _tree(tmp_path, ["sub/a.jpg", "b.csv"])
    with pytest.raises(InputError, match="--recursive"):
        find_images([tmp_path])
    with pytest.raises(InputError, match="no such file"):
        find_images([tmp_path / "sub", tmp_path / "c.jpg"])
    with pytest.raises(InputError, match="matches"):
        find_images([tmp_path / "*.png"])
