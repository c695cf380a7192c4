"""Validate pose files against their JSON Schema, and check that their content is consistent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tposecli.formats.journal.records import CHECKSUM, is_end, parse
from tposecli.utils.errors import InputError
from tposecli.utils.files import open_finite, read_whole

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Json = Mapping[str, Any]

MAX_REPORTED: Final = 20
"""Problems that are reported one by one; all are counted."""

MAX_TEXT: Final = 200
"""Characters of a problem's message."""


@dataclass(slots=True)
class Verdict:
    """The validation result of one file.

    Attributes:
        path: The file.
        kind: ``journal``, ``COCO dataset`` or ``COCO results``.
        counts: Numbers of frames or images and people.
        problems: The first ``MAX_REPORTED`` problems.
        problem_count: Number of all problems.
    """

    path: Path
    kind: str
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def add(self, problems: Iterable[str]) -> None:
        """Add problems."""
        for problem in problems:
            self.problem_count += 1
            if self.problem_count <= MAX_REPORTED:
                self.problems.append(problem if len(problem) <= MAX_TEXT else problem[: MAX_TEXT - 3] + "...")


def validate(path: Path) -> Verdict:
    """Validate a journal, a COCO dataset or COCO results.

    A journal is read line by line; the others are loaded as a whole.

    Raises:
        InputError: The file cannot be read, is not JSON, or none of these.
    """
    try:
        with open_finite(path) as file:
            first = _parsed(file.readline())
        if isinstance(first, dict) and "schema_version" in first:
            return _journal(path, first)
        content = _parsed(read_whole(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    if isinstance(content, _Invalid):
        raise InputError(f"{path}: neither a journal nor strict JSON ({content.reason}); write the file again")
    if isinstance(content, list):
        return _results(path, content)
    if isinstance(content, dict) and {"images", "annotations"} & set(content):
        return _dataset(path, content)
    raise InputError(f"{path}: neither a journal, nor a COCO dataset, nor COCO results; no other file can be checked")


def schema(name: str) -> dict[str, Any]:
    """Load a schema of the package: ``journal``, ``coco-dataset`` or ``coco-results``."""
    text = resources.files("tposecli.formats").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


@dataclass(frozen=True, slots=True)
class _Invalid:
    """Text that is not JSON, with the reason."""

    reason: str


def _parsed(text: bytes) -> Any:
    """Parse strict JSON; return ``_Invalid`` for anything else."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return _Invalid(str(error))
    except RecursionError:
        return _Invalid("lists are nested too deeply")


def _validator(content: Mapping[str, Any]) -> Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(content)


def _schema_problems(validator: Validator, value: Any, where: str) -> Iterator[str]:
    """Yield the violations of a schema."""
    for error in validator.iter_errors(value):
        place = error.json_path.removeprefix("$").removeprefix(".")
        yield f"{where}{f'{place}: ' if place else ''}{error.message}"


def _journal(path: Path, header: Json) -> Verdict:
    verdict = Verdict(path, "journal")
    rules = schema("journal")
    header_rules, frame_rules, end_rules = (
        _validator({**rules["$defs"][name], "$defs": rules["$defs"]}) for name in ("header", "frame", "end")
    )
    checked = header.get("checksum") == CHECKSUM
    verdict.add(_schema_problems(header_rules, header, "line 1: "))
    if verdict.problem_count:
        return verdict
    last = -1
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            frame, where = _parsed(line), f"line {number}: "
            if number == 1:
                continue
            problem = _line_problem(line, frame)
            if problem:
                verdict.add([where + problem])
                continue
            if is_end(frame):
                verdict.add(_schema_problems(end_rules, frame, where))
                continue
            violations = list(_schema_problems(frame_rules, frame, where))
            problems = violations or [where + problem for problem in _frame_problems(frame, header, last)]
            if checked and not problems:
                problems = [where + problem for problem in _checksum_problem(line)]
            verdict.add(problems)
            if not violations:
                last = frame["frame"]
                verdict.counts.update(frames=1, people=len(frame["people"]))
    return verdict


def _line_problem(line: bytes, content: Any) -> str:
    """Return what is wrong with a line of a journal as such; empty if nothing is."""
    if not line.endswith(b"\n"):
        return "truncated; resuming the run repairs it"
    return "not JSON" if isinstance(content, _Invalid) else ""


def _checksum_problem(line: bytes) -> Iterator[str]:
    """Yield the problem if the checksum of a line is wrong."""
    try:
        parse(line, checksum=True)
    except ValueError as error:
        yield str(error)


def _frame_problems(frame: Json, header: Json, last: int) -> Iterator[str]:
    """Yield contradictions within a frame of a journal, with its header, and with the frame before."""
    if frame["frame"] <= last:
        yield f"frame {frame['frame']} comes after frame {last}"
    if header["size_wh"] is not None and [frame["width"], frame["height"]] != header["size_wh"]:
        yield f"got {frame['width']}x{frame['height']} pixels, the header has {header['size_wh']}"
    keypoints = len(header["keypoint_names"])
    for person, entry in enumerate(frame["people"]):
        if len(entry["keypoints"]) != keypoints:
            yield f"person {person}: got {len(entry['keypoints'])} keypoints, the header names {keypoints}"
        left, top, right, bottom = entry["box"]
        yield from _box_problems((left, top, right - left, bottom - top), frame, f"person {person}: ")


def _box_problems(box: Sequence[float], image: Json, where: str) -> Iterator[str]:
    """Yield a problem if a box (left, top, width, height) has a negative size or lies outside the image."""
    left, top, width, height = box
    if width < 0 or height < 0:
        yield f"{where}box of {width:g}x{height:g} pixels"
    elif left > image["width"] or top > image["height"] or left + width < 0 or top + height < 0:
        yield f"{where}box outside the image of {image['width']}x{image['height']} pixels"


def _dataset(path: Path, content: Json) -> Verdict:
    verdict = Verdict(path, "COCO dataset")
    verdict.add(_schema_problems(_validator(schema("coco-dataset")), content, ""))
    if verdict.problem_count:
        return verdict
    verdict.counts.update(images=len(content["images"]), people=len(content["annotations"]))
    for what in ("images", "annotations", "categories"):
        verdict.add(f"{what}: id {value} occurs {count} times" for value, count in _repeated(content[what]))
    names = Counter(image["file_name"] for image in content["images"])
    verdict.add(
        f"images: file_name {name} occurs {count} times; annotation tools identify images by it"
        for name, count in names.items()
        if count > 1
    )
    images = {image["id"]: image for image in content["images"]}
    categories = {category["id"]: category for category in content["categories"]}
    verdict.add(_skeleton_problems(content["categories"]))
    tracks: Counter[tuple[int, int]] = Counter()
    for annotation in content["annotations"]:
        where = f"annotation {annotation['id']}: "
        verdict.add(where + problem for problem in _annotation_problems(annotation, images, categories))
        if annotation.get("track_id") is not None:
            tracks[annotation["image_id"], annotation["track_id"]] += 1
    verdict.add(
        f"image {image}: track {track} occurs {count} times" for (image, track), count in tracks.items() if count > 1
    )
    return verdict


def _skeleton_problems(categories: Sequence[Json]) -> Iterator[str]:
    """Yield categories whose skeleton joins keypoints that do not exist."""
    for category in categories:
        count = len(category.get("keypoints", ()))
        if any(end > count for limb in category.get("skeleton", ()) for end in limb):
            yield f"category {category['id']}: its skeleton joins keypoints beyond its {count}"


def _annotation_problems(annotation: Json, images: Mapping[int, Json], categories: Mapping[int, Json]) -> Iterator[str]:
    """Yield contradictions within an annotation, and references to what does not exist."""
    image, category = images.get(annotation["image_id"]), categories.get(annotation["category_id"])
    if image is None:
        yield f"image {annotation['image_id']} does not exist"
    else:
        yield from _box_problems(annotation["bbox"], image, "")
    attributes = annotation.get("attributes", {})
    if "track_id" in attributes and attributes["track_id"] != annotation.get("track_id", attributes["track_id"]):
        yield f"track_id {annotation['track_id']}, but attributes have {attributes['track_id']}"
    if category is None:
        yield f"category {annotation['category_id']} does not exist"
        return
    count = len(category.get("keypoints", ()))
    lengths = {"keypoints": 3 * count, "raw_keypoints": 3 * count, "keypoint_scores": count, "keypoint_flags": count}
    for name, length in lengths.items():
        if annotation.get(name) is not None and len(annotation[name]) != length:
            yield f"{name}: got {len(annotation[name])} numbers, expected {length}"
    visible = annotation.get("keypoints", [])[2::3]
    if not set(visible) <= {0, 1, 2}:
        yield "keypoints: expected v of 0, 1 or 2"
    if annotation.get("num_keypoints", 0) != sum(v > 0 for v in visible) and "num_keypoints" in annotation:
        yield f"num_keypoints: {annotation['num_keypoints']}, but {sum(v > 0 for v in visible)} have v > 0"


def _results(path: Path, content: list[Any]) -> Verdict:
    verdict = Verdict(path, "COCO results")
    verdict.add(_schema_problems(_validator(schema("coco-results")), content, ""))
    if verdict.problem_count:
        return verdict
    verdict.counts.update(people=len(content), images=len({entry["image_id"] for entry in content}))
    if not content:
        verdict.add(["empty; the COCO API cannot load an empty list"])
    verdict.add(
        f"result {number}: keypoints: got {len(entry['keypoints'])} numbers, expected 51"
        for number, entry in enumerate(content)
        if len(entry["keypoints"]) != 51
    )
    return verdict


def _repeated(records: Sequence[Json]) -> list[tuple[int, int]]:
    """Return ids that occur more than once, with their counts."""
    return [(value, count) for value, count in Counter(record["id"] for record in records).items() if count > 1]
