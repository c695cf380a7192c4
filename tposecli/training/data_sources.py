"""What ``--data`` and ``--check`` of ``tpose train`` name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import KeypointSet, annotation_path, images_path, load_set, read_json
from tposecli.evaluation.coco.problems import Problems
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.training.dataset import AnnotatedPerson, Photos, read_people, with_pictures
from tposecli.training.keypoint_layout import layout_of
from tposecli.training.rendered import render_people
from tposecli.utils.errors import InputError, UsageError

Say = Callable[[str], None]
HALVES = ("even", "odd")
RENDERED = "rendered"
COCO_PREFIX = "coco"


@dataclass(frozen=True)
class DataSource:
    """One ``--data`` of the command.

    Attributes:
        people: Those to learn from; none where they are rendered endlessly.
        weight: How often it is drawn from, relative to the others.
    """

    name: str
    people: tuple[AnnotatedPerson, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class ValidationSet:
    """One ``--check`` of the command: a set to measure on, never to learn from."""

    name: str
    truth: KeypointSet
    images: Path
    layout: KeypointLayout


@dataclass(frozen=True)
class Reading:
    """How sources are read.

    Attributes:
        coco: Folder of COCO's own layout.
        rendered: Folder for rendered people.
        rendered_wh: Width and height of their pictures.
        record: File in which pictures found to be good are remembered.
        weak_nose: Weight of noses guessed from neck and head top.
        strict: Whether whatever is wrong with the data is an error.
    """

    coco: Path
    rendered: Path
    rendered_wh: tuple[int, int]
    record: Path
    weak_nose: float = 0.0
    strict: bool = False


def read_sources(specs: Sequence[str], how: Reading, say: Say) -> tuple[KeypointLayout, tuple[DataSource, ...]]:
    """Read ``ANN.json:IMAGES[:WEIGHT[:HALF]]``, ``coco:SET[:WEIGHT[:HALF]]`` or ``rendered[:WEIGHT[:COUNT]]``.

    What is wrong with the data is said, counted and named, here and never later.

    Raises:
        UsageError: A specification is not of that form, there is no such file, or the keypoints differ.
        InputError: A file is no COCO keypoint file, or nothing of it can be used.
    """
    found = [_source(spec, how, say) for spec in specs]
    layouts = [layout for layout, _ in found]
    if len(set(layouts)) > 1:
        raise UsageError("the --data files have different keypoints; a model can learn one set of them only")
    return layouts[0], tuple(source for _, source in found)


def _source(spec: str, how: Reading, say: Say) -> tuple[KeypointLayout, DataSource]:
    if spec.split(":")[0] == RENDERED:
        _, weight, count = [*spec.split(":"), "", ""][:3]
        if not count:
            say(f"{spec}: people are rendered endlessly")
            return COCO, DataSource(spec, (), _number(spec, weight or "1"))
        annotations = render_people(how.rendered, int(_number(spec, count)), how.rendered_wh, say)
        photos, weight_text = Photos(annotations, how.rendered), weight
    else:
        annotations, images, (weight_text, half) = _parts(spec, how.coco, 2)
        photos = Photos(annotations, images, half, how.weak_nose)
    problems = Problems(how.strict)
    layout, people = read_people(photos, problems)
    good = with_pictures(people, problems, how.record, say)
    say(f"{spec}: {len(good)} people")
    for line in problems.lines():
        say(f"  {line}")
    if not good:
        raise InputError(f"{photos.annotations}: holds nobody to learn from; see what was said of it above")
    return layout, DataSource(spec, good, _number(spec, weight_text or "1"))


def read_checks(specs: Sequence[str], layout: KeypointLayout, how: Reading, say: Say) -> tuple[ValidationSet, ...]:
    """Read ``ANN.json:IMAGES[:HALF]`` or ``coco:SET[:HALF]``.

    Raises:
        UsageError: A specification is not of that form, or its keypoints are not those that are learnt.
        InputError: A file is no COCO keypoint file, or a picture is missing or damaged.
    """
    return tuple(_check(spec, layout, how, say) for spec in specs)


def _check(spec: str, layout: KeypointLayout, how: Reading, say: Say) -> ValidationSet:
    annotations, images, (half,) = _parts(spec, how.coco, 1)
    problems = Problems(how.strict)
    data = read_json(annotations)
    own = layout_of(data.get("categories") if isinstance(data, dict) else None, annotations.name)
    if own != layout:
        raise UsageError(f"--check {spec}: has other keypoints than those that are learnt")
    truth = load_set(DataChoice(None, annotations=annotations, sigmas=None if own.is_coco else own.sigmas), problems)
    if half:
        ids = sorted(truth.ids)[HALVES.index(half) :: 2]
        truth = replace(truth, images=tuple(image for image in truth.images if image.id in set(ids)))
    shown = read_people(Photos(annotations, images, half), Problems())[1]
    good = {person.path for person in with_pictures(shown, problems, how.record, say)}
    bad = {person.path for person in shown} - good
    truth = replace(truth, images=tuple(image for image in truth.images if images / image.name not in bad))
    say(f"check {spec}: {len(good)} pictures, {len(shown)} people")
    for line in problems.lines():
        say(f"  {line}")
    return ValidationSet(f"{annotations.parent.name}/{annotations.stem}{half and ' ' + half}", truth, images, own)


def _parts(spec: str, coco: Path, more: int) -> tuple[Path, Path, list[str]]:
    """Annotation file, images folder, and what else the specification may say, empty where it does not."""
    parts = spec.split(":")
    if not 2 <= len(parts) <= 2 + more or (len(parts) == 2 + more and parts[-1] not in HALVES):
        raise UsageError(
            f"{spec}: expected an annotation file and its images folder, ANN.json:IMAGES, or a set in COCO's layout, "
            "coco:SET, and after them what the option's help names; HALF is even or odd"
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
        raise UsageError(f"--data {spec}: {text!r} is not a number above 0")
    return number
