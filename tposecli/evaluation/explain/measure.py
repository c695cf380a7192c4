"""Measure the explanations of a model on the annotated people of a set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from tposecli.attention.stats import (
    Float64,
    Mask,
    box_masks,
    box_sides,
    distinctness,
    entropies,
    joint_distances,
    shares,
)
from tposecli.evaluation.coco.boxes import boxed_people, boxes_of
from tposecli.evaluation.coco.estimate import EvalImages
from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import KeypointSet, Record, images_path
from tposecli.evaluation.coco.problems import Problems
from tposecli.evaluation.explain.curves import (
    Curves,
    Probe,
    descending_orders,
    measure_curves,
    random_orders,
)
from tposecli.evaluation.explain.figures import Explanations, Places, figures_of
from tposecli.evaluation.explain.options import ExplainOptions
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.inference.estimator import PoseEstimator
from tposecli.pipeline.job import Watcher
from tposecli.sources.image_store import open_images
from tposecli.types import Boxes, Frame, Result, SourceInfo
from tposecli.utils.errors import UsageError

NEAR: Final = 0.1
"""What is near a joint, as a fraction of the longer side of the person's box."""
MIN_PEAK: Final = 0.2
"""Keypoints of lower peaks are not put to the test."""
GROUP: Final = 8
"""Images whose people share batches."""


@dataclass(frozen=True, eq=False, slots=True)
class _Person:
    """One person of an image.

    Attributes:
        number: Position among all people of the set.
        labelled: (K,) whether each keypoint is annotated.
    """

    number: int
    box: Boxes
    labelled: NDArray[np.bool_]


def measure_explanations(
    options: ExplainOptions, data: DataChoice, truth: KeypointSet, measured: PoseEstimator, watcher: Watcher
) -> Explanations:
    """Return the figures of explanations, see the docstring of the package.

    Args:
        options: What to measure.
        data: Where the images are.
        truth: The set.
        measured: The estimator of the evaluation, whose weights and runtime are used.
        watcher: Receives the progress.

    Raises:
        UsageError: The set has no annotated people, or the net has fewer layers.
    """
    people = _people(truth)
    total = sum(map(len, people.values()))
    if not total:
        raise UsageError(f"{truth.title}: no annotated people; --explain needs their boxes and keypoints")
    style = options.attention.resolved(measured.spec.layers)
    estimator = PoseEstimator(measured.checkpoint, None, measured.runtime, attention=style.request)
    chosen = set(np.linspace(0, total - 1, min(options.people, total)).round().astype(int).tolist())
    places: list[Places] = []
    curves: list[Curves] = []
    store = open_images(images_path(data))
    names = [(index, truth.images[index].name) for index in people if store.has(truth.images[index].name)]
    source = EvalImages(store, truth, names, Problems())
    watcher.begin(SourceInfo(f"explanations, {truth.title}"), len(names))
    for results, owners in _results(source, people, estimator):
        for result, own in zip(results, owners, strict=True):
            labelled = np.array([person.labelled for person in own])
            places.append(_places(result, labelled, estimator))
            curves += _curves(result, own, chosen, estimator)
            watcher.seen(result)
    return figures_of(style.layer_names, style.mode, places, curves)


def _people(truth: KeypointSet) -> Mapping[int, Sequence[_Person]]:
    """Return the people of each image who have a box, by the image's position in the set."""
    found: dict[int, list[_Person]] = {}
    number = 0
    boxed = boxed_people(truth)
    for index, image in enumerate(truth.images):
        for person, box in boxed.get(image.id, ()):
            found.setdefault(index, []).append(_Person(number, boxes_of([(box, 1.0)]), _labelled(person)))
            number += 1
    return found


def _labelled(person: Record) -> NDArray[np.bool_]:
    visibility: NDArray[np.bool_] = np.array(person["keypoints"][2::3]) > 0
    return visibility


