"""Write attention as images, as a video, and as arrays for analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tposecli.attention.overlay import AttentionPainter
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.sinks.images import write_image
from tposecli.sinks.npz_archive import NpzArchive
from tposecli.sinks.video import VideoOut
from tposecli.types import Result


class AttentionImages:
    """A JPEG image for every n-th frame; frames of a video are numbered, still images keep their names."""

    def __init__(self, folder: Path, painter: AttentionPainter, every: int = 1) -> None:
        self.folder = folder
        self.painter = painter
        self.every = every

    def write(self, result: Result) -> None:
        """Paint and write one image, if the frame is due."""
        frame = result.frame
        if frame.index % self.every == 0:
            name = f"{frame.index:06d}.jpg" if frame.pts is not None else f"{frame.name}.jpg"
            write_image(self.folder / name, self.painter.paint(result))

    def close(self, complete: bool) -> None:
        """Do nothing: every image has already been written."""


class AttentionVideo:
    """A video with the timestamps of the source."""

    def __init__(self, video: VideoOut, painter: AttentionPainter) -> None:
        self.video = video
        self.painter = painter

    def write(self, result: Result) -> None:
        """Paint and encode one frame."""
        frame = result.frame
        self.video.write(self.painter.paint(result), frame.pts, frame.time_s, frame.duration_s)

    def close(self, complete: bool) -> None:
        """Finish the video under its own name, or as ``NAME.partial.EXT`` if it is not complete."""
        self.video.close(complete)


class AttentionArchive:
    """An ``.npz`` file with one row for each person in each n-th frame, P rows in all.

    ``maps`` (P, L, K, h, w) float16 scores; ``frame``, ``person`` (index in the frame) and ``track`` (P,) int64;
    ``time_s`` (P,) float64; ``crop_matrix`` (P, 2, 3) float64, from frame pixels to crop pixels; and, once per file,
    ``keypoints`` (K,) and ``layers`` (L,) names, ``stride`` (crop pixels per cell) and ``threshold``.

    Args:
        path: The file to write.
        painter: Its style selects the keypoints and layers.
        every: Write only every n-th frame.
    """

    def __init__(self, path: Path, painter: AttentionPainter, every: int = 1) -> None:
        style = painter.style
        self.every = every
        self.keypoints: Sequence[int] = range(len(KEYPOINTS)) if isinstance(style.keypoints, str) else style.keypoints
        self.archive = NpzArchive(path)
        self.archive.put(
            {
                "keypoints": np.array([KEYPOINTS[keypoint] for keypoint in self.keypoints]),
                "layers": np.array(style.layer_names),
                "stride": np.array(painter.stride),
                "threshold": np.array(style.threshold),
            }
        )

    def write(self, result: Result) -> None:
        """Append the people of one frame."""
        if result.attention is None or result.matrices is None or result.frame.index % self.every:
            return
        people = len(result.poses)
        self.archive.append(
            {
                "maps": result.attention[:, :, list(self.keypoints)].astype(np.float16),
                "frame": np.full(people, result.frame.index, np.int64),
                "time_s": np.full(people, result.frame.time_s),
                "person": np.arange(people, dtype=np.int64),
                "track": result.poses.track_id,
                "crop_matrix": result.matrices,
            }
        )

    def close(self, complete: bool) -> None:
        """Assemble the file, or remove all traces of it."""
        self.archive.close(complete)
