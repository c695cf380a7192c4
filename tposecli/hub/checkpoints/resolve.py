"""Where weights lie on this machine, how they get there, and whether they are what they claim to be. No torch here."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import platformdirs

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.hub.checkpoints.digests import record, recorded
from tposecli.hub.checkpoints.metadata import metadata_of
from tposecli.hub.download.download import DIGEST_DIGITS, Downloads, RemoteFile, by_hand, download, flaw
from tposecli.hub.download.request import RetryPolicy
from tposecli.models.catalog import AUTO_BUNDLED, AUTO_OFFICIAL, ModelSpec, find_spec
from tposecli.utils.errors import DownloadError, UsageError, WeightsError
from tposecli.utils.files import sha256_of
from tposecli.utils.locks import file_lock

log = logging.getLogger("tposecli")

PACKAGE = Path(__file__).resolve().parents[2]
AUTO_PATIENCE: Final = RetryPolicy(connect_s=5.0, stall_s=10.0, tries=2)
"""``--model auto`` has something to fall back on and does not wait for long."""
AUTO_REST_S: Final = 24 * 3600.0
"""After a failure ``--model auto`` leaves the network alone for so long."""
AUTO_STAMP: Final = "auto-failed"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model, the file its weights are in, and the keypoints that they find."""

    spec: ModelSpec
    path: Path
    layout: KeypointLayout = COCO

    def verify(self) -> str:
        """SHA-256 of the file.

        Raises:
            WeightsError: The file bears the catalogue's name but not its digest, or has changed since its first use.
        """
        if self.path.name != self.spec.file:
            return sha256_of(self.path)
        return check(self.path, self.spec.sha256 or "", self.spec.min_bytes)


def cache_dir() -> Path:
    """Where downloaded weights are kept: ``TPOSE_HOME``, else the platform's cache folder."""
    return Path(os.environ.get("TPOSE_HOME") or platformdirs.user_cache_dir("tpose"))


def bundled_file(name: str) -> Path | None:
    """A file that comes with the program: in the installed package, else in the repository."""
    places = (PACKAGE / "_weights" / name, PACKAGE.parent / "weights" / name)
    return next((path for path in places if path.is_file()), None)


def locate(spec: ModelSpec) -> Path | None:
    """The model's checkpoint on this machine, if there is one."""
    if spec.bundled:
        return bundled_file(spec.file)
    cached = cache_dir() / spec.file
    return cached if cached.is_file() else None


def remote_of(spec: ModelSpec) -> RemoteFile:
    """A model's checkpoint, for the code that downloads."""
    return RemoteFile(spec.name, spec.file, spec.url, spec.sha256 or "", spec.min_bytes)


def check(path: Path, pinned: str = "", min_bytes: int = 0) -> str:
    """Compare a file with its pinned digest, and one in the cache with the digest of its first use.

    The first use of a cached file is recorded here, unless something is visibly wrong with it.

    Args:
        path: The file.
        pinned: What its SHA-256 begins with; empty if nothing is published.
        least_bytes: A file smaller than this is not recorded.

    Returns:
        Its SHA-256.

    Raises:
        WeightsError: It is another file.
    """
    digest = sha256_of(path)
    if not digest.startswith(pinned):
        raise WeightsError(
            f"{path}: damaged or cut short, or not the published file (SHA-256 {digest}, expected {pinned}); "
            "install or download it again, or rename it if it is meant to be your own"
        )
    if path.parent.resolve() != cache_dir().resolve() or len(pinned) == DIGEST_DIGITS:
        return digest
    known = recorded(path)
    if known and digest != known:
        raise WeightsError(
            f"{path}: it has changed since its first use (SHA-256 {digest}, expected {known}); get it anew with "
            "tpose weights pull --force, or if the change was meant, take it over with tpose weights add --replace"
        )
    if not known and not flaw(path, path.suffix, min_bytes):
        record(path, digest)
    return digest


