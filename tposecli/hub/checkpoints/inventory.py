"""The weights on this machine and their state, and adding files that were downloaded by hand."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tposecli.hub.checkpoints.digests import read_digests, record_digest, recorded_digest
from tposecli.hub.checkpoints.resolve import bundled_file, cache_dir, fetch, locate, verify_file
from tposecli.hub.download.download import RemoteFile, find_damage
from tposecli.hub.download.options import Downloads
from tposecli.models.catalog import CATALOG
from tposecli.utils.errors import OutputError, UsageError, WeightsError
from tposecli.utils.files import new_file, sha256_of
from tposecli.utils.locks import file_lock

SUFFIXES: Final = (".pth", ".pt", ".safetensors")
DIGEST_IN_NAME: Final = re.compile(r"-([0-9a-f]{8,64})\.pth")
"""PyTorch's file names: the last part of the stem is the beginning of the file's SHA-256."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A weights file, on this machine or not.

    Attributes:
        model: Name of the model; a dash for a file that is not in the catalogue.
        file: File name.
        path: Where the file is; None if it is not on this machine.
        pinned: Published SHA-256, or the beginning of it.
        min_bytes: Minimum size of an intact file.
        url: Where it is published.
    """

    model: str
    file: str
    path: Path | None
    pinned: str = ""
    min_bytes: int = 0
    url: str = ""

    def row(self) -> tuple[str, str, str, str]:
        """Return model, size, state of the digest, and name of the file, as text."""
        if self.path is None:
            return self.model, "absent" if self.url else "none", "pinned" if self.pinned else "-", self.file
        known = "recorded" if recorded_digest(self.path) else "new"
        size = f"{self.path.stat().st_size / 1e6:.1f} MB"
        return self.model, size, "pinned" if self.pinned else known, self.file

    @property
    def place(self) -> str:
        """Where the file is: its path or, if it is not on this machine, its URL, if it has one."""
        return str(self.path or self.url or "none; for your own training")


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """Result of checking one file.

    Attributes:
        line: The result in words.
        ok: Whether the file is intact.
    """

    line: str
    ok: bool


def inventory() -> list[WeightsFile]:
    """List the files of the catalogue, followed by any other weights in the cache."""
    items = [
        WeightsFile(spec.name, spec.file, locate(spec), spec.sha256 or "", spec.min_bytes, spec.url) for spec in CATALOG
    ]
    known = {item.file for item in items}
    folder = cache_dir()
    names = {path.name for path in folder.glob("*") if path.suffix in SUFFIXES} | set(read_digests(folder))
    others = [folder / name for name in sorted(names - known)]
    return items + [WeightsFile("-", path.name, path, _digest_in(path.name)) for path in others if path.is_file()]


def verify_all(paths: list[Path] | None = None) -> list[WeightsReport]:
    """Check the given files, or all on this machine, against their published or recorded digests."""
    return [_verify(item, item.path) for item in inventory() if item.path and (paths is None or item.path in paths)]


def _verify(item: WeightsFile, path: Path) -> WeightsReport:
    try:
        known = recorded_digest(path)
        digest = verify_file(path, item.pinned, item.min_bytes)
    except WeightsError as error:
        return WeightsReport(str(error), False)
    damage = "" if item.pinned or known else find_damage(path, path.suffix, item.min_bytes)
    if damage:
        return WeightsReport(
            f"{path}: {damage}; download it again with: tpose weights pull --force {item.model}", False
        )
    state = "as published" if item.pinned else "as at its first use" if known else "recorded now"
    return WeightsReport(f"{path}: {state}, SHA-256 {digest}", True)


def find_local(remote: RemoteFile) -> Path:
    """Return the path of a file that is bundled or in the cache.

    Raises:
        WeightsError: It is not on this machine.
    """
    cached = cache_dir() / remote.file
    found = bundled_file(remote.file) or (cached if cached.is_file() else None)
    if found is None:
        raise WeightsError(f"{remote.label}: not on this machine; get it with: tpose weights pull {remote.label}")
    return found


def pull(remote: RemoteFile, downloads: Downloads, force: bool = False) -> Path:
    """Return the path of a file after verifying it; download it if it is not on this machine, or if ``force`` is set.

    Raises:
        WeightsError: It cannot be downloaded, or it has changed.
    """
    path = fetch(remote, downloads, force) if remote.url else find_local(remote)
    verify_file(path, remote.sha256, remote.min_bytes)
    return path


def add_file(file: Path, remote: RemoteFile, replace: bool = False) -> Path:
    """Copy a file into the cache under the name that its model looks for.

    Raises:
        UsageError: The cache holds a different file, and ``replace`` is off.
        WeightsError: It is not that model's file, is visibly damaged, or cannot be copied.
    """
    if not file.is_file():
        raise WeightsError(f"{file}: no such file; check the name")
    path = cache_dir() / remote.file
    digest = _checked_digest(file, remote)
    known = recorded_digest(path) or (sha256_of(path) if path.is_file() else "")
    if known and known != digest and not replace:
        raise UsageError(
            f"{file}: the cached {path.name} has SHA-256 {known}, this file {digest}; add --replace to trust this file"
        )
    try:
        with file_lock(path):
            if path.is_file() and path.samefile(file):
                record_digest(path, digest)
                return path
            with new_file(path, replace=replace) as temporary:
                shutil.copyfile(file, temporary)
    except (OSError, OutputError) as error:
        raise WeightsError(f"{path}: cannot be written ({error}); make room, or set TPOSE_HOME") from error
    record_digest(path, digest)
    return path


def _checked_digest(file: Path, remote: RemoteFile) -> str:
    """Return the digest of a file that may be the weights of ``remote``.

    Raises:
        WeightsError: It cannot be.
    """
    if not remote.url:
        raise WeightsError(f"{remote.label}: its weights are bundled with the program; add those of another model")
    digest = sha256_of(file)
    if not digest.startswith(remote.sha256):
        raise WeightsError(
            f"{file}: not the published file of {remote.label} (SHA-256 {digest}, expected {remote.sha256})"
        )
    damage = find_damage(file, Path(remote.file).suffix, remote.min_bytes)
    if damage:
        raise WeightsError(f"{file}: not the weights of {remote.label}, {damage}; download the file again")
    return digest


def _digest_in(name: str) -> str:
    found = DIGEST_IN_NAME.search(name)
    return found[1] if found else ""
