"""COCO's 2017 keypoint sets: a literal table of the official archives, and the layout of the unpacked files.

The layout is that of Simple Baselines (Xiao et al., ECCV 2018), HRNet and TransPose: ``annotations/``, ``images/SET/``
and ``person_detection_results/`` in one folder. COCO publishes no digests; those below were recorded by TensorFlow
Datasets (``url_checksums/coco.txt``), which downloads the same archives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tposecli.hub.download.download import RemoteFile
from tposecli.utils.errors import UsageError

SITE: Final = "http://images.cocodataset.org"
"""The host that COCO's own download page links to. It has no https, so only files with the expected digest are
accepted."""
ARCHIVES: Final = "archives"
"""Folder in the layout for archives that are not unpacked yet, or are kept."""
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-]+\.(?:jpg|json)")


@dataclass(frozen=True, slots=True)
class Archive:
    """A published zip file.

    Attributes:
        path: Path on the site.
        size: Size in bytes.
        sha256: Digest in hexadecimal.
    """

    path: str
    size: int
    sha256: str

    @property
    def file(self) -> str:
        """File name."""
        return self.path.rpartition("/")[2]

    @property
    def remote(self) -> RemoteFile:
        """Description for downloading."""
        url = f"{SITE}/{self.path}"
        return RemoteFile(self.file, self.file, url, self.sha256, self.size, "name another folder with --data-dir")


@dataclass(frozen=True, slots=True)
class DatasetPart:
    """The files that a set takes from one folder of an archive.

    Attributes:
        archive: The archive.
        inside: Folder in the archive.
        folder: Folder in the layout.
        count: Number of files.
        size: Approximate total size in bytes.
        names: Names of the files; empty means all images.
    """

    archive: Archive
    inside: str
    folder: str
    count: int
    size: int
    names: tuple[str, ...] = ()

    def target_name(self, member: str) -> str | None:
        """Return the file name for a member of the archive; None if it does not belong to this part.

        Only plain names directly in the part's folder are accepted, so that no archive can write anywhere else.
        """
        folder, _, name = member.rpartition("/")
        if folder != self.inside or PLAIN_NAME.fullmatch(name) is None:
            return None
        return name if name in self.names or (not self.names and name.endswith(".jpg")) else None


TRAINVAL: Final = Archive(
    "annotations/annotations_trainval2017.zip",
    252_907_541,
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
)
TEST_INFO: Final = Archive(
    "annotations/image_info_test2017.zip",
    1_144_034,
    "e52f412dd7195ac8f98d782b44c6dd30ea10241e9f42521f67610fbe055a74f8",
)
VAL: Final = Archive(
    "zips/val2017.zip",
    815_585_330,
    "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
)
TRAIN: Final = Archive(
    "zips/train2017.zip",
    19_336_861_798,
    "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
)
TEST: Final = Archive(
    "zips/test2017.zip",
    6_646_970_404,
    "c7908c3c9f94ba2f3340ebbeec58c25db6be8774f18d68c2f15d0e369d95baba",
)

_TEST_PARTS: Final = (
    DatasetPart(
        TEST_INFO,
        "annotations",
        "annotations",
        2,
        12_000_000,
        ("image_info_test-dev2017.json", "image_info_test2017.json"),
    ),
    DatasetPart(TEST, "test2017", "images/test2017", 40_670, TEST.size),
)

SETS: Final[Mapping[str, tuple[DatasetPart, ...]]] = {
    "val2017": (
        DatasetPart(TRAINVAL, "annotations", "annotations", 1, 10_020_657, ("person_keypoints_val2017.json",)),
        DatasetPart(VAL, "val2017", "images/val2017", 5_000, VAL.size),
    ),
    "train2017": (
        DatasetPart(TRAINVAL, "annotations", "annotations", 1, 238_884_731, ("person_keypoints_train2017.json",)),
        DatasetPart(TRAIN, "train2017", "images/train2017", 118_287, TRAIN.size),
    ),
    "test2017": _TEST_PARTS,
    "test-dev2017": _TEST_PARTS,
}
"""The parts of each set. The images of test-dev2017 are a subset of test2017's."""

PUBLISHED: Final[Mapping[str, tuple[str, str]]] = {
    "val2017": ("COCO_val2017_detections_AP_H_56_person.json", "56.4"),
    "test-dev2017": ("COCO_test-dev2017_detections_AP_H_609_person.json", "60.9"),
}
"""File name of the detections that the authors used for a set, and the AP of its boxes."""

DETECTION_PAGES: Final = (
    "it is published on the OneDrive and Google Drive pages that the READMEs of "
    "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch and https://github.com/yangsenius/TransPose link to"
)


def parts_of(name: str) -> tuple[DatasetPart, ...]:
    """Return the parts of a set.

    Raises:
        UsageError: The set is unknown.
    """
    if name not in SETS:
        raise UsageError(f"{name}: unknown COCO keypoint set; known sets: {', '.join(SETS)}")
    return SETS[name]


def download_hint(path: Path) -> str:
    """Return how to download a missing file or folder that is named like part of the layout; empty for any other."""
    for name in SETS:
        if path.name in (annotation_file(path, name).name, name):
            hint = "or name the folder of annotations/ and images/ with --data-dir"
            return f"download it with: tpose data coco {name}, {hint}"
    return ""


def annotation_file(folder: Path, name: str) -> Path:
    """Return the annotation file of a set; for test sets it only lists the images."""
    kind = "image_info" if "test" in name else "person_keypoints"
    return folder / "annotations" / f"{kind}_{name}.json"


def images_folder(folder: Path, name: str) -> Path:
    """Return the image folder of a set."""
    return folder / "images" / ("test2017" if name == "test-dev2017" else name)


def detections_file(folder: Path, name: str) -> Path | None:
    """Return the file of published detections of a set; None if there are none."""
    return folder / "person_detection_results" / PUBLISHED[name][0] if name in PUBLISHED else None
