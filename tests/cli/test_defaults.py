"""Options that are left out give what the dataclasses hold by default, for every command; choices are the same, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from tposecli.cli.commands import bench, eval, train, train_detector
from tposecli.cli.main import cli
from tposecli.cli.options.common import model_choice_of, window_of
from tposecli.cli.options.encoding import encoding_of
from tposecli.cli.options.motion import scale_of
from tposecli.cli.options.report import report_content_of
from tposecli.cli.options.settings import figure_settings_of, inference_of, settings_of
from tposecli.cli.options.smoothing import smooth_of
from tposecli.cli.options.tracking import track_of
from tposecli.detection.factory import DetectorOptions
from tposecli.evaluation.coco.job import EvalJob
from tposecli.formats.catalog import option_formats
from tposecli.hub.download.options import Downloads
from tposecli.inference.backends.export import SUFFIXES, ExportOptions
from tposecli.inference.backends.export_job import ExportJob
from tposecli.inference.options import BACKENDS, FloatPrecision, ModelChoice, Precision
from tposecli.lab.bench.job import PARTS, BenchJob
from tposecli.lab.training.detector.loop import DetectorJob
from tposecli.lab.training.job import Decay, PoseJob
from tposecli.models.attention_readout import Mode
from tposecli.pipeline.job import DrawingSettings, FileSettings, InferenceSettings, Settings
from tposecli.pipeline.postprocess import STILLS, PostOptions
from tposecli.report.options import ReportOptions, SheetOptions
from tposecli.report.plot.options import PlotOptions
from tposecli.sinks.video import VideoOptions
from tposecli.sources import Window


def options_of(command: str, *arguments: str) -> dict[str, Any]:
    """Return the parameters of a command that is given these arguments only."""
    found: click.Command = cli
    for name in command.split():
        assert isinstance(found, click.Group)
        found = found.commands[name]
    return found.make_context(command, [*arguments], auto_envvar_prefix=None).params


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' environment sets ``--offline``."""
    monkeypatch.delenv("TPOSE_OFFLINE")


def plain(inference: InferenceSettings) -> InferenceSettings:
    """Leave the progress bar of downloads out of the comparison."""
    return replace(inference, model=replace(inference.model, downloads=Downloads()))


@pytest.mark.parametrize(
    ("command", "arguments", "post"),
    [
        ("video", ["in.mp4"], PostOptions()),
        ("images", ["in.jpg"], STILLS),
        ("convert", ["in.poses.jsonl"], PostOptions()),
        ("render", ["in.poses.jsonl", "-i", "in.mp4"], PostOptions()),
    ],
)
def test_settings(command: str, arguments: list[str], post: PostOptions) -> None:
    settings = settings_of(options_of(command, *arguments))
    assert plain(settings.inference) == InferenceSettings()
    strengths = {name: type(given)() for name, given in settings.post.smooth.strengths.items()}
    assert strengths == dict(settings.post.smooth.strengths)
    assert replace(settings.post, smooth=replace(settings.post.smooth, strengths={})) == post
    assert settings.drawing == DrawingSettings() and replace(settings.files, variants={}) == FileSettings()
    assert settings.files.variants == {row.name: row.variants[0] for row in option_formats() if row.variants}
    assert replace(settings.flags, command="") == Settings().flags


def test_video() -> None:
    options = options_of("video", "in.mp4")
    assert window_of(options) == Window() and encoding_of(options) == VideoOptions()


def test_score() -> None:
    options = options_of("score", "in.poses.jsonl", "truth.json")
    assert track_of(options) == PostOptions().track
    assert replace(smooth_of(options), strengths={}) == PostOptions().smooth


def test_attention() -> None:
    settings = figure_settings_of(options_of("attention", "in.jpg", "-o", "why.pdf"))
    assert plain(settings.inference) == InferenceSettings() and not settings.flags.overwrite


def test_eval() -> None:
    job = eval._job(options_of("eval"))
    model = replace(job.model, downloads=Downloads())
    assert replace(job, model=model, command="") == EvalJob()


def test_train() -> None:
    job = train._job(options_of("train", "--data", "rendered", "-o", "run"))
    assert job == PoseJob(data=("rendered",), out=Path("run"))


def test_train_detector() -> None:
    options, job = options_of("train-detector"), DetectorJob((), (), Path("run"))
    assert train_detector.train_detector.name == "train-detector"
    assert (options["minutes"], options["seed"], options["resume"]) == (job.minutes, job.seed, job.resume)


def test_bench() -> None:
    assert replace(bench._job(None, options_of("bench")), command=BenchJob().command) == BenchJob()


def test_export() -> None:
    options, job = options_of("export", "--format", "onnx"), ExportJob("onnx", None)
    assert (options["model"], options["weights"], options["overwrite"]) == (job.model, job.weights, job.overwrite)
    assert ExportOptions(options["with_attention"], options["batch_size"]) == job.options
    assert (options["precision"] == "int8", options["calibrate_on"]) == (job.int8, job.examples)


@pytest.mark.parametrize(
    ("command", "parameter", "choices"),
    [
        ("video", "precision", get_args(Precision)),
        ("video", "backend", BACKENDS),
        ("video", "attention_mode", get_args(Mode)),
        ("train", "precision", get_args(FloatPrecision)),
        ("train", "decay", get_args(Decay)),
        ("export", "form", tuple(SUFFIXES)),
        ("bench", "only", PARTS),
    ],
)
def test_choices(command: str, parameter: str, choices: tuple[str, ...]) -> None:
    option = next(param for param in cli.commands[command].params if param.name == parameter)
    assert isinstance(option.type, click.Choice) and tuple(option.type.choices) == tuple(choices)


def test_report() -> None:
    options = options_of("report", "in.poses.jsonl", "-o", "out.html")
    assert report_content_of(options) == ReportOptions()
    assert replace(model_choice_of({"flip_test": False, **options}), downloads=Downloads()) == ModelChoice()


def test_plot() -> None:
    options, plain = options_of("plot", "in.poses.jsonl", "-o", "out.svg"), PlotOptions()
    assert (options["angle"], options["joint"], options["people"], options["align"]) == ((), (), (), ())
    assert (options["speed"], options["facing"]) == (plain.speed, plain.facing)
    assert scale_of(options) == plain.scale


def test_sheet() -> None:
    options = options_of("sheet", "in.poses.jsonl", "-i", "in.mp4", "-o", "out.jpg")
    given = (options[name] for name in ("frames", "worst", "columns", "tile_width"))
    assert SheetOptions(*given) == SheetOptions()


def test_every_command_is_looked_at() -> None:
    """Commands that are missing here have no options with a default in a dataclass."""
    without = {
        "check",
        "completion",
        "data",
        "docs",
        "doctor",
        "edit",
        "join",
        "models",
        "sample-media",
        "status",
        "validate",
        "weights",
    }
    here = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert set(cli.commands) <= without | here | {"images", "convert", "render"}


def test_models_and_detectors() -> None:
    options = options_of("video", "in.mp4")
    assert replace(model_choice_of(options), downloads=Downloads()) == ModelChoice()
    assert inference_of(options).detector == DetectorOptions()
