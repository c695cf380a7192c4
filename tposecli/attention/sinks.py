"""Attention as pictures, as a video, and as arrays for analysis."""

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
    """A picture for every n-th frame; frames of a video are numbered, stills keep their names; all are JPEG."""

    def __init__(self, folder: Path, painter: AttentionPainter, every: int = 1) -> None:
        self.folder = folder
        self.painter = painter
        self.every = every

    def write(self, result: Result) -> None:
        """Paint and write one picture."""
        frame = result.frame
        if frame.index % self.every == 0:
            name = f"{frame.index:06d}.jpg" if frame.pts is not None else f"{frame.name}.jpg"
            write_image(self.folder / name, self.painter.paint(result))

    def close(self, complete: bool) -> None:
        """Nothing waits: every picture was written whole."""


class AttentionVideo:
    """A video with the times of the source."""

    def __init__(self, video: VideoOut, painter: AttentionPainter) -> None:
        self.video = video
        self.painter = painter

    def write(self, result: Result) -> None:
        """Paint and encode one frame."""
        self.video.write(self.painter.paint(result), result.frame.pts, result.frame.time_s)

    def close(self, complete: bool) -> None:
        """End the video under its own name, or leave what there is as ``NAME.partial.EXT``."""
        self.video.close(complete)


class AttentionArchive:
    """An ``.npz`` with one row for each person in each n-th frame, P in all.

    ``maps`` (P, L, K, h, w) float16 scores; ``frame``, ``person`` (position in the frame) and ``track`` (P,) int64;
    ``time_s`` (P,) float64; ``crop_matrix`` (P, 2, 3) float64, from frame pixels to crop pixels; and once for all:
    ``keypoints`` (K,) and ``layers`` (L,) names, ``stride`` (crop pixels per cell), ``threshold``.

    Args:
        path: The file to write.
        painter: Its style says which keypoints and layers.
        every: Only every so many frames.
    """

    def __init__(self, path: Path, painter: AttentionPainter, every: int = 1) -> None:
        style = painter.style
        self.every = every
        self.keypoints: Sequence[int] = range(len(KEYPOINTS)) if style.keypoints == "strongest" else style.keypoints
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
        """Add the people of one frame."""
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
        """Put the file together, or leave nothing."""
        self.archive.close(complete)
