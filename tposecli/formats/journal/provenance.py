"""Provenance of poses, for the journal's header and the ``info`` of pose files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tposecli.types import SourceInfo
from tposecli.utils.version import __version__

if TYPE_CHECKING:
    from tposecli.inference.estimator import PoseEstimator

ENDS: Final = 1 << 20
"""Bytes of a sample of a file."""

MAX_WHOLE: Final = 1 << 33
"""Bytes; larger files are not read as a whole for their fingerprint."""

SAMPLES: Final = 512

UNCOMPARED: Final = frozenset({"command", "calibration", "source_version"})
"""Header fields that may differ when a run is resumed: the options in the command are compared one by one, and what a
server calls a version of the source says that it is the same, not that it is another."""

OF_IMAGES: Final = frozenset({"source", "source_sha256", "image_ids"})
"""Header fields that depend on which images a run reads."""

CHANGED: Final = {
    "source_sha256": "the input has changed",
    "weights_sha256": "the weights have changed",
    "detector_sha256": "the detector's file has changed",
    "boxes_sha256": "the boxes have changed",
}
"""Messages for digests, whose values mean nothing to the reader."""


def fingerprint(paths: Iterable[Path]) -> str:
    """Return the hexadecimal SHA-256 of the sizes and the content of files, in order.

    Hashing takes a fraction of the time that decoding does. Of a file beyond ``MAX_WHOLE`` bytes, samples at equal
    distances and its modification time stand for the whole.
    """
    digest = hashlib.sha256()
    for path in paths:
        if path.stat().st_size <= MAX_WHOLE:
            digest.update(bytes.fromhex(content_of(path)))
            continue
        found = path.stat()
        digest.update(found.st_size.to_bytes(8, "big") + found.st_mtime_ns.to_bytes(16, "big", signed=True))
        with path.open("rb") as file:
            for number in range(SAMPLES):
                file.seek((found.st_size - ENDS) * number // (SAMPLES - 1))
                digest.update(file.read(ENDS))
    return digest.hexdigest()


def content_of(path: Path) -> str:
    """Return what the fingerprint of several files takes of one: its size and its SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return path.stat().st_size.to_bytes(8, "big").hex() + hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of_contents(contents: Iterable[str]) -> str:
    """Return the fingerprint of files, in order, from :func:`content_of` each."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, contents))).hexdigest()


def is_same_source(header: Mapping[str, Any], paths: Sequence[Path]) -> bool:
    """Return whether files are those that a journal's header names; older journals have the digest of their ends."""
    recorded = header.get("source_sha256")
    return recorded in (fingerprint(paths), fingerprint_of_ends(paths) if "checksum" not in header else None)


def fingerprint_of_version(version: str) -> str | None:
    """Return the fingerprint of a source that is not read twice, from its ``ETag`` and size; None if it has none."""
    return hashlib.sha256(version.encode()).hexdigest() if version else None


def fingerprint_of_ends(paths: Iterable[Path]) -> str:
    """Return the fingerprint of journals without checksums: of the sizes and the two ends of files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "big"))
        with path.open("rb") as file:
            digest.update(file.read(ENDS))
            file.seek(max(0, size - ENDS))
            digest.update(file.read(ENDS))
    return digest.hexdigest()


def describe_model(estimator: PoseEstimator) -> dict[str, Any]:
    """Return the model's part of the header: the network, and how it was run."""
    runtime = estimator.runtime
    return {
        "model": estimator.spec.name,
        "weights_sha256": estimator.sha256,
        "device": runtime.device_names,
        "backend": runtime.backend,
        "precision": runtime.precision,
        "batch_size": runtime.batch_size,
        "threads": runtime.threads,
        "flip_test": estimator.flip_test,
        "calibration": None if estimator.calibration is None else estimator.calibration.to_dict(),
        **({} if estimator.int8 is None else {"int8": estimator.int8}),
    }


def describe_source(info: SourceInfo) -> dict[str, Any]:
    """Return the source's part of the header; fractions are text, which keeps them exact."""

    def text(value: Fraction | None) -> str | None:
        return None if value is None else str(value)

    return {
        "source": info.name,
        "size_wh": None if info.size_wh is None else list(info.size_wh),
        "fps": text(info.fps),
        "time_base": text(info.time_base),
        "rotation": info.rotation,
    }


def source_of(header: Mapping[str, Any]) -> SourceInfo:
    """Return the source that a journal's header describes; the inverse of :func:`describe_source`."""
    fps, time_base = (None if (text := header.get(key)) is None else Fraction(text) for key in ("fps", "time_base"))
    size = header.get("size_wh")
    name, rotation = str(header.get("source") or ""), header.get("rotation") or 0
    return SourceInfo(name, None if size is None else (size[0], size[1]), fps, time_base, rotation=rotation)


def header(
    info: SourceInfo, source_sha256: str | None, estimator: PoseEstimator, run: dict[str, Any]
) -> dict[str, Any]:
    """Return the journal's first line, without the journal's own fields.

    Args:
        info: Description of the source.
        source_sha256: From :func:`fingerprint`; None for a source that cannot be read twice.
        estimator: The pose estimator.
        run: Command, detector and options, ready for JSON.
    """
    return {
        "tool": "tposecli",
        "tool_version": __version__,
        **describe_source(info),
        "source_sha256": source_sha256,
        **estimator.layout.to_dict(),
        **describe_model(estimator),
        **run,
    }


def header_differences(before: Mapping[str, Any], now: Mapping[str, Any], ignored: Collection[str] = ()) -> list[str]:
    """List header differences that prevent resuming a run, in words.

    Args:
        before: The header of the journal.
        now: The header that a new run would have.
        ignored: Further fields that may differ.
    """
    old, new = _flat(before), _flat(json.loads(json.dumps(now)))
    changed = [key for key in {**old, **new} if key not in {*UNCOMPARED, *ignored} and old.get(key) != new.get(key)]
    return [CHANGED.get(key, f"{key} was {old.get(key)}, now {new.get(key)}") for key in changed]


def _flat(header: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested entries to keys ``outer.inner``."""
    flat: dict[str, Any] = {}
    for key, value in header.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat
