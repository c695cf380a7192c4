"""From a checkpoint to a file for another runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tposecli.errors import UsageError
from tposecli.fetch.download import Downloads
from tposecli.files import check_output
from tposecli.models.backends.exporting import SUFFIXES, ExportOptions, Format, export, require
from tposecli.models.files import resolve
from tposecli.models.folding import for_prediction
from tposecli.models.weights import load


@dataclass(frozen=True, slots=True)
class ExportJob:
    """Which net, and which file to make of it.

    Attributes:
        form: Of the file.
        output: Where; None: named after the model, in the current folder.
        model: A name of the catalogue, or ``auto``.
        weights: A checkpoint to use instead of the catalogue's own.
        options: What the file is to be like.
    """

    form: Format
    output: Path | None
    model: str = "auto"
    weights: Path | None = None
    options: ExportOptions = field(default_factory=ExportOptions)
    overwrite: bool = False


def run_export(job: ExportJob, downloads: Downloads) -> tuple[Path, float]:
    """Write the file; return where it is, and how far it is from torch, as part of the largest value.

    Raises:
        UsageError: A package is missing, the file has the wrong suffix, or is in the way.
        WeightsError: The net cannot be loaded.
        OutputError: The file cannot be written, or does not give what torch gives.
    """
    require(job.form)
    suffix = SUFFIXES[job.form]
    if job.output is not None and job.output.suffix != suffix:
        raise UsageError(f"{job.output}: a file of the format {job.form} is called {suffix}; choose such a name")
    if job.output is not None:
        check_output(job.output, job.overwrite)
    checkpoint = resolve(job.model, job.weights, downloads)
    path = job.output or Path(checkpoint.spec.name + suffix)
    check_output(path, job.overwrite)
    checkpoint.verify()
    return path, export(for_prediction(load(checkpoint)), job.form, path, job.options)
