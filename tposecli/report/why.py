"""Attention for a report: what each joint of some people leaned on, from the run's own arrays or computed anew."""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.attention.stats import summarise
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.hub.checkpoints.resolve import locate, resolve
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.options import ModelChoice
from tposecli.inference.runtime import runtime_for
from tposecli.models.attention_readout import Attention, Mode
from tposecli.models.catalog import AUTO_EXPLAINING, CATALOG
from tposecli.report.columns import LEVEL, Columns
from tposecli.report.moments import Moment
from tposecli.types import Boxes, Float32, Frame, Poses, Result
from tposecli.utils.errors import TposeError

log = logging.getLogger("tposecli")

REGULAR: Final = 8
WORST: Final = 16
"""People whose attention is shown: at regular distances in the run, and of its worst moments."""
LEVELS: Final = 63
"""Brightest value of a map; fewer levels pack better, and more cannot be told apart."""
MODES: Final[tuple[Mode, ...]] = ("dependency", "influence")
CLOSE_S: Final = 2e-3


@dataclass(eq=False, slots=True)
class Why:
    """Attention of P people, as it is collected.

    Attributes:
        model: Whose attention it is.
        note: What to know about it, in a sentence.
        layers: Names of the layers.
        modes: Which directions the maps have.
        stride: Crop pixels per cell.
        rows: Row of the columns of each person.
        maps: Of each person (M, L, K, h, w) uint8.
        people: Of each person what is not a map, for JSON.
        joints: Sum of the (K, K) shares of attention in the last layer.
    """

    model: str
    note: str
    layers: tuple[str, ...]
    modes: tuple[str, ...]
    stride: int
    rows: list[int] = field(default_factory=list)
    maps: list[NDArray[np.uint8]] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    joints: NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(KEYPOINTS), len(KEYPOINTS))))

    def add(self, row: int, result: Result, maps: Sequence[Float32]) -> None:
        """Add one person.

        Args:
            row: Row of the columns.
            result: One person with attention of every layer, ``dependency`` first.
            maps: (1, L, K, h, w) attention of each mode.
        """
        assert result.matrices is not None
        summary = summarise(result, self.stride)
        self.rows.append(row)
        self.maps.append(np.stack([_levels(each[0]) for each in maps]))
        self.joints += summary.joints[0]
        self.people.append(
            {
                "row": row,
                "matrix": np.round(result.matrices[0], 5).tolist(),
                "xy": np.round(result.poses.xy[0].astype(float), 1).tolist(),
                "score": np.round(result.poses.score[0].astype(float), 3).tolist(),
                "entropy": np.round(summary.entropy[0].astype(float), 2).tolist(),
                "leans": summary.strongest()[0].tolist(),
                "share": np.round(np.take_along_axis(summary.joints[0], summary.strongest()[0], 1), 3).tolist(),
            }
        )

    def head(self) -> dict[str, Any] | None:
        """Return everything but the maps, for JSON; None if there is nobody."""
        if not self.rows:
            return None
        matrix = np.round(self.joints / len(self.rows), 4).tolist()
        facts = {"model": self.model, "note": self.note, "layers": self.layers, "modes": self.modes}
        return {
            **facts,
            "stride": self.stride,
            "grid": self.maps[0].shape[-2:],
            "people": self.people,
            "matrix": matrix,
        }

    def packed(self) -> bytes:
        """Return the (P, M, L, K, h, w) maps, compressed."""
        return zlib.compress(np.stack(self.maps).tobytes(), LEVEL) if self.maps else b""


def _levels(maps: Float32) -> NDArray[np.uint8]:
    """Return (..., h, w) maps as roots of their shares of their own maximum, in ``LEVELS`` steps."""
    peak = np.maximum(maps.max(axis=(-2, -1), keepdims=True), 1e-12)
    return np.asarray(np.rint(np.sqrt(np.clip(maps / peak, 0, 1)) * LEVELS), np.uint8)


def choose_rows(columns: Columns, moments: Sequence[Moment]) -> list[int]:
    """Return rows of measured people: of the worst moments, and at regular distances."""
    measured = np.flatnonzero(columns.measured)
    if not len(measured):
        return []
    worst = list(dict.fromkeys(moment.row for moment in moments if columns.measured[moment.row]))[:WORST]
    by_time = measured[np.argsort(columns.frame[measured], kind="stable")]
    regular = by_time[np.linspace(0, len(by_time) - 1, min(REGULAR, len(by_time))).astype(int)]
    return sorted({*worst, *regular.tolist()})


