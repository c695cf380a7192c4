"""Orientation wherever formats write it, equal to Pillow's, and formats that need an extra."""

from __future__ import annotations

import io
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps, PngImagePlugin, features

from tests.support.media import numbered, write_image
from tposecli.sources import ImageSource, find_images
from tposecli.sources.images import read_image
from tposecli.utils.errors import InputError

IMAGE = Pillow.fromarray(numbered(5))


def tiff(orientation: int) -> bytes:
    """Return an EXIF block that contains only an orientation."""
    return b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)


def xmp(orientation: int) -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>'
        % orientation
    )


def _imagemagick(path: Path, orientation: int) -> None:
    block = b"Exif\0\0" + tiff(orientation)
    digits = block.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8d}\n{lines}\n", zip=True)
    IMAGE.save(path, pnginfo=info)


def _png_xmp(path: Path, orientation: int) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp(orientation).decode())
    IMAGE.save(path, pnginfo=info)


def _png_exif_at_the_end(path: Path, orientation: int) -> None:
    IMAGE.save(path)
    data, block = path.read_bytes(), b"eXIf" + tiff(orientation)
    chunk = struct.pack(">I", len(block) - 4) + block + struct.pack(">I", zlib.crc32(block))
    path.write_bytes(data[:-12] + chunk + data[-12:])


def _webp(path: Path, orientation: int, prefix: bytes) -> None:
    IMAGE.save(path, lossless=True, exif=tiff(orientation))
    data = path.read_bytes()
    at = data.index(b"EXIF")
    (size,) = struct.unpack_from("<I", data, at + 4)
    block = prefix + tiff(orientation)
    chunk = b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
    data = data[:at] + chunk + data[at + 8 + size + size % 2 :]
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])


WRITERS: dict[str, tuple[str, Callable[[Path, int], Any]]] = {
    "jpeg": (".jpg", lambda path, o: IMAGE.save(path, quality=95, exif=b"Exif\0\0" + tiff(o))),
    "jpeg-xmp": (".jpg", lambda path, o: IMAGE.save(path, quality=95, xmp=xmp(o))),
    "mpo": (".mpo", lambda path, o: IMAGE.save(path, "jpeg", quality=95, exif=b"Exif\0\0" + tiff(o))),
    "png": (".png", lambda path, o: IMAGE.save(path, exif=tiff(o))),
    "png-late": (".png", _png_exif_at_the_end),
    "png-xmp": (".png", _png_xmp),
    "png-imagemagick": (".png", _imagemagick),
    "webp": (".webp", lambda path, o: _webp(path, o, b"")),
    "webp-prefix": (".webp", lambda path, o: _webp(path, o, b"Exif\0\0")),
    "webp-xmp": (".webp", lambda path, o: IMAGE.save(path, lossless=True, xmp=xmp(o))),
    "tiff": (".tif", lambda path, o: IMAGE.save(path, tiffinfo={0x0112: o})),
    "avif-boxes": (".avif", lambda path, o: IMAGE.save(path, quality=95, exif=tiff(o))),
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_equals_pillows(tmp_path: Path, kind: str, orientation: int) -> None:
    if kind == "avif-boxes" and (not features.check("avif") or cv2.__version__ < "4.12"):
        pytest.skip("this Pillow cannot write AVIF")
    suffix, write = WRITERS[kind]
    path = tmp_path / f"photo{suffix}"
    write(path, orientation)
    with Pillow.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.float64)
    found = read_image(path)
    assert found.flags.c_contiguous and found.shape == expected.shape
    assert np.abs(found - expected).mean() < 4
    if suffix != ".tif":
        assert read_image(path, honour_exif=False).shape == (64, 128, 3)


@pytest.mark.parametrize("cut", [30, 60, 80])
def test_damaged_metadata_is_ignored(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "photo.jpg"
    IMAGE.save(path, exif=b"Exif\0\0" + tiff(6)[: cut // 5])
    assert read_image(path).shape == (64, 128, 3)


# ---- HEIC


def test_heic_needs_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(sys.modules[find_images.__module__], "can_read_heif", lambda: False)
    heic = tmp_path / "IMG_1.HEIC"
    heic.write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(40))
    write_image(tmp_path / "a.png", numbered(1))
    found = find_images([tmp_path])
    assert found.names == ("a.png",) and found.unsupported == (heic,) and found.skipped == 0
    stills = ImageSource(find_images([heic, tmp_path / "a.png"]))
    assert [frame.name for frame in stills] == ["a.png"]
    ((name, reason),) = stills.failed
    assert name == "IMG_1.HEIC" and "tposecli[heic]" in reason
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"IMG_1\.HEIC.*tposecli\[heic\]"):
        find_images([tmp_path])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_with_the_extra(tmp_path: Path, orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "photo.heic"
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    pillow_heif.from_pillow(IMAGE).save(path, quality=95, exif=exif.tobytes())
    turned = {1: None, 3: Pillow.Transpose.ROTATE_180, 6: Pillow.Transpose.ROTATE_270, 8: Pillow.Transpose.ROTATE_90}
    method = turned[orientation]
    expected = np.asarray(IMAGE if method is None else IMAGE.transpose(method), np.float64)
    found = read_image(find_images([tmp_path]).paths[0])
    assert found.shape == expected.shape and np.abs(found - expected).mean() < 6
    with pytest.raises(InputError, match="--max-pixels"):
        read_image(path, max_pixels=100)


# ---- what counts as an image


def test_unsupported_images_are_counted_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_image(tmp_path / "a.png", numbered(1))
    for name in ("b.cr2", "c.svg", "notes.md", "d.psd"):
        (tmp_path / name).write_bytes(b"x")
    found = find_images([tmp_path])
    assert (found.names, found.skipped) == (("a.png",), 1)
    assert sorted(path.name for path in found.unsupported) == ["b.cr2", "c.svg", "d.psd"]
    assert "b.cr2" in caplog.text and "not supported" in caplog.text


def test_links_to_one_file_are_images_of_their_own(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", numbered(1))
    os.symlink(tmp_path / "a.png", tmp_path / "b.png")
    os.link(tmp_path / "a.png", tmp_path / "c.png")
    assert find_images([tmp_path, tmp_path / "a.png", tmp_path / "." / "b.png"]).names == ("a.png", "b.png", "c.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_members_with_a_false_size(tmp_path: Path, method: int) -> None:
    path, bomb = tmp_path / "shots.zip", io.BytesIO(bytes(64 << 20))
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.png", bomb.getvalue())
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(signature) + place, 1000)
    path.write_bytes(data)
    import tracemalloc

    tracemalloc.start()
    stills = ImageSource(find_images([path]))
    assert list(stills) == [] and len(stills.failed) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_members_of_every_compression(tmp_path: Path, method: int) -> None:
    image = write_image(tmp_path / "a.png", numbered(3))
    with zipfile.ZipFile(tmp_path / "shots.zip", "w", method) as archive:
        archive.write(image, "a.png")
    (frame,) = ImageSource(find_images([tmp_path / "shots.zip"]))
    assert np.array_equal(frame.image, numbered(3))


def test_zip_members_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        for number in (10, 9, 0, 2, 11, 1):
            archive.writestr(f"shot_{number}.png", b"x")
    assert find_images([tmp_path / "shots.zip"]).names == tuple(f"shot_{n}.png" for n in (0, 1, 2, 9, 10, 11))
