"""COCO's keypoint sets of 2017: the official archives as a literal table, and the authors' layout of their contents.

The layout is that of Simple Baselines (Xiao et al., ECCV 2018), HRNet and TransPose: ``annotations/``, ``images/SET/``
and ``person_detection_results/`` in one folder. COCO publishes no digests; those below are recorded by TensorFlow
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
"""Where COCO's own download page points. It is no https, so nothing is taken whose digest is another."""
ARCHIVES: Final = "archives"
"""Folder, in the layout, of archives that are not unpacked yet, or kept."""
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-]+\.(?:jpg|json)")


@dataclass(frozen=True, slots=True)
class Archive:
    """One of the published zip files.

    Attributes:
        path: On the site.
        size: Bytes.
        sha256: Hexadecimal.
    """

    path: str
    size: int
    sha256: str

    @property
    def file(self) -> str:
        """Its name."""
        return self.path.rpartition("/")[2]

    @property
    def remote(self) -> RemoteFile:
        """For the code that downloads."""
        url = f"{SITE}/{self.path}"
        return RemoteFile(self.file, self.file, url, self.sha256, self.size, "name another folder with --data-dir")


@dataclass(frozen=True, slots=True)
class Piece:
    """What a set takes out of an archive, into one folder.

    Attributes:
        archive: Which.
        inside: The folder in the archive.
        folder: The folder in the layout.
        count: Number of files.
        size: Bytes of the files in all, about.
        names: Of the files; empty for all pictures.
    """

    archive: Archive
    inside: str
    folder: str
    count: int
    size: int
    names: tuple[str, ...] = ()

    def takes(self, member: str) -> str | None:
        """The file that a member of the archive becomes; None for one that does not belong to the piece.

        Only plain names right in the piece's folder do, so that no archive can write anywhere else.
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

_TEST_PIECES: Final = (
    Piece(
        TEST_INFO,
        "annotations",
        "annotations",
        2,
        12_000_000,
        ("image_info_test-dev2017.json", "image_info_test2017.json"),
    ),
    Piece(TEST, "test2017", "images/test2017", 40_670, TEST.size),
)

SETS: Final[Mapping[str, tuple[Piece, ...]]] = {
    "val2017": (
        Piece(TRAINVAL, "annotations", "annotations", 1, 10_020_657, ("person_keypoints_val2017.json",)),
        Piece(VAL, "val2017", "images/val2017", 5_000, VAL.size),
    ),
    "train2017": (
        Piece(TRAINVAL, "annotations", "annotations", 1, 238_884_731, ("person_keypoints_train2017.json",)),
        Piece(TRAIN, "train2017", "images/train2017", 118_287, TRAIN.size),
    ),
    "test2017": _TEST_PIECES,
    "test-dev2017": _TEST_PIECES,
}
"""What each set consists of. test-dev2017 is a part of test2017's pictures."""

PUBLISHED: Final[Mapping[str, tuple[str, str]]] = {
    "val2017": ("COCO_val2017_detections_AP_H_56_person.json", "56.4"),
    "test-dev2017": ("COCO_test-dev2017_detections_AP_H_609_person.json", "60.9"),
}
"""File of the detections that the authors used for a set, and the AP of its boxes."""

DETECTION_PAGES: Final = (
    "it is published on the OneDrive and Google Drive pages that the READMEs of "
    "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch and https://github.com/yangsenius/TransPose link to"
)


def pieces_of(name: str) -> tuple[Piece, ...]:
    """What a set consists of.

    Raises:
        UsageError: There is no such set.
    """
    if name not in SETS:
        raise UsageError(f"{name}: no keypoint set of COCO; known: {', '.join(SETS)}")
    return SETS[name]


def how_to_get(path: Path) -> str:
    """What to do where a file or folder is missing that is called like one of the layout; empty for any other."""
    for name in SETS:
        if path.name in (annotation_file(path, name).name, name):
            return f"`tpose data coco {name}` gets it, and --data-dir names the folder of annotations/ and images/"
    return ""


def annotation_file(folder: Path, name: str) -> Path:
    """The annotations of a set; sets for test servers have a list of the images only."""
    kind = "image_info" if "test" in name else "person_keypoints"
    return folder / "annotations" / f"{kind}_{name}.json"


def images_folder(folder: Path, name: str) -> Path:
    """The pictures of a set."""
    return folder / "images" / ("test2017" if name == "test-dev2017" else name)


def detections_file(folder: Path, name: str) -> Path | None:
    """The published detections of a set; None where there are none."""
    return folder / "person_detection_results" / PUBLISHED[name][0] if name in PUBLISHED else None