def fetch(remote: RemoteFile, downloads: Downloads | None = None, anew: bool = False) -> Path:
    """A published file in the cache, downloaded if it is not there; processes that want it at once wait for one.

    With ``anew`` it is downloaded in any case and what comes is trusted; the old file stays until the new one is whole.

    Raises:
        WeightsError: It is not there and cannot be had; the message says what to put where.
    """
    downloads = downloads or Downloads()
    path = cache_dir() / remote.file
    if path.is_file() and not anew:
        return path
    if downloads.offline:
        raise WeightsError(
            f"{remote.label}: --offline or TPOSE_OFFLINE forbids to get its weights; {by_hand(remote, path)}"
        )
    try:
        with file_lock(path):
            if anew or not path.is_file():
                known = "" if anew else recorded(path)
                expected = remote.sha256 if len(remote.sha256) == DIGEST_DIGITS else known or remote.sha256
                record(path, download(replace(remote, sha256=expected), path, downloads))
    except DownloadError as error:
        raise WeightsError(str(error)) from error
    except OSError as error:
        raise WeightsError(
            f"{path.parent}: the cache cannot be written ({error.strerror}); set TPOSE_HOME to a folder that can"
        ) from error
    return path


def resolve(model: str = "auto", weights: Path | None = None, downloads: Downloads | None = None) -> Checkpoint:
    """The checkpoint that ``--model`` and ``--weights`` stand for; an official one is downloaded if need be.

    ``auto`` is the official R-A4 where its file is in the cache or can be had at once, else the bundled model; a log
    line says which.

    Raises:
        UsageError: ``weights`` without a model that says what they are for.
        WeightsError: The file is not on this machine and cannot be had.
    """
    downloads = downloads or Downloads()
    if weights is not None:
        return _given(model, weights)
    if model == "auto":
        model, why = _choose(downloads)
        log.info("model: %s (%s)", model, why)
    spec = find_spec(model)
    path = locate(spec)
    if path is None:
        if spec.bundled:
            raise WeightsError(f"{spec.name}: the bundled file {spec.file} is missing; install the package again")
        path = fetch(remote_of(spec), downloads)
    return Checkpoint(spec, path)


def _given(model: str, weights: Path) -> Checkpoint:
    """A file of the user's own; one that `tpose train` wrote says itself what it is."""
    if not weights.is_file():
        raise WeightsError(f"{weights}: no such weights file")
    known = metadata_of(weights)
    if model == "auto" and known.model is None:
        raise UsageError(f"--weights {weights}: say with --model which model these weights are for")
    spec = find_spec(known.model if model == "auto" and known.model else model)
    return Checkpoint(replace(spec, input_hw=known.input_hw or spec.input_hw), weights, known.layout)


def _choose(downloads: Downloads) -> tuple[str, str]:
    """What ``auto`` stands for now, and why.

    One failure is remembered for a day: who has no network waits once, not at every run.
    """
    spec = find_spec(AUTO_OFFICIAL)
    if locate(spec):
        return spec.name, "official weights from the cache"
    if downloads.offline:
        return AUTO_BUNDLED, "bundled; offline"
    stamp = cache_dir() / AUTO_STAMP
    try:
        with file_lock(stamp, spec.name):
            return _try_official(spec, stamp, downloads)
    except OSError as error:
        return AUTO_BUNDLED, f"bundled; the cache {stamp.parent} cannot be written: {error.strerror}"


def _try_official(spec: ModelSpec, stamp: Path, downloads: Downloads) -> tuple[str, str]:
    """Download the official model unless that failed a short while ago; the caller holds the stamp's lock."""
    command = f"`tpose weights pull {spec.name}` gets the official {spec.name}"
    if _is_fresh(stamp):
        return AUTO_BUNDLED, f"bundled; {command}, which could not be downloaded within the last day"
    try:
        fetch(remote_of(spec), replace(downloads, patience=AUTO_PATIENCE))
    except WeightsError as error:
        stamp.touch()
        return AUTO_BUNDLED, f"bundled; {error}; not tried again for a day, {command}"
    stamp.unlink(missing_ok=True)
    return spec.name, "official weights"


def _is_fresh(stamp: Path) -> bool:
    try:
        return 0 <= time.time() - stamp.stat().st_mtime < AUTO_REST_S
    except OSError:
        return False