def _results(
    source: EvalImages, people: Mapping[int, Sequence[_Person]], estimator: PoseEstimator
) -> Iterator[tuple[list[Result], list[Sequence[_Person]]]]:
    """Yield the poses and attention of groups of images, and whose they are."""
    frames: Iterator[Frame] = iter(source)
    while group := list(islice(frames, GROUP)):
        owners = [people[frame.index] for frame in group]
        yield estimator.estimate(group, [_joined(own) for own in owners]), owners


def _joined(people: Sequence[_Person]) -> Boxes:
    """Return the boxes of people as one."""
    xyxy = np.concatenate([person.box.corners for person in people])
    return Boxes(xyxy.astype(np.float32), np.ones(len(xyxy), np.float32), xyxy)


def _neighbours(layout: KeypointLayout, near: Mask) -> Mask:
    """Return the (N, K, h, w) cells near the neighbours of each joint in the skeleton, but not near itself."""
    adjacent = np.zeros((len(layout), len(layout)), np.bool_)
    for first, second in layout.limbs:
        adjacent[first, second] = adjacent[second, first] = True
    around: Mask = np.einsum("kj,njhw->nkhw", adjacent.astype(np.uint8), near.astype(np.uint8)) > 0
    return around & ~near


def _places(result: Result, labelled: Mask, estimator: PoseEstimator) -> Places:
    """Return the statistics of the maps of one image."""
    assert result.attention is not None
    stride = estimator.spec.stride
    near: Mask = joint_distances(result, stride) <= NEAR
    inside = np.broadcast_to(box_masks(result, stride)[:, None], near.shape)
    masks = np.stack((inside, near, _neighbours(estimator.layout, near)), axis=1)
    layers = [shares(result.attention[:, layer]) for layer in range(result.attention.shape[1])]
    cells = masks.shape[3] * masks.shape[4]
    weight = labelled[:, None].astype(np.float64)
    return Places(
        distinctness=np.stack([distinctness(share) for share in layers], axis=1),
        entropy=np.stack([entropies(share).mean(axis=1) for share in layers], axis=1) / np.log2(cells),
        inside=np.stack([_mean_share(share, masks, weight) for share in layers], axis=1),
        uniform=(masks.mean(axis=(3, 4)) * weight).sum(axis=2) / np.maximum(weight.sum(axis=2), 1),
    )


def _mean_share(share: Float64, masks: Mask, weight: Float64) -> Float64:
    """Return the (N, 3) shares of attention in three masks, mean of labelled keypoints."""
    within = np.einsum("nkhw,nmkhw->nmk", share, masks)
    return np.asarray((within * weight).sum(axis=2) / np.maximum(weight.sum(axis=2), 1))


def _curves(result: Result, people: Sequence[_Person], chosen: set[int], estimator: PoseEstimator) -> Iterator[Curves]:
    """Yield the curves of the chosen people of one image, except those of whom no keypoint is sure."""
    if chosen.isdisjoint(person.number for person in people):
        return
    assert result.attention is not None
    crops = estimator.crops([result.frame], [result.poses.boxes])
    stride = estimator.spec.stride
    inside, sizes, far = box_masks(result, stride), box_sides(result), joint_distances(result, stride)
    cpu, batch = torch.device("cpu"), estimator.runtime.batch_size
    for row, person in enumerate(people):
        sure = np.flatnonzero(person.labelled & (result.poses.score[row] > MIN_PEAK))
        if person.number in chosen and len(sure):
            crop = crops.batch(slice(row, row + 1), cpu)[0].numpy()
            orders = descending_orders(result.attention[row].transpose(1, 0, 2, 3)[sure])
            nearest, random = descending_orders(-far[row, sure]), random_orders(inside[row], person.number)
            probe = Probe(crop, sure, orders, nearest, random, float(sizes[row]))
            yield measure_curves(probe, estimator.heatmaps, batch, estimator.net.grid_hw)
