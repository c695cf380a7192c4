"""Kernel that cuts crops of people from frames."""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS: Final = 8
"""Rows of a crop that one program of the kernel cuts."""


def cut(pixels: Tensor, table: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """Cut (N, H, W, 3) uint8 crops: bilinear, black outside the frame.

    Args:
        pixels: (P, 3) uint8, the pixels of all frames, in row-major order, one frame after the other.
        table: (N, 7) float64, for each crop: offset of its frame in ``pixels``, width and height of the frame, and the
            map from frame to crop as scale and shift of x, scale and shift of y.
        size_wh: Width and height of a crop.
    """
    width, height = size_wh
    crops = torch.empty((len(table), height, width, 3), device=pixels.device, dtype=torch.uint8)
    grid = (len(table), triton.cdiv(height, ROWS))
    with torch.cuda.device_of(pixels):
        _cut[grid](pixels, table, crops, width, height, triton.next_power_of_2(width), ROWS)
    return crops


@triton.jit
def _cut(
    pixels, table, crops, width, height, tile_width: tl.constexpr, tile_height: tl.constexpr
):  # fmt: skip
    number = tl.program_id(0).to(tl.int64)
    entry = table + number * 7
    first, frame_width, frame_height = (
        tl.load(entry).to(tl.int64), tl.load(entry + 1).to(tl.int64), tl.load(entry + 2).to(tl.int64)
    )  # fmt: skip
    x = tl.arange(0, tile_width)
    y = tl.program_id(1) * tile_height + tl.arange(0, tile_height)
    source_x = (x.to(tl.float64) - tl.load(entry + 4)) / tl.load(entry + 3)
    source_y = (y.to(tl.float64) - tl.load(entry + 6)) / tl.load(entry + 5)
    left, top = tl.floor(source_x), tl.floor(source_y)
    right_weight, lower_weight = (source_x - left).to(tl.float32), (source_y - top).to(tl.float32)
    inside = (y < height)[:, None] & (x < width)[None]
    place = ((number * height + y[:, None]) * width + x[None]) * 3
    for colour in tl.static_range(3):
        total = tl.zeros((tile_height, tile_width), tl.float32)
        for down in tl.static_range(2):
            for across in tl.static_range(2):
                row, column = top.to(tl.int64) + down, left.to(tl.int64) + across
                weight_y = lower_weight if down else 1 - lower_weight
                weight_x = right_weight if across else 1 - right_weight
                seen = ((row >= 0) & (row < frame_height))[:, None] & ((column >= 0) & (column < frame_width))[None]
                source = (first + row[:, None] * frame_width + column[None]) * 3 + colour
                value = tl.load(pixels + source, mask=inside & seen, other=0).to(tl.float32)
                total += value * (weight_y[:, None] * weight_x[None])
        tl.store(crops + place + colour, (total + 0.5).to(tl.uint8), mask=inside)
