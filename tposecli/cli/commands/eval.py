"""``tpose eval``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cloup import option_group

from tposecli.attention.style import AttentionStyle
from tposecli.cli.command import ATTENTION, FILES, INPUT, MODEL, PEOPLE, RUN, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.attention import layer_option, mode_option, refuse_rollout_influence
from tposecli.cli.options.fields import FiniteRange, option_of
from tposecli.cli.terminal import say
from tposecli.evaluation.explain.options import ExplainOptions

if TYPE_CHECKING:
    from tposecli.evaluation.coco.job import DataChoice, EvalJob

data_options = option_group(
    INPUT,
    click.option("--coco", metavar="SET", help="Evaluate on this set of COCO: val2017, test-dev2017, ...  [val2017]"),
    click.option(
        "--data-dir",
        type=shared.FOLDER,
        default="data/coco",
        show_default=True,
        help="Folder with COCO's files, see 'tpose data'.",
    ),
    click.option("--annotations", type=shared.FILE, help="Evaluate on another set, with this COCO keypoint file."),
    click.option("--images", type=shared.OUTPUT, help="Folder or zip file with the images of --annotations."),
    click.option("--sigmas", metavar="S,S,...", help="OKS constants, one per keypoint.  [the file's, else COCO's]"),
    click.option("--limit", type=click.IntRange(1), help="Evaluate only the first N images."),
    click.option("--seed", type=click.IntRange(0), help="Choose the images of --limit at random, with this seed."),
)

run_options = shared.together(
    option_group(
        PEOPLE,
        click.option(
            "--boxes",
            metavar="WHICH",
            help="Use these boxes: detections (published with COCO's sets), gt, detector, or a file of detections.  "
            "[detections]",
        ),
        click.option("--detector", default="auto", show_default=True, help="Detector of --boxes detector."),
        click.option("--det-score", type=FiniteRange(0, 1), help="Drop boxes below this score.  [the detector's own]"),
        shared.trust_option,
    ),
    shared.net_options,
    option_group(
        MODEL,
        click.option(
            "--flip-test/--no-flip-test", default=True, show_default=True, help="Average with the mirrored crop."
        ),
        click.option("--results", "scored", type=shared.FILE, help="Score this results file; run no model."),
    ),
    option_group(RUN, click.option("--strict", is_flag=True, help="Treat every problem with the inputs as an error.")),
)

explain_options = option_group(
    ATTENTION,
    click.option("--explain", is_flag=True, help="Measure what attention is worth as an explanation of the keypoints."),
    option_of(ExplainOptions, "people", "--explain-limit", help="Measure the deletion curves of this many people."),
    layer_option("--explain-layer", what="Measure this encoder layer"),
    mode_option("--explain-mode", what="Measure what keypoints depend on, or what they influence."),
)

file_options = shared.together(
    option_group(
        FILES,
        shared.output_option(
            shared.FILE, "Write the results in the authors' schema, or as a .zip for the test server."
        ),
        click.option("--report", type=shared.FILE, help="Write a report, .json or .md."),
        click.option(
            "--calibrate",
            type=shared.FILE,
            metavar="FILE",
            help="Write what scores say, fitted on this set; belongs beside the weights as NAME.calibration.json.",
        ),
        click.option("--plots", type=shared.FOLDER, help="Write precision-recall and OKS plots into this folder."),
    ),
    option_group(
        RUN,
        click.option(
            "--overwrite",
            is_flag=True,
            help="Replace outputs that exist; drop an unfinished run with other options.",
        ),
        click.option("--resume/--no-resume", default=True, show_default=True, help="Continue an unfinished run."),
    ),
)


@click.command(
    "eval",
    cls=Command,
    first=("coco", "data_dir", "annotations", "images", "boxes", "model", "limit", "output", "report", "plots"),
    short_help="Evaluate a model on COCO keypoints, as its authors do.",
)
@data_options
@run_options
@explain_options
@file_options
@shared.reporting_options
@click.pass_context
def evaluate(ctx: click.Context, /, **options: Any) -> None:
    """Evaluate a model on COCO keypoints by the authors' protocol, or score a results file.

    Repeat the command to continue an interrupted run.

    \b
    tpose eval --coco val2017 --data-dir data/coco --model transpose-r-a4
    tpose eval --coco val2017 --boxes gt -o results.json --report report.md
    tpose eval --annotations val.json --images photos/ --boxes detector
    tpose eval --annotations val.json --images photos/ --boxes gt --explain --report report.md --plots plots/
    tpose eval --results results.json
    """
    from tposecli.cli.watchers import exit_status, watcher
    from tposecli.evaluation.coco.report import text
    from tposecli.evaluation.coco.run import run_eval

    watching = watcher(options["quiet"], options["log_json"], options["verbose"])
    report = run_eval(_job(options), watching)
    if not options["quiet"]:
        say(*text(report).split("\n"))
    ctx.exit(exit_status([report.summary], watching))


def _job(options: shared.Options) -> EvalJob:
    from tposecli.detection.factory import DetectorOptions
    from tposecli.evaluation.coco.job import EvalJob, EvalOutputs

    return EvalJob(
        _data(options),
        options["boxes"],
        options["scored"],
        shared.model_choice_of(options),
        DetectorOptions(options["detector"], options["det_score"], trust=options["trust"]),
        EvalOutputs(
            options["output"],
            options["report"],
            options["plots"],
            options["overwrite"],
            options["resume"],
            options["calibrate"],
        ),
        options["strict"],
        shared.command_line(),
        _explain(options),
    )


def _explain(options: shared.Options) -> ExplainOptions | None:
    if not options["explain"]:
        return None
    layers, mode = options["explain_layer"], options["explain_mode"]
    refuse_rollout_influence(layers, mode, "--explain-layer")
    return ExplainOptions(options["explain_limit"], AttentionStyle(layers=layers, mode=mode))


def _data(options: shared.Options) -> DataChoice:
    from tposecli.evaluation.coco.job import DataChoice

    coco: str | None = options["coco"]
    annotations: Path | None = options["annotations"]
    if annotations is not None and coco is not None:
        raise click.UsageError("--coco and --annotations both name a set; give one of them")
    if options["seed"] is not None and options["limit"] is None:
        raise click.UsageError("--seed chooses the images of --limit; give both")
    return DataChoice(
        None if annotations is not None else coco or "val2017",
        options["data_dir"],
        annotations,
        options["images"],
        _sigmas(options["sigmas"]),
        options["limit"],
        options["seed"],
    )


def _sigmas(value: str | None) -> tuple[float, ...] | None:
    try:
        return None if value is None else tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a list of numbers; write them with commas: 0.1,0.2", param_hint="--sigmas"
        ) from None
