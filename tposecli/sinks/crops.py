"""Each person of each frame as a picture of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.images import write_image
from tposecli.types import Float32, Result

MARGIN = 0.1
"""Of the box's longer side, added on all sides."""


class CropsSink:
    """Annotated crops, ``000012_3.jpg``: number of the frame, and track id; ``p`` and a position where untracked.

    Stills keep their names in place of a number.
    """

    def __init__(self, folder: Path, draw: SkeletonDrawer) -> None:
        self._folder, self._draw = folder, draw

    def write(self, result: Result) -> None:
        """Write a picture for each person who is in the frame at all."""
        frame, poses = result.frame, result.final
        if not len(poses):
            return
        image = self._draw.draw(frame.image.copy(), poses, frame.time_s)
        place = f"{frame.index:06d}" if frame.pts is not None else str(Path(frame.name).with_suffix(""))
        for number, (box, track) in enumerate(zip(poses.boxes.xyxy, poses.track_id.tolist(), strict=True)):
            left, top, right, bottom = bounds(box, frame.size_wh)
            if right > left and bottom > top:
                who = str(track) if track >= 0 else f"p{number}"
                write_image(self._folder / f"{place}_{who}.jpg", np.ascontiguousarray(image[top:bottom, left:right]))

    def close(self, complete: bool) -> None:
        """Nothing waits: every picture was written whole."""


def bounds(box: Float32, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a box with its margin, in whole pixels of a frame of this size, ends excluded."""
    left, top, right, bottom = box.tolist()
    margin = MARGIN * max(right - left, bottom - top)
    low = max(0, int(left - margin)), max(0, int(top - margin))
    return (*low, min(size_wh[0], int(right + margin) + 1), min(size_wh[1], int(bottom + margin) + 1))
