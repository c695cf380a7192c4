"""``tpose export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, MACHINE, MODEL, RUN, Command, RenamedOption
from tposecli.cli.options import common as shared
from tposecli.cli.terminal import say


@click.command("export", cls=Command, short_help="Export a model as ONNX, OpenVINO or torch.export.")
@option_group(
    MODEL,
    click.option(
        "--model",
        metavar="NAME",
        default="auto",
        show_default=True,
        help="Pose model: auto or a name from 'tpose models'.",
    ),
    click.option("--weights", type=shared.FILE, help="Use this checkpoint (.pth, .safetensors) of the model."),
)
@option_group(
    FILES,
    click.option(
        "--format",
        "form",
        type=click.Choice(["onnx", "openvino", "torch-export"]),
        required=True,
        help="Write this format.",
    ),
    click.option(
        "--output", "-o", type=shared.FILE, help="Write this file: .onnx, .xml (and its .bin) or .pt2.  [MODEL.SUFFIX]"
    ),
    click.option("--batch-size", type=click.IntRange(1), help="Fix the batch size.  [any]"),
    click.option(
        "--with-attention",
        cls=RenamedOption,
        formerly=("--attention",),
        is_flag=True,
        help="Also output the inputs of the encoder layers, from which attention is computed.",
    ),
)
@option_group(MACHINE, shared.offline_option)
@shared.overwrite_option
@option_group(RUN, shared.quiet_option)
def export(**options: Any) -> None:
    """Export a model for another runtime, and check that its outputs equal torch's.

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
        ExportOptions(options["with_attention"], options["batch_size"]),
        options["overwrite"],
    )
    path, error = run_export(job, shared.downloads_of(options))
    if not options["quiet"]:
        checked = f"differs from torch by {error:.0e} of the largest value" if error else "equal to torch"
        say(f"{path}: checked, {checked}", err=True)
