"""Parse and read the specifications given to ``--data`` and ``--check`` of ``tpose train``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import KeypointSet, annotation_path, images_path, load_set
from tposecli.evaluation.coco.problems import Problems
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.lab.training.dataset import AnnotatedPerson, AnnotationFile, read_people, with_readable_images
from tposecli.lab.training.rendered import render_people
from tposecli.lab.training.shared import LogCallback, half_slice
from tposecli.utils.errors import InputError, UsageError

HALVES = ("even", "odd")
RENDERED = "rendered"
COCO_PREFIX = "coco"


@dataclass(frozen=True)
class DataSource:
    """The data of one ``--data`` option.

    Attributes:
        name: The specification.
        people: The people to train on; empty if people are rendered on the fly.
        weight: How often samples are drawn from it, relative to the other sources.
    """

    name: str
    people: tuple[AnnotatedPerson, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class ValidationSet:
    """The data of one ``--check`` option: a set to validate on, never used for training.

    Attributes:
        name: Name in logs.
        truth: The annotations.
        images: Folder of the images.
        layout: The keypoints.
    """

    name: str
    truth: KeypointSet
    images: Path
    layout: KeypointLayout


@dataclass(frozen=True)
class ReadOptions:
    """How sources are read.

    Attributes:
        coco: Folder in COCO's layout.
        rendered: Folder for rendered people.
        rendered_wh: Width and height of the rendered images.
        record: File that records which images are readable.
        weak_nose: Weight of noses guessed from neck and head top.
        strict: Whether any problem with the data is an error.
    """

    coco: Path
    rendered: Path
    rendered_wh: tuple[int, int]
    record: Path
    weak_nose: float = 0.0
    strict: bool = False


def read_sources(
    specs: Sequence[str], options: ReadOptions, log: LogCallback
) -> tuple[KeypointLayout, tuple[DataSource, ...]]:
    """Read ``ANN.json:IMAGES[:WEIGHT[:HALF]]``, ``coco:SET[:WEIGHT[:HALF]]`` or ``rendered[:WEIGHT[:COUNT]]``.

    All problems with the data are logged here, with counts and names, before training begins.

    Raises:
        UsageError: A specification is malformed, a file does not exist, or the sources' keypoints differ.
        InputError: A file is not a COCO keypoint file, or nothing in it can be used.
    """
    found = [_source(spec, options, log) for spec in specs]
    layouts = [layout for layout, _ in found]
    if len(set(layouts)) > 1:
        raise UsageError("the --data files have different keypoints; name files with the same ones")
    return layouts[0], tuple(source for _, source in found)


def digest_of(sources: Sequence[DataSource]) -> str:
    """Return a digest of all people to train on and of the sources' weights; folders may move.

    A run that is resumed draws its samples by their positions, which only the same people give back.
    """
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{len(source.people)} {source.weight}\n".encode())
        for person in source.people:
            digest.update(person.path.name.encode() + person.box.tobytes() + person.joints.tobytes())
    return digest.hexdigest()


def _source(spec: str, options: ReadOptions, log: LogCallback) -> tuple[KeypointLayout, DataSource]:
    if spec.split(":")[0] == RENDERED:
        _, weight, count = [*spec.split(":"), "", ""][:3]
        if not count:
            log(f"{spec}: people are rendered during training")
            return COCO, DataSource(spec, (), _number(spec, weight or "1"))
        annotations = render_people(options.rendered, int(_number(spec, count)), options.rendered_wh, log)
        photos, weight_text = AnnotationFile(annotations, options.rendered), weight
    else:
        annotations, images, (weight_text, half) = _parts(spec, options.coco, 2)
        photos = AnnotationFile(annotations, images, half, options.weak_nose)
    problems = Problems(options.strict)
    layout, people = read_people(photos, problems)
    good = with_readable_images(people, problems, options.record, log)
    log(f"{spec}: {len(good)} people")
    for line in problems.lines():
        log(f"  {line}")
    if not good:
        reasons = "; ".join(problems.lines()) or "it has no annotations of these images"
        raise InputError(f"{photos.annotations}: no person in it can be used for training ({reasons}); name other data")
    return layout, DataSource(spec, good, _number(spec, weight_text or "1"))


def read_checks(
    specs: Sequence[str], layout: KeypointLayout, options: ReadOptions, log: LogCallback
) -> tuple[ValidationSet, ...]:
    """Read ``ANN.json:IMAGES[:HALF]`` or ``coco:SET[:HALF]``.

    Raises:
        UsageError: A specification is malformed, or its keypoints are not those of the training data.
        InputError: A file is not a COCO keypoint file; with ``strict``, also if an image is missing or damaged.
    """
    return tuple(_check(spec, layout, options, log) for spec in specs)


def _check(spec: str, layout: KeypointLayout, options: ReadOptions, log: LogCallback) -> ValidationSet:
    annotations, images, (half,) = _parts(spec, options.coco, 1)
    problems = Problems(options.strict)
    own, shown = read_people(AnnotationFile(annotations, images, half), Problems())
    if own != layout:
        raise UsageError(
            f"--check {spec}: its keypoints differ from those of the training data; name a set with the same ones"
        )
    truth = load_set(DataChoice(None, annotations=annotations, sigmas=None if own.is_coco else own.sigmas), problems)
    if half:
        ids = sorted(truth.ids)[half_slice(half)]
        truth = replace(truth, images=tuple(image for image in truth.images if image.id in set(ids)))
    good = {person.path for person in with_readable_images(shown, problems, options.record, log)}
    bad = {person.path for person in shown} - good
    truth = replace(truth, images=tuple(image for image in truth.images if images / image.name not in bad))
    log(f"check {spec}: {len(good)} images, {len(shown)} people")
    for line in problems.lines():
        log(f"  {line}")
    return ValidationSet(f"{annotations.parent.name}/{annotations.stem}{half and ' ' + half}", truth, images, own)


def _parts(spec: str, coco: Path, more: int) -> tuple[Path, Path, list[str]]:
    """Return annotation file, images folder, and ``more`` optional parts of a specification, empty where missing."""
    parts = spec.split(":")
    if not 2 <= len(parts) <= 2 + more or (len(parts) == 2 + more and parts[-1] not in HALVES):
        raise UsageError(
            f"{spec}: expected an annotation file and its images folder, ANN.json:IMAGES, or a set in COCO's layout, "
            "coco:SET, optionally followed by what the option's help lists; HALF is even or odd"
        )
    rest = parts[2:] + [""] * (2 + more - len(parts))
    if parts[0] != COCO_PREFIX:
        return Path(parts[0]), Path(parts[1]), rest
    data = DataChoice(parts[1], coco)
    return annotation_path(data), images_path(data), rest


def _number(spec: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"--data {spec}: expected a number above 0, got {text!r}")
    return number
