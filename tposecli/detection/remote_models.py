"""Names and files of all published weights: of the catalogue's models, and of the detectors of other libraries."""

from __future__ import annotations

from pathlib import Path

from tposecli.hub.checkpoints.resolve import remote_of
from tposecli.hub.download.download import RemoteFile
from tposecli.models.catalog import AUTO_OFFICIAL, CATALOG, find_spec
from tposecli.utils.errors import UsageError


def find_published(name: str) -> RemoteFile:
    """What a model's name, ``yolo:NAME`` or ``torchvision:NAME`` stands for; ``auto`` is the official model it prefers.

    Raises:
        UsageError: There is no such model.
    """
    kind, _, argument = name.partition(":")
    if kind == "torchvision":
        from tposecli.detection import torchvision

        return torchvision.find_model(argument).remote
    if kind == "yolo":
        from tposecli.detection import yolo

        found = yolo.published(argument)
        if found is None:
            raise UsageError(f"{name}: no model of that name that finds people is published; try yolo:yolo26n")
        return found
    return remote_of(find_spec(AUTO_OFFICIAL if name == "auto" else name))


def published_as(file: Path) -> RemoteFile:
    """What a file holds, by its name.

    Raises:
        UsageError: No published file is called so.
    """
    for spec in CATALOG:
        if spec.file == file.name:
            return remote_of(spec)
    from tposecli.detection import torchvision, yolo

    for row in torchvision.MODELS:
        if row.file == file.name:
            return row.remote
    found = yolo.published(file.name) if file.suffix == ".pt" else None
    if found is None:
        raise UsageError(f"{file}: no published weights are called so; say with --model whose they are")
    return found
