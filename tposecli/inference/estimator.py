"""Keypoints of people whose boxes are known; people of many frames share the batches of the net."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tposecli.geometry import crop
from tposecli.hub.checkpoints.calibration import find_calibration
from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import Checkpoint, resolve
from tposecli.inference.backends.export import FAILURES, instead
from tposecli.inference.backends.factory import ExportCache, build_engine, choose
from tposecli.inference.backends.fold_batchnorm import fold_batchnorm
from tposecli.inference.crop_batches import CropBatch
from tposecli.inference.device_worker import DeviceWorker, Keypoints
from tposecli.inference.runtime import Runtime, out_of_memory
from tposecli.models.attention_readout import Attention
from tposecli.models.catalog import AUTO_EXPLAINING, heatmap_size
from tposecli.types import Boxes, Float32, Frame, Poses, Result
from tposecli.utils.errors import TposeError, WeightsError
from tposecli.utils.timings import Timings

log = logging.getLogger("tposecli")


class PoseEstimator:
    """Estimates the poses of people whose boxes are known, with a TransPose model.

    Args:
        model: A name of the catalogue, or ``auto``; or a resolved checkpoint.
        weights: A checkpoint to use instead of the catalogue's own.
        runtime: Devices, precision, batch size and backend; None to choose them for this machine.
        flip_test: Average with the mirrored crop: slightly more accurate, at twice the cost.
        attention: Which attention maps to return; None for none.

    Raises:
        UsageError: There is no such model, or the backend is not installed.
        WeightsError: The checkpoint is missing, damaged, or belongs to another model.
        OutputError: The backend needs an exported file that cannot be written.
    """

    def __init__(
        self,
        model: str | Checkpoint = "auto",
        weights: Path | None = None,
        runtime: Runtime | None = None,
        flip_test: bool = False,
        attention: Attention | None = None,
    ) -> None:
        self.checkpoint = (
            model if isinstance(model, Checkpoint) else resolve(model, weights, explaining=attention is not None)
        )
        self.spec, self.layout = self.checkpoint.spec, self.checkpoint.layout
        self.sha256 = self.checkpoint.verify()
        self.calibration = find_calibration(self.checkpoint.path, self.sha256)
        self.flip_test = flip_test
        self.attention = attention
        if attention is not None and not self.spec.explains:
            log.warning(
                "the attention of %s is diffuse and similar for all keypoints; to see what a keypoint relied on, "
                "choose --model %s or an official one (tpose models)",
                self.spec.name,
                AUTO_EXPLAINING,
            )
        runtime = runtime or Runtime.resolve()
        self.runtime = runtime.settled(choose(runtime))
        self.int8: dict[str, str] | None = None
        try:
            self.workers = self._workers()
        except WeightsError:
            raise
        except FAILURES as error:
            if runtime.backend != "auto" or self.runtime.backend == "torch":
                raise
            log.warning("%s", instead(self.spec.name, error))
            self.runtime = runtime.settled("torch")
            self.workers = self._workers()
        self.net = self.workers[0].net

    def _workers(self) -> list[DeviceWorker]:
        """Load the net on each device."""
        net, runtime = fold_batchnorm(load(self.checkpoint)), self.runtime
        exports = ExportCache(self.spec.name, self.sha256, self.spec.input_hw, self.attention is not None)
        self.int8 = exports.int8_notes(runtime.int8_model) if runtime.precision == "int8" else None
        mirror = self.layout.mirror if self.flip_test else None
        workers: list[DeviceWorker] = []
        for device in runtime.devices:
            own = copy.deepcopy(net) if runtime.others else net
            worker = DeviceWorker(own, build_engine(own, runtime, exports, device), device, mirror, self.attention)
            uses_graphs = device.type == "cuda" and runtime.backend == "torch"
            workers.append(worker.with_cuda_graphs(runtime.batch_size) if uses_graphs else worker)
        return workers

    def estimate(self, frames: Sequence[Frame], boxes: Sequence[Boxes], timings: Timings | None = None) -> list[Result]:
        """Return one result per frame, in order; frames without people have empty poses.

        Args:
            frames: The frames, which may differ in size.
            boxes: The people of each frame.
            timings: Accumulates the time of cropping, the net and decoding.
        """
        region, width, height = self._region(boxes), *self._size_wh
        matrices = crop.frame_to_crop(*region, (width, height))
        keypoints = self._keypoints(
            CropBatch(frames, list(map(len, boxes)), matrices, (width, height)), timings or Timings()
        )
        xy = crop.to_frame(keypoints.xy.numpy(), *region, heatmap_size((height, width))[::-1])
        return list(_results(frames, boxes, matrices, keypoints, xy))

    def crops(self, frames: Sequence[Frame], boxes: Sequence[Boxes]) -> CropBatch:
        """Return the crops of all people of the frames, as the net sees them."""
        matrices = crop.frame_to_crop(*self._region(boxes), self._size_wh)
        return CropBatch(frames, list(map(len, boxes)), matrices, self._size_wh)

    def heatmaps(self, crops: Tensor) -> Tensor:
        """Return the (B, K, h, w) float32 heatmaps of (B, H, W, 3) uint8 crops on the device, in one batch."""
        with torch.inference_mode():
            return self.workers[0].heatmaps(crops.to(self.runtime.device))

    def explain_points(self, frame: Frame, box: Boxes, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the (L, Q, h, w) attention of any positions, not only keypoints, of one person.

        Args:
            frame: The frame.
            box: The person: one box.
            points: (Q, 2) frame pixels; those outside the person's crop are clamped to its nearest cell.

        Raises:
            ValueError: There is not exactly one box, or the estimator was built without attention.
        """
        if len(box) != 1 or self.attention is None:
            raise ValueError("explain_points: expected one box and an estimator with attention")
        matrices = crop.frame_to_crop(*self._region([box]), self._size_wh)
        crops = CropBatch([frame], [1], matrices, self._size_wh).batch(slice(0, 1), self.runtime.device)
        rows_columns = crop.grid_cells(points[None], matrices, self.spec.stride, self.net.grid_hw)[0]
        cells = torch.from_numpy(rows_columns[:, 0] * self.net.grid_hw[1] + rows_columns[:, 1])[None]
        with torch.inference_mode():
            return self.workers[0].attention_at(crops, cells)[0].cpu().numpy()

    @property
    def _size_wh(self) -> tuple[int, int]:
        """Width and height of a crop."""
        height, width = self.net.input_hw
        return width, height

    def _region(self, boxes: Sequence[Boxes]) -> tuple[Float32, Float32]:
        """Return centre and scale of the crop region of each person of all frames."""
        width, height = self._size_wh
        corners = [of_frame.corners for of_frame in boxes] or [Boxes.empty().corners]
        return crop.crop_regions(np.concatenate(corners), width / height)

    def _keypoints(self, crops: CropBatch, timings: Timings) -> Keypoints:
        """Run all crops through the net in batches, alternating devices; a batch that is too large is halved.

        A device works while this thread goes on; the final wait for it is counted as time of the net.
        """
        parts: list[Keypoints] = []
        done = 0
        with torch.inference_mode():
            while done < len(crops):
                worker = self.workers[len(parts) % len(self.workers)]
                people = slice(done, min(done + self.runtime.batch_size, len(crops)))
                try:
                    with timings.measure("crop"):
                        batch = crops.batch(people, worker.device)
                    parts.append(worker.estimate(batch, timings))
                except RuntimeError as error:
                    self._halve_batch(error, people.stop - people.start)
                else:
                    done = people.stop
            with timings.measure("net"):
                return self._check_finite(Keypoints.concatenate(parts)) if parts else self._empty()

    def _check_finite(self, keypoints: Keypoints) -> Keypoints:
        """Return the keypoints; raise if the net's output left the range of its precision."""
        if not keypoints.score.isfinite().all():
            precision = self.runtime.precision
            hint = "choose --precision bf16 or fp32" if precision == "fp16" else "its weights may be damaged"
            raise TposeError(f"{self.spec.name}: the net's output is not finite in {precision}; {hint}")
        return keypoints

    def _empty(self) -> Keypoints:
        """Return the empty result for zero crops."""
        keypoints = len(self.layout)
        maps = None
        if self.attention is not None:
            maps = torch.zeros(0, *self.attention.shape(self.spec.heads, keypoints), *self.net.grid_hw)
        return Keypoints(torch.zeros(0, keypoints, 2), torch.zeros(0, keypoints), maps)

    def _halve_batch(self, error: RuntimeError, size: int) -> None:
        """Continue with half the batch size after running out of memory; re-raise any other error."""
        if not out_of_memory(error):
            raise error
        if size <= 1:
            raise TposeError(
                f"{self.runtime.device}: out of memory even with one crop at a time; free memory on the device, choose "
                "a smaller model, or use --device cpu"
            ) from error
        self.workers = [
            worker if worker.graphs is None else worker.with_cuda_graphs(size // 2) for worker in self.workers
        ]
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        self.runtime = replace(self.runtime, batch_size=size // 2)
        log.warning("%s: out of memory; continuing with batches of %d", self.runtime.device, size // 2)


def _results(
    frames: Sequence[Frame], boxes: Sequence[Boxes], matrices: crop.Matrices, keypoints: Keypoints, xy: Float32
) -> Iterator[Result]:
    """Yield the result of each frame, from the keypoints of all people; ``xy`` is in frame pixels."""
    start = 0
    for frame, of_frame in zip(frames, boxes, strict=True):
        own = slice(start, start + len(of_frame))
        start = own.stop
        poses = Poses(of_frame, xy[own], keypoints.score[own].numpy())
        if keypoints.attention is None:
            yield Result(frame, poses)
        else:
            yield Result(frame, poses, attention=keypoints.attention[own].numpy(), matrices=matrices[own])
