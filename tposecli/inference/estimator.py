"""Keypoints of people whose boxes are known: crops of many frames share the batches of the net."""

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
from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import Checkpoint, resolve
from tposecli.inference.backends.factory import ExportCache, build_engine, choose
from tposecli.inference.backends.fold_batchnorm import fold_batchnorm
from tposecli.inference.crop_batches import CropBatch
from tposecli.inference.device_worker import DeviceWorker, Keypoints
from tposecli.inference.runtime import Runtime, out_of_memory
from tposecli.models.attention_readout import Attention
from tposecli.models.catalog import heatmap_size
from tposecli.types import Boxes, Float32, Frame, Poses, Result
from tposecli.utils.errors import TposeError
from tposecli.utils.timings import Timings

log = logging.getLogger("tposecli")


class PoseEstimator:
    """TransPose on people whose boxes are known.

    Args:
        model: A name of the catalogue, or ``auto``; or a checkpoint that was found already.
        weights: A checkpoint to use instead of the catalogue's own.
        runtime: Devices, precision, batch size and backend; chosen for this machine if None.
        flip_test: Average with the mirrored crop: twice the work, a little more exact.
        attention: Also return attention maps.

    Raises:
        UsageError: No such model, or the backend is not installed.
        WeightsError: The checkpoint is missing, damaged, or belongs to another model.
        OutputError: The backend needs a file that cannot be made.
    """

    def __init__(
        self,
        model: str | Checkpoint = "auto",
        weights: Path | None = None,
        runtime: Runtime | None = None,
        flip_test: bool = False,
        attention: Attention | None = None,
    ) -> None:
        self.checkpoint = model if isinstance(model, Checkpoint) else resolve(model, weights)
        self.spec, self.layout = self.checkpoint.spec, self.checkpoint.layout
        self.sha256 = self.checkpoint.verify()
        self.flip_test = flip_test
        self.attention = attention
        if attention is not None and not self.spec.explains:
            log.warning(
                "the attention of %s is broad and much alike for all keypoints; to see what a keypoint relied on, "
                "choose --model transpose-r18-a3 or an official one (tpose models)",
                self.spec.name,
            )
        runtime = runtime or Runtime.resolve()
        exports = ExportCache(self.spec.name, self.sha256, self.spec.input_hw, attention is not None)
        self.runtime = runtime.settled(choose(runtime, exports))
        net = fold_batchnorm(load(self.checkpoint))
        mirror = self.layout.mirror if flip_test else None
        self.lanes: list[DeviceWorker] = []
        for device in self.runtime.devices:
            own = copy.deepcopy(net) if self.runtime.others else net
            lane = DeviceWorker(own, build_engine(own, self.runtime, exports, device), device, mirror, attention)
            records = device.type == "cuda" and self.runtime.backend == "torch"
            self.lanes.append(lane.recorded(self.runtime.batch_size) if records else lane)
        self.net = self.lanes[0].net

    def estimate(self, frames: Sequence[Frame], boxes: Sequence[Boxes], timings: Timings | None = None) -> list[Result]:
        """One result for each frame, in order; frames without people give empty poses.

        Args:
            frames: Pictures, which may differ in size.
            boxes: The people of each.
            timings: Is told what cropping, the net and decoding take.
        """
        region, width, height = self._region(boxes), *self._size_wh
        matrices = crop.frame_to_crop(*region, (width, height))
        measured = self._measure(
            CropBatch(frames, list(map(len, boxes)), matrices, (width, height)), timings or Timings()
        )
        xy = crop.to_frame(measured.xy.numpy(), *region, heatmap_size((height, width))[::-1])
        return list(_results(frames, boxes, matrices, measured, xy))

    def crops(self, frames: Sequence[Frame], boxes: Sequence[Boxes]) -> CropBatch:
        """Of all people of the frames, as the net sees them."""
        matrices = crop.frame_to_crop(*self._region(boxes), self._size_wh)
        return CropBatch(frames, list(map(len, boxes)), matrices, self._size_wh)

    def heatmaps(self, crops: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 crops to (B, K, h, w) float32 heatmaps on the device, in one batch."""
        with torch.inference_mode():
            return self.lanes[0].heatmaps(crops.to(self.runtime.device))

    def explain_points(self, frame: Frame, box: Boxes, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """(L, Q, h, w) attention of any positions, not only keypoints, for one person.

        Args:
            frame: The picture.
            box: The one person.
            points: (Q, 2) frame pixels; those outside the person's crop count as its nearest cell.

        Raises:
            ValueError: Not exactly one box, or the estimator was made without attention.
        """
        if len(box) != 1 or self.attention is None:
            raise ValueError("explain_points: expected one box and an estimator with attention")
        matrices = crop.frame_to_crop(*self._region([box]), self._size_wh)
        crops = CropBatch([frame], [1], matrices, self._size_wh).batch(slice(0, 1), self.runtime.device)
        rows_columns = crop.grid_cells(points[None], matrices, self.spec.stride, self.net.grid_hw)[0]
        cells = torch.from_numpy(rows_columns[:, 0] * self.net.grid_hw[1] + rows_columns[:, 1])[None]
        with torch.inference_mode():
            return self.lanes[0].attention_at(crops, cells)[0].cpu().numpy()

    @property
    def _size_wh(self) -> tuple[int, int]:
        """Of a crop."""
        height, width = self.net.input_hw
        return width, height

    def _region(self, boxes: Sequence[Boxes]) -> tuple[Float32, Float32]:
        """Centre and size of what the crop of each person shows, of all frames' people."""
        width, height = self._size_wh
        corners = [found.corners for found in boxes] or [Boxes.empty().corners]
        return crop.crop_regions(np.concatenate(corners), width / height)

    def _measure(self, crops: CropBatch, timings: Timings) -> Keypoints:
        """All crops through the net in batches, a device after the other; one too large for it is halved.

        What the device works on while nobody waits for it counts, at the end, as the net's.
        """
        parts: list[Keypoints] = []
        done = 0
        with torch.inference_mode():
            while done < len(crops):
                lane = self.lanes[len(parts) % len(self.lanes)]
                people = slice(done, min(done + self.runtime.batch_size, len(crops)))
                try:
                    with timings.measure("crop"):
                        batch = crops.batch(people, lane.device)
                    parts.append(lane.measure(batch, timings))
                except RuntimeError as error:
                    self._halve_batch(error, people.stop - people.start)
                else:
                    done = people.stop
            with timings.measure("net"):
                return self._finite(Keypoints.joined(parts)) if parts else self._nobody()

    def _finite(self, measured: Keypoints) -> Keypoints:
        """The same, if the net's numbers did not leave the range of their precision."""
        if not measured.score.isfinite().all():
            precision = self.runtime.precision
            hint = "choose --precision bf16 or fp32" if precision == "fp16" else "its weights may be damaged"
            raise TposeError(f"{self.spec.name}: the net gives numbers that are not finite in {precision}; {hint}")
        return measured

    def _nobody(self) -> Keypoints:
        """What the net says when there is nothing to look at."""
        keypoints = len(self.layout)
        maps = None
        if self.attention is not None:
            maps = torch.zeros(0, *self.attention.shape(self.spec.heads, keypoints), *self.net.grid_hw)
        return Keypoints(torch.zeros(0, keypoints, 2), torch.zeros(0, keypoints), maps)

    def _halve_batch(self, error: RuntimeError, size: int) -> None:
        """Go on with half the batch after the device ran out of memory; any other failure is raised again."""
        if not out_of_memory(error):
            raise error
        if size <= 1:
            raise TposeError(
                f"{self.runtime.device}: out of memory even with one crop at a time; free memory on the device, take a "
                "smaller model, or use --device cpu"
            ) from error
        self.lanes = [lane if lane.replay is None else lane.recorded(size // 2) for lane in self.lanes]
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        self.runtime = replace(self.runtime, batch_size=size // 2)
        log.warning("%s: out of memory; going on with batches of %d", self.runtime.device, size // 2)


def _results(
    frames: Sequence[Frame], boxes: Sequence[Boxes], matrices: crop.Matrices, measured: Keypoints, xy: Float32
) -> Iterator[Result]:
    """Hand every frame its own people back, whose keypoints are given in frame pixels."""
    start = 0
    for frame, found in zip(frames, boxes, strict=True):
        own = slice(start, start + len(found))
        start = own.stop
        poses = Poses(found, xy[own], measured.score[own].numpy())
        if measured.attention is None:
            yield Result(frame, poses)
        else:
            yield Result(frame, poses, attention=measured.attention[own].numpy(), matrices=matrices[own])
