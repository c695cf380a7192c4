"""The loss of the person detector, and the assignment of its cells to people.

The assignment is task-aligned (TOOD, Feng et al., ICCV 2021): each box is assigned the cells inside it whose score and
IoU are jointly highest, and their target score is based on the IoU. The loss is the quality focal loss of the scores
and the distribution focal loss of the distances (Generalized Focal Loss, Li et al., NeurIPS 2020) plus the generalised
IoU loss of the boxes (Rezatofighi et al., CVPR 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tposecli.lab.training.detector.canvas import CELL
from tposecli.models.person_detector import BINS, Cells, Dense, cells

TOP_CELLS = 10
SCORE_POWER = 0.5
OVERLAP_POWER = 4.0
BOX_WEIGHT = 2.0
BINS_WEIGHT = 0.25
MAX_DOUBTFUL_SCORE = 0.35
"""A cell scored higher in an incompletely annotated region (weight below 1) may see a real person: it is ignored."""
MIN_REPEAT_IOU = 0.3
"""A box that overlaps an annotated person more than this is no unannotated one, but repeats it: it is not ignored."""
MIN_QUALITY = 0.05
"""Lowest target score of the best cell of a person, so that people whom no box meets are learnt."""


class Targets(NamedTuple):
    """The ground truth of a batch.

    Attributes:
        xyxy: (B, M, 4) boxes, input pixels, padded with zeros.
        real: (B, M) False for the padding.
        weight: (B, H / CELL, W / CELL) weight of false positives: 0 in crowds, below 1 where people may be unannotated.
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
def assign(dense: Dense, targets: Targets, where: Cells) -> Assigned:
    """Assign each person their best cells, and each cell at most one person.

    Args:
        dense: Predictions at A cells.
        targets: M people per image, padded.
        where: The cells.
    """
    people = targets.xyxy
    inside = _inside(people, where) * targets.real[:, :, None]
    iou = pair_iou(people[:, :, None], dense.xyxy[:, None]) * inside
    # Where no box overlaps the person yet, the nearest cells win.
    near = inside / (1 + _cells_away(people, where))
    metric = dense.logit.sigmoid()[:, None] ** SCORE_POWER * iou**OVERLAP_POWER + 1e-9 * (inside + near)
    best = metric.topk(min(TOP_CELLS, metric.shape[2]), dim=2).indices
    chosen = torch.zeros_like(metric).scatter_(2, best, 1.0) * (metric > 0)
    winner = (iou * chosen + 1e-9 * chosen).argmax(dim=1, keepdim=True)
    chosen = chosen * torch.zeros_like(chosen).scatter_(1, winner, 1.0)
    metric, iou = metric * chosen, iou * chosen
    best_iou = iou.amax(dim=2, keepdim=True).clamp(min=MIN_QUALITY)
    quality = metric / metric.amax(dim=2, keepdim=True).clamp(min=1e-12) * best_iou * chosen
    index = winner.squeeze(1)[..., None].expand(-1, -1, 4)
    return Assigned(quality.amax(dim=1), people.gather(1, index))


def _inside(people: Tensor, where: Cells) -> Tensor:
    """Return (B, M, A), 1 where a cell's centre lies in the box; boxes are grown to at least 1.5 cells."""
    middle = (people[..., :2] + people[..., 2:]) / 2
    half = (people[..., 2:] - people[..., :2]) / 2
    reach = torch.maximum(half[:, :, None], where.stride[:, None] * 0.75)
    return ((where.centre - middle[:, :, None]).abs() < reach).all(dim=3).float()


def _cells_away(people: Tensor, where: Cells) -> Tensor:
    """Return (B, M, A) squared distances from a box's middle to the cells, in cells."""
    middle = (people[..., :2] + people[..., 2:]) / 2
    return ((where.centre - middle[:, :, None]) / where.stride[:, None]).square().sum(dim=3)


def detector_loss(dense: Dense, targets: Targets, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the score loss and the (already weighted) box loss of a batch of images of ``size_hw`` pixels."""
    where = cells(size_hw, dense.logit.device)
    assigned = assign(dense, targets, where)
    positive = assigned.score > 0
    mass = assigned.score.sum().clamp(min=1.0)
    error = functional.binary_cross_entropy_with_logits(dense.logit, assigned.score, reduction="none")
    focus = (dense.logit.sigmoid() - assigned.score).square()
    score = error * focus * _weights(dense, targets, where, positive)
    wanted, share = assigned.xyxy[positive], assigned.score[positive]
    box = giou_loss(dense.xyxy[positive], wanted) * share
    number = positive.nonzero()[:, 1]
    bins = bins_loss(dense.bins[positive], wanted, Cells(where.centre[number], where.stride[number])) * share
    return score.sum() / mass, (BOX_WEIGHT * box.sum() + BINS_WEIGHT * bins.sum()) / mass


def bins_loss(bins: Tensor, wanted: Tensor, where: Cells) -> Tensor:
    """Return the (P,) cross-entropies of P cells' distances: the two bins around each true distance share it.

    Args:
        bins: (P, 4, BINS) logits.
        wanted: (P, 4) true boxes, input pixels.
        where: The P cells.
    """
    sides = torch.cat([where.centre - wanted[:, :2], wanted[:, 2:] - where.centre], dim=1)
    distance = (sides / where.stride[:, None]).clamp(0, BINS - 1.01)
    lower = distance.long()
    upper_share = distance - lower
    log = bins.log_softmax(dim=2)
    below, above = (log.gather(2, (lower + step)[..., None]).squeeze(2) for step in (0, 1))
    return -(below * (1 - upper_share) + above * upper_share).mean(dim=1)


@torch.no_grad()
def _weights(dense: Dense, targets: Targets, where: Cells, positive: Tensor) -> Tensor:
    """Return the (B, A) weights of the cells: what may be a person without annotation is ignored."""
    rows, columns = (where.centre / CELL).long().flip(1).unbind(1)
    weight = targets.weight[:, rows, columns]
    repeat = pair_iou(targets.xyxy[:, :, None], dense.xyxy[:, None]).amax(dim=1) > MIN_REPEAT_IOU
    doubtful = (weight < 1) & (dense.logit.sigmoid() > MAX_DOUBTFUL_SCORE)
    weight = torch.where(doubtful, torch.where(repeat & (weight > 0), 1.0, 0.0), weight)
    return torch.where(positive, 1.0, weight)
