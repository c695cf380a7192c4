"""Kernels for steps of the nets. Maps are (B, C, h, w) tensors in channels-last layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE: Final = 4096
"""Number of values that one program of a kernel processes."""
NO_LIMIT: Final = 3.0e38
MAX_PARTS: Final = 3
"""Maximum number of maps of :func:`sum_relu`."""
PACKED: Final = 16
"""Channels of a packed image: three colours of 2x2 pixels, zero-padded to a multiple that suits tensor cores."""


def add_norm(tokens: Tensor, update: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    """Return LayerNorm of the sum of two (..., d) tensors."""
    tokens, update = tokens.contiguous(), update.contiguous()
    out = torch.empty_like(tokens)
    channels = tokens.shape[-1]
    rows = tokens.numel() // channels
    width, tile = _layout(channels)
    with torch.cuda.device_of(tokens):
        _add_norm[(triton.cdiv(rows, tile),)](
            tokens, update, norm.weight, norm.bias, out, rows, channels, width, norm.eps, tile
        )
    return out


@triton.jit
def _add_norm(
    tokens, update, weight, bias, out, rows,
    channels: tl.constexpr, width: tl.constexpr, eps: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * tile + tl.arange(0, tile)
    column = tl.arange(0, width)
    valid = column < channels
    inside = (row < rows)[:, None] & valid[None]
    place = row.to(tl.int64)[:, None] * channels + column[None]
    x = tl.load(tokens + place, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(update + place, mask=inside, other=0.0).to(tl.float32)
    x = tl.where(inside, x - (tl.sum(x, 1) / channels)[:, None], 0.0)
    x *= (1 / tl.sqrt(tl.sum(x * x, 1) / channels + eps))[:, None]
    scale = tl.load(weight + column, mask=valid, other=0.0).to(tl.float32)
    shift = tl.load(bias + column, mask=valid, other=0.0).to(tl.float32)
    tl.store(out + place, (x * scale[None] + shift[None]).to(out.dtype.element_ty), mask=inside)


def sum_relu(parts: Sequence[Tensor], bias: Tensor | None, max_value: float | None = None) -> Tensor:
    """Return the sum of one to three maps and a (C,) bias, clamped to 0..``max_value``.

    Maps smaller than the first are upsampled to its size (nearest neighbour).
    """
    first, second, third = (*parts, *[parts[0]] * (MAX_PARTS - len(parts)))
    factors = [first.shape[2] // part.shape[2] for part in parts] + [0] * (MAX_PARTS - len(parts))
    batch, channels, height, map_width = first.shape
    out = torch.empty_like(first, memory_format=torch.channels_last)
    rows = batch * height * map_width
    width, tile = _layout(channels)
    with torch.cuda.device_of(first):
        _sum_relu[(triton.cdiv(rows, tile),)](
            first, second, third, first if bias is None else bias, out, rows, height, map_width,
            channels, width, factors[1], factors[2], bias is not None, NO_LIMIT if max_value is None else max_value,
            tile,
        )  # fmt: skip
    return out


@triton.jit
def _sum_relu(
    first, second, third, bias, out, rows, height, map_width,
    channels: tl.constexpr, width: tl.constexpr, second_factor: tl.constexpr, third_factor: tl.constexpr,
    has_bias: tl.constexpr, max_value: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * tile + tl.arange(0, tile)).to(tl.int64)
    column = tl.arange(0, width)
    valid = column < channels
    inside = (row < rows)[:, None] & valid[None]
    place = row[:, None] * channels + column[None]
    total = tl.load(first + place, mask=inside, other=0.0).to(tl.float32)
    if second_factor > 0:
        source = _source_index(row, second_factor, height, map_width)[:, None] * channels + column[None]
        total += tl.load(second + source, mask=inside, other=0.0).to(tl.float32)
    if third_factor > 0:
        source = _source_index(row, third_factor, height, map_width)[:, None] * channels + column[None]
        total += tl.load(third + source, mask=inside, other=0.0).to(tl.float32)
    if has_bias:
        total += tl.load(bias + column, mask=valid, other=0.0).to(tl.float32)[None]
    total = tl.minimum(tl.maximum(total, 0.0), max_value)
    tl.store(out + place, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _source_index(row, factor: tl.constexpr, height, map_width):
    # Row-major index, over the whole batch, of the position in a map that is smaller by the factor.
    x, y, image = row % map_width, row // map_width % height, row // (map_width * height)
    return (image * (height // factor) + y // factor) * (map_width // factor) + x // factor


def max_pool(maps: Tensor) -> Tensor:
    """Return 3x3 max pooling with stride 2 and padding 1 of maps with even sides."""
    batch, channels, height, map_width = maps.shape
    out = maps.new_empty((batch, channels, height // 2, map_width // 2)).to(memory_format=torch.channels_last)
    rows = batch * (height // 2) * (map_width // 2)
    width, tile = _layout(channels)
    with torch.cuda.device_of(maps):
        _max_pool[(triton.cdiv(rows, tile),)](maps, out, rows, height, map_width, channels, width, tile)
    return out


@triton.jit
def _max_pool(
    maps, out, rows, height, map_width, channels: tl.constexpr, width: tl.constexpr, tile: tl.constexpr
):  # fmt: skip
    row = (tl.program_id(0) * tile + tl.arange(0, tile)).to(tl.int64)
    column = tl.arange(0, width)
    inside = (row < rows)[:, None] & (column < channels)[None]
    half_width, half_height = map_width // 2, height // 2
    x, y, image = row % half_width, row // half_width % half_height, row // (half_width * half_height)
    highest = tl.full((tile, width), float("-inf"), tl.float32)
    for down in tl.static_range(3):
        for across in tl.static_range(3):
            sy, sx = 2 * y + down - 1, 2 * x + across - 1
            # Sides are even, so only the windows of the first row and column reach over the border.
            seen = inside & ((sy >= 0) & (sx >= 0))[:, None]
            place = ((image * height + sy) * map_width + sx)[:, None] * channels + column[None]
            highest = tl.maximum(highest, tl.load(maps + place, mask=seen, other=float("-inf")).to(tl.float32))
    tl.store(out + row[:, None] * channels + column[None], highest.to(out.dtype.element_ty), mask=inside)


def normalize_packed(crops: Tensor, mean: Tensor, std: Tensor, margin: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Return normalised images with each 2x2 pixels in the channels of one position, zero-padded.

    Args:
        crops: (B, H, W, 3) uint8 with even sides.
        mean: (3,) float32, for values from 0 to 1.
        std: (3,) float32, for values from 0 to 1.
        margin: Zero positions above and to the left, and below and to the right.
        dtype: Data type of the result.

    Returns:
        (B, ``PACKED``, H / 2 + sum of margins, W / 2 + sum of margins); the channel of a colour is
        (2 * row + column) * 3 + colour.
    """
    batch, height, image_width, _ = crops.shape
    size = height // 2 + sum(margin), image_width // 2 + sum(margin)
    out = torch.empty((batch, *size, PACKED), device=crops.device, dtype=dtype)
    rows = batch * size[0] * size[1]
    width, tile = _layout(PACKED)
    with torch.cuda.device_of(crops):
        _normalize_packed[(triton.cdiv(rows, tile),)](
            crops.contiguous(), mean, std, out, rows, height, image_width, *size, margin[0], width, tile
        )
    return out.permute(0, 3, 1, 2)


