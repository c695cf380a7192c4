"""Options that name pose files to read and to write, derived from the table of formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, RenamedOption
from tposecli.cli.options.common import (
    OUTPUT,
    OUTPUT_FOLDER,
    Command,
    LocalPath,
    Options,
    frame_rate,
    in_folder,
    refuse_address,
)
from tposecli.cli.options.fields import option_of
from tposecli.formats.catalog import (
    PoseFormat,
    added_formats,
    find_format,
    option_formats,
    readable_formats,
    written_formats,
)
from tposecli.formats.exchange.options import ExchangeOptions

if TYPE_CHECKING:
    from tposecli.formats.align import PoseInput

POSES = LocalPath(path_type=Path, exists=False)


class FormatName(click.Choice[str]):
    """The name of a format: one of the table, or one that another package adds."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; other packages are asked only for names that the table does not have."""
        if value not in self.choices and any(row.name == value for row in added_formats()):
            return value
        return super().convert(value, param, ctx)


pose_options = option_group(
    INPUT,
    click.option(
        "--from",
        "kind",
        type=FormatName([row.name for row in readable_formats()]),
        help="Format of FILE.  [recognised from the file]",
    ),
    click.option("--track-again", is_flag=True, help="Track people again, even if the file has ids."),
    click.option("--no-edits", is_flag=True, help="Leave out the corrections that tpose edit wrote."),
)


frames_options = (
    click.option(
        "--another-video", is_flag=True, help="Accept a file other than the original that has the same frames."
    ),
    click.option("--recursive", "-r", is_flag=True, help="Look into subfolders, too."),
)
"""How the video or the images of ``--input`` may differ from those that the poses were measured on, and are found."""


def input_option(what: str, required: bool = False) -> Callable[[Command], Command]:
    """Return ``--input``: the video or the images that poses belong to."""
    return click.option("--input", "-i", "inputs", metavar="PATH", multiple=True, required=required, help=what)


def size(value: str) -> tuple[int, int]:
    """Return width and height from ``1280x720``."""
    parts = value.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is not a size; write width x height, as 1280x720")
    return int(parts[0]), int(parts[1])


rate_options = (
    click.option(
        "--input-fps",
        cls=RenamedOption,
        formerly=("--fps",),
        type=frame_rate,
        metavar="RATE",
        help="Frame rate (Hz) of another tool's poses, if there is no video.",
    ),
    click.option(
        "--size",
        type=size,
        metavar="WxH",
        help="Frame size (pixels) of another tool's poses, if there is no video.",
    ),
)
"""What poses of another tool do not say of their frames, if there is no video."""

foreign_frames_options = option_group(
    INPUT, input_option("Video or images that the poses of another tool belong to."), *rate_options
)
"""What poses of another tool do not say of their frames."""


def _output_options(row: PoseFormat) -> Iterator[Callable[[Command], Command]]:
    """Yield the option that writes a format, and the one that chooses its variant."""
    yield click.option(row.option, type=OUTPUT_FOLDER if row.folder_pattern else OUTPUT, help=row.help)
    if row.variants:
        yield click.option(
            f"{row.option}-format",
            type=click.Choice(row.variants),
            default=row.variants[0],
            show_default=True,
            help=f"Variant of {row.option}.",
        )


pose_output_options = option_group(FILES, *(option for row in option_formats() for option in _output_options(row)))


def _frame_names(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return the pattern if it is valid."""
    from tposecli.formats.frame_names import check_pattern

    return value if value is None else check_pattern(value)


frame_names_option = option_group(
    FILES,
    click.option(
        "--frame-names",
        metavar="PATTERN",
        callback=_frame_names,
        help="Name the frames of a video so in COCO JSON; 'frame_{index:06d}.png' for CVAT's video tasks.  "
        "[{stem}_{index:06d}.jpg, or the names of the images that are read or written]",
    ),
)


def _listed() -> str:
    """Return what ``--to`` writes."""
    own = "; ".join(f"{row.name}: {row.help}" for row in written_formats() if not row.option)
    return f"{own}; {', '.join(row.name for row in option_formats())}: as with their options"


to_options = option_group(
    FILES,
    click.option(
        "--to",
        type=(FormatName([row.name for row in written_formats()]), OUTPUT),
        metavar="FORMAT PATH",
        multiple=True,
        help=f"Write poses in another program's format; may be repeated. {_listed()}.",
    ),
    click.option(
        "--per-person",
        is_flag=True,
        help="Write a file for each person (walk_Ana.trc for walk.trc) in the formats that only --to writes.",
    ),
    option_of(
        *(ExchangeOptions, "every_s", "--every"),
        metavar="SECONDS",
        help="Seconds between the frames of the training sets coco-train and yolo-pose; 0 takes all. Frames with "
        "keypoints set by hand are always taken.",
    ),
)


def exchange_of(options: Options) -> ExchangeOptions:
    """Return the options of formats of other programs; those of commands without ``--to`` are the default."""
    return ExchangeOptions(options["per_person"], options["every"]) if "to" in options else ExchangeOptions()


def pose_outputs_of(options: Options, stem: str) -> dict[str, Path]:
    """Return the pose files to write by the name of their format; in a folder they are named after ``stem``."""
    given = {row: options[row.parameter] for row in option_formats()}
    poses = {row.name: in_folder(path, stem + row.suffix) if row.suffix else path for row, path in given.items()}
    named = {name: path for name, path in poses.items() if path is not None}
    for name, path in options.get("to", ()):
        if name in named:
            raise click.UsageError(f"--to {name} {path}: {named[name]} has that format already; name one of them")
        row = find_format(name)
        if row is not None and row.suffix:
            _check_ending(row, path)
        named[name] = in_folder(path, stem + row.suffix) if row is not None and row.suffix else path
    return named


def _check_ending(row: PoseFormat, path: Path) -> None:
    """Refuse a file that has the ending of another format only."""
    own = Path(f"x{row.suffix}").suffix
    others = {Path(f"x{other.suffix}").suffix for other in written_formats() if other.suffix} - {own}
    if path.suffix.lower() in others and not path.is_dir():
        raise click.BadParameter(f"{path}: expected a name that ends in {row.suffix}", param_hint=f"--to {row.name}")


def pose_stem(path: Path) -> str:
    """Return what files made from a pose file are named after: ``out`` for out.json and for out.mp4.poses.jsonl."""
    from tposecli.formats.journal.journal import SUFFIX

    if path.name.endswith(SUFFIX):
        return Path(path.name.removesuffix(SUFFIX)).stem.replace("%", "") or "poses"
    if path.is_dir():
        return path.resolve().name or "poses"
    known = sorted((row.suffix for row in written_formats() if row.suffix), key=len, reverse=True)
    return next((path.name.removesuffix(end) for end in known if path.name.endswith(end)), path.stem) or "poses"


def variants_of(options: Options) -> dict[str, str]:
    """Return the variant of each format that has several."""
    return {row.name: options[f"{row.parameter}_format"] for row in option_formats() if row.variants}


def pose_input_of(path: Path, options: Options) -> PoseInput:
    """Return the pose file to read, with what the options say of its frames."""
    from tposecli.formats.align import PoseInput

    for name in options.get("inputs", ()):
        refuse_address(name, "name a file or folder of this machine")
    return PoseInput(
        path,
        options.get("kind"),
        options.get("inputs", ()),
        options.get("input_fps"),
        options.get("size"),
        options.get("recursive", False),
        options.get("track_again", False),
        not options.get("no_edits", False),
    )
