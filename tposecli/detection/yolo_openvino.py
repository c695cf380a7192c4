"""YOLO detection nets through OpenVINO on a CPU: as ultralytics' own ``predict``, at a fraction of the time.

The net is exported once, with any height and width; scaling, suppression and the way back to the frame are made here as
the library makes them. It is imported for the export only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from tposecli.detection.base import BoxFilter, same_size_batches
from tposecli.detection.exported import CHECK_HW, MAX_BATCH, DenseExport, OpenVinoNet
from tposecli.geometry.similarity import box_iou
from tposecli.types import Boxes, Frame, Image
from tposecli.utils.errors import UsageError

PERSON: Final = 0
STRIDE: Final = 32
PADDING: Final = 114
"""Grey value beside the frame."""
MAX_BOXES: Final = 300


class Exportable(nn.Module):
    """A fused YOLO net from images to boxes and scores."""

    def __init__(self, net: nn.Module) -> None:
        """Prepare the net's head for its export.

        Raises:
            UsageError: The net finds boxes in another way than this module knows.
        """
        super().__init__()
        whole: Any = net
        head = whole.model[-1]
        if getattr(head, "end2end", False) or type(head).__name__ != "Detect":
            raise UsageError(
                f"{type(head).__name__}: a detection head that cannot be exported; use --device cuda or another model"
            )
        head.export, head.dynamic, head.format = True, True, "onnx"
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, N, 4) centres, widths and heights, and (B, N, 2) scores, of (B, h, w, 3) uint8 RGB images.

        The scores are that of a person, and the highest of all classes.
        """
        found = self.net(images.permute(0, 3, 1, 2).float() / 255)
        found = found[0] if isinstance(found, tuple | list) else found
        classes = found[:, 4:]
        return found[:, :4].permute(0, 2, 1), torch.stack([classes[:, PERSON], classes.amax(1)], dim=2)


class OpenVinoYolo:
    """Finds people with an exported YOLO net; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(
        self,
        path: Path,
        load: Callable[[], nn.Module],
        box_filter: BoxFilter | None = None,
        image_size: int = 640,
        precision: str = "fp32",
    ) -> None:
        """Find the exported net in the cache, or export it.

        Args:
            path: File of the weights.
            load: Loads them as the library's own net, for the export only.
            box_filter: Which boxes are kept.
            image_size: Longer side of the scaled frame, in pixels; rounded up to a multiple of ``STRIDE``.
            precision: ``fp32``, or ``bf16``, which moves boxes by about a percent of their size.

        Raises:
            OutputError: The export differs from torch, or cannot be written anywhere.
        """
        self._filter = box_filter or BoxFilter()
        self._size = -(-image_size // STRIDE) * STRIDE
        export = DenseExport(
            path,
            lambda: Exportable(load()),
            ("boxes", "scores"),
            (max(CHECK_HW), 1.0),
            STRIDE,
            ("ultralytics",),
        )
        self._net = OpenVinoNet(export.cached(), precision)

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of every frame, best first; frames of the same size share a batch."""
        found = [Boxes.empty()] * len(frames)
        for batch in same_size_batches(frames, MAX_BATCH):
            images = np.stack([letterbox(frames[position].image, self._size) for position in batch])
            centred, scores = (part.numpy() for part in self._net(torch.from_numpy(images)))
            for position, own, score in zip(batch, centred, scores, strict=True):
                found[position] = self._boxes(own, score, images.shape[1:3], frames[position].size_wh)
        return found

    def _boxes(self, centred: Any, score: Any, input_hw: tuple[int, int], size_wh: tuple[int, int]) -> Boxes:
        """Return the boxes of one frame: those that score higher as a person than as anything else."""
        score, best = score.T
        chosen = np.flatnonzero((score > self._filter.min_score) & (score >= best))
        chosen = chosen[np.argsort(-score[chosen], kind="stable")]
        middle, half = centred[chosen, :2], centred[chosen, 2:] / 2
        xyxy = np.concatenate([middle - half, middle + half], axis=1)
        kept = keep_best(xyxy, self._filter.nms, MAX_BOXES)
        boxes = Boxes(to_frame(xyxy[kept], input_hw, size_wh), score[chosen][kept])
        return without_nms(self._filter)(boxes, size_wh)


def without_nms(box_filter: BoxFilter) -> BoxFilter:
    """Return the filter for boxes among which duplicates were suppressed already, before they were clipped."""
    return BoxFilter(box_filter.min_score, 1.0, box_filter.max_people, box_filter.min_size)


def keep_best(xyxy: Any, threshold: float, limit: int) -> list[int]:
    """Return the indices of at most ``limit`` boxes, given best first, that no better one overlaps by more than that.

    As ``box_nms``, but nothing is computed for boxes that are not kept: an untrained net finds thousands.
    """
    kept: list[int] = []
    rest = np.arange(len(xyxy))
    while len(rest) and len(kept) < limit:
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        rest = rest[box_iou(xyxy[best : best + 1], xyxy[rest])[0] <= threshold]
    return kept


def letterbox(image: Image, size: int) -> Image:
    """Scale (H, W, 3) to ``size`` pixels, and pad both sides alike to multiples of ``STRIDE``."""
    height, width = image.shape[:2]
    scale = min(size / height, size / width)
    scaled_wh = max(round(width * scale), 1), max(round(height * scale), 1)
    if scaled_wh != (width, height):
        image = np.asarray(cv2.resize(image, scaled_wh, interpolation=cv2.INTER_LINEAR), np.uint8)
    across, down = ((size - side) % STRIDE / 2 for side in scaled_wh)
    borders = round(down - 0.1), round(down + 0.1), round(across - 0.1), round(across + 0.1)
    padded = cv2.copyMakeBorder(image, *borders, cv2.BORDER_CONSTANT, value=(PADDING,) * 3)
    return np.asarray(padded, np.uint8)


def to_frame(xyxy: Any, input_hw: tuple[int, int], size_wh: tuple[int, int]) -> Any:
    """Map boxes from letterboxed to frame pixels."""
    (height, width), (frame_width, frame_height) = input_hw, size_wh
    gain = min(height / frame_height, width / frame_width)
    scaled = [max(round(side * gain), 1) for side in size_wh]
    margin = [round((side - own) / 2 - 0.1) for side, own in zip((width, height), scaled, strict=True)]
    gains = [own / side for own, side in zip(scaled, size_wh, strict=True)]
    return ((xyxy - np.array(margin * 2, np.float32)) / np.array(gains * 2, np.float32)).astype(np.float32)
