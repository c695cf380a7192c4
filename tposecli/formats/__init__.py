"""Poses of other tools: files that are recognised by what is in them and read into the words of this program."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, get_args

from tposecli.formats.base import PoseFile
from tposecli.formats.coco import read_dataset, read_results
from tposecli.formats.journal.journal import Journal, read_journal
from tposecli.formats.json_stream import JsonFile, Member
from tposecli.formats.mmpose import read_mmpose
from tposecli.formats.openpose import read_openpose
from tposecli.utils.errors import InputError

__all__ = ["FORMATS", "PoseFormat", "read_poses"]

PoseFormat = Literal["journal", "coco", "openpose", "mmpose"]
FORMATS: Final = get_args(PoseFormat)

_HEAD: Final = 4096


def read_poses(path: Path, kind: PoseFormat | None = None) -> Journal | PoseFile:
    """Read a file or folder of poses.

    Args:
        path: A journal, COCO results or a COCO dataset, mmpose's JSON, or a folder of OpenPose's.
        kind: What it is; None to find out by what is in it.

    Raises:
        InputError: It cannot be read, is none of these, or makes no sense.
    """
    if path.is_dir():
        if kind not in (None, "openpose"):
            raise InputError(f"{path}: a folder, but {kind} is a file; name the file in it")
        return read_openpose(path)
    if kind == "journal" or (kind is None and _is_journal(path)):
        return read_journal(path)
    members = JsonFile(path)
    kind = kind or _kind(path, members)
    if kind == "openpose":
        return read_openpose(path)
    if kind == "mmpose":
        return read_mmpose(path, members)
    first = next(iter(members), None)
    return read_results(path, members) if first is not None and first.key == "" else read_dataset(path, members)


def _is_journal(path: Path) -> bool:
    """Whether the first line begins as a journal's header does."""
    try:
        with path.open("rb") as file:
            return b'"schema_version"' in file.read(_HEAD).partition(b"\n")[0]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _kind(path: Path, members: Iterable[Member]) -> PoseFormat:
    """What a JSON file is, by as little of it as tells."""
    for member in members:
        if member.key == "people":
            return "openpose"
        if member.key in ("instance_info", "predictions"):
            return "mmpose"
        if member.key in ("images", "annotations"):
            return "coco"
        if member.key == "" and member.number == 1:
            value = member.value
            if isinstance(value, dict) and "image_id" in value:
                return "coco"
            if isinstance(value, list) or (isinstance(value, dict) and {"instances", "keypoint_scores"} & value.keys()):
                return "mmpose"
    if next((member.key for member in members), None) == "":
        return "coco"
    raise InputError(
        f"{path}: no journal, and neither COCO's, mmpose's nor OpenPose's JSON; say what it is with --from if it is one"
    )
