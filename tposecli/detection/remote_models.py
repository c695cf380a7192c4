"""Names and files of all published weights: of the catalogue's models, and of the detectors of other libraries."""

from __future__ import annotations

from pathlib import Path

from tposecli.detection.factory import DETECTORS
from tposecli.hub.checkpoints.resolve import remote_of
from tposecli.hub.download.download import RemoteFile
from tposecli.models.catalog import AUTO_OFFICIAL, CATALOG, find_spec
from tposecli.utils.errors import UsageError


def find_published(name: str) -> RemoteFile:
    """Return the published weights of a model's name, ``yolo:NAME`` or ``torchvision:NAME``.

    ``auto`` is the official model that ``--model auto`` prefers.

    Raises:
        UsageError: There is no such model.
    """
    prefix, _, argument = name.partition(":")
    for kind in DETECTORS:
        if kind.name == prefix and kind.weights is not None:
            return kind.weights(argument)
    return remote_of(find_spec(AUTO_OFFICIAL if name == "auto" else name))


def published_as(file: Path) -> RemoteFile:
    """Return the published weights of that file name.

    Raises:
        UsageError: No published file has this name.
    """
    for spec in CATALOG:
        if spec.file == file.name:
            return remote_of(spec)
    for kind in DETECTORS:
        if (found := kind.weights_file(file.name)) is not None:
            return found
    raise UsageError(f"{file}: no published weights have this file name; give their model with --model")
