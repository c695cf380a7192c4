"""Read files of ``tpose convert --to`` with one client, in its own environment: nothing of tposecli is imported here.

Usage: ``python exchange.py CLIENT FOLDER``, where the folder holds ``poses.npz`` and the same poses in other formats.
Prints a line of JSON per format: the largest differences in pixels and in seconds, or the error that was raised.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

MIN_SCORE = 0.2


class Truth:
    """What ``--npz`` holds: times (T,), and positions and scores (T, N, K, 3) of all people, NaN where nothing is."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as data:
            frames, self.time_s = data["frames"], data["frames_time_s"]
            self.height = int(data["frames_wh"][0, 1])
            self.tracks = [track for track in np.unique(data["track"]) if track > 0]
            self.keypoints = data["keypoints"].tolist()
            self.grid = np.full((len(frames), len(self.tracks), len(self.keypoints), 3), np.nan)
            places = {frame: place for place, frame in enumerate(frames)}
            for row, (frame, track) in enumerate(zip(data["frame"], data["track"], strict=True)):
                if track > 0:
                    both = np.column_stack([data["xy"][row], data["score"][row]])
                    self.grid[places[frame], self.tracks.index(track)] = np.where(both[:, 2:] > 0, both, np.nan)


def compare(found: Any, wanted: Any) -> float:
    """Return the largest difference; it is infinite if one has gaps where the other has none, or another shape."""
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    if found.shape != wanted.shape or (np.isnan(found) != np.isnan(wanted)).any():
        return float("inf")
    return float(np.nanmax(np.abs(found - wanted)))


def read_movement(folder: Path) -> Iterator[tuple[str, Callable[[], tuple[float, float]]]]:
    from movement.io import load_poses

    truth, fps = Truth(folder / "poses.npz"), 25.0

    def check(data: Any, truth: Truth) -> tuple[float, float]:
        """Positions are (time, space, keypoints, individuals)."""
        data = data.sel(keypoints=truth.keypoints)
        xy = data.position.values.transpose(0, 3, 2, 1)
        score = data.confidence.values.transpose(0, 2, 1)
        apart = compare(np.nan_to_num(score), np.nan_to_num(truth.grid[..., 2]))
        assert apart < 1e-3, f"confidence differs by {apart}"
        return compare(xy, truth.grid[..., :2]), compare(data.time.values, truth.time_s)

    yield "dlc-csv", lambda: check(load_poses.from_dlc_file(folder / "poses.dlc.csv", fps=fps), truth)
    yield "dlc-h5", lambda: check(load_poses.from_dlc_file(folder / "poses.h5", fps=fps), truth)
    yield "slp", lambda: check(load_poses.from_sleap_file(folder / "poses.slp", fps=fps), truth)
    first = Truth(folder / "poses.npz")
    first.grid = first.grid[:, :1]
    yield "nwb", lambda: check(load_poses.from_nwb_file(folder / "poses_Ana.nwb"), first)


def read_kineticstoolkit(folder: Path) -> Iterator[tuple[str, Callable[[], tuple[float, float]]]]:
    import kineticstoolkit

    truth = Truth(folder / "poses.npz")

    def check() -> tuple[float, float]:
        points = kineticstoolkit.read_c3d(str(folder / "poses_Ana.c3d"), convert_point_unit=False)["Points"]
        assert list(points.data) == truth.keypoints
        grid = truth.grid[:, 0]
        grid = np.where(grid[..., 2:] >= MIN_SCORE, grid, np.nan)
        wanted = np.stack([grid[..., 0], truth.height - 1 - grid[..., 1]], axis=2)
        found = np.stack([points.data[joint][:, :2] for joint in truth.keypoints], axis=1)
        return compare(found, wanted), compare(points.time, truth.time_s)

    yield "c3d", check


READERS = {"movement": read_movement, "kineticstoolkit": read_kineticstoolkit}


def main() -> None:
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr
    for name, check in READERS[sys.argv[1]](Path(sys.argv[2])):
        found: dict[str, Any] = {"format": name}
        try:
            found["px"], found["s"] = check()
        except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer.
            found["error"] = f"{type(error).__name__}: {error}"[:300]
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
