"""Batches of crops, cut by OpenCV on the CPU or by torch on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tposecli.geometry import crop
from tposecli.geometry.crop import Matrices
from tposecli.inference.backends.kernels import has_kernels
from tposecli.types import Frame


class CropBatch:
    """The crops of all people of some frames, cut batch by batch.

    On CUDA a frame is uploaded once, as bytes, and cut there; elsewhere OpenCV cuts it.

    Args:
        frames: The frames, which may differ in size.
        people: Number of people in each frame.
        matrices: (P, 2, 3) maps from frame to crop pixels of all people, without rotation.
        size_wh: Width and height of a crop.
        on_device: Whether to cut with torch; None to do so on CUDA only.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        people: Sequence[int],
        matrices: Matrices,
        size_wh: tuple[int, int],
        on_device: bool | None = None,
    ) -> None:
        self._frames, self._size_wh, self._on_device = frames, size_wh, on_device
        self._owner = np.repeat(np.arange(len(frames)), people)
        self._matrices = matrices
        self._uploaded: dict[tuple[int, torch.device], Tensor] = {}

    def __len__(self) -> int:
        return len(self._matrices)

    def batch(self, people: slice, device: torch.device) -> Tensor:
        """Return the (B, H, W, 3) uint8 crops of consecutive people, on the device.

        Batches must be requested in order: uploaded frames of earlier people are dropped.
        """
        with_torch = device.type == "cuda" if self._on_device is None else self._on_device
        return self._by_torch(people, device) if with_torch else self._by_opencv(people, device)

    def _runs(self, people: slice) -> Iterator[tuple[int, slice]]:
        """Yield the index of each frame with some of these people, and their positions in the slice."""
        owners, first, counts = np.unique(self._owner[people], return_index=True, return_counts=True)
        for owner, start, count in zip(owners, first, counts, strict=True):
            yield int(owner), slice(int(start), int(start + count))

    def _by_opencv(self, people: slice, device: torch.device) -> Tensor:
        matrices = self._matrices[people]
        crops = torch.empty((len(matrices), self._size_wh[1], self._size_wh[0], 3), dtype=torch.uint8)
        for owner, part in self._runs(people):
            crop.cut(self._frames[owner].image, matrices[part], self._size_wh, crops.numpy()[part])
        return crops.to(device)

    def _by_torch(self, people: slice, device: torch.device) -> Tensor:
        maps = self._matrices[people]
        table = np.empty((len(maps), 7))
        table[:, 3:] = maps[:, (0, 0, 1, 1), (0, 2, 1, 2)]
        pixels, total = [], 0
        for owner, part in self._runs(people):
            pixels.append(self._upload(owner, device))
            table[part, :3] = total, *self._frames[owner].size_wh
            total += len(pixels[-1])
        return cut(torch.cat(pixels), _to_device(torch.from_numpy(table), device), self._size_wh)

    def _upload(self, index: int, device: torch.device) -> Tensor:
        """Return the frame's (H * W, 3) uint8 pixels on the device, uploaded at the first call."""
        self._uploaded = {key: value for key, value in self._uploaded.items() if key[0] >= index}
        if (index, device) not in self._uploaded:
            image = torch.from_numpy(np.require(self._frames[index].image, requirements=["C", "W"]))
            self._uploaded[index, device] = _to_device(image, device).reshape(-1, 3)
        return self._uploaded[index, device]


def _to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy to the device; to CUDA asynchronously, which needs pinned memory."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def cut(pixels: Tensor, table: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """Cut (N, H, W, 3) uint8 crops: bilinear, black outside the frame.

    Args:
        pixels: (P, 3) uint8, the pixels of all frames in row-major order, one frame after the other.
        table: (N, 7) float64, for each crop: offset of its frame in ``pixels``, width and height of the frame, and the
            map from frame to crop as scale and shift of x, scale and shift of y.
        size_wh: Width and height of a crop.
    """
    if has_kernels(pixels.device):
        from tposecli.inference.backends.kernels import crops as kernels

        return kernels.cut(pixels, table, size_wh)
    x, x_weights = _taps(size_wh[0], table[:, 3], table[:, 4], table[:, 1])
    y, y_weights = _taps(size_wh[1], table[:, 5], table[:, 6], table[:, 2])
    rows = table[:, 0].long()[:, None, None] + y * table[:, 1].long()[:, None, None]
    crops = torch.zeros((), device=pixels.device)
    for down in range(2):
        for across in range(2):
            place = rows[:, down, :, None] + x[:, across, None, :]
            weight = y_weights[:, down, :, None] * x_weights[:, across, None, :]
            crops = crops + pixels[place] * weight[..., None]
    return (crops + 0.5).to(torch.uint8)


def _taps(length: int, scale: Tensor, shift: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Return, along an axis, the (N, 2, length) frame positions around each crop position, and their weights.

    Positions outside the frame are clamped to it and have weight 0.
    """
    target = torch.arange(length, dtype=scale.dtype, device=scale.device)
    source = (target - shift[:, None]) / scale[:, None]
    before = source.floor()
    fraction = (source - before).float()
    places = torch.stack((before, before + 1), dim=1).float()
    weights = torch.stack((1 - fraction, fraction), dim=1)
    inside = (places >= 0) & (places < limit[:, None, None])
    moved = torch.minimum(places.clamp_min(0), limit[:, None, None] - 1)
    return moved.long(), weights * inside