@triton.jit
def _normalize_packed(
    crops, mean, std, out, rows, height, image_width, out_height, out_width,
    before: tl.constexpr, channels: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * tile + tl.arange(0, tile)).to(tl.int64)
    channel = tl.arange(0, channels)
    colour, pixel = channel % 3, channel // 3
    x, y = row % out_width - before, row // out_width % out_height - before
    image = row // (out_width * out_height)
    sx, sy = 2 * x[:, None] + (pixel % 2)[None], 2 * y[:, None] + (pixel // 2)[None]
    inside = (row < rows)[:, None] & (pixel < 4)[None]
    seen = inside & (sx >= 0) & (sx < image_width) & (sy >= 0) & (sy < height)
    value = tl.load(crops + ((image[:, None] * height + sy) * image_width + sx) * 3 + colour[None], mask=seen, other=0)
    scaled = (value.to(tl.float32) / 255 - tl.load(mean + colour)[None]) / tl.load(std + colour)[None]
    place = row[:, None] * channels + channel[None]
    tl.store(out + place, tl.where(seen, scaled, 0.0).to(out.dtype.element_ty), mask=(row < rows)[:, None])


def _layout(channels: int) -> tuple[int, int]:
    """Return the power of two that holds a row of channels, and the number of rows per program."""
    width = triton.next_power_of_2(channels)
    return width, max(1, TILE // width)
