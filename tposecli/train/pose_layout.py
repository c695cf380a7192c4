"""Which keypoints a model has: names, limbs, mirror pairs, OKS constants; COCO's 17, or those of a file's category."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tposecli import skeleton
from tposecli.errors import InputError

LOWER = re.compile(r"hip|knee|ankle|foot|heel|toe|leg|paw|hoof|tail")
"""Names of joints that belong to the lower half of a body."""
PLAIN_SIGMA = 0.05
"""OKS constant of joints for which a file gives none."""
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """A set of K keypoints.

    Attributes:
        names: What they are called.
        limbs: Pairs of 0-based keypoints.
        mirror: The keypoint that each one becomes when the picture is mirrored.
        sigmas: Constants of object keypoint similarity.
    """

    names: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]
    sigmas: tuple[float, ...]

    @property
    def is_coco(self) -> bool:
        """Whether these are COCO's 17."""
        return self.names == skeleton.KEYPOINTS

    @cached_property
    def halves(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Keypoints of the upper and of the lower half of the body."""
        lower = tuple(k for k, name in enumerate(self.names) if LOWER.search(name.lower()))
        return tuple(k for k in range(len(self.names)) if k not in lower), lower

    def metadata(self) -> dict[str, str]:
        """What a checkpoint says of its keypoints: JSON texts by key, for a safetensors file."""
        values = {"keypoints": self.names, "skeleton": self.limbs, "mirror": self.mirror, "sigmas": self.sigmas}
        return {key: json.dumps(value) for key, value in values.items()}


COCO = Layout(
    skeleton.KEYPOINTS, skeleton.LIMBS, skeleton.MIRROR, tuple(float(f"{sigma:g}") for sigma in skeleton.OKS_SIGMAS)
)


def layout_of(categories: Any, name: str) -> Layout:
    """The keypoints of a COCO file's category, COCO's own where it does not say.

    ``skeleton`` holds pairs counted from 1, as COCO's does; ``flip_pairs`` pairs of names, or of numbers from 1;
    without it ``left`` and ``right`` in the names decide. ``sigmas`` are the OKS constants.

    Args:
        categories: The file's list.
        name: Of the file, for messages.

    Raises:
        InputError: The category contradicts itself.
    """
    found = [entry for entry in categories or () if isinstance(entry, dict) and entry.get("keypoints")]
    if not found or tuple(found[0]["keypoints"]) == COCO.names:
        return COCO
    category = found[0]
    names = tuple(str(joint) for joint in category["keypoints"])
    try:
        limbs = tuple((int(a) - 1, int(b) - 1) for a, b in category.get("skeleton") or ())
        mirror = _mirror(names, category.get("flip_pairs"))
        sigmas = tuple(float(value) for value in category.get("sigmas") or [PLAIN_SIGMA] * len(names))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: the category's skeleton, flip_pairs or sigmas make no sense ({error})") from error
    if len(set(names)) != len(names) or len(sigmas) != len(names):
        raise InputError(f"{name}: the category needs keypoints of different names, and one of the sigmas for each")
    if any(not 0 <= end < len(names) for limb in limbs for end in limb):
        raise InputError(f"{name}: the category's skeleton names keypoints it has not; they count from 1")
    return Layout(names, limbs, mirror, sigmas)


def _mirror(names: Sequence[str], pairs: Sequence[Sequence[Any]] | None) -> tuple[int, ...]:
    """Who is whose mirror image."""
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
    """``left_paw`` for ``right_paw`` and the other way round."""
    swap = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub("|".join(swap), lambda side: swap[side.group()], name)
