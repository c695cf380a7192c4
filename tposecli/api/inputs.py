"""What :class:`tposecli.Pose` takes: paths, arrays, PIL images, lists of them, videos and frames."""

from __future__ import annotations

import glob
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np
from PIL import Image as PilImages
from PIL import ImageOps

from tposecli.sources import ImageSource, VideoInput, find_images, kind_of, open_video_input
from tposecli.sources.images import read_image
from tposecli.sources.limits import declared_wh
from tposecli.sources.locations import camera_number, is_stdin, is_url
from tposecli.types import Frame, Image, SourceInfo
from tposecli.utils.errors import InputError

if TYPE_CHECKING:
    from tposecli.sources.demuxer import SideStreams

log = logging.getLogger("tposecli")

ImageLike: TypeAlias = Any
"""(H, W, 3) uint8 RGB, a PIL image, or the path of an image file."""

HEAD: Final = 1 << 20
"""Bytes of a file by which images are told from videos where the name does not say."""


class Input:
    """Frames for :class:`tposecli.Pose`, and what is known of them.

    Attributes:
        info: Metadata.
        expected: Number of frames, about; None if unknown.
        is_still: Whether they have nothing to do with one another.
        live: Whether the source is endless.
        names: Names of images; None if unknown.
        failed: Name and reason of each image that could not be read.
        video: The video that the frames are of; None if they are of none.
    """

    def __init__(self, frames: Iterable[Frame], info: SourceInfo, is_still: bool, expected: int | None = None) -> None:
        self._frames, self.info, self.is_still, self.expected = frames, info, is_still, expected
        self.live = bool(getattr(frames, "live", False))
        self.names: Sequence[str] | None = None
        self.video: VideoInput | None = None
        self.start_s: float = 0.0
        self.end_s: float | None = None
        self.corrupt = 0
        self.files: tuple[Path, ...] = ()
        self._failed: list[tuple[str, str]] = []

    @property
    def failed(self) -> list[tuple[str, str]]:
        """Images that could not be read so far."""
        return self._failed

    def side_streams(self) -> SideStreams | None:
        """Return the sound of the video, for a copy of it."""
        return None if self.video is None else self.video.side_streams()

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the video."""
        if self.video is not None:
            self.video.__exit__(*exception)


def open_input(source: Any, fps: float | None = None, recursive: bool = False) -> Input:
    """Open whatever a caller passes; what is wrong with it is found here as far as possible.

    Args:
        source: See :meth:`tposecli.Pose.__call__`.
        fps: Frames per second, where images are the frames of a video.
        recursive: Look into subfolders of a folder, too.

    Raises:
        InputError: A path does not exist, or cannot be read.
        TypeError: This is nothing to find people in.
        ValueError: An array is no (H, W, 3) uint8 RGB image.
    """
    rate = _rate(fps)
    if isinstance(source, int) and not isinstance(source, bool):
        source = str(source)
    if isinstance(source, str | os.PathLike):
        return _of_path(os.fspath(source), rate, recursive)
    if isinstance(source, ImageSource):
        return _of_images(source)
    if hasattr(source, "info") and hasattr(source, "side_streams"):
        return _of_video(source)
    if _is_image(source):
        array = source if isinstance(source, PilImages.Image) else _array(source)
        many = array if isinstance(array, np.ndarray) and array.ndim == 4 else [array]
        return _of_list(list(many), rate)
    if isinstance(source, Sequence):
        return _of_list(source, rate)
    if isinstance(source, Iterable):
        return _of_stream(source, rate)
    raise TypeError(
        f"{type(source).__name__}: expected a path, an (H, W, 3) uint8 RGB array, a PIL image, a list of these, or "
        "frames of open_video()"
    )


def as_image(image: ImageLike, title: str = "image") -> Image:
    """Return an array or a PIL image as (H, W, 3) uint8 RGB; PIL images are turned upright by their EXIF data.

    Raises:
        TypeError: It is neither.
        ValueError: An array has another shape or type; the message says how to convert it.
    """
    if isinstance(image, PilImages.Image):
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if not _is_image(image):
        raise TypeError(f"{title}: expected a path, an array or a PIL image, got {type(image).__name__}")
    array = _array(image)
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size:
        return np.ascontiguousarray(array)
    raise ValueError(f"{title}: expected (H, W, 3) uint8 RGB, got {array.shape} {array.dtype}{_hint(array)}")


def _hint(array: np.ndarray[Any, Any]) -> str:
    """Return how to convert an array that is no image; empty if nobody can tell."""
    shape = array.shape
    if not array.size:
        return "; it is empty"
    if array.ndim == 2 or (array.ndim == 3 and shape[2] == 1):
        return "; for grey images use np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)"
    if array.ndim == 3 and shape[2] == 4:
        return "; for RGBA use image[:, :, :3]"
    if array.ndim == 3 and shape[0] in (1, 3, 4) and shape[2] not in (3, 4):
        return "; channels come last, use image.transpose(1, 2, 0)"
    if array.ndim == 3 and shape[2] == 3 and np.issubdtype(array.dtype, np.floating):
        return "; for 0..1 use (image * 255).round().astype(np.uint8)"
    return ""


def _array(image: Any) -> np.ndarray[Any, Any]:
    return np.asarray(image)


def _is_image(source: Any) -> bool:
    return isinstance(source, PilImages.Image) or hasattr(source, "__array__")


def _rate(fps: float | None) -> Fraction | None:
    """Return the frame rate as a fraction.

    Raises:
        ValueError: It is none.
    """
    if fps is None:
        return None
    if not 0 < float(fps) < float("inf"):
        raise ValueError(f"fps: expected a number of frames per second above 0, got {fps}")
    return Fraction(fps).limit_denominator(100_000)


def _of_path(text: str, rate: Fraction | None, recursive: bool) -> Input:
    """Open a file, a folder, a pattern, an address or a camera."""
    path = Path(text)
    if is_stdin(text) or is_url(text) or camera_number(text) is not None:
        return _of_video(open_video_input(text, rate=rate))
    if not os.path.lexists(path) and glob.has_magic(text):
        if kind_of(text.replace("*", "_")) == "video" or rate is not None:
            return _of_one_video(path, rate)
        return _of_images(ImageSource(find_images([text], recursive)))
    kind = kind_of(text) or _kind_of_content(path)
    if kind == "video" or (rate is not None and not path.is_dir()):
        return _of_one_video(path, rate)
    if path.is_file() and path.suffix.lower() not in (".zip", ".txt"):
        return _of_list([path], None, path.name)
    images = find_images([text], recursive)
    return _of_images(ImageSource(images)) if rate is None else _of_list(list(images.paths), rate, path.name)


def _kind_of_content(path: Path) -> str:
    """Return what a file is whose name does not say it."""
    if not path.is_file():
        return "" if path.exists() else "video"
    with path.open("rb") as file:
        data = np.frombuffer(file.read(HEAD), np.uint8)
    return "images" if path.suffix.lower() == ".txt" or (data.size and declared_wh(data)) else "video"


def _of_one_video(path: Path, rate: Fraction | None) -> Input:
    """Open a video; refuse a folder or a pattern of several."""
    if path.is_dir() or (glob.has_magic(str(path)) and not path.exists() and rate is None):
        raise InputError(f"{path}: these are several videos; pass them one at a time, or use Session for many")
    return _of_video(open_video_input(path, rate=rate))


def _of_video(video: VideoInput) -> Input:
    opened = Input(video, video.info, False, video.expected)
    opened.video, opened.start_s, opened.end_s = video, video.start_s, video.end_s
    return opened


class _Images(Input):
    """Image files; those that cannot be read are left out with a warning."""

    def __init__(self, images: ImageSource) -> None:
        super().__init__(images, images.info, True, images.expected)
        self.names, self._images = images.names, images

    @property
    def failed(self) -> list[tuple[str, str]]:
        return self._images.failed

    def __iter__(self) -> Iterator[Frame]:
        known = 0
        for frame in self._images:
            known = self._report(known)
            yield frame
        self._report(known)

    def _report(self, known: int) -> int:
        for _, reason in self._images.failed[known:]:
            log.warning("%s", reason)
        return len(self._images.failed)


def _of_images(images: ImageSource) -> Input:
    return _Images(images)


class _ImageList(Input):
    """Images of a list: independent ones or, with a frame rate, the frames of a video."""

    def __init__(self, images: Iterable[ImageLike], rate: Fraction | None, name: str, known: bool) -> None:
        count = len(images) if known and isinstance(images, Sequence) else None
        base = None if rate is None else 1 / rate
        super().__init__((), SourceInfo(name, fps=rate, time_base=base, frames=count), rate is None, count)
        self._images_given, self._rate = images, rate
        if known and isinstance(images, Sequence):
            self.names = _names(images)

    def with_size(self, size_wh: tuple[int, int]) -> Self:
        """Note the size of the frames of a video, and return the input."""
        info = self.info
        self.info = SourceInfo(info.name, size_wh, info.fps, info.time_base, info.frames)
        return self

    def __iter__(self) -> Iterator[Frame]:
        for index, image in enumerate(self._images_given):
            name = self.names[index] if self.names is not None else _name(image, index)
            try:
                image = decoded(image, f"image {index}")
            except InputError as error:
                if self.expected == 1 or not self.is_still:
                    raise
                self.failed.append((name, str(error)))
                log.warning("%s", error)
                continue
            yield self._frame(image, index, name)

    def _frame(self, image: Image, index: int, name: str) -> Frame:
        if self._rate is None:
            return Frame(image, index, name=name)
        size = (image.shape[1], image.shape[0])
        if self.info.size_wh not in (None, size):
            raise ValueError(f"frame {index}: its size is {size}, that of the first frame {self.info.size_wh}")
        return Frame(image, index, float(index / self._rate), name, index, float(1 / self._rate))


def decoded(image: ImageLike, title: str) -> Image:
    """Return an image as (H, W, 3) uint8 RGB; raises as :func:`as_image` and :func:`read_image` do."""
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    return as_image(image, title)


def _of_list(images: Sequence[ImageLike], rate: Fraction | None, name: str = "images") -> Input:
    """Check the images of a list and return them; an empty list has no results."""
    if images and all(isinstance(image, Frame) for image in images):
        return _of_stream(images, rate)
    for index, image in enumerate(images):
        if isinstance(image, str | os.PathLike):
            _check_image_path(Path(image))
        elif not isinstance(image, PilImages.Image):
            as_image(image, f"image {index}")
    made = _ImageList(images, rate, name, known=True)
    if not images:
        return made
    if len(images) == 1 or rate is not None:  # Whatever is wrong with it is said at once.
        first = decoded(images[0], "image 0")
        if rate is not None:
            return made.with_size((first.shape[1], first.shape[0]))
        made._images_given = [first]
    return made


def _check_image_path(path: Path) -> None:
    """Raise InputError if a path of a list is no image file."""
    if path.is_dir():
        raise InputError(f"{path}: a folder in a list; pass the folder by itself")
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the name")
    if kind_of(str(path)) == "video":
        raise InputError(f"{path}: a video in a list; pass videos one at a time, or use Session for many")


def _of_stream(items: Iterable[Any], rate: Fraction | None) -> Input:
    """Return an iterable as input: frames as they are, images as images; only the first is looked at now."""
    iterator = iter(items)
    first = next(iterator, None)
    if first is None:
        return _ImageList((), rate, "images", known=True)
    every = itertools.chain([first], iterator)
    if not isinstance(first, Frame):
        made = _ImageList(every, rate, "images", known=False)
        if rate is None:
            return made
        image = decoded(first, "image 0")
        return made.with_size((image.shape[1], image.shape[0]))
    base = None if rate is None else 1 / rate
    return Input(every, SourceInfo(first.name or "frames", first.size_wh, rate, base), False)


def _names(images: Sequence[ImageLike]) -> tuple[str, ...]:
    """Return unique names of images: those of the files, numbered where two are equal."""
    names = [_name(image, index) for index, image in enumerate(images)]
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{index:06d}_{name}" for index, name in enumerate(names))


def _name(image: ImageLike, index: int) -> str:
    if isinstance(image, str | os.PathLike):
        return Path(image).name
    return Path(getattr(image, "filename", "") or f"image_{index:06d}").name
