"""Compare this package's tracker with plain box IoU and ByteTrack on ten rendered crossings: IDF1, HOTA, id switches.

Run as a module, it prints the table, for true poses with noise or for the bundled nets (about two minutes a clip)::

    python -m tests.studies.tracking_study truth
    python -m tests.studies.tracking_study nets 101 102
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.similarity import box_iou, matched
from tposecli.lab.synth.clips import QUICK_FILM, crossing_scene
from tposecli.lab.synth.scene import Scene, Shot
from tposecli.tracking.options import TrackOptions
from tposecli.tracking.tracker import Tracker
from tposecli.types import Boxes, Frame, Poses

SEEDS = range(101, 111)
FPS, FRAMES = 25, 140
NOISE = 0.02
"""Standard deviation of keypoints and box edges, relative to the person's height."""
MISSING = 0.05
"""Share of people who are not detected."""
ACTIVATION = TrackOptions().activation
VISIBLE = 0.25
"""People less visible than this are ignored: they count neither as missed nor as false."""

Ids = NDArray[np.int64]
Follow = Callable[[list[Poses]], list[Ids]]


@dataclass(frozen=True, slots=True)
class Moment:
    """The truth of one frame.

    Attributes:
        shot: Image and people.
        share: (N,) visible share of each person's body.
    """

    shot: Shot
    share: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.bool_]:
        """Which of the N people are visible enough to be found."""
        return self.share >= VISIBLE


def moments(seed: int, rendered: bool, frames: int = FRAMES) -> Iterator[Moment]:
    """Yield a clip of five to eight people who cross, depending on the seed; images are black unless rendered."""
    scene = crossing_scene(seed, 5 + seed % 4, FRAMES / FPS, QUICK_FILM)
    for index in range(frames):
        shot = scene.render(index / FPS) if rendered else scene.measure(index / FPS)
        yield Moment(shot, _share(scene, shot, index / FPS))


def _share(scene: Scene, shot: Shot, time_s: float) -> NDArray[np.float64]:
    """Return the (N,) visible shares: parts hidden by others or outside the image do not count."""
    limit = np.array([*scene.view.at(time_s).size_wh] * 2) - 1
    inside = _area(np.clip(shot.full_xyxy, 0, limit)) / np.maximum(_area(shot.full_xyxy), 1)
    number = {person.track_id: person for person in scene.people}
    alone = [replace(scene, people=(number[track],)).measure(time_s).area[0] for track in shot.track_id.tolist()]
    return np.asarray(shot.area / np.maximum(alone, 1) * inside if len(shot) else np.zeros(0), np.float64)


def _area(xyxy: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None).prod(axis=1))


def noisy(clip: Sequence[Moment], seed: int) -> list[Poses]:
    """Return the true poses with noise, some missing; hidden keypoints score less, those outside the image least."""
    rng = np.random.default_rng([seed, 77])
    found = []
    for moment in clip:
        shot, kept = moment.shot, moment.counts & (rng.random(len(moment.share)) >= MISSING)
        deviation = NOISE * (shot.full_xyxy[:, 3] - shot.full_xyxy[:, 1])[:, None]
        xyxy = shot.boxes.xyxy + rng.normal(size=(len(shot), 4)) * deviation
        xy = shot.keypoints[:, :, :2] + rng.normal(size=(len(shot), 17, 2)) * deviation[:, :, None]
        score = np.array([0.1, 0.5, 0.9])[shot.keypoints[:, :, 2].astype(int)]
        found.append(Poses(Boxes(xyxy, np.full(len(shot), 0.9)), xy, score)[kept])
    return found


def measured(clip: Sequence[Moment]) -> list[Poses]:
    """Return the poses that the bundled nets find in the rendered images, weak detections included."""
    from tposecli.detection.factory import DetectorOptions, build_detector
    from tposecli.inference.estimator import PoseEstimator

    estimator = PoseEstimator("transpose-m-a3")
    detector = build_detector(DetectorOptions(), estimator.runtime, tracked=True)
    frames = [Frame(moment.shot.image, index, index / FPS) for index, moment in enumerate(clip)]
    groups = [frames[start : start + 8] for start in range(0, len(frames), 8)]
    return [result.poses for group in groups for result in estimator.estimate(group, detector.detect(group))]


def ours(clip: list[Poses]) -> list[Ids]:
    """Return the ids assigned by this package."""
    tracker = Tracker()
    return [tracker.update(poses, index / FPS).track_id for index, poses in enumerate(clip)]


