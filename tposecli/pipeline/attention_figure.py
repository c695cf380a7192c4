"""The attention figure of one person of an image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tposecli.attention.figure import FigureData, save_figure
from tposecli.attention.overlay import above_threshold
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.pipeline.job import Settings
from tposecli.pipeline.run import Nets
from tposecli.sources.images import read_image
from tposecli.types import Frame, Poses
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import check_output


@dataclass(frozen=True, slots=True)
class FigureJob:
    """An image, and which attention of it to show.

    Attributes:
        image: The image file.
        output: The figure to write.
        person: Number of the person, from 0, the largest first.
        keypoints: Indices of keypoints, a column each.
        points: Further positions, frame pixels, a column each.
    """

    image: Path
    output: Path
    person: int
    keypoints: tuple[int, ...]
    points: tuple[tuple[float, float], ...] = ()


def make_figure(job: FigureJob, settings: Settings) -> int:
    """Find the people, choose one, write the figure; return how many people there are.

    Raises:
        InputError: The file is no image, or shows nobody.
        UsageError: No such person, the output exists, or the model has other keypoints than COCO's.
    """
    check_output(job.output, settings.flags.overwrite)
    frame = Frame(read_image(job.image, max_pixels=settings.inference.max_pixels), 0, name=job.image.name)
    nets = Nets(settings, attention=True)
    estimator, style = nets.estimator, nets.attention_style
    if not estimator.layout.is_coco:
        raise UsageError(
            "tpose attention: for COCO's 17 keypoints only, and this model finds others; choose another model"
        )
    boxes = nets.detector.detect([frame])
    poses = estimator.estimate([frame], boxes)[0].poses
    person = _choose(poses, job)
    points = np.concatenate((person.xy[0, list(job.keypoints)], np.array(job.points).reshape(-1, 2)))
    save_figure(
        job.output,
        FigureData(
            image=frame.image,
            poses=person,
            maps=estimator.explain_points(frame, person.boxes, points),
            points=points.astype(np.float32),
            names=[KEYPOINTS[keypoint].replace("_", " ") for keypoint in job.keypoints]
            + [f"({x:g}, {y:g})" for x, y in job.points],
            layers=style.layer_names,
            stride=estimator.spec.stride,
            above_threshold=partial(above_threshold, style),
            title=", ".join(part for part in (estimator.spec.name, style.mode, style.bound) if part),
        ),
    )
    return len(poses)


def _choose(poses: Poses, job: FigureJob) -> Poses:
    """Return the person that the job names."""
    if not len(poses):
        raise InputError(f"{job.image}: no people found; give the box with --detector boxes:FILE, or lower --det-score")
    if not 0 <= job.person < len(poses):
        known = "one person; use 0" if len(poses) == 1 else f"{len(poses)} people; use 0 to {len(poses) - 1}"
        raise UsageError(f"--person {job.person}: {job.image.name} shows {known}")
    sides = poses.boxes.xyxy[:, 2:] - poses.boxes.xyxy[:, :2]
    order = np.argsort(-sides.prod(axis=1), kind="stable")
    return poses[order[job.person : job.person + 1]]
