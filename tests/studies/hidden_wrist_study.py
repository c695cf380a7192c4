"""Whether the attention of a hidden wrist lies on what is visible of the body, on rendered people with known occluders.

    python -m tests.studies.hidden_wrist_study transpose-s-a4 transpose-m-a3 --count 300

A person is rendered twice, alone and with a box floating before one wrist that is visible without it. Of the wrist's
map (dependency, read where the net finds the wrist, without flip test, fp32) stand the shares on visible pixels of that
person's body and on the box, for the hidden wrist and, on the same regions, for the same wrist in the picture without
the box. Chance is the share that a uniform map has there. A cell counts by the share of its pixels. Intervals are 95 %
bootstrap intervals of the mean over wrists.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.attention.stats import shares
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime, resolve_device
from tposecli.lab.synth.outfit import random_cloth
from tposecli.lab.synth.scene import Scene, Shot, Stage
from tposecli.lab.synth.things import box
from tposecli.lab.synth.training import random_crop_scene
from tposecli.models.attention_readout import Attention
from tposecli.types import Boxes, Frame

WRISTS = (9, 10)
SIZE_WH = (288, 384)
SIDE = (0.16, 0.34)
"""Side of the box, metres."""
NEAREST = 0.12
"""Distance of the box's centre from the wrist, relative to the wrist's from the camera."""
MIN_VISIBLE = 0.4
"""Of the body without the box, this share must stay visible."""
RESAMPLES = 1000

Mask = NDArray[np.bool_]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """A person alone, and with a box before a wrist.

    Attributes:
        alone, hidden: The pictures.
        wrist: Index of the keypoint.
        body: (H, W) pixels of the person that are visible beside the box.
        occluder: (H, W) pixels of the box.
    """

    alone: Shot
    hidden: Shot
    wrist: int
    body: Mask
    occluder: Mask


def owners(scene: Scene) -> NDArray[np.int64]:
    """Return the (H, W) index of the mesh that each pixel shows, people first; -1 for the backdrop."""
    stage = Stage.of(scene, 0.0, scene.view.at(0.0).magnified(scene.film.magnify))
    seen = np.full(stage.camera.size_wh[::-1], -1, np.int64)
    seen.ravel()[stage.hits.pixel] = stage.owner
    return seen


def occluded(rng: np.random.Generator, scene: Scene, wrist: int) -> Scene:
    """Return the scene with a box on the way from the camera to the wrist, as its last thing."""
    camera = scene.view.at(0.0)
    place = Stage.of(scene, 0.0, camera).keypoints[0][wrist]
    middle = place + (camera.position - place) * NEAREST
    wide, tall = rng.uniform(*SIDE, 2)
    base = (float(middle[0]), float(middle[1] - tall / 2), float(middle[2]))
    thing = box(base, (float(wide), float(tall), 0.05), float(rng.uniform(-30, 30)), random_cloth(rng).colour)
    return replace(scene, things=(*scene.things, thing))


def pairs(count: int, seed: int) -> Iterator[Pair]:
    """Yield pictures of ``count`` hidden wrists; each depends on the seed and its number only."""
    number = 0
    while count:
        rng = np.random.default_rng([seed, number])
        number += 1
        scene = random_crop_scene(rng, SIZE_WH)
        wrist = int(rng.choice(WRISTS))
        with_box = occluded(rng, scene, wrist)
        before, after = scene.measure(), with_box.measure()
        if not (1 in before.track_id and 1 in after.track_id):
            continue
        (a,), (b,) = (np.flatnonzero(shot.track_id == 1) for shot in (before, after))
        seen = before.keypoints[a, wrist, 2] == 2 and after.keypoints[b, wrist, 2] == 1
        if not seen or after.area[b] < MIN_VISIBLE * before.area[a] or before.area[a] < 0.05 * SIZE_WH[0] * SIZE_WH[1]:
            continue
        shown = owners(with_box)
        last = len(with_box.people) + len(with_box.things) - 1
        yield Pair(scene.render(), with_box.render(), wrist, shown == 0, shown == last)
        count -= 1


def region_shares(pair: Pair, estimator: PoseEstimator) -> Float64:
    """Return (3, L, 2) shares of body and box: of the hidden wrist, of the same wrist alone, and of a uniform map."""
    (row,) = np.flatnonzero(pair.alone.track_id == 1)
    around = Boxes(pair.alone.boxes.xyxy[row : row + 1], np.ones(1, np.float32))
    frames = [Frame(pair.hidden.image, 0), Frame(pair.alone.image, 1)]
    found = estimator.estimate(frames, [around, around])
    height, width = estimator.net.input_hw
    matrices = found[0].matrices
    assert matrices is not None
    grid_wh = estimator.net.grid_hw[::-1]
    parts = []
    for mask in (pair.body, pair.occluder):
        crop = cv2.warpAffine(mask.astype(np.float32), matrices[0], (width, height))
        parts.append(cv2.resize(crop, grid_wh, interpolation=cv2.INTER_AREA))
    regions = np.stack(parts).astype(np.float64)
    rows = []
    for result in found:
        assert result.attention is not None
        maps = shares(result.attention[0, :, pair.wrist])
        rows.append(np.einsum("lhw,rhw->lr", maps, regions))
    return np.stack([*rows, np.broadcast_to(regions.mean(axis=(1, 2)), rows[0].shape)])


def interval(values: Float64) -> tuple[float, float]:
    """Return the bootstrap interval of the mean of (N,) values."""
    chosen = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def study(model: str, count: int, seed: int, device: str = "cpu") -> Float64:
    """Return (N, 3, L, 2) shares, see :func:`region_shares`, of all layers of a model."""
    runtime = Runtime.resolve(device, "fp32", backend="torch")
    layers = len(PoseEstimator(model, runtime=runtime).net.global_encoder.layers)
    estimator = PoseEstimator(model, runtime=runtime, attention=Attention(tuple(range(layers))))
    return np.stack([region_shares(pair, estimator) for pair in pairs(count, seed)])


def lines(found: Float64) -> Iterator[str]:
    """Yield a row of the table for each layer."""
    for layer in range(found.shape[2]):
        hidden, alone, chance = (found[:, who, layer] for who in range(3))
        low, high = interval(hidden[:, 0])
        more = (hidden[:, 0] > chance[:, 0]).mean()
        yield (
            f"| {layer + 1} | {hidden[:, 0].mean():.3f} ({low:.3f} to {high:.3f}) | {chance[:, 0].mean():.3f} "
            f"| {more:.0%} | {alone[:, 0].mean():.3f} | {hidden[:, 1].mean():.3f} | {chance[:, 1].mean():.3f} |"
        )


def main(models: Sequence[str], count: int, seed: int) -> None:
    """Print a table for each model."""
    print("| layer | hidden wrist: body | chance | above chance | same wrist, visible | box | chance |")  # noqa: T201
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    for model in models:
        print(f"{model}, {count} wrists, seed {seed}")  # noqa: T201
        for line in lines(study(model, count, seed, str(resolve_device("cpu")))):
            print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="models of the catalogue")
    parser.add_argument("--count", type=int, default=300, help="hidden wrists")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    main(given.models, given.count, given.seed)
