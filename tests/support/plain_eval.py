"""A plain reimplementation of the authors' test procedure, for comparison: one person at a time, decoding in loops.

As a script it measures the time of this implementation and of the package's::

    python -m tests.support.plain_eval person_keypoints_val2017.json images/val2017 transpose-m-a3
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tposecli.evaluation.coco.job import DataChoice, EvalJob, EvalOutputs
from tposecli.evaluation.coco.run import run_eval
from tposecli.geometry.keypoints import MIRROR, OKS_SIGMAS
from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.inference.options import ModelChoice
from tposecli.models.pose_net import IMAGENET_MEAN, IMAGENET_STD, PoseNet

Array = NDArray[Any]
BATCH = 32


class PersonCrops(torch.utils.data.Dataset[dict[str, Any]]):
    """Annotated people, or detections, one crop each; the image is read again for each of its people."""

    def __init__(self, images: Path, people: list[dict[str, Any]], size_wh: tuple[int, int]) -> None:
        self.images, self.people, self.size_wh = images, people, size_wh

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> dict[str, Any]:
        person = self.people[index]
        path = str(self.images / person["file_name"])
        image = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), cv2.COLOR_BGR2RGB)
        center, scale = region(person["box"], self.size_wh[0] / self.size_wh[1])
        crop = cv2.warpAffine(image, affine(center, scale, self.size_wh), self.size_wh, flags=cv2.INTER_LINEAR)
        tensor = torch.from_numpy(crop.transpose(2, 0, 1).copy()).float() / 255
        mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
        return {"input": (tensor - mean) / std, "center": center, "scale": scale, "index": index}


def region(box: list[float], aspect: float) -> tuple[Array, Array]:
    """Return the centre, and the padded size in units of 200 pixels."""
    x, y, w, h = box
    center = np.array([x + (w - 1) * 0.5, y + (h - 1) * 0.5], np.float32)
    if w > aspect * h:
        h = w / aspect
    elif w < aspect * h:
        w = h * aspect
    return center, np.array([w / 200, h / 200], np.float32) * np.float32(1.25)


def affine(center: Array, scale: Array, size_wh: tuple[int, int]) -> Array:
    """Return the map from frame to crop, from three points in single precision."""
    reach = np.float32((scale[0] * np.float32(200) - 1) * np.float32(0.5))
    middle = np.array([(size_wh[0] - 1) / 2, (size_wh[1] - 1) / 2], np.float32)
    source, target = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    for points, origin, length in ((source, center, reach), (target, middle, np.float32((size_wh[0] - 1) / 2))):
        points[0] = origin
        points[1] = origin + np.array([0, -length], np.float32)
        step = points[0] - points[1]
        points[2] = points[1] + np.array([-step[1], step[0]], np.float32)
    return np.asarray(cv2.getAffineTransform(source, target))


def decode_one(heatmap: Array) -> tuple[float, float, float]:
    """Return refined x, y in heatmap pixels and the peak of one heatmap."""
    height, width = heatmap.shape
    place = int(heatmap.argmax())
    x, y, peak = place % width, place // width, float(heatmap.flat[place])
    if peak <= 0:
        x = y = 0
    padded = np.zeros((height + 10, width + 10), np.float32)
    padded[5:-5, 5:-5] = heatmap
    blurred = cv2.GaussianBlur(padded, (11, 11), 0)[5:-5, 5:-5]
    log = np.log(np.maximum(blurred * (heatmap.max() / blurred.max()), 1e-10))
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return x, y, peak
    gradient = 0.5 * np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
    hxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
    hyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
    hxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
    hessian = np.array([[hxx, hxy], [hxy, hyy]])
    if hxx * hyy - hxy**2 == 0:
        return x, y, peak
    dx, dy = -np.linalg.inv(hessian) @ gradient
    return x + float(dx), y + float(dy), peak


def flipped_back(heatmaps: Array) -> Array:
    """Return the (B, K, h, w) heatmaps of mirrored crops, mirrored back."""
    turned = heatmaps[:, :, :, ::-1].copy()
    back = turned.copy()
    for keypoint, other in enumerate(MIRROR):
        back[:, keypoint] = turned[:, other]
    return back


def measured(net: PoseNet, people: PersonCrops, workers: int) -> Iterator[dict[str, Any]]:
    """Return each person's keypoints, area and score, before suppression."""
    loader = torch.utils.data.DataLoader(people, BATCH, num_workers=workers)
    for batch in loader:
        with torch.no_grad():
            maps = net(batch["input"]).numpy()
            maps = (maps + flipped_back(net(batch["input"].flip(3)).numpy())) * 0.5
        for row, index in enumerate(batch["index"].tolist()):
            center, scale = batch["center"][row].numpy(), batch["scale"][row].numpy()
            back = cv2.invertAffineTransform(affine(center, scale, (maps.shape[3], maps.shape[2])))
            keypoints, above = [], []
            for heatmap in maps[row]:
                x, y, peak = decode_one(heatmap)
                keypoints += [*(back @ np.array([x, y, 1])).tolist(), peak]
                above += [peak] if peak > 0.2 else []
            score = people.people[index]["score"] * (sum(above) / len(above) if above else 0)
            yield {
                "image_id": people.people[index]["image_id"],
                "keypoints": keypoints,
                "score": score,
                "center": center.tolist(),
                "scale": scale.tolist(),
                "area": float(scale[0] * 200 * scale[1] * 200),
            }


