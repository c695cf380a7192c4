"""``tpose plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, JOINTS, PEOPLE, RUN, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.drawing import parse_names
from tposecli.cli.options.keep import parse_people
from tposecli.cli.options.motion import facing_option, scale_of, scale_options
from tposecli.cli.options.pose_files import POSES, foreign_frames_options, pose_input_of, pose_options, pose_stem
from tposecli.cli.terminal import say
from tposecli.report.plot.options import SUFFIXES, Event, PlotOptions, sided


def _angles(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return names of angles, both sides of those without one."""
    parts = [part for part in (value or "").split(",") if part.strip()]
    return tuple(dict.fromkeys(name for part in parts for name in sided(part)))


def _joints(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return names of keypoints."""
    from tposecli.geometry.keypoints import KEYPOINTS

    return parse_names(value or "", KEYPOINTS)


def _align(_: click.Context, __: click.Parameter, value: str | None) -> Event | tuple[float, ...]:
    """Return times of the takes, or an event."""
    if value is None:
        return ()
    if "<" in value or ">" in value:
        try:
            return Event.parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return tuple(shared.seconds(part.strip()) for part in value.split(","))


@click.command(cls=Command, short_help="Plot angles, positions and speeds of a run over time.")
@click.argument("journals", nargs=-1, required=True, type=POSES, metavar="JOURNAL...")
@pose_options
@foreign_frames_options
@option_group(
    INPUT,
    click.option(
        "--align",
        metavar="TIMES|EVENT",
        callback=_align,
        help="Time of each take that becomes 0 (12.4,3.1), or what happens there in all of them: 'left_knee>60'.",
    ),
)
@option_group(
    PEOPLE,
    click.option(
        "--people",
        metavar="PEOPLE",
        callback=parse_people,
        help="Plot these people, by id or by the name of tpose edit: 1,Ana.  [the longest tracks]",
    ),
)
@option_group(
    JOINTS,
    click.option(
        "--angle",
        metavar="NAMES",
        callback=_angles,
        help="Plot these angles, comma-separated: knee for both sides, left_knee, trunk.  [knee, without --joint]",
    ),
    click.option(
        "--joint", metavar="NAMES", callback=_joints, help="Plot positions of these joints: left_wrist,right_wrist."
    ),
    click.option("--speed", is_flag=True, help="Plot speeds instead: degrees, pixels or metres per second."),
)
@facing_option
@scale_options
@option_group(
    FILES,
    click.option("--output", "-o", type=shared.FILE, required=True, help="Write the plot here: .png, .svg or .pdf."),
)
@shared.overwrite_option
@option_group(RUN, shared.quiet_option)
def plot(journals: tuple[Path, ...], **options: Any) -> None:
    """Plot angles, positions and speeds over time: measured thin, smoothed thick, filled dotted, gaps as gaps.

    JOURNAL is the out.mp4.poses.jsonl of a run, tracked and smoothed as that run did, with the corrections of tpose
    edit, or another pose file or folder. Several are takes in one plot, each with a video of its own if -i is given.

    \b
    tpose plot out.mp4.poses.jsonl --angle knee -o knee.svg
    tpose plot a.mp4.poses.jsonl b.mp4.poses.jsonl --angle left_knee --align 12.4,3.1 -o takes.pdf
    tpose plot out.mp4.poses.jsonl --joint left_wrist --speed --person-height 1.80 -o wrist.png
    """
    from tposecli.report.plot.curves import read_curves
    from tposecli.report.plot.figure import draw
    from tposecli.utils.files import check_output

    output: Path = options["output"]
    if output.suffix.lower() not in SUFFIXES:
        raise click.BadParameter(f"{output}: expected a name that ends with {', '.join(SUFFIXES)}", param_hint="-o")
    align = options["align"]
    times, event = ((), align) if isinstance(align, Event) else (align, None)
    if times and len(times) != len(journals):
        raise click.BadParameter(
            f"expected a time for each of the {len(journals)} journals, got {len(times)}", param_hint="--align"
        )
    inputs = options["inputs"]
    if inputs and len(journals) > 1 and len(inputs) != len(journals):
        raise click.BadParameter(
            f"expected a video for each of the {len(journals)} takes, got {len(inputs)}", param_hint="-i"
        )
    check_output(output, options["overwrite"])
    angles, joints = options["angle"], options["joint"]
    wanted = PlotOptions(
        angles if angles or joints else sided("knee"),
        joints,
        options["speed"],
        options["people"],
        times,
        event,
        options["facing"],
        scale_of(options),
    )
    videos = [(video,) for video in inputs] if len(journals) > 1 and inputs else [inputs] * len(journals)
    takes = [pose_input_of(path, options | {"inputs": own}) for path, own in zip(journals, videos, strict=True)]
    curves = read_curves(takes, wanted)
    zero = str(event) if event is not None else "the event" if times else ""
    names = [pose_stem(path) for path in journals]
    names = [f"{name} ({place})" if names.count(name) > 1 else name for place, name in enumerate(names, start=1)]
    draw(curves, names, output, zero)
    if not options["quiet"]:
        say(f"{output}", err=True)
