"""Where checkpoints lie on this machine, and whether they are what they claim to be. Nothing here imports torch."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tposecli.errors import UsageError, WeightsError
from tposecli.files import sha256_of
from tposecli.models.catalog import AUTO_BUNDLED, AUTO_OFFICIAL, ModelSpec, find_spec

log = logging.getLogger("tposecli")

PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model and the file its weights are in."""

    spec: ModelSpec
    path: Path

    def verify(self) -> str:
        """SHA-256 of the file.

        Raises:
            WeightsError: The file bears the catalogue's name but not its digest.
        """
        digest = sha256_of(self.path)
        if self.spec.sha256 is not None and self.path.name == self.spec.file and digest != self.spec.sha256:
            raise WeightsError(
                f"{self.path}: damaged or not the published file (SHA-256 {digest}, expected {self.spec.sha256}); "
                "install it again, or rename it if it is meant to be your own"
            )
        return digest


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


def resolve(model: str = "auto", weights: Path | None = None) -> Checkpoint:
    """The checkpoint that ``--model`` and ``--weights`` stand for.

    ``auto`` is the official R-A4 where its file is in the cache, else the bundled model; a log line says which.

    Raises:
        UsageError: ``weights`` without a model that says what they are for.
        WeightsError: The file is not on this machine.
    """
    if weights is not None:
        if model == "auto":
            raise UsageError(f"--weights {weights}: say with --model which model these weights are for")
        if not weights.is_file():
            raise WeightsError(f"{weights}: no such weights file")
        return Checkpoint(find_spec(model), weights)
    if model == "auto":
        model = AUTO_OFFICIAL if locate(find_spec(AUTO_OFFICIAL)) else AUTO_BUNDLED
        origin = "official weights from the cache" if model == AUTO_OFFICIAL else "the bundled model"
        log.info("model: %s (%s)", model, origin)
    spec = find_spec(model)
    path = locate(spec)
    if path is None:
        raise WeightsError(
            f"{spec.name}: its weights are not on this machine; download {spec.url} and put it at "
            f"{cache_dir() / spec.file}, or name the file with --weights"
            if spec.url
            else f"{spec.name}: the bundled file {spec.file} is missing; install the package again"
        )
    return Checkpoint(spec, path)
