"""The bundled detector, through torch or, on a CPU, through OpenVINO; it has no licence restrictions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tposecli.detection.base import BoxFilter, same_size_batches
from tposecli.detection.exported import DenseExport, OpenVinoNet
from tposecli.inference.backends.cuda_graphs import CudaGraphRunner, capture_on_cuda
from tposecli.inference.backends.examples import rendered_examples
from tposecli.inference.backends.export import FAILURES, instead
from tposecli.inference.backends.kernels import has_kernels
from tposecli.models.person_detector import DIVISOR, Cells, PersonDetector, cells, decode, halve
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
KEPT = ("head",)
"""Modules that stay in floating point where the others are quantised."""
MAX_CANDIDATES = 300
MAX_BATCH = 16
MAX_WORKERS = 8
"""Maximum number of threads that scale frames."""

Best = Callable[[Tensor], list[Tensor]]
"""From (B, h, w, 3) uint8 images to the (B, C) best scores, and their (B, C, 4) boxes in pixels of the images."""

log = logging.getLogger("tposecli")


class BundledDetector:
    """Finds people with :class:`PersonDetector`; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(  # noqa: PLR0913
        self,
        weights: Path,
        boxes: BoxFilter | None = None,
        size: int = SIZE,
        device: torch.device | str = "cpu",
        half: bool | None = None,
        openvino: bool = False,
        int8: bool = False,
    ) -> None:
        """Load the weights.

        Args:
            weights: The safetensors file.
            boxes: Which boxes are kept; None for those scoring at least ``MIN_SCORE``.
            size: Longer side of the scaled frame, in pixels; smaller is faster but misses small people.
            device: Where the net runs.
            half: Compute in bfloat16, which moves boxes by one or two percent of their size; None to do so where it is
                faster.
            openvino: Run the net through OpenVINO, on a CPU; if it cannot be, a warning says so, and torch runs it.
            int8: Quantise it there, on rendered people.

        Raises:
            WeightsError: The file is missing, damaged, or belongs to another net.
        """
        self._boxes = BoxFilter(MIN_SCORE, NMS) if boxes is None else boxes
        self._size = size
        self._weights = weights
        self._device = torch.device(device)
        self._half = prefers_half(self._device) if half is None else half
        # A CUDA device would wait for a single thread; on a CPU, the net needs all cores itself.
        self._map = ParallelMap(min(MAX_WORKERS, cores()) if self._device.type == "cuda" else 1, "letterbox")
        self._int8 = int8
        self._best = self._through_openvino() if openvino else self._through_torch()

    def _through_torch(self) -> Best:
        """Load the net, and return what runs it."""
        net = load_person_detector(self._weights).requires_grad_(False)
        if self._half:
            net = halve(net)
        self._net = net.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if has_kernels(self._device):
            # Triton is imported with these, which not every machine has.
            from tposecli.inference.backends.cuda_rewrites import fuse_convolutions

            fuse_convolutions(self._net)
        if self._device.type == "cuda":
            return CudaGraphRunner(self._forward, MAX_BATCH, capture_on_cuda)
        return self._forward

    def _through_openvino(self) -> Best:
        """Find the exported net, or export it, and return what runs it: torch where OpenVINO fails, now or later."""

        def run(images: Tensor) -> list[Tensor]:
            try:
                (raw,) = net(images)
            except FAILURES as error:
                self._best = self._instead(error)
                return self._best(images)
            return best_of(raw, (int(images.shape[1]), int(images.shape[2])))

        try:
            export = dense_export(self._weights)
            if self._int8:
                file = export.cached_int8(rendered_examples(), partial(letterbox, longest=SIZE), KEPT)
            else:
                file = export.cached()
            net = OpenVinoNet(file, "int8" if self._int8 else "bf16" if self._half else "fp32")
        except FAILURES as error:
            return self._instead(error)
        return run

    def _instead(self, error: Exception) -> Best:
        log.warning("%s", instead(self._weights.stem, error))
        return self._through_torch()

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


class RawOutput(nn.Module):
    """The net up to its logits, from images as the detector scales them."""

    def __init__(self, net: PersonDetector) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the (B, A, 1 + 4 BINS) float32 logits of (B, h, w, 3) uint8 RGB images."""
        return (self.net.raw(images.permute(0, 3, 1, 2)),)


def dense_export(weights: Path) -> DenseExport:
    """Return what the net's export depends on.

    What follows the logits stays in torch: positions of boxes need more digits than bfloat16 has.
    """
    return DenseExport(
        weights, lambda: RawOutput(load_person_detector(weights).requires_grad_(False)), ["logits"], [1.0], DIVISOR
    )


def best_of(raw: Tensor, input_hw: tuple[int, int]) -> list[Tensor]:
    """Return the best scores and their boxes; only those boxes are computed.

    Args:
        raw: (B, A, 1 + 4 BINS) logits.
        input_hw: Height and width of the images.
    """
    index = raw[..., 0].topk(min(MAX_CANDIDATES, raw.shape[1]), dim=1).indices
    where = Cells(*(part[index] for part in cells(input_hw)))
    best = decode(raw.gather(1, index[..., None].expand(-1, -1, raw.shape[2])), where)
    return [best.logit.sigmoid(), best.xyxy]


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