def suppressed(people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the people of one image, best first, without those whose OKS with a better one exceeds 0.9."""
    kept: list[dict[str, Any]] = []
    for person in sorted(people, key=lambda one: float(one["score"]))[::-1]:
        if all(oks(person, better) <= 0.9 for better in kept):
            kept.append(person)
    return kept


def oks(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Return the OKS of two poses."""
    total, size = 0.0, (first["area"] + second["area"]) / 2 + np.spacing(1)
    for k, sigma in enumerate(OKS_SIGMAS):
        dx = first["keypoints"][3 * k] - second["keypoints"][3 * k]
        dy = first["keypoints"][3 * k + 1] - second["keypoints"][3 * k + 1]
        total += float(np.exp(-(dx**2 + dy**2) / (2 * float(sigma)) ** 2 / size / 2))
    return total / len(OKS_SIGMAS)


def true_people(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return annotated people with their boxes clipped to the image, in the order of the images."""
    people = []
    for image in content["images"]:
        for one in content["annotations"]:
            if one["image_id"] != image["id"] or one["iscrowd"] or one["area"] <= 0 or max(one["keypoints"]) == 0:
                continue
            x, y, w, h = one["bbox"]
            x1, y1 = max(0, x), max(0, y)
            x2, y2 = min(image["width"] - 1, x1 + max(0, w - 1)), min(image["height"] - 1, y1 + max(0, h - 1))
            if x2 >= x1 and y2 >= y1:
                box = [x1, y1, x2 - x1 + 1, y2 - y1 + 1]
                people.append({"image_id": image["id"], "file_name": image["file_name"], "box": box, "score": 1.0})
    return people


def plain_rows(net: PoseNet, images: Path, people: list[dict[str, Any]], workers: int = 0) -> list[dict[str, Any]]:
    """Return the rows of the results file."""
    by_image: dict[int, list[dict[str, Any]]] = {}
    for person in measured(net, PersonCrops(images, people, (net.input_hw[1], net.input_hw[0])), workers):
        by_image.setdefault(person["image_id"], []).append(person)
    return [person for some in by_image.values() for person in suppressed(some)]


class _Silent:
    """A watcher that prints nothing."""

    def begin(self, *_: Any) -> None: ...

    def seen(self, *_: Any) -> None: ...

    def end(self, *_: Any) -> None: ...


def main(annotations: Path, images: Path, model: str = "transpose-m-a3") -> None:
    """Time both implementations, after a short warm-up of each."""
    content = json.loads(annotations.read_text())
    net, people = load(resolve(model)), true_people(content)
    list(plain_rows(net, images, people[:4]))
    start = time.perf_counter()
    plain = plain_rows(net, images, people, workers=1)
    plain_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        outputs = EvalOutputs(Path(folder) / "results.json")
        data = DataChoice(None, annotations=annotations, images=images)
        report = run_eval(EvalJob(data, "gt", model=ModelChoice(model, flip_test=True), outputs=outputs), _Silent())
        ours = json.loads((Path(folder) / "results.json").read_text())
    wall_s = report.summary.wall_s
    apart = np.abs(np.subtract([row["keypoints"] for row in plain], [row["keypoints"] for row in ours])).max()
    sys.stdout.write(
        f"{len(people)} people, {torch.get_num_threads()} threads, largest difference of a number {apart:.1g}\n"
        f"one at a time {plain_s:.2f} s, tpose eval {wall_s:.2f} s: {plain_s / wall_s:.2f} times as fast\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
