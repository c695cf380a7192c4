"""Settings made of the options of a command. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tposecli.cli.options.attention import attention_style_of
from tposecli.cli.options.common import Options, command_line, detector_choice_of, model_choice_of
from tposecli.cli.options.drawing import style_of
from tposecli.cli.options.keep import keep_of, select_of
from tposecli.cli.options.motion import scale_of
from tposecli.cli.options.pose_files import exchange_of, variants_of
from tposecli.cli.options.smoothing import smooth_of
from tposecli.cli.options.tracking import track_of

if TYPE_CHECKING:
    from tposecli.geometry.motion_options import Facing
    from tposecli.pipeline.job import DrawingSettings, FileSettings, InferenceSettings, RunFlags, Settings
    from tposecli.pipeline.postprocess import PostOptions


def settings_of(options: Options) -> Settings:
    """Return the settings of a command; parts that it has no options for keep their defaults."""
    from tposecli.pipeline.job import InferenceSettings, Settings

    inference = inference_of(options) if "model" in options else InferenceSettings()
    return Settings(inference, post_of(options), drawing_of(options), files_of(options), flags_of(options))


def figure_settings_of(options: Options) -> Settings:
    """Return the settings of a figure of one person, which is always a heat map at full opacity."""
    from tposecli.pipeline.job import DrawingSettings, RunFlags, Settings

    fixed = {"attention_style": "heat", "attention_view": "overlay", "alpha": 1.0}
    drawing = DrawingSettings(attention=attention_style_of({**options, **fixed}))
    return Settings(inference_of(options), drawing=drawing, flags=RunFlags(options["overwrite"]))


def inference_of(options: Options) -> InferenceSettings:
    """Return how poses are measured."""
    from tposecli.pipeline.job import InferenceSettings
    from tposecli.sources import MAX_PIXELS

    max_pixels = options["max_pixels"] or MAX_PIXELS
    return InferenceSettings(model_choice_of(options), detector_choice_of(options), max_pixels)


def post_of(options: Options) -> PostOptions:
    """Return how poses are tracked and smoothed."""
    from tposecli.pipeline.postprocess import PostOptions

    return PostOptions(track_of(options), smooth_of(options), keep_of(options), select_of(options))


def drawing_of(options: Options) -> DrawingSettings:
    """Return how everything with pixels looks."""
    from tposecli.pipeline.job import DrawingSettings

    style = style_of(options)
    blur_heads, show, side_by_side = (options.get(name, False) for name in ("blur_heads", "show", "side_by_side"))
    if "attention_style" not in options:
        return DrawingSettings(style, blur_heads=blur_heads, show=show, side_by_side=side_by_side)
    attention = attention_style_of(options), options["attention_every"]
    return DrawingSettings(style, *attention, blur_heads, show, side_by_side)


def files_of(options: Options) -> FileSettings:
    """Return what pose files hold."""
    from tposecli.pipeline.job import FileSettings

    names = options.get("frame_names") or ""
    facing: Facing = options.get("facing", "auto")
    stats = options.get("attention_stats", False)
    return FileSettings(variants_of(options), stats, names, facing, scale_of(options), exchange_of(options))


def flags_of(options: Options) -> RunFlags:
    """Return how the run treats what is there already."""
    from tposecli.pipeline.job import RunFlags

    return RunFlags(options["overwrite"], options.get("resume", False), command_line())
