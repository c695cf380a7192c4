"""Locating, fetching and verifying weights on this machine. Does not import torch."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import platformdirs

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.hub.checkpoints.digests import record_digest, recorded_digest
from tposecli.hub.checkpoints.metadata import read_metadata
from tposecli.hub.download.download import DIGEST_DIGITS, RemoteFile, download, find_damage, manual_download_hint
from tposecli.hub.download.options import Downloads, RetryPolicy
from tposecli.models.catalog import AUTO_BUNDLED, AUTO_EXPLAINING, AUTO_OFFICIAL, ModelSpec, find_spec
from tposecli.utils.errors import DownloadError, UsageError, WeightsError
from tposecli.utils.files import sha256_of
from tposecli.utils.locks import file_lock

log = logging.getLogger("tposecli")

PACKAGE = Path(__file__).resolve().parents[2]
AUTO_RETRY: Final = RetryPolicy(connect_s=5.0, stall_s=10.0, tries=2)
"""``--model auto`` has a fallback and does not wait long."""
AUTO_RETRY_AFTER_S: Final = 24 * 3600.0
"""After a failed download, ``--model auto`` does not use the network for this long."""
AUTO_STAMP: Final = "auto-failed"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model, the file with its weights, and the keypoints that they predict."""

    spec: ModelSpec
    path: Path
    layout: KeypointLayout = COCO

    def verify(self) -> str:
        """Verify the file and return its SHA-256.

        Raises:
            WeightsError: The file has the catalogue's name but not its digest, or has changed since its first use.
        """
        if self.path.name != self.spec.file:
            return sha256_of(self.path)
        return verify_file(self.path, self.spec.sha256 or "", self.spec.min_bytes)


def cache_dir() -> Path:
    """Return the folder for downloaded weights: ``TPOSE_HOME``, or the platform's cache folder."""
    return Path(os.environ.get("TPOSE_HOME") or platformdirs.user_cache_dir("tpose"))


def bundled_file(name: str) -> Path | None:
    """Return a file that comes with the program, from the installed package or the repository."""
    places = (PACKAGE / "_weights" / name, PACKAGE.parent / "weights" / name)
    return next((path for path in places if path.is_file()), None)


def locate(spec: ModelSpec) -> Path | None:
    """Return the model's checkpoint if it is on this machine: bundled, in the cache, or in ``TPOSE_WEIGHTS``."""
    own = bundled_file(spec.file) if spec.bundled else cache_dir() / spec.file
    shared = os.environ.get("TPOSE_WEIGHTS")
    places = (own, Path(shared) / spec.file if shared else None)
    return next((path for path in places if path is not None and path.is_file()), None)


def remote_of(spec: ModelSpec) -> RemoteFile:
    """Describe a model's checkpoint for downloading."""
    return RemoteFile(spec.name, spec.file, spec.url, spec.sha256 or "", spec.min_bytes)


def verify_file(path: Path, pinned: str = "", min_bytes: int = 0) -> str:
    """Compare a file with its published digest, and a file in the cache with the digest of its first use.

    The first use of a cached file is recorded here, unless it is visibly damaged.

    Args:
        path: The file.
        pinned: Published SHA-256, or the beginning of it; empty if none is published.
        min_bytes: A smaller file is not recorded.

    Returns:
        The SHA-256 of the file.

    Raises:
        WeightsError: The digests differ.
    """
    digest = sha256_of(path)
    if not digest.startswith(pinned):
        raise WeightsError(
            f"{path}: damaged, truncated, or not the published file (SHA-256 {digest}, expected {pinned}); "
            "reinstall or download it again, or rename it if it is a file of your own"
        )
    if path.parent.resolve() != cache_dir().resolve() or len(pinned) == DIGEST_DIGITS:
        return digest
    known = recorded_digest(path)
    if known and digest != known:
        raise WeightsError(
            f"{path}: it has changed since its first use (SHA-256 {digest}, expected {known}); download it again with "
            "tpose weights pull --force, or, if the change was intended, accept it with tpose weights add --replace"
        )
    if not known and not find_damage(path, path.suffix, min_bytes):
        record_digest(path, digest)
    return digest


