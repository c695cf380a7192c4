"""The keypoint layout of a training set: COCO's 17 keypoints, or those of its file's category."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.utils.errors import InputError

LOWER = re.compile(r"hip|knee|ankle|foot|heel|toe|leg|paw|hoof|tail")
"""Matches the names of joints in the lower half of a body."""
DEFAULT_SIGMA = 0.05
"""OKS constant of joints for which the file gives none."""


def halves(layout: KeypointLayout) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the keypoints of the upper and of the lower half of the body."""
    lower = tuple(k for k, name in enumerate(layout.names) if LOWER.search(name.lower()))
    return tuple(k for k in range(len(layout)) if k not in lower), lower


def layout_of(category: Mapping[str, Any], name: str) -> KeypointLayout:
    """Return the keypoint layout of a COCO file's category; COCO's own if the category names no keypoints.

    ``skeleton`` holds pairs counted from 1, as in COCO; ``flip_pairs`` holds pairs of names or of numbers from 1, and
    defaults to names that differ in ``left`` and ``right``. ``sigmas`` holds the OKS constants.

    Args:
        category: The category, empty if the file has none.
        name: Name of the file, for messages.

    Raises:
        InputError: The category contradicts itself.
    """
    if not category.get("keypoints") or category["keypoints"] == list(COCO.names):
        return COCO
    try:
        names = tuple(str(joint) for joint in category["keypoints"])
        limbs = tuple((int(a) - 1, int(b) - 1) for a, b in category.get("skeleton") or ())
        mirror = _mirror(names, category.get("flip_pairs"))
        sigmas = tuple(float(value) for value in category.get("sigmas") or [DEFAULT_SIGMA] * len(names))
        return KeypointLayout(names, limbs, mirror, sigmas)
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"{name}: the category's keypoints, skeleton, flip_pairs or sigmas: {error}") from error


def _mirror(names: Sequence[str], pairs: Sequence[Sequence[Any]] | None) -> tuple[int, ...]:
    """Return, for each keypoint, the keypoint that it becomes in the mirror image."""
    mirror = list(range(len(names)))
    if pairs is None:
        swapped = [_other_side(name) for name in names]
        return tuple(names.index(other) if other in names else k for k, other in enumerate(swapped))
    for one, two in pairs:
        a, b = (names.index(end) if isinstance(end, str) else int(end) - 1 for end in (one, two))
        if not (0 <= a < len(names) and 0 <= b < len(names)):
            raise ValueError(f"flip pair {one}, {two}")
        mirror[a], mirror[b] = b, a
    return tuple(mirror)


def _other_side(name: str) -> str:
    """Return ``left_paw`` for ``right_paw`` and vice versa."""
    swap = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub("|".join(swap), lambda side: swap[side.group()], name)