def plain_iou(clip: list[Poses]) -> list[Ids]:
    """Return ids by IoU with the last box alone, at least 0.3, kept for a second.

    Weak boxes are left out: they would only make it worse.
    """
    known: dict[int, tuple[NDArray[np.float32], int]] = {}
    given, count = [], 0
    for index, poses in enumerate(clip):
        known = {track: (box, seen) for track, (box, seen) in known.items() if index - seen <= FPS}
        boxes = np.array([box for box, _ in known.values()], np.float32).reshape(-1, 4)
        strong = poses.boxes.score >= ACTIVATION
        iou = box_iou(boxes, poses.boxes.xyxy) * strong
        ids = np.full(len(poses), -1)
        for row, person in zip(*matched(iou), strict=True):
            ids[person] = list(known)[row] if iou[row, person] >= 0.3 else -1
        new = np.flatnonzero((ids < 0) & strong)
        ids[new] = count + 1 + np.arange(len(new))
        count += len(new)
        known |= {int(ids[person]): (poses.boxes.xyxy[person], index) for person in np.flatnonzero(ids > 0)}
        given.append(ids)
    return given


def byte_track(clip: list[Poses]) -> list[Ids]:
    """Return the ids of ByteTrack in the package ``trackers``, with our score thresholds; ids start at first sight."""
    from supervision import Detections
    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker(
        frame_rate=FPS,
        track_activation_threshold=ACTIVATION,
        high_conf_det_threshold=ACTIVATION,
        minimum_consecutive_frames=1,
    )
    given = []
    for poses in clip:
        people = np.arange(len(poses))
        boxes = poses.boxes
        seen = Detections(boxes.xyxy.astype(float), confidence=boxes.score.astype(float), data={"person": people})
        tracked = tracker.update(seen)
        ids = np.full(len(poses), -1)
        if len(tracked):
            ids[tracked.data["person"]] = np.where(tracked.tracker_id < 0, -1, tracked.tracker_id + 1)
        given.append(ids)
    return given


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one clip."""

    idf1: float
    hota: float
    switches: int
    ids: int
    people: int


def scored(clip: Sequence[Moment], found: Sequence[Poses], given: Sequence[Ids]) -> Figures:
    """Return IDF1, HOTA and switches by box IoU, ignoring poses of people who do not count or have no id."""
    from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    true, ids, alike = [], [], []
    for moment, poses, named in zip(clip, found, given, strict=True):
        iou = box_iou(moment.shot.boxes.xyxy, poses.boxes.xyxy)
        rows, columns = matched(np.where(iou >= 0.5, iou + moment.counts[:, None], 0))
        kept = named > 0
        kept[columns[(iou[rows, columns] >= 0.5) & ~moment.counts[rows]]] = False
        true.append(moment.shot.track_id[moment.counts])
        ids.append(named[kept])
        alike.append(iou[moment.counts][:, kept].astype(np.float64))
    figures = [compute(true, ids, alike) for compute in (compute_identity_metrics, compute_hota_metrics)]
    return Figures(
        float(figures[0]["IDF1"]),
        float(figures[1]["HOTA"]),
        int(compute_clear_metrics(true, ids, alike)["IDSW"]),
        len(np.unique(np.concatenate(ids))),
        len(np.unique(np.concatenate(true))),
    )


TRACKERS: dict[str, Follow] = {"tpose": ours, "IoU": plain_iou, "ByteTrack": byte_track}


def main(kind: str, seeds: Sequence[int]) -> None:
    """Print a line for each clip and tracker, and the means."""
    table: dict[str, list[Figures]] = {name: [] for name in TRACKERS}
    for seed in seeds:
        clip = list(moments(seed, kind == "nets"))
        found = measured(clip) if kind == "nets" else noisy(clip, seed)
        for name, follow in TRACKERS.items():
            figures = scored(clip, found, follow(found))
            table[name].append(figures)
            numbers = f"{figures.switches:3d} switches  {figures.ids:2d} ids of {figures.people} people"
            print(f"{seed}  {name:10s} IDF1 {figures.idf1:.3f}  HOTA {figures.hota:.3f}  {numbers}", flush=True)  # noqa: T201
    for name, rows in table.items():
        idf1, hota, switches = (
            float(np.mean([getattr(row, what) for row in rows])) for what in ("idf1", "hota", "switches")
        )
        print(f"mean {name:10s} IDF1 {idf1:.3f}  HOTA {hota:.3f}  {switches:5.1f} switches a clip")  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("truth", "nets"))
    parser.add_argument("seeds", nargs="*", type=int)
    given = parser.parse_args()
    main(given.kind, given.seeds or SEEDS)
