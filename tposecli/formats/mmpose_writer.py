"""Poses in the JSON that mmpose writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tposecli.types import UNTRACKED, Result
from tposecli.utils.files import PartFile
from tposecli.utils.strict_json import JsonArrayWriter, pixels, scores


class MmposeSink:
    """A list with an entry for each frame, empty ones included, written as the run goes.

    ``frame_id`` is the frame's index in the source; ``instances`` hold ``keypoints`` [[x, y] * K] (smoothed where
    smoothing ran), ``keypoint_scores``, ``bbox`` [[x1, y1, x2, y2]] and ``bbox_score``. Ours besides: ``track_id`` of
    people who were tracked, ``file_name`` of stills, and where smoothing ran ``raw_keypoints``, null for people put in
    where they were missed, and ``keypoint_flags``.

    Args:
        path: The file to write; it appears when ``close`` is told that the run is complete.
        stills: Whether the frames are pictures with names of their own.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, stills: bool = False) -> None:
        self._stills = stills
        self._part = PartFile(path)
        self._records = JsonArrayWriter(self._part.file, "[")

    def write(self, result: Result) -> None:
        """Add a frame, people or not."""
        name = {"file_name": result.frame.name} if self._stills else {}
        self._records.add({"frame_id": result.frame.index, **name, "instances": _instances(result)})

    def close(self, complete: bool) -> None:
        """End the file and give it its name, or remove it; closing twice is harmless."""
        self._part.close(complete, [b"\n]\n"])


def _instances(result: Result) -> list[dict[str, Any]]:
    poses = result.final
    columns = (
        pixels(poses.xy),
        scores(poses.score),
        pixels(poses.boxes.xyxy),
        scores(poses.boxes.score),
        poses.track_id.tolist(),
    )
    smoothed = result.smoothed is not None
    nobody = [None] * (len(poses) - len(result.poses))
    extra = zip(pixels(result.poses.xy) + nobody, poses.flags.tolist(), strict=True)
    return [
        {"keypoints": xy, "keypoint_scores": score, "bbox": [box], "bbox_score": box_score}
        | ({} if track == UNTRACKED else {"track_id": track})
        | ({"raw_keypoints": raw, "keypoint_flags": flags} if smoothed else {})
        for (xy, score, box, box_score, track), (raw, flags) in zip(zip(*columns, strict=True), extra, strict=True)
    ]
