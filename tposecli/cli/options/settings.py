"""From the options of a command to what all its inputs have in common. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tposecli.cli.options.attention import attention_style_of
from tposecli.cli.options.common import Options, command_line, detector_choice_of, model_choice_of
from tposecli.cli.options.drawing import style_of
from tposecli.cli.options.encoding import view_of
from tposecli.cli.options.smoothing import smooth_of
from tposecli.cli.options.tracking import track_of

if TYPE_CHECKING:
    from tposecli.pipeline.job import Settings


def settings_of(options: Options) -> Settings:
    """The shared part of a job."""
    from tposecli.pipeline.job import Settings
    from tposecli.sources import MAX_PIXELS

    return Settings(
        model=model_choice_of(options),
        detector=detector_choice_of(options),
        track=track_of(options),
        smooth=smooth_of(options),
        style=style_of(options),
        blur_heads=options["blur_heads"],
        attention=attention_style_of(options),
        attention_every=options["attention_every"],
        attention_stats=options["attention_stats"],
        json_format=options["json_format"],
        openpose_format=options["openpose_format"],
        view=view_of(options),
        overwrite=options["overwrite"],
        resume=options.get("resume", False),
        command=command_line(),
        max_pixels=options["max_pixels"] or MAX_PIXELS,
    )


def replay_settings_of(options: Options) -> Settings:
    """The part of a job that needs no net."""
    from tposecli.pipeline.job import Settings

    return Settings(
        track=track_of(options),
        smooth=smooth_of(options),
        style=style_of(options),
        blur_heads=options.get("blur_heads", False),
        json_format=options["json_format"],
        openpose_format=options["openpose_format"],
        view=view_of(options),
        overwrite=options["overwrite"],
        command=command_line(),
    )


def figure_settings_of(options: Options) -> Settings:
    """The part of a job that a figure of one person needs."""
    from tposecli.pipeline.job import Settings
    from tposecli.sources import MAX_PIXELS

    plain = {"attention_style": "heat", "attention_view": "overlay", "alpha": 1.0}
    return Settings(
        model=model_choice_of(options),
        detector=detector_choice_of(options),
        attention=attention_style_of({**options, **plain}),
        overwrite=options["overwrite"],
        max_pixels=options["max_pixels"] or MAX_PIXELS,
    )
