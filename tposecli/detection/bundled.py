"""The bundled detector: plain torch, with no further dependencies and no licence restrictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from tposecli.detection.base import BoxFilter, same_size_batches
from tposecli.inference.backends.cuda_graphs import CudaGraphRunner, capture_on_cuda
from tposecli.inference.backends.kernels import has_kernels
from tposecli.models.person_detector import DIVISOR, PersonDetector, halve
from tposecli.types import Boxes, Float32, Frame, Image
from tposecli.utils.errors import WeightsError
from tposecli.utils.system import cores
from tposecli.utils.threads import ParallelMap

SIZE = 448
"""Longer side, in pixels, to which a frame is scaled; the weights' model card says how it was chosen."""
MIN_SCORE = 0.4
"""Minimum score of a person; the weights' model card says how it was chosen."""
WEAK_SCORE = 0.3
"""Minimum score of a box that may continue a track."""
NMS = 0.5
"""IoU above which the lower-scoring box is discarded: the net also gives boxes of parts of a person."""
MAX_CANDIDATES = 300
MAX_BATCH = 16
MAX_WORKERS = 8
"""Maximum number of threads that scale frames."""


class BundledDetector:
    """Finds people with :class:`PersonDetector`; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(
        self,
        weights: Path,
        boxes: BoxFilter | None = None,
        size: int = SIZE,
        device: torch.device | str = "cpu",
        half: bool | None = None,
    ) -> None:
        """Load the weights.

        Args:
            weights: The safetensors file.
            boxes: Which boxes are kept; None for those scoring at least ``MIN_SCORE``.
            size: Longer side of the scaled frame, in pixels; smaller is faster but misses small people.
            device: Where the net runs.
            half: Compute in bfloat16, which moves boxes by one or two percent of their size; None to do so where it is
                faster.

        Raises:
            WeightsError: The file is missing, damaged, or belongs to another net.
        """
        net = load_person_detector(weights).requires_grad_(False)
        if half or (half is None and prefers_half(torch.device(device))):
            net = halve(net)
        self._net = net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._boxes = BoxFilter(MIN_SCORE, NMS) if boxes is None else boxes
        self._size = size
        self._device = torch.device(device)
        self._best: Callable[[Tensor], list[Tensor]] = self._forward
        # A CUDA device would wait for a single thread; on a CPU, the net needs all cores itself.
        self._map = ParallelMap(min(MAX_WORKERS, cores()) if self._device.type == "cuda" else 1, "letterbox")
        if has_kernels(self._device):
            # Triton is imported with these, which not every machine has.
            from tposecli.inference.backends.cuda_rewrites import fuse_convolutions

            fuse_convolutions(self._net)
        if self._device.type == "cuda":
            self._best = CudaGraphRunner(self._forward, MAX_BATCH, capture_on_cuda)

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of every frame, best first; frames of the same size share a batch."""
        found = [Boxes.empty()] * len(frames)
        for batch in same_size_batches(frames, MAX_BATCH):
            for position, boxes in zip(batch, self._detect_batch([frames[p] for p in batch]), strict=True):
                found[position] = boxes
        return found

    @torch.inference_mode()
    def _detect_batch(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of frames that are all of one size."""
        size_wh = frames[0].size_wh
        images = torch.from_numpy(self._scaled(frames)).to(self._device)
        best, xyxy = (part.cpu().numpy() for part in self._best(images))
        back = np.array(size_wh, np.float32) / scaled_size(size_wh, self._size)
        back = np.concatenate([back, back]).astype(np.float32)
        return [self._filtered(boxes * back, scores, size_wh) for boxes, scores in zip(xyxy, best, strict=True)]

    def _scaled(self, frames: Sequence[Frame]) -> Image:
        """Return the frames scaled and padded, (B, h, w, 3) uint8."""
        return np.stack(self._map(partial(letterbox, longest=self._size), [frame.image for frame in frames]))

    def _forward(self, images: Tensor) -> list[Tensor]:
        """Return the (B, C) best scores of (B, h, w, 3) uint8 images, and their (B, C, 4) boxes in scaled pixels."""
        dense = self._net(images.permute(0, 3, 1, 2))
        score = dense.logit.sigmoid()
        best, index = score.topk(min(MAX_CANDIDATES, score.shape[1]), dim=1)
        return [best, dense.xyxy.gather(1, index[..., None].expand(-1, -1, 4))]

    def _filtered(self, xyxy: Float32, score: Float32, size_wh: tuple[int, int]) -> Boxes:
        enough = score >= self._boxes.min_score
        return self._boxes(Boxes(xyxy[enough], score[enough]), size_wh)


def prefers_half(device: torch.device) -> bool:
    """Return whether bfloat16 is faster on the device: on CPUs only with instructions for it."""
    if device.type != "cpu":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def scaled_size(size_wh: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return width and height, in whole pixels, of a frame whose longer side is scaled to ``longest``."""
    scale = longest / max(size_wh)
    return max(1, round(size_wh[0] * scale)), max(1, round(size_wh[1] * scale))


def letterbox(image: Image, longest: int) -> Image:
    """Scale (H, W, 3) to ``longest`` pixels, and pad it right and below to multiples of the net's divisor."""
    width, height = scaled_size((image.shape[1], image.shape[0]), longest)
    interpolation = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    padded = np.zeros((-(-height // DIVISOR) * DIVISOR, -(-width // DIVISOR) * DIVISOR, 3), np.uint8)
    padded[:height, :width] = cv2.resize(image, (width, height), interpolation=interpolation)
    return padded


def load_person_detector(weights: Path) -> PersonDetector:
    """Load the net with the weights of a safetensors file, in float32 and evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or belongs to another net.
    """
    net = PersonDetector()
    try:
        wanted = net.state_dict()
        state = {name: value.to(wanted[name].dtype) for name, value in load_file(weights).items()}
        net.load_state_dict(state, strict=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{weights}: the person detector's weights are missing; reinstall the package") from error
    except (OSError, safetensors.SafetensorError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{weights}: not the weights of the person detector ({error}); reinstall the package"
        ) from error
    return net.eval()
