"""Random views of packed people, all samples of a batch at once, on any device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.lab.training.job import NO_AUGMENTATION, Augmentation
from tposecli.lab.training.packed.pack import MARGIN, PackedPeople
from tposecli.models.catalog import heatmap_size

GREY = (0.299, 0.587, 0.114)
PATCHES = 3


@dataclass(frozen=True, eq=False, slots=True)
class Views:
    """B views.

    Attributes:
        seen: (B, H, W, 3) uint8 RGB, as the net sees them.
        clean: The same without changes of pixels, as a teacher sees them.
        xy: (B, K, 2) joints, heatmap pixels.
        weight: (B, K); 0 for joints that are not annotated, or lie behind a neighbour.
    """

    seen: Tensor
    clean: Tensor
    xy: Tensor
    weight: Tensor


class ViewMaker:
    """Makes views; they depend only on the people and the generator's state.

    Of the augmentations, all but half bodies are known here; a rotation may be cut off at the edge of what is stored.

    Args:
        layout: The keypoints.
        input_hw: Height and width of a view.
        how: How views vary.
    """

    def __init__(self, layout: KeypointLayout, input_hw: tuple[int, int], how: Augmentation = NO_AUGMENTATION) -> None:
        self._mirror, self._input_hw, self._how = list(layout.mirror), input_hw, how

    def __call__(self, people: PackedPeople, index: Tensor, generator: torch.Generator) -> Views:
        """Return a view of each of the people with these indices."""
        chance = _Chance(generator, len(index))
        xy, weight = people.xy[index], people.weight[index]
        turn, move, flip = self._placement(chance, people.images.shape[1:3], xy.device)
        stored = people.images[index.to(people.images.device)].to(xy.device).permute(0, 3, 1, 2).float() / 255
        clean = self._warped(stored, turn, move)
        xy = xy @ turn.transpose(1, 2) + move[:, None]
        xy = torch.where(flip[:, None, None], xy[:, self._mirror], xy)
        weight = torch.where(flip[:, None], weight[:, self._mirror], weight)
        clean, weight = self._neighbours(chance, clean, xy, weight)
        seen = self._patches(chance, _blurred(chance, self._how.blur, _coloured(chance, self._how.colour, clean)))
        return Views(_bytes(seen), _bytes(clean), self._on_heatmap(xy), weight)

    def _placement(self, chance: _Chance, stored_hw: torch.Size, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, 2, 2) and (B, 2) maps from stored pixels to pixels of the view, and (B,) which are mirrored."""
        how, height, width = self._how, *self._input_hw
        size = 1 + (chance.normal() * how.scale).clamp(-how.scale, how.scale)
        zoom = (width - 1) / ((stored_hw[1] - 1) / MARGIN) / size
        angle = (chance.normal().clamp(-2, 2) * how.rotation).deg2rad() * (chance.uniform() < how.rotate)
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        flip = chance.uniform() < how.flip
        across = torch.where(flip, -1.0, 1.0)
        turn = torch.stack((torch.stack((cos * across, sin * across), 1), torch.stack((-sin, cos), 1)), 1)
        middle = torch.tensor([(stored_hw[1] - 1) / 2, (stored_hw[0] - 1) / 2], device=device)
        sides = torch.tensor([width, height], device=device)
        shift = torch.stack((chance.normal(), chance.normal()), 1) * how.shift * sides
        move = (sides - 1) / 2 + shift - (turn @ middle[:, None])[..., 0]
        return turn, move, flip

    def _warped(self, images: Tensor, turn: Tensor, move: Tensor) -> Tensor:
        """Return (B, 3, H, W) views of (B, 3, h, w) images."""
        (height, width), stored_hw = self._input_hw, images.shape[2:]
        y, x = torch.meshgrid(*(torch.arange(n, device=images.device) for n in (height, width)), indexing="ij")
        pixels = torch.stack((x, y), 2).reshape(1, -1, 2).float()
        source = (pixels - move[:, None]) @ torch.linalg.inv(turn).transpose(1, 2)
        limit = torch.tensor([stored_hw[1] - 1, stored_hw[0] - 1], device=images.device)
        grid = (source / limit * 2 - 1).reshape(-1, height, width, 2)
        return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=True)

    def _neighbours(self, chance: _Chance, images: Tensor, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Paste the middle of another view into a strip at a side of some; joints behind it get weight 0."""
        width = self._input_hw[1]
        strip = width * chance.uniform(0.2, 0.4)
        start = torch.where(chance.uniform() < 0.5, torch.zeros_like(strip), width - strip)
        chosen = chance.uniform() < self._how.neighbour
        x = torch.arange(width, device=images.device)
        inside = chosen[:, None] & (x >= start[:, None]) & (x < (start + strip)[:, None])
        other = images.roll(1, 0).roll(width // 2, 3)
        behind = chosen[:, None] & (xy[..., 0] >= start[:, None]) & (xy[..., 0] < (start + strip)[:, None])
        return torch.where(inside[:, None, None], other, images), weight * ~behind

    def _patches(self, chance: _Chance, images: Tensor) -> Tensor:
        """Cover one to three rectangles of some views, each with one colour."""
        height, width = self._input_hw
        y, x = torch.arange(height, device=images.device)[:, None], torch.arange(width, device=images.device)
        chosen = chance.uniform() < self._how.cut_out
        for number in range(PATCHES):
            tall, wide = chance.uniform(0.08, 0.3) * height, chance.uniform(0.08, 0.3) * width
            top, left = chance.uniform() * (height - tall), chance.uniform() * (width - wide)
            used = chosen & (chance.uniform() < 1 - number / PATCHES)
            lower, right = (top + tall)[:, None, None], (left + wide)[:, None, None]
            inside = (y >= top[:, None, None]) & (y < lower) & (x >= left[:, None, None]) & (x < right)
            colour = torch.stack([chance.uniform() for _ in range(3)], 1)[..., None, None]
            images = torch.where((inside & used[:, None, None])[:, None], colour, images)
        return images

    def _on_heatmap(self, xy: Tensor) -> Tensor:
        """Map pixels of a view to heatmap pixels, as crops are mapped."""
        height, width = heatmap_size(self._input_hw)
        middle = torch.tensor([(self._input_hw[1] - 1) / 2, (self._input_hw[0] - 1) / 2], device=xy.device)
        target = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=xy.device)
        return (xy - middle) * ((width - 1) / (self._input_hw[1] - 1)) + target


class _Chance:
    """Random numbers for each of B samples, on the generator's device."""

    def __init__(self, generator: torch.Generator, count: int) -> None:
        self._generator, self._count = generator, count

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return (B,) numbers between two."""
        draws = torch.rand(self._count, generator=self._generator, device=self._generator.device)
        return low + (high - low) * draws

    def normal(self) -> Tensor:
        """Return (B,) standard normal numbers."""
        return torch.randn(self._count, generator=self._generator, device=self._generator.device)


def _coloured(chance: _Chance, share: float, images: Tensor) -> Tensor:
    """Change brightness, contrast, gamma, saturation and tint of some views."""

    def each(low: float, high: float) -> Tensor:
        return chance.uniform(low, high)[:, None, None, None]

    gain = each(0.65, 1.35) * torch.cat([each(0.9, 1.1) for _ in range(3)], dim=1)
    changed = (images.clamp_min(1e-4) ** each(0.7, 1.4) - 0.5) * gain + 0.5 + each(-0.12, 0.12)
    grey = (changed * torch.tensor(GREY, device=images.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    changed = (grey + (changed - grey) * each(0.0, 1.5)).clamp(0, 1)
    return torch.where((chance.uniform() < share)[:, None, None, None], changed, images)


def _blurred(chance: _Chance, share: float, images: Tensor) -> Tensor:
    """Reduce the resolution of some views to a half or a third."""
    which = chance.uniform()
    for factor, low, high in ((2, 0.0, share / 2), (3, share / 2, share)):
        small = functional.avg_pool2d(images, factor)
        soft = functional.interpolate(small, size=images.shape[2:], mode="bilinear", align_corners=False)
        images = torch.where(((which >= low) & (which < high))[:, None, None, None], soft, images)
    return images


def _bytes(images: Tensor) -> Tensor:
    """(B, 3, H, W) 0..1 to (B, H, W, 3) uint8."""
    return (images.permute(0, 2, 3, 1) * 255 + 0.5).clamp(0, 255).to(torch.uint8)
