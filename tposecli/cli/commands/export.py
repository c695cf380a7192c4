"""``tpose export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tposecli.cli.options import common as shared


@click.command("export")
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "openvino", "torch-export"]),
    required=True,
    help="Format of the file.",
)
@click.option(
    "--output", "-o", type=shared.FILE, help="File to write: .onnx, .xml (its .bin beside it) or .pt2.  [MODEL.SUFFIX]"
)
@click.option("--model", default="auto", show_default=True, help="A name of `tpose models`, or auto.")
@click.option("--weights", type=shared.FILE, help="Checkpoint of that model (.pth or .safetensors) to use instead.")
@click.option("--batch-size", type=click.IntRange(1), help="Fixed batch size.  [any]")
@click.option(
    "--attention", is_flag=True, help="Also output the inputs of the encoder layers, which attention is computed from."
)
@click.option("--offline", is_flag=True, envvar="TPOSE_OFFLINE", help="Open no network connection.")
@shared.overwrite_option
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def export(**options: Any) -> None:
    """Export a net for another runtime, and check that its outputs equal torch's.

    The file takes crops as bytes, (batch, height, width, 3) RGB, and returns heatmaps (batch, 17, height / 4,
    width / 4); normalisation is included. --backend onnx and --backend openvino need no such file: they make their own.

    \b
    tpose export --format onnx --model transpose-r-a4 -o r_a4.onnx
    """
    from tposecli.cli.watchers import watcher
    from tposecli.inference.backends.export import ExportJob, ExportOptions, run_export

    watcher(options["quiet"], log_json=False)
    output: Path | None = options["output"]
    job = ExportJob(
        options["form"],
        output,
        options["model"],
        options["weights"],
        ExportOptions(options["attention"], options["batch_size"]),
        options["overwrite"],
    )
    path, error = run_export(job, shared.downloads_of(options))
    if not options["quiet"]:
        click.echo(f"{path}: differs from torch by {error:.0e} of the largest value", err=True)
