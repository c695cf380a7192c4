"""Options that several commands share, and the values they become. Nothing heavy is imported here."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from cloup import option_group

from tposecli.cli.command import ATTENTION, INPUT, MACHINE, MODEL, PEOPLE, RUN, RenamedOption
from tposecli.cli.command import Command as CommandClass
from tposecli.cli.options.fields import FiniteRange, WholeOrAuto, option_of
from tposecli.detection.factory import CHOICES, DetectorOptions
from tposecli.inference.options import ModelChoice

if TYPE_CHECKING:
    from tposecli.hub.download.options import Downloads
    from tposecli.sources import Window

_ADDRESS = re.compile(r"(\w+://)(?:[^/]*@)?([^?#]*)(?:[?#].*)?$", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""Longer than a letter, which would be a drive of Windows."""

Command = TypeVar("Command", bound=Callable[..., Any])
Options = dict[str, Any]

MAX_FRAME_RATE = 1000
MAX_DETECTOR_SIZE = 4096
NTSC_NOMINAL_RATES = (15, 24, 30, 48, 60, 120, 240)
NTSC_TOLERANCE = Fraction(1, 200)
"""Frames per second; covers NTSC rates rounded to two decimals."""

DEFAULT_DETECTOR = DetectorOptions()
DEFAULT_MODEL = ModelChoice()

FOLDERS = "tposecli.folders"
"""Key of the outputs in the context's ``meta`` that were written with a slash at the end, which paths do not keep."""


def refuse_address(
    value: Any, remedy: str, param: click.Parameter | None = None, ctx: click.Context | None = None
) -> None:
    """Refuse an address where a path is expected, which would take it for a folder named ``s3:``.

    Raises:
        click.BadParameter: It is one.
    """
    if _SCHEME.match(str(value)):
        shown = _ADDRESS.sub(r"\1\2", str(value))
        raise click.BadParameter(f"{shown} is an address; {remedy}", ctx, param)


class LocalPath(click.Path):
    """A file or folder of this machine; an address, which a path would mangle, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        refuse_address(value, "name a file or folder of this machine", param, ctx)
        return super().convert(value, param, ctx)


class OutputPath(LocalPath):
    """An output; one that ends in a slash is a folder, whether it exists or not, see :func:`is_folder`.

    An address in a store becomes a path, see :mod:`tposecli.hub.remote`, in commands that store their outputs.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = stored_output(value, ctx) or super().convert(value, param, ctx)
        if ctx is not None and str(value).endswith("/"):
            ctx.meta.setdefault(FOLDERS, set()).add(path)
        return path


