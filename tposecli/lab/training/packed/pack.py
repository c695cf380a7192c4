"""Crops of people as JPEG in files of limited size."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tposecli.geometry import crop
from tposecli.lab.training.dataset import AnnotatedPerson, read_training_image
from tposecli.types import Float32, Image
from tposecli.utils.errors import InputError
from tposecli.utils.files import new_file
from tposecli.utils.system import cores
from tposecli.utils.threads import ParallelMap

STORED_HW: Final = (384, 288)
MARGIN: Final = 1.5
"""Sides of the stored region relative to those of the crop that inference cuts."""
QUALITY: Final = 80
MAX_BYTES: Final = 30_000_000
SUFFIX: Final = ".npz"


@dataclass(frozen=True, eq=False, slots=True)
class PackedPeople:
    """Stored regions of N people.

    Attributes:
        images: (N, H, W, 3) uint8 RGB, of the size ``STORED_HW``.
        xy: (N, K, 2) float32 joints, pixels of the images.
        weight: (N, K) float32; 0 ignores a joint.
    """

    images: Tensor
    xy: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> PackedPeople:
        """Return them on a device."""
        return PackedPeople(self.images.to(device), self.xy.to(device), self.weight.to(device))


_Row = tuple[bytes, Float32, Float32]


def write_packs(
    people: Iterable[AnnotatedPerson], folder: Path, name: str = "people", max_bytes: int = MAX_BYTES
) -> list[Path]:
    """Write the people into as many files as are needed, and return their paths.

    Args:
        people: The people; those of one image one after the other, so that it is read once.
        folder: Folder of the files ``people-000.npz`` and so on.
        name: Their name before the number.
        max_bytes: Largest size of a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for rows in _groups(map(_Reader(), people), max_bytes):
        path = folder / f"{name}-{len(paths):03d}{SUFFIX}"
        images, xy, weight = zip(*rows, strict=True)
        with new_file(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                data=np.frombuffer(b"".join(images), np.uint8),
                size=np.array([len(data) for data in images]),
                xy=np.stack(xy),
                weight=np.stack(weight).astype(np.float16),
            )
        paths.append(path)
    return paths


def read_packs(paths: Sequence[Path]) -> PackedPeople:
    """Read and decode files of :func:`write_packs`, on all cores.

    Raises:
        InputError: A file cannot be read, or there is nobody in them.
    """
    parts = [_read(path) for path in paths]
    blobs = [blob for part in parts for blob in part[0]]
    if not blobs:
        raise InputError(
            f"{', '.join(map(str, paths)) or 'no files'}: no packed people; name the files that the packing wrote"
        )
    images = np.stack(ParallelMap(cores(), "unpack")(_decode, blobs))
    xy, weight = (np.concatenate([part[index] for part in parts]) for index in (1, 2))
    return PackedPeople(*(torch.from_numpy(part) for part in (images, xy, weight)))


class _Reader:
    """Cuts and compresses the region of a person; the last image is kept for the next person."""

    def __init__(self) -> None:
        self._path, self._image = Path(), np.zeros((1, 1, 3), np.uint8)

    def __call__(self, person: AnnotatedPerson) -> _Row:
        if person.path != self._path:
            self._path, self._image = person.path, read_training_image(person.path)
        size_wh = STORED_HW[::-1]
        centers, scales = crop.crop_regions(person.box[None], size_wh[0] / size_wh[1])
        matrices = crop.frame_to_crop(centers, scales * np.float32(MARGIN), size_wh)
        image = crop.cut(self._image, matrices, size_wh)[0]
        xy = person.joints[:, :2] @ matrices[0, :, :2].T + matrices[0, :, 2]
        flags = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        data: Any = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), flags)[1]
        return data.tobytes(), xy.astype(np.float32), person.joints[:, 2]


def _groups(rows: Iterable[_Row], max_bytes: int) -> Iterator[list[_Row]]:
    """Yield rows in groups whose files are no larger than that; a single larger row is a group of its own."""
    group: list[_Row] = []
    size = header = 4096
    for row in rows:
        own = len(row[0]) + row[1].nbytes + row[2].nbytes + 8
        if group and size + own > max_bytes:
            yield group
            group, size = [], header
        group.append(row)
        size += own
    if group:
        yield group


def _read(path: Path) -> tuple[list[NDArray[np.uint8]], Float32, Float32]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
            ends = np.cumsum(content["size"])[:-1]
            blobs = np.split(content["data"], ends) if len(content["size"]) else []
            return blobs, content["xy"].astype(np.float32), content["weight"].astype(np.float32)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{path}: not a file of packed people ({error}); pack them again") from error


def _decode(data: NDArray[np.uint8]) -> Image:
    image: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if image is None or image.shape != (*STORED_HW, 3):
        raise InputError("packed people: an image is damaged; pack them again")
    return np.ascontiguousarray(image[:, :, ::-1])