def fetch(remote: RemoteFile, downloads: Downloads | None = None, force: bool = False) -> Path:
    """Return a published file from the cache, downloading it if needed; concurrent processes share one download.

    With ``force`` it is downloaded in any case and its digest is trusted; the old file stays until the new one is
    complete.

    Raises:
        WeightsError: It is not cached and cannot be downloaded; the message says which file to put where.
    """
    downloads = downloads or Downloads()
    path = cache_dir() / remote.file
    if path.is_file() and not force:
        return path
    if downloads.offline:
        raise WeightsError(
            f"{remote.label}: --offline or TPOSE_OFFLINE forbids downloading its weights; "
            f"{manual_download_hint(remote, path)}"
        )
    try:
        with file_lock(path):
            if force or not path.is_file():
                known = "" if force else recorded_digest(path)
                expected = remote.sha256 if len(remote.sha256) == DIGEST_DIGITS else known or remote.sha256
                record_digest(path, download(replace(remote, sha256=expected), path, downloads))
    except DownloadError as error:
        raise WeightsError(str(error)) from error
    except OSError as error:
        raise WeightsError(
            f"{path.parent}: the cache is not writable ({error.strerror}); set TPOSE_HOME to a writable folder"
        ) from error
    return path


def resolve(
    model: str = "auto", weights: Path | None = None, downloads: Downloads | None = None, explaining: bool = False
) -> Checkpoint:
    """Return the checkpoint that ``--model`` and ``--weights`` stand for; official ones are downloaded if needed.

    ``auto`` is the official R-A4 if it is cached or can be downloaded at once, otherwise a bundled model; a log line
    says which.

    Args:
        model: A name of the catalogue, or ``auto``.
        weights: A checkpoint to use instead of the catalogue's own.
        downloads: Whether and how weights may be downloaded.
        explaining: Attention will be shown: of the bundled models, ``auto`` takes the one whose attention says
            something, which is not the most accurate one.

    Raises:
        UsageError: ``weights`` is given without the model that it belongs to.
        WeightsError: The file is not on this machine and cannot be downloaded.
    """
    downloads = downloads or Downloads()
    if weights is not None:
        return _user_checkpoint(model, weights)
    if model == "auto":
        model, why = _resolve_auto(downloads, AUTO_EXPLAINING if explaining else AUTO_BUNDLED)
        log.info("model: %s (%s)", model, why)
    spec = find_spec(model)
    path = locate(spec)
    if path is None:
        if not spec.trained:
            raise WeightsError(
                f"{spec.name}: there are no weights of it; train some (tpose train --model {spec.name}) and name them "
                "with --weights"
            )
        if spec.bundled:
            raise WeightsError(f"{spec.name}: the bundled file {spec.file} is missing; reinstall the package")
        path = fetch(remote_of(spec), downloads)
    return Checkpoint(spec, path)


def _user_checkpoint(model: str, weights: Path) -> Checkpoint:
    """Return the checkpoint of a user's own file; files written by ``tpose train`` name their model."""
    if not weights.is_file():
        raise WeightsError(f"{weights}: no such weights file; check the name")
    known = read_metadata(weights)
    if model == "auto" and known.model is None:
        raise UsageError(f"--weights {weights}: add --model to say which model these weights are for")
    spec = find_spec(known.model if model == "auto" and known.model else model)
    return Checkpoint(replace(spec, input_hw=known.input_hw or spec.input_hw), weights, known.layout)


def _resolve_auto(downloads: Downloads, bundled: str) -> tuple[str, str]:
    """Return the model that ``auto`` stands for now, and why; ``bundled`` is the one to fall back on."""
    spec = find_spec(AUTO_OFFICIAL)
    if locate(spec):
        return spec.name, "official weights from the cache"
    reason = fetch_for_auto(remote_of(spec), AUTO_STAMP, downloads)
    return (bundled, f"bundled; {reason}") if reason else (spec.name, "official weights")


def fetch_for_auto(remote: RemoteFile, stamp_name: str, downloads: Downloads | None = None) -> str:
    """Get a published file that can be done without: nothing that goes wrong is an error.

    A failure is remembered for a day: without a network, only the first run waits.

    Args:
        remote: The file.
        stamp_name: Name of the file in the cache that remembers a failure.
        downloads: Whether and how it may be downloaded.

    Returns:
        Why the file is not in the cache now; empty if it is.
    """
    downloads = downloads or Downloads()
    if (cache_dir() / remote.file).is_file():
        return ""
    if downloads.offline:
        return "offline"
    stamp = cache_dir() / stamp_name
    retry = f"get it with: tpose weights pull {remote.label}"
    try:
        with file_lock(stamp, remote.label):
            if _is_fresh(stamp):
                return f"the download of {remote.label} failed within the last day; {retry}"
            try:
                fetch(remote, replace(downloads, retry=AUTO_RETRY))
            except (WeightsError, UsageError) as error:
                stamp.touch()
                return f"{error}; not tried again for a day; {retry}"
            stamp.unlink(missing_ok=True)
            return ""
    except OSError as error:
        return f"the cache {stamp.parent} is not writable: {error.strerror}"


def _is_fresh(stamp: Path) -> bool:
    try:
        return 0 <= time.time() - stamp.stat().st_mtime < AUTO_RETRY_AFTER_S
    except OSError:
        return False
