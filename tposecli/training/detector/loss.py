"""The loss of the person detector, and the assignment of its cells to people.

The assignment is task-aligned (TOOD, Feng et al., ICCV 2021): each box is assigned the cells inside it whose score and
IoU are jointly highest, and their target score is based on the IoU. The loss is the cross-entropy of the scores plus
the generalised IoU loss of the boxes (Rezatofighi et al., CVPR 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tposecli.models.person_detector import STRIDE, Dense, cells

TOP_CELLS = 10
SCORE_POWER = 0.5
OVERLAP_POWER = 4.0
BOX_WEIGHT = 2.0
MAX_DOUBTFUL_SCORE = 0.4
"""A cell scored higher in an incompletely annotated region (weight below 1) may see a real person: it is ignored."""


class Targets(NamedTuple):
    """The ground truth of a batch.

    Attributes:
        xyxy: (B, M, 4) boxes, input pixels, padded with zeros.
        real: (B, M) False for the padding.
        weight: (B, H / 8, W / 8) weight of false positives: 0 in crowds, below 1 where people may be unannotated.
    """

    xyxy: Tensor
    real: Tensor
    weight: Tensor


class Assigned(NamedTuple):
    """The targets of every cell.

    Attributes:
        score: (B, A) target score, 0 for background.
        xyxy: (B, A, 4) target box, input pixels.
    """

    score: Tensor
    xyxy: Tensor


def pair_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union of (..., 4) boxes, elementwise and broadcast over the leading dimensions."""
    overlap, union = _overlap_union(first, second)
    return overlap / union.clamp(min=1e-6)


def _overlap_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    left_top = torch.maximum(first[..., :2], second[..., :2])
    right_bottom = torch.minimum(first[..., 2:], second[..., 2:])
    overlap = (right_bottom - left_top).clamp(min=0).prod(dim=-1)
    area = (first[..., 2:] - first[..., :2]).prod(dim=-1) + (second[..., 2:] - second[..., :2]).prod(dim=-1)
    return overlap, area - overlap


def giou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return 1 - GIoU of (..., 4) boxes, elementwise."""
    overlap, union = _overlap_union(predicted, target)
    left_top = torch.minimum(predicted[..., :2], target[..., :2])
    right_bottom = torch.maximum(predicted[..., 2:], target[..., 2:])
    hull = (right_bottom - left_top).prod(dim=-1).clamp(min=1e-6)
    return 1 - overlap / union.clamp(min=1e-6) + (hull - union) / hull


@torch.no_grad()
def assign(dense: Dense, targets: Targets, centre: Tensor) -> Assigned:
    """Assign each person their best cells, and each cell at most one person.

    Args:
        dense: Predictions at A cells.
        targets: M people per image, padded.
        centre: (A, 2) centres of the cells, input pixels.
    """
    people = targets.xyxy
    iou = pair_iou(people[:, :, None], dense.xyxy[:, None]) * targets.real[:, :, None]
    metric = dense.logit.sigmoid()[:, None] ** SCORE_POWER * iou**OVERLAP_POWER
    metric = metric * _inside(people, centre) + 1e-9 * _inside(people, centre)
    metric = metric * targets.real[:, :, None]
    best = metric.topk(min(TOP_CELLS, metric.shape[2]), dim=2).indices
    chosen = torch.zeros_like(metric).scatter_(2, best, 1.0) * (metric > 0)
    winner = (iou * chosen + 1e-9 * chosen).argmax(dim=1, keepdim=True)
    chosen = chosen * torch.zeros_like(chosen).scatter_(1, winner, 1.0)
    metric, iou = metric * chosen, iou * chosen
    quality = metric / metric.amax(dim=2, keepdim=True).clamp(min=1e-12) * iou.amax(dim=2, keepdim=True)
    index = winner.squeeze(1)[..., None].expand(-1, -1, 4)
    return Assigned(quality.amax(dim=1), people.gather(1, index))


def _inside(people: Tensor, centre: Tensor) -> Tensor:
    """Return (B, M, A), 1 where a cell's centre lies in the box; boxes are grown to at least 1.5 cells."""
    middle = (people[..., :2] + people[..., 2:]) / 2
    half = ((people[..., 2:] - people[..., :2]) / 2).clamp(min=STRIDE * 0.75)
    return ((centre[None, None] - middle[:, :, None]).abs() < half[:, :, None]).all(dim=3).float()


def detector_loss(dense: Dense, targets: Targets, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the score loss and the (already weighted) box loss of a batch of images of ``size_hw`` pixels."""
    shape_hw = size_hw[0] // STRIDE, size_hw[1] // STRIDE
    centre = cells(shape_hw, dense.logit.device) + STRIDE / 2
    assigned = assign(dense, targets, centre)
    positive = assigned.score > 0
    mass = assigned.score.sum().clamp(min=1.0)
    probability = dense.logit.detach().sigmoid()
    weight_map = functional.interpolate(targets.weight[:, None], shape_hw).flatten(1)
    weight_map = torch.where(
        (weight_map < 1) & (probability > MAX_DOUBTFUL_SCORE), torch.zeros_like(weight_map), weight_map
    )
    weight = torch.where(positive, torch.ones_like(weight_map), weight_map)
    score = functional.binary_cross_entropy_with_logits(dense.logit, assigned.score, reduction="none")
    box = giou_loss(dense.xyxy[positive], assigned.xyxy[positive]) * assigned.score[positive]
    return (score * weight).sum() / mass, BOX_WEIGHT * box.sum() / mass
