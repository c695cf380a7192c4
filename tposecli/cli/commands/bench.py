"""``tpose bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, MACHINE, MODEL, RUN, Command
from tposecli.cli.options import common as shared
from tposecli.cli.terminal import say
from tposecli.lab.bench.job import PARTS, BenchJob
from tposecli.models.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable


Word = TypeVar("Word")


class ChoiceList(click.ParamType[tuple[Any, ...]]):
    """A comma-separated list."""

    name = "list"

    def __init__(self, convert: Callable[[str], Any] = str) -> None:
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Take a tuple as it is, and split a string."""
        if isinstance(value, tuple):
            return value
        try:
            words = tuple(self._convert(word.strip()) for word in value.split(",") if word.strip())
        except ValueError:
            words = ()
        if not words:
            self.fail(f"{value!r} is not a list; expected values separated by commas", param, ctx)
        return words


def count(word: str) -> int:
    """Parse a whole number above 0."""
    number = int(word)
    if number < 1:
        raise ValueError(word)
    return number


@click.command(cls=Command, short_help="Measure speed on this machine.")
@click.argument("video", required=False, type=shared.LocalPath(path_type=Path, exists=True, dir_okay=False))
@option_group(
    INPUT,
    click.option("--synthetic", is_flag=True, help="Use a rendered 720p clip, as without VIDEO."),
    click.option(
        "--people", type=click.IntRange(1), default=3, show_default=True, help="Number of people in the rendered clip."
    ),
    click.option(
        "--frames", type=click.IntRange(1), default=48, show_default=True, help="Use this many frames of the video."
    ),
)
@option_group(
    RUN,
    click.option(
        "--only", type=click.Choice(PARTS), multiple=True, help="Measure this part only. May be repeated.  [all]"
    ),
    click.option(
        "--rounds",
        type=click.IntRange(1),
        default=5,
        show_default=True,
        help="Repeat each measurement N times.",
    ),
    click.option(
        "--baseline/--no-baseline", default=True, show_default=True, help="Also measure the authors' original code."
    ),
)
@option_group(
    MODEL,
    click.option(
        "--models", type=ChoiceList(), default="auto", show_default=True, help="Models, comma-separated, or all."
    ),
)
@option_group(
    MACHINE,
    click.option(
        "--batches", type=ChoiceList(count), default="1,8", show_default=True, help="Batch sizes, comma-separated."
    ),
    click.option(
        "--precisions",
        type=ChoiceList(),
        default="auto",
        show_default=True,
        help="Number formats, comma-separated: fp32, bf16, fp16, int8.",
    ),
    click.option(
        "--backends",
        type=ChoiceList(),
        default="auto",
        show_default=True,
        help="Runtimes, comma-separated: torch, compile, onnx, openvino.",
    ),
    click.option("--device", default="auto", show_default=True, help="Run on auto, cpu, cuda, cuda:N or mps."),
)
@option_group(
    FILES,
    click.option("--json", type=shared.OUTPUT, help="Write the tables as JSON."),
    click.option("--plot", type=shared.OUTPUT, help="Plot the tables: .png, .svg or .pdf."),
)
@shared.overwrite_option
def bench(video: Path | None, synthetic: bool, **options: Any) -> None:
    """Measure speed on this machine: nets, stages, whole runs, and the hardware's limits.

    Everything is warmed up, then measured in alternating rounds, so that other load affects all candidates alike:
    ratios are reliable even where absolute figures are not. Tables go to standard output.

    \b
    tpose bench
    tpose bench match.mp4 --only stages --only video
    tpose bench --only nets --models all --batches 1,8 --precisions fp32,bf16 --plot nets.png
    """
    from tposecli.lab.bench.report import save
    from tposecli.lab.bench.run import run

    if synthetic and video is not None:
        raise click.UsageError("--synthetic takes no VIDEO; name one of them")
    _check(options)
    report = run(
        _job(video, options), lambda what: say(f"measuring {what}", err=True), lambda text: say(*text.split("\n"))
    )
    if options["json"] is not None:
        save(options["json"], report)
    if options["plot"] is not None:
        from tposecli.lab.bench.plot import plot

        plot(options["plot"], report)


def _check(options: shared.Options) -> None:
    """Check, before minutes are spent, that the outputs can be written."""
    from tposecli.utils.files import check_output

    for path in (options["json"], options["plot"]):
        if path is not None:
            check_output(path, options["overwrite"])


def _job(video: Path | None, options: shared.Options) -> BenchJob:

    models = options["models"]
    return BenchJob(
        video=video,
        parts=options["only"] or PARTS,
        models=tuple(spec.name for spec in CATALOG) if models == ("all",) else models,
        **{name: options[name] for name in ("batches", "precisions", "backends", "device", "rounds")},
        **{name: options[name] for name in ("people", "frames", "baseline")},
        command=shared.command_line(),
    )
