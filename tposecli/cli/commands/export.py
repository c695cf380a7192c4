"""``tpose export``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, MACHINE, MODEL, RUN, Command, RenamedOption
from tposecli.cli.options import common as shared
from tposecli.cli.terminal import say
from tposecli.utils.errors import UsageError


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
        "--precision",
        type=click.Choice(["fp32", "int8"]),
        default="fp32",
        show_default=True,
        help="Number format. int8: quantise the model, for OpenVINO on a CPU.",
    ),
    click.option(
        "--calibrate-on",
        metavar="PATH",
        type=shared.LocalPath(path_type=Path),
        help="Measure the ranges of int8 on the people in this video, image or folder.  [rendered people]",
    ),
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
    tpose export --format openvino --precision int8 --calibrate-on clip.mp4 -o mine.xml
    tpose video clip.mp4 --int8-model mine.xml
    """
    from tposecli.cli.watchers import watcher
    from tposecli.detection.examples import own_examples
    from tposecli.inference.backends.export import ExportOptions
    from tposecli.inference.backends.export_job import ExportJob, run_export

    own: Path | None = options["calibrate_on"]
    if own is not None and options["precision"] != "int8":
        raise UsageError("--calibrate-on measures ranges for int8; add --precision int8")
    watcher(options["quiet"], log_json=False)
    output: Path | None = options["output"]
    job = ExportJob(
        options["form"],
        output,
        options["model"],
        options["weights"],
        ExportOptions(options["with_attention"], options["batch_size"]),
        options["overwrite"],
        options["precision"] == "int8",
        None if own is None else partial(own_examples, own),
    )
    path, error = run_export(job, shared.downloads_of(options))
    if not options["quiet"]:
        mean = "on average " if job.int8 else ""
        checked = f"differs from torch by {mean}{error:.0e} of the largest value" if error else "equal to torch"
        say(f"{path}: checked, {checked}", err=True)
