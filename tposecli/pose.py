"""Keypoints of people whose boxes are known: crops of many frames share the batches of the net."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tposecli import crop, heatmap
from tposecli.errors import TposeError
from tposecli.models.attention import Attention
from tposecli.models.device import Runtime, out_of_memory
from tposecli.models.files import Checkpoint, resolve
from tposecli.models.net import PoseNet
from tposecli.models.weights import load
from tposecli.types import Boxes, Frame, Poses, Result

log = logging.getLogger("tposecli")


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the net says of B crops: (B, K, 2) heatmap positions, (B, K) peaks, (B, L, K, h, w) attention or None."""

    xy: Tensor
    score: Tensor
    attention: Tensor | None


class PoseEstimator:
    """TransPose on people whose boxes are known.

    Args:
        model: A name of the catalogue, or ``auto``; or a checkpoint that was found already.
        weights: A checkpoint to use instead of the catalogue's own.
        runtime: Device, precision and batch size; chosen for this machine if None.
        flip_test: Average with the mirrored crop: twice the work, a little more exact.
        attention: Also return attention maps.

    Raises:
        UsageError: No such model.
        WeightsError: The checkpoint is missing, damaged, or belongs to another model.
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
        self.spec = self.checkpoint.spec
        self.sha256 = self.checkpoint.verify()
        self.runtime = runtime or Runtime.resolve()
        self.flip_test = flip_test
        self.attention = attention
        net = load(self.checkpoint)
        self.net: PoseNet = net.to(self.runtime.device, self.runtime.dtype).to(memory_format=torch.channels_last)

    def estimate(self, frames: Sequence[Frame], boxes: Sequence[Boxes]) -> list[Result]:
        """One result for each frame, in order; frames without people give empty poses.

        Args:
            frames: Pictures, which may differ in size.
            boxes: The people of each.
        """
        height, width = self.net.input_hw
        regions = [crop.crop_regions(found.corners, width / height) for found in boxes]
        matrices = [crop.frame_to_crop(*region, (width, height)) for region in regions]
        crops = self._empty_batch(sum(map(len, boxes)))
        pixels = crops.numpy()
        start = 0
        for frame, maps in zip(frames, matrices, strict=True):
            crop.cut(frame.image, maps, (width, height), pixels[start : start + len(maps)])
            start += len(maps)
        measured = self._measure(crops)
        return list(self._results(frames, boxes, regions, matrices, measured))

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
        height, width = self.net.input_hw
        matrices = crop.frame_to_crop(*crop.crop_regions(box.corners, width / height), (width, height))
        crops = torch.from_numpy(crop.cut(frame.image, matrices, (width, height)))
        rows_columns = crop.grid_cells(points[None], matrices, self.spec.stride, self.net.grid_hw)[0]
        cells = torch.from_numpy(rows_columns[:, 0] * self.net.grid_hw[1] + rows_columns[:, 1])[None]
        with torch.inference_mode():
            _, inputs = self.net.encode(self.net.normalize(self._upload(crops)))
            return self.net.attention(inputs, cells.to(self.runtime.device), self.attention)[0].cpu().numpy()

    def _empty_batch(self, count: int) -> Tensor:
        """(count, H, W, 3) uint8; in pinned memory where a GPU will fetch it."""
        pinned = self.runtime.device.type == "cuda" and count > 0
        return torch.empty((count, *self.net.input_hw, 3), dtype=torch.uint8, pin_memory=pinned)

    def _results(
        self,
        frames: Sequence[Frame],
        boxes: Sequence[Boxes],
        regions: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
        matrices: list[crop.Matrices],
        measured: _Measured,
    ) -> Iterator[Result]:
        """Hand every frame its own people back, in frame pixels."""
        height, width = (side // 4 for side in self.net.input_hw)
        start = 0
        for frame, found, (center, scale), maps in zip(frames, boxes, regions, matrices, strict=True):
            people = slice(start, start + len(found))
            start = people.stop
            xy = crop.to_frame(measured.xy[people].numpy(), center, scale, (width, height))
            poses = Poses(found, xy, measured.score[people].numpy())
            attention = None if measured.attention is None else measured.attention[people].numpy()
            yield Result(frame, poses, attention=attention, matrices=None if attention is None else maps)

    def _measure(self, crops: Tensor) -> _Measured:
        """Run all crops through the net in batches; one that does not fit the device's memory is halved."""
        parts: list[_Measured] = []
        done = 0
        with torch.inference_mode():
            batch = self._upload(crops[: self.runtime.batch_size])
            while True:
                ahead = self._upload(crops[done + len(batch) :][: self.runtime.batch_size])
                try:
                    parts.append(self._forward(batch))
                except RuntimeError as error:
                    self._halve_batch(error, len(batch))
                    batch = batch[: self.runtime.batch_size]
                    continue
                done += len(batch)
                batch = ahead
                if done >= len(crops):
                    return _joined(parts)

    def _upload(self, crops: Tensor) -> Tensor:
        """Copy crops to the device; from pinned memory the copy runs while the net works on the batch before."""
        return crops.to(self.runtime.device, non_blocking=True)

    def _halve_batch(self, error: RuntimeError, size: int) -> None:
        """Go on with half the batch after the device ran out of memory; any other failure is raised again."""
        if not out_of_memory(error):
            raise error
        if size <= 1:
            raise TposeError(
                f"{self.runtime.device}: out of memory even with one crop at a time; free memory on the device, take a "
                "smaller model, or use --device cpu"
            ) from error
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        self.runtime = replace(self.runtime, batch_size=size // 2)
        log.warning("%s: out of memory; going on with batches of %d", self.runtime.device, size // 2)

    def _forward(self, crops: Tensor) -> _Measured:
        """(B, H, W, 3) uint8 on the device to what the net says of them, on the CPU."""
        net = self.net
        x = net.normalize(crops)
        maps, stages = net.encode(x)
        maps = maps.float()
        attention = self._read_attention(maps, stages)
        if self.flip_test:
            maps = (maps + heatmap.flip_back(net(x.flip(3)).float(), self.checkpoint.layout.mirror)) / 2
        xy, score = heatmap.decode(maps)
        return _Measured(xy.cpu(), score.cpu(), None if attention is None else attention.cpu())

    def _read_attention(self, maps: Tensor, stages: list[Tensor]) -> Tensor | None:
        """(B, L, K, h, w) at the cells of the unflipped crop's keypoints."""
        if self.attention is None:
            return None
        stride = self.net.input_hw[0] // self.net.grid_hw[0]
        cells = heatmap.attention_cells(heatmap.decode(maps)[0], stride, self.net.grid_hw)
        if self.attention.keypoints is not None:
            cells = cells[:, list(self.attention.keypoints)]
        return self.net.attention(stages, cells, self.attention)


def _joined(parts: list[_Measured]) -> _Measured:
    attention = [part.attention for part in parts if part.attention is not None]
    return _Measured(
        torch.cat([part.xy for part in parts]),
        torch.cat([part.score for part in parts]),
        torch.cat(attention) if attention else None,
    )
