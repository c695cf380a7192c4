"""What ``tpose export`` does: a net of the catalogue, or of a user, as a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.hub.download.options import Downloads
from tposecli.inference.backends.cpu_rewrites import for_prediction
from tposecli.inference.backends.examples import Examples, rendered_examples
from tposecli.inference.backends.export import SUFFIXES, ExportOptions, export, require
from tposecli.inference.backends.int8 import export_int8, notes_for, require_nncf
from tposecli.inference.options import ExportFormat
from tposecli.utils.errors import UsageError
from tposecli.utils.files import check_output, refuse_existing


@dataclass(frozen=True, slots=True)
class ExportJob:
    """Which net to export, and to which file.

    Attributes:
        form: ExportFormat of the file.
        output: Path of the file; None to name it after the model, in the current folder.
        model: A name of the catalogue, or ``auto``.
        weights: A checkpoint to use instead of the catalogue's own.
        options: Options of the export.
        overwrite: Replace an existing file.
        int8: Quantise it; for OpenVINO.
        examples: Finds what the ranges of an int8 net's values are measured on, filled up with rendered people; None
            for those alone.
    """

    form: ExportFormat
    output: Path | None
    model: str = "auto"
    weights: Path | None = None
    options: ExportOptions = field(default_factory=ExportOptions)
    overwrite: bool = False
    int8: bool = False
    examples: Callable[[], Examples] | None = None


def run_export(job: ExportJob, downloads: Downloads) -> tuple[Path, float]:
    """Write the file; return its path, and its largest difference from torch, relative to the largest value.

    Raises:
        UsageError: A package is missing, the suffix is wrong, or the file exists.
        WeightsError: The net cannot be loaded.
        OutputError: The file cannot be written, or its outputs differ from torch's.
    """
    require(job.form)
    if job.int8:
        _check_int8(job)
    suffix = SUFFIXES[job.form]
    if job.output is not None and job.output.suffix != suffix:
        raise UsageError(f"{job.output}: expected the suffix {suffix} for {job.form}")
    if job.output is not None:
        check_output(job.output, job.overwrite)
    checkpoint = resolve(job.model, job.weights, downloads)
    path = job.output or Path(checkpoint.spec.name + suffix)
    check_output(path, job.overwrite)
    if job.form == "openvino":
        refuse_existing([path.with_suffix(".bin")], job.overwrite)
    sha256 = checkpoint.verify()
    net = for_prediction(load(checkpoint))
    if not job.int8:
        return path, export(net, job.form, path, job.options)
    rendered = rendered_examples()
    examples = rendered if job.examples is None else job.examples().and_then(rendered)
    notes = notes_for(checkpoint.spec.name, sha256, job.options.attention, examples)
    return path, export_int8(net, path, job.options, examples, notes)


def _check_int8(job: ExportJob) -> None:
    """Raise UsageError if this cannot be quantised."""
    if job.form != "openvino":
        raise UsageError(f"--precision int8 is for OpenVINO; choose --format openvino instead of {job.form}")
    if job.options.batch is not None:
        raise UsageError("--batch-size does not go with --precision int8; leave it out")
    require_nncf()
