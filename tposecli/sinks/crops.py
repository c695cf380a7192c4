"""An image of each person in each frame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.images import write_image
from tposecli.types import Float32, Result

_FRAME_CROP: Final = re.compile(r"\d{6,}_(p?\d+)\.jpg")
_PERSON: Final = re.compile(r"(.+)_p?\d+\.jpg")

MARGIN = 0.1
"""Margin on all sides, as a fraction of the box's longer side."""


class CropsSink:
    """Writes annotated crops ``000012_3.jpg``: frame index and track id, or ``p`` and a number for untracked people.

    Crops of stills have the name of the still in place of the index.
    """

    def __init__(self, folder: Path, draw: SkeletonDrawer) -> None:
        self._folder, self._draw = folder, draw
        self._names: dict[str, str] = {}

    def write(self, result: Result) -> None:
        """Write an image of each person whose box overlaps the frame."""
        frame, poses = result.frame, result.final
        if not len(poses):
            return
        image = self._draw.draw(frame.image.copy(), poses, frame.time_s)
        prefix = f"{frame.index:06d}" if frame.pts is not None else self._prefix(frame.name)
        for number, (box, track) in enumerate(zip(poses.boxes.xyxy, poses.track_id.tolist(), strict=True)):
            left, top, right, bottom = bounds(box, frame.size_wh)
            if right > left and bottom > top:
                person = str(track) if track >= 0 else f"p{number}"
                crop = np.ascontiguousarray(image[top:bottom, left:right])
                write_image(self._folder / f"{prefix}_{person}.jpg", crop)

    def _prefix(self, name: str) -> str:
        """Return the still's name without its extension, which stays if another still has the same name without it."""
        prefix = str(Path(name).with_suffix(""))
        return prefix if self._names.setdefault(prefix, name) == name else name

    def close(self, complete: bool) -> None:
        """Do nothing: every image was written completely."""


def crops_in(folder: Path, names: Sequence[str] | None) -> Iterator[Path]:
    """Yield the images in a folder that are named like the crops of a run.

    Args:
        folder: The folder.
        names: Names of the stills; None for a video.
    """
    if names is None:
        yield from (path for path in folder.iterdir() if _FRAME_CROP.fullmatch(path.name))
        return
    stems = {str(Path(name).with_suffix("")) for name in names} | set(names)
    for parent in sorted({Path(name).parent for name in names}):
        for path in (folder / parent).glob("*.jpg"):
            found = _PERSON.fullmatch(path.name)
            if found and str(parent / found[1]) in stems:
                yield path


def bounds(box: Float32, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a box with its margin in pixels, clipped to the frame; ends are exclusive."""
    left, top, right, bottom = box.tolist()
    margin = MARGIN * max(right - left, bottom - top)
    low = max(0, int(left - margin)), max(0, int(top - margin))
    return (*low, min(size_wh[0], int(right + margin) + 1), min(size_wh[1], int(bottom + margin) + 1))
