"""The command ``tpose``, and the only place where errors become exit statuses."""

from __future__ import annotations

import gc
import io
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click
import cloup

from tposecli.cli.command import in_one_line
from tposecli.cli.commands.attention import attention
from tposecli.cli.commands.bench import bench
from tposecli.cli.commands.check import check
from tposecli.cli.commands.completion import completion
from tposecli.cli.commands.convert import convert
from tposecli.cli.commands.data import data
from tposecli.cli.commands.docs import docs
from tposecli.cli.commands.doctor import doctor
from tposecli.cli.commands.edit import edit
from tposecli.cli.commands.eval import evaluate
from tposecli.cli.commands.export import export
from tposecli.cli.commands.images import images
from tposecli.cli.commands.join import join
from tposecli.cli.commands.models import models
from tposecli.cli.commands.plot import plot
from tposecli.cli.commands.render import render
from tposecli.cli.commands.report import report
from tposecli.cli.commands.sample_media import sample_media
from tposecli.cli.commands.score import score
from tposecli.cli.commands.sheet import sheet
from tposecli.cli.commands.status import status
from tposecli.cli.commands.train import train
from tposecli.cli.commands.train_detector import train_detector
from tposecli.cli.commands.validate import validate
from tposecli.cli.commands.video import video
from tposecli.cli.commands.weights import weights
from tposecli.cli.config import PREFIX, ConfiguredGroup, config_option, remember
from tposecli.cli.terminal import say
from tposecli.utils.errors import TposeError, with_notes
from tposecli.utils.signals import Stopped, stop_on_signals
from tposecli.utils.version import __version__

OPENCV_REMEDY = (
    "install what is missing (apt-get install libgl1 libglib2.0-0), or the build without windows: "
    "pip uninstall opencv-python, then pip install --force-reinstall opencv-python-headless"
)
INTERRUPTED = 130
TERMINATED = 143
HUNG_UP = 129
PASSIVE_WAIT = ("OMP_WAIT_POLICY", "PASSIVE")
"""Makes torch's threads sleep while they wait; OpenMP reads it when it is loaded. By default they spin and keep the
processor from the other stages: with two threads on two busy cores, the detector then takes more than twice as long."""
GC_THRESHOLD = 20_000
"""New objects between two garbage collections; Python's default, 700, makes importing torch some 5 % slower."""


@click.group(
    cls=ConfiguredGroup,
    params=[config_option(remember)],
    context_settings={
        "help_option_names": ["-h", "--help"],
        "formatter_settings": cloup.HelpFormatter.settings(max_width=110, col1_max_width=26),
        "auto_envvar_prefix": PREFIX,
    },
)
@click.version_option(__version__, prog_name="tpose")
def cli() -> None:
    """Human poses from videos and images with TransPose, and the attention that explains them.

    Every option can also be set in tpose.toml (see --config), or in the environment: TPOSE_VIDEO_SMOOTH=none.
    """


cli.section("Run", video, images, edit, join, convert, render)
cli.section("Look", report, status, check, attention, validate, plot, sheet)
cli.section("Measure", evaluate, score, bench)
cli.section("Models and data", models, weights, data, export)
cli.section("Make", train, train_detector, sample_media)
cli.section("This program", docs, doctor, completion)


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 an input failed, 2 usage, 130 interrupted, 143 terminated."""
    open_closed_streams()
    stop_on_signals()
    os.environ.setdefault(*PASSIVE_WAIT)
    gc.set_threshold(GC_THRESHOLD)
    try:
        status = _status()
    except BrokenPipeError:  # Standard error is closed, too: the reason cannot be reported.
        status = 1
    _flush(stopped=status in (INTERRUPTED, TERMINATED, HUNG_UP), status=status)
    sys.exit(status)


def open_closed_streams() -> None:
    """Make standard streams that are closed, as those of some daemons and cron jobs, read and write nothing.

    Otherwise the next file that is opened would get the number of standard output, and its data.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # As standard error: a terminal may lack a letter of a name.


def _status() -> int:
    try:
        return int(cli(standalone_mode=False) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _report(in_one_line(error), error)
        return error.exit_code
    except TposeError as error:
        _report(str(error), error)
        return error.exit_status
    except ImportError as error:
        if not _is_from_opencv(error):
            raise
        _report(f"OpenCV cannot be loaded ({error}); {OPENCV_REMEDY}", error)
        return 1
    except Stopped as stop:
        _report("interrupted" if stop.status == INTERRUPTED else "terminated", stop)
        return stop.status
    except (KeyboardInterrupt, click.Abort) as stop:
        _report("interrupted", stop)
        return INTERRUPTED


def _is_from_opencv(error: ImportError) -> bool:
    """Return whether the import of ``cv2`` failed, or of something that it needs."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return error.name == "cv2" or (
        last is not None and (Path(last.filename).parent.name == "cv2" or last.line == "import cv2")
    )


def _report(what: str, error: BaseException) -> None:
    """Report why the program ends."""
    say(with_notes(f"tpose: {what}", error), err=True)


def _flush(stopped: bool, status: int) -> None:
    """Flush both streams and leave nothing that could complain, or hang, when the interpreter exits."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            # The reader is gone; the interpreter must not complain when it flushes at exit.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if stopped:
        os._exit(status)  # A thread may still be stuck in a read that never returns.