class Explainer:
    """Runs a model on chosen people and collects its attention.

    Args:
        columns: The poses.
        rows: The people.
        choice: The model; ``auto`` takes the one of the run, if its attention explains its keypoints.
        header: Provenance of the poses.

    Raises:
        WeightsError: The weights cannot be found.
    """

    def __init__(self, columns: Columns, rows: Sequence[int], choice: ModelChoice, header: dict[str, Any]) -> None:
        name, measured_by = _model(choice, header), str(header.get("model") or "")
        checkpoint = resolve(name, choice.weights, choice.downloads, explaining=True)
        layers = tuple(range(checkpoint.spec.layers))
        runtime = runtime_for(choice, exact=True)
        self._estimators = [
            PoseEstimator(checkpoint, None, runtime, attention=Attention(layers, mode=mode)) for mode in MODES
        ]
        spec = checkpoint.spec
        note = f"Attention of {spec.name}, computed for {len(rows)} people of this page."
        if measured_by and measured_by != spec.name:
            note += f" The poses are {measured_by}'s, whose own attention says little; where this model"
            note += " sees the joint is marked by a ring."
        names = tuple(f"layer {layer}" for layer in layers)
        self.why = Why(spec.name, note, names, MODES, spec.stride)
        self._columns = columns
        self._by_frame: dict[int, list[int]] = {}
        for row in rows:
            self._by_frame.setdefault(int(columns.index[columns.frame[row]]), []).append(row)

    def write(self, frame: Frame) -> None:
        """Take the next frame with its pixels."""
        for row in self._by_frame.get(frame.index, ()):
            box = Boxes(self._columns.box[row : row + 1], self._columns.box_score[row : row + 1])
            results = [estimator.estimate([frame], [box])[0] for estimator in self._estimators]
            maps = [result.attention for result in results if result.attention is not None]
            self.why.add(row, results[0], maps)


def _model(choice: ModelChoice, header: dict[str, Any]) -> str:
    """Return the model to explain with."""
    if choice.model != "auto" or choice.weights is not None:
        return choice.model
    spec = next((spec for spec in CATALOG if spec.name == header.get("model")), None)
    return spec.name if spec is not None and spec.explains and locate(spec) is not None else AUTO_EXPLAINING


def open_explainer(
    columns: Columns, rows: Sequence[int], choice: ModelChoice, header: dict[str, Any]
) -> Explainer | str:
    """Return an explainer, or a sentence that says why there is none."""
    if not rows:
        return ""
    if columns.score.shape[1] != len(KEYPOINTS):
        return "Attention is shown for COCO's 17 keypoints only."
    try:
        return Explainer(columns, rows, choice, header)
    except TposeError as error:
        log.warning("no attention: %s", error)
        return f"No attention: {error}"


def read_why(path: Path, columns: Columns, moments: Sequence[Moment], header: dict[str, Any]) -> Why | str:
    """Return the attention of the worst and of some regular people from a run's arrays, or why it cannot be used."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _from_archive(archive, columns, moments, header, path.name)
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        return f"No attention: {path.name} cannot be read ({error})."


def _from_archive(
    archive: Any, columns: Columns, moments: Sequence[Moment], header: dict[str, Any], name: str
) -> Why | str:
    if archive["keypoints"].tolist() != list(KEYPOINTS):
        return f"No attention: {name} lacks some keypoints; write it with --attention-keypoints all."
    frames, persons, times = archive["frame"], archive["person"], archive["time_s"]
    tracks = archive["track"]
    at = {(int(frame), int(track)): number for number, (frame, track) in enumerate(zip(frames, tracks, strict=True))}
    keys = list(zip(columns.index[columns.frame].tolist(), columns.track.tolist(), strict=True))
    known = [row for row, key in enumerate(keys) if key in at and columns.measured[row]]
    far = [row for row in known if abs(columns.time_s[columns.frame[row]] - times[at[keys[row]]]) > CLOSE_S]
    if not len(persons) or len(known) < len(persons) / 2 or far:
        return f"No attention: {name} is of another run: its frames, times or ids are not those of the poses."
    mask = np.zeros(len(columns), bool)
    mask[known] = True
    rows = choose_rows(replace(columns, measured=mask), moments)
    matrices, stride = archive["crop_matrix"], int(archive["stride"])
    layers = tuple(map(str, archive["layers"].tolist()))
    model = str(header.get("model") or "the model")
    why = Why(model, f"Attention of {model}, from {name}.", layers, ("attention",), stride)
    maps = archive["maps"]
    for row in rows:
        number = at[keys[row]]
        box = Boxes(columns.box[row : row + 1], columns.box_score[row : row + 1])
        poses = Poses(box, columns.raw[row : row + 1], columns.score[row : row + 1])
        own = maps[number : number + 1].astype(np.float32)
        empty = Frame(np.zeros((1, 1, 3), np.uint8), int(frames[number]))
        why.add(row, Result(empty, poses, attention=own, matrices=matrices[number : number + 1]), [own])
    return why
