"""The pictures of a set: in a folder, or in a zip as they were published."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

import numpy as np

from tposecli.evaluation.coco.problems import UNREADABLE, Problems
from tposecli.hub.datasets.coco import download_hint
from tposecli.sources.images import decode_image
from tposecli.sources.zip_images import DAMAGE
from tposecli.types import Frame, SourceInfo
from tposecli.utils.errors import InputError, UsageError


class ImageStore(Protocol):
    """Gives the bytes of pictures by their names."""

    def has(self, name: str) -> bool:
        """Whether there is such a picture."""
        ...

    def read(self, name: str) -> bytes:
        """Its bytes.

        Raises:
            InputError: They cannot be read.
        """
        ...


class ImageFolder:
    """Pictures in a folder, by their names relative to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self._folder / name).is_file()

    def read(self, name: str) -> bytes:
        """The file's bytes."""
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise InputError(f"{self._folder / name}: cannot be read ({error.strerror})") from error


class ImageZip:
    """Pictures in a zip, by their whole names in it, else by the last part, whatever folder they lie in."""

    def __init__(self, path: Path) -> None:
        """Read the list of contents.

        Raises:
            InputError: The file is no zip.
        """
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except DAMAGE as error:
            raise InputError(f"{path}: not a readable zip ({error}); download it again, or unpack it") from error
        members = [name for name in self._zip.namelist() if not name.endswith("/")]
        self._members = {PurePosixPath(name).name: name for name in members} | {name: name for name in members}

    def has(self, name: str) -> bool:
        """Whether there is such an entry."""
        return self._member(name) is not None

    def read(self, name: str) -> bytes:
        """The entry's bytes."""
        member = self._member(name)
        if member is None:
            raise InputError(f"{self._path}: has no {name}")
        try:
            return self._zip.read(member)
        except DAMAGE as error:
            raise InputError(f"{self._path}: {name} cannot be unpacked ({error})") from error

    def _member(self, name: str) -> str | None:
        return self._members.get(name) or self._members.get(PurePosixPath(name).name)


def open_images(path: Path) -> ImageStore:
    """The pictures in a folder, in a zip, or, where there is no such folder, in the zip of its name.

    Raises:
        UsageError: There is neither.
        InputError: The zip is damaged.
    """
    packed = path.with_name(path.name + ".zip")
    if path.is_dir():
        return ImageFolder(path)
    for candidate in (path, packed):
        if candidate.is_file():
            return ImageZip(candidate)
    remedy = download_hint(path) or "put the pictures there or name their folder"
    raise UsageError(f"{path}: no such folder of pictures, nor {packed}; {remedy}")


class EvalImages:
    """Pictures of a set as frames, as they are stored: EXIF orientation is not looked at, as COCO's labels want it.

    A picture that cannot be decoded is taken note of and passed over. A frame's index is its position in the set.
    """

    def __init__(self, store: ImageStore, title: str, images: Sequence[tuple[int, str]], problems: Problems) -> None:
        """Take the pictures to read.

        Args:
            store: Where they lie.
            title: Of the set.
            images: Position in the set and name of each.
            problems: Takes note of those that cannot be decoded.
        """
        self._store = store
        self._images = images
        self._problems = problems
        self.info = SourceInfo(title, frames=len(images))

    @property
    def expected(self) -> int:
        """How many there are, good or not."""
        return len(self._images)

    def __iter__(self) -> Iterator[Frame]:
        for index, name in self._images:
            try:
                data = np.frombuffer(self._store.read(name), np.uint8)
                image = decode_image(data, name, honour_exif=False)
            except InputError:
                self._problems.add(UNREADABLE, name)
                continue
            yield Frame(image, index, name=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing stays open between two pictures."""