class OutputFolder(LocalPath):
    """A folder to write to, as :class:`OutputPath`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        return stored_output(value, ctx) or super().convert(value, param, ctx)


def stored_output(value: Any, ctx: click.Context | None) -> Path | None:
    """Return an address in a store as a path; None for anything else, and in commands that do not store outputs."""
    from tposecli.hub.remote import is_stored, stored_path

    command = None if ctx is None else ctx.command
    stores = isinstance(command, CommandClass) and command.stores and "://" in str(value)
    return stored_path(str(value)) if stores and is_stored(str(value)) else None


def is_folder(path: Path) -> bool:
    """Return whether an output of this command is a folder: it is one already, or was written with a slash."""
    context = click.get_current_context(silent=True)
    return path.is_dir() or (context is not None and path in context.meta.get(FOLDERS, ()))


def in_folder(given: Path | None, name: str) -> Path | None:
    """Return an output as it was given or, if it is a folder, the file ``name`` in it."""
    return given / name if given is not None and is_folder(given) else given


FILE = LocalPath(path_type=Path, dir_okay=False)
OUTPUT = OutputPath(path_type=Path)
FOLDER = LocalPath(path_type=Path, file_okay=False)
OUTPUT_FOLDER = OutputFolder(path_type=Path, file_okay=False)


def seconds(value: str) -> float:
    """Parse a time, ``12.5``, ``01:12.5`` or ``00:01:12.5``, to seconds."""
    try:
        parts = [float(part) for part in value.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or any(not 0 <= part < float("inf") for part in parts):
        raise click.BadParameter(f"{value!r} is not a time; write seconds (72.5) or HH:MM:SS (00:01:12.5)")
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def frame_rate(value: str, highest: int = MAX_FRAME_RATE) -> Fraction:
    """Return an exact rate in frames per second, up to ``highest``, from ``25``, ``29.97`` or ``30000/1001``.

    Decimal numbers close to an NTSC rate stand for it: ``23.976`` and ``23.98`` are 24000/1001. Fractions are exact.
    """
    try:
        rate = Fraction(value)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= highest:
        raise click.BadParameter(
            f"{value!r} is not a frame rate; expected frames per second up to {highest}: 25, 29.97 or 30000/1001"
        )
    if "/" in value:
        return rate
    ntsc = (Fraction(nominal * 1000, 1001) for nominal in NTSC_NOMINAL_RATES)
    return next((exact for exact in ntsc if abs(rate - exact) < NTSC_TOLERANCE), rate)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Combine options to one decorator that lists them in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


offline_option = click.option(
    "--offline", is_flag=True, envvar="TPOSE_OFFLINE", help="Never use the network; fail if a file is missing."
)
trust_option = click.option(
    "--trust", is_flag=True, help="Allow the file of --detector yolo:FILE to execute code. Only for files you trust."
)

net_options = together(
    option_group(
        MODEL,
        click.option(
            "--model",
            metavar="NAME",
            default=DEFAULT_MODEL.model,
            show_default=True,
            help="Pose model: auto or a name from 'tpose models'.",
        ),
        click.option("--weights", type=FILE, help="Use this checkpoint (.pth, .safetensors) of the model."),
    ),
    option_group(
        MACHINE,
        click.option(
            "--device",
            default=DEFAULT_MODEL.device,
            show_default=True,
            help="Run on auto, cpu, cuda, cuda:N, mps, or several GPUs: cuda:0,cuda:1.",
        ),
        option_of(ModelChoice, "precision", "--precision", help="Number format of the model."),
        option_of(
            ModelChoice,
            "backend",
            "--backend",
            help="Runtime of the model and the bundled detector. auto: OpenVINO on a CPU if installed, else torch.",
        ),
        option_of(
            ModelChoice, "threads", "--threads", help="Use N CPU threads for the model.  [as many as make it faster]"
        ),
        click.option(
            "--batch-size", metavar="N", default="auto", show_default=True, help="Crops per forward pass, or auto."
        ),
        click.option(
            "--int8-model",
            type=FILE,
            help="Use this int8 model, from tpose export --precision int8.  [its own]",
        ),
        offline_option,
    ),
)

model_options = together(
    net_options,
    option_group(
        MODEL,
        click.option("--flip-test", is_flag=True, help="Average with the mirrored crop: more accurate, half as fast."),
    ),
)

detector_options = option_group(
    PEOPLE,
    click.option(
        "--detector",
        metavar="NAME",
        default=DEFAULT_DETECTOR.name,
        show_default=True,
        help=f"Person detector: {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.",
    ),
    click.option(
        "--max-people", type=click.IntRange(1), help="Keep at most N people per frame, those with the best scores."
    ),
    click.option("--det-score", type=FiniteRange(0, 1), help="Drop boxes below this score.  [the detector's own]"),
    click.option(
        "--det-nms",
        type=FiniteRange(0, 1),
        help="Of two boxes that overlap more than this (IoU), drop the lower-scoring one.  [the detector's own]",
    ),
    click.option(
        "--det-size",
        type=click.IntRange(64, MAX_DETECTOR_SIZE),
        help="Scale frames to this longer side (pixels) for the detector.  [the detector's own]",
    ),
    click.option(
        "--det-every",
        type=WholeOrAuto(1),
        default=DEFAULT_DETECTOR.every,
        show_default=True,
        help="Detect people in every Nth frame only, and interpolate their boxes in between; auto detects in every 8th "
        "frame where everybody moves steadily, else more often.",
    ),
    click.option(
        "--min-box",
        type=FiniteRange(0),
        default=DEFAULT_DETECTOR.min_size,
        show_default=True,
        help="Drop boxes whose longer side is shorter than this (pixels).",
    ),
    trust_option,
)

resume_option = option_group(
    RUN,
    click.option("--resume", is_flag=True, help="Continue an interrupted run; finished outputs are left alone."),
)
overwrite_option = option_group(RUN, click.option("--overwrite", is_flag=True, help="Replace outputs that exist."))

output_options = together(
    option_group(
        ATTENTION,
        click.option(
            "--attention",
            type=OUTPUT,
            metavar="PATH",
            help="Write attention maps as a video, a folder of images, or an .npz file.",
        ),
    ),
    overwrite_option,
)


def output_option(kind: click.ParamType[Any], what: str, **keywords: Any) -> Callable[[Command], Command]:
    """Return ``--output``, which was called ``--out`` in the commands that use this."""
    return click.option("--output", "-o", cls=RenamedOption, formerly=("--out",), type=kind, help=what, **keywords)


size_option = option_group(
    INPUT,
    click.option(
        "--max-pixels",
        type=click.IntRange(1),
        help="Refuse images and frames with more pixels, before decoding them.  [16384x16384]",
    ),
)

quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print errors only.")

reporting_options = option_group(
    RUN,
    quiet_option,
    click.option("--verbose", "-v", is_flag=True, help="Also print how long each stage took."),
    click.option("--log-json", is_flag=True, help="Report progress as JSON lines on standard error."),
)

window_options = option_group(
    INPUT,
    click.option(
        "--start",
        type=seconds,
        metavar="TIME",
        default="0",
        help="Start at this time: seconds (12.5) or HH:MM:SS. Times in all outputs count from here, see --clock.",
    ),
    click.option("--end", type=seconds, metavar="TIME", help="Stop before this time."),
    click.option("--stride", type=click.IntRange(1), default=1, show_default=True, help="Use every Nth frame only."),
    click.option(
        "--clock",
        type=click.Choice(["zero", "source"]),
        default="zero",
        show_default=True,
        help="zero: --start and --end count from the beginning of the video, times in all outputs from --start. "
        "source: all are times on the source's own clock. Written videos always begin at the cut.",
    ),
)


def command_line() -> str:
    """Return the command line for provenance, ready to be typed again; URLs lose user, password and query."""
    return shlex.join(["tpose", *(_ADDRESS.sub(r"\1\2", word) for word in sys.argv[1:])])


def model_choice_of(options: Options) -> ModelChoice:
    """Return which net to run, and how."""
    size = options["batch_size"]
    if size != "auto" and not (size.isdecimal() and int(size)):
        raise click.BadParameter(
            f"{size!r} is not a size; expected auto or a number above 0", param_hint="--batch-size"
        )
    return ModelChoice(
        options["model"],
        options["weights"],
        options["device"],
        options["precision"],
        None if size == "auto" else int(size),
        options["flip_test"],
        downloads_of(options),
        options["backend"],
        options["threads"],
        options["int8_model"],
    )


def downloads_of(options: Options) -> Downloads:
    """Return how files may be downloaded, with a progress bar unless quiet."""
    from tposecli.cli.download_bar import bar
    from tposecli.hub.download.options import Downloads

    return Downloads(options["offline"], bar=bar(options.get("quiet", False), options.get("log_json", False)))


def detector_choice_of(options: Options) -> DetectorOptions:
    """Return how people are detected."""
    return DetectorOptions(
        options["detector"],
        options["det_score"],
        options["det_nms"],
        options["max_people"],
        options["min_box"],
        options["det_size"],
        options["det_every"],
        options["trust"],
    )


def window_of(options: Options) -> Window:
    """Return the part of the video to process."""
    from tposecli.sources import Window

    start, end = options["start"], options["end"]
    if end is not None and end <= start:
        raise click.BadParameter(
            f"the end ({end:g} s) is not after the start ({start:g} s); choose a later end", param_hint="--end"
        )
    return Window(start, end, options["stride"], options["clock"])
