"""What weights there are on this machine, in what state, and how files get in by hand."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tposecli.hub.checkpoints.digests import read_digests, record, recorded
from tposecli.hub.checkpoints.resolve import bundled_file, cache_dir, check, fetch, locate
from tposecli.hub.download.download import Downloads, RemoteFile, flaw
from tposecli.models.catalog import CATALOG
from tposecli.utils.errors import UsageError, WeightsError
from tposecli.utils.files import part_path, publish, sha256_of
from tposecli.utils.locks import file_lock

SUFFIXES: Final = (".pth", ".pt", ".safetensors")
DIGEST_IN_NAME: Final = re.compile(r"-([0-9a-f]{8,64})\.pth")
"""How PyTorch's own files are named: the last part of the stem is what their SHA-256 begins with."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of weights, here or not.

    Attributes:
        model: Its model; a dash for a file that no row of the catalogue names.
        file: Its name.
        path: Where it is; None if it is not on this machine.
        pinned: What its published digest begins with.
        least_bytes: A file smaller than this is not it.
        url: Where it can be had.
    """

    model: str
    file: str
    path: Path | None
    pinned: str = ""
    min_bytes: int = 0
    url: str = ""

    def row(self) -> tuple[str, str, str, str]:
        """Model, size, state of the digest, and file, as text."""
        if self.path is None:
            return self.model, "-", "pinned" if self.pinned else "-", f"absent; {self.url}"
        known = "recorded" if recorded(self.path) else "new"
        size = f"{self.path.stat().st_size / 1e6:.1f} MB"
        return self.model, size, "pinned" if self.pinned else known, str(self.path)


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What the check of one file found."""

    line: str
    right: bool


def inventory() -> list[WeightsFile]:
    """The catalogue's files, then whatever else lies in the cache."""
    items = [
        WeightsFile(spec.name, spec.file, locate(spec), spec.sha256 or "", spec.min_bytes, spec.url) for spec in CATALOG
    ]
    known = {item.file for item in items}
    folder = cache_dir()
    names = {path.name for path in folder.glob("*") if path.suffix in SUFFIXES} | set(read_digests(folder))
    others = [folder / name for name in sorted(names - known)]
    return items + [WeightsFile("-", path.name, path, _digest_in(path.name)) for path in others if path.is_file()]


def verify_all(paths: list[Path] | None = None) -> list[WeightsReport]:
    """Check the files, or all that are on this machine, against what is pinned or was recorded."""
    return [_verify(item, item.path) for item in inventory() if item.path and (paths is None or item.path in paths)]


def _verify(item: WeightsFile, path: Path) -> WeightsReport:
    try:
        known = recorded(path)
        digest = check(path, item.pinned, item.min_bytes)
    except WeightsError as error:
        return WeightsReport(str(error), False)
    wrong = "" if item.pinned or known else flaw(path, path.suffix, item.min_bytes)
    if wrong:
        return WeightsReport(f"{path}: {wrong}; get it anew with `tpose weights pull --force {item.model}`", False)
    state = "as published" if item.pinned else "as at its first use" if known else "recorded now"
    return WeightsReport(f"{path}: {state}, SHA-256 {digest}", True)


def present(remote: RemoteFile) -> Path:
    """The file, which comes with the program or is in the cache.

    Raises:
        WeightsError: It is not on this machine.
    """
    cached = cache_dir() / remote.file
    found = bundled_file(remote.file) or (cached if cached.is_file() else None)
    if found is None:
        raise WeightsError(f"{remote.label}: not on this machine; get it with `tpose weights pull {remote.label}`")
    return found


def pull(remote: RemoteFile, downloads: Downloads, anew: bool = False) -> Path:
    """The file, checked; downloaded if it is not on this machine, or in any case with ``anew``.

    Raises:
        WeightsError: It cannot be had, or it is not the one it was.
    """
    path = fetch(remote, downloads, anew) if remote.url else present(remote)
    check(path, remote.sha256, remote.min_bytes)
    return path


def add_file(file: Path, remote: RemoteFile, replace: bool = False) -> Path:
    """Copy a file into the cache under the name that its model looks for.

    Raises:
        UsageError: The cache has another one, and ``replace`` is off.
        WeightsError: It is not that model's file, visibly damaged, or cannot be copied.
    """
    if not file.is_file():
        raise WeightsError(f"{file}: no such file")
    path = cache_dir() / remote.file
    digest = _acceptable(file, remote)
    known = recorded(path) or (sha256_of(path) if path.is_file() else "")
    if known and known != digest and not replace:
        raise UsageError(
            f"{file}: {path.name} has SHA-256 {known} so far, this one {digest}; add --replace to trust this one"
        )
    try:
        with file_lock(path):
            if path.is_file() and path.samefile(file):
                record(path, digest)
                return path
            shutil.copyfile(file, part_path(path))
            publish(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written ({error.strerror}); make room, or set TPOSE_HOME") from error
    record(path, digest)
    return path


def _acceptable(file: Path, remote: RemoteFile) -> str:
    """The digest of a file that can be what it is said to be.

    Raises:
        WeightsError: It cannot.
    """
    if not remote.url:
        raise WeightsError(f"{remote.label}: its weights come with the program and are not added")
    digest = sha256_of(file)
    if not digest.startswith(remote.sha256):
        raise WeightsError(
            f"{file}: not the published file of {remote.label} (SHA-256 {digest}, expected {remote.sha256})"
        )
    wrong = flaw(file, Path(remote.file).suffix, remote.min_bytes)
    if wrong:
        raise WeightsError(f"{file}: not the weights of {remote.label}, {wrong}; get the file again")
    return digest


def _digest_in(name: str) -> str:
    found = DIGEST_IN_NAME.search(name)
    return found[1] if found else ""
