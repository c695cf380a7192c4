"""Poses as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.base import WriteOptions
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.sinks.npz_archive import NpzArchive
from tposecli.types import Float32, Poses, Result
from tposecli.utils.strict_json import as_json


def open_npz(path: Path, options: WriteOptions) -> NpzSink:
    """Open a sink for NumPy arrays."""
    return NpzSink(path, options.info, options.stills)


class NpzSink:
    """An ``.npz`` with one row per person and frame, P in total, in the order of the frames.

    ``frame`` and ``track`` (P,) int64, the latter -1 for people who were not tracked; ``time_s`` (P,) float64;
    ``box`` (P, 4) and ``box_score`` (P,) float32; ``xy`` (smoothed if smoothing ran) and ``raw_xy`` (unsmoothed, NaN
    for people whom gap filling added) (P, K, 2) float32 pixels; ``score`` (P, K) float32; ``flags`` (P, K) uint8, bits
    of ``types.Flag``.

    Every frame, empty ones included, F in total: ``frames`` (F,) int64, ``frames_time_s`` (F,) float64, ``frames_wh``
    (F, 2) int64. Once per file: ``keypoints`` (K,) names, ``info``, the provenance as a JSON string, and for stills
    ``names`` (F,), which are the only column kept in memory until the end.

    Args:
        path: The file to write; it appears once ``close`` marks the run as complete.
        info: Provenance and keypoint layout.
        stills: Whether the frames are images with names of their own.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, info: Mapping[str, Any], stills: bool = False) -> None:
        self._archive = NpzArchive(path)
        self._archive.put(
            {"keypoints": np.array(KeypointLayout.from_dict(info).names), "info": np.array(as_json(info))}
        )
        self._archive.append(_people(Poses.empty(), Poses.empty().xy, 0, 0.0))
        self._archive.append(_frames([], [], []))
        self._names: list[str] | None = [] if stills else None

    def write(self, result: Result) -> None:
        """Add a frame and its people."""
        frame = result.frame
        self._archive.append(_people(result.final, result.raw_xy, frame.index, frame.time_s))
        self._archive.append(_frames([frame.index], [frame.time_s], [frame.size_wh]))
        if self._names is not None:
            self._names.append(frame.name)

    def close(self, complete: bool) -> None:
        """Assemble and publish the file, or remove it; closing twice is harmless."""
        if self._names is not None:
            self._archive.put({"names": np.array(self._names, np.str_)})
        self._archive.close(complete)


def _people(poses: Poses, raw_xy: Float32, index: int, time_s: float) -> dict[str, NDArray[Any]]:
    """Return the rows of one frame's people."""
    people = len(poses)
    return {
        "frame": np.full(people, index, np.int64),
        "time_s": np.full(people, time_s, np.float64),
        "track": poses.track_id,
        "box": poses.boxes.xyxy,
        "box_score": poses.boxes.score,
        "xy": poses.xy,
        "raw_xy": raw_xy,
        "score": poses.score,
        "flags": poses.flags,
    }


def _frames(indices: list[int], times_s: list[float], sizes_wh: list[tuple[int, int]]) -> dict[str, NDArray[Any]]:
    """Return the rows of frames."""
    return {
        "frames": np.array(indices, np.int64),
        "frames_time_s": np.array(times_s, np.float64),
        "frames_wh": np.array(sizes_wh, np.int64).reshape(-1, 2),
    }
