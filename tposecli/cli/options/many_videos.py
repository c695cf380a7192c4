"""What ``tpose video`` makes of each input: one input names its files, several share folders and tables."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from cloup import option_group

from tposecli.cli.command import INPUT
from tposecli.cli.options.common import Options, in_folder, is_folder, window_of
from tposecli.cli.options.encoding import encoding_of, view_of
from tposecli.formats.catalog import option_formats

if TYPE_CHECKING:
    from tposecli.pipeline.job import Outputs, VideoJob
    from tposecli.pipeline.shared_table import SharedTable
    from tposecli.sources import NamedVideo

STDOUT: Final = Path("-")
SHARED_TABLE: Final = "csv"
"""The output that several inputs may share as one file."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several equal parts of the inputs, by their names alone: shards need not know of one another.

    Attributes:
        number: Which part, from 0.
        count: How many parts there are.
    """

    number: int
    count: int

    def has(self, name: str) -> bool:
        """Return whether an input of this name is in this part."""
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number


def _shard(ctx: click.Context, param: click.Parameter, value: str | None) -> Shard | None:
    if value is None:
        return None
    number, _, count = value.partition("/")
    if not all(part.isascii() and part.isdecimal() for part in (number, count)) or not int(number) < int(count):
        raise click.BadParameter(f"{value!r} is not a shard; expected I/N with I from 0 to N-1: 0/4 to 3/4", ctx, param)
    return Shard(int(number), int(count))


shard_option = option_group(
    INPUT,
    click.option(
        "--shard",
        metavar="I/N",
        callback=_shard,
        help="Process only part I, from 0, of N equal parts of the inputs; which part one is in depends on its name.",
    ),
)


@dataclass(frozen=True, slots=True)
class Work:
    """The jobs of a run, the table that they share, if they share one, and the page of each job that has one."""

    jobs: Sequence[VideoJob]
    table: SharedTable | None = None
    pages: Sequence[Path | None] = ()


def work_of(videos: Sequence[NamedVideo], options: Options) -> Work:
    """Return a job for each video.

    Raises:
        UsageError: Several inputs would be written to one file, or an output is an input.
    """
    from tposecli.pipeline.job import VideoJob
    from tposecli.pipeline.shared_table import SharedTable

    several = len(videos) > 1 or any(video.is_one_of_many for video in videos)
    csv: Path | None = options["csv"]
    table = SharedTable(csv) if several and csv is not None and _is_file(csv, ".csv") else None
    window, encoding = window_of(options), encoding_of(options)
    reading, view = (options["stream"], options["input_fps"]), view_of(options)
    jobs = [
        VideoJob(
            video.location,
            outputs_of(video, options, several, table),
            window,
            encoding,
            *reading,
            label=video.label if several else "",
            view=view,
        )
        for video in videos
    ]
    _refuse_clashes(jobs)
    pages = [_page_of(video, options["report"], several) for video in videos]
    shard: Shard | None = options["shard"]
    if shard is None:
        return Work(jobs, table, pages)
    if table is not None:
        raise click.UsageError(f"--csv {csv}: shards cannot share one file; name a folder")
    mine = [number for number, video in enumerate(videos) if shard.has(video.label)]
    return Work([jobs[number] for number in mine], None, [pages[number] for number in mine])


def outputs_of(video: NamedVideo, options: Options, several: bool, table: SharedTable | None) -> Outputs:
    """Return the outputs of one video; where none is named, they are beside it."""
    from tposecli.pipeline.job import Outputs

    def place(option: str, suffix: str, is_file: bool = True) -> Path | None:
        given: Path | None = options[option]
        if given is None or (given == STDOUT and not several):
            return given
        if several:
            _refuse_one_file(option, given, suffix)
            if given == STDOUT:
                return given
        name = f"{video.name}{suffix if is_file else ''}"
        return given / name if several else in_folder(given, name) if is_file else given

    poses = {row.name: place(row.parameter, row.suffix) for row in option_formats()}
    if table is not None:
        poses[SHARED_TABLE] = table.part(video.label)
    found = Outputs(
        place("output", ".mp4"),
        {name: file for name, file in poses.items() if file is not None},
        place("attention", ".npz", is_file=False),
        place("attention_matrix", ".csv"),
        place("crops", "", is_file=False),
    )
    bare = options["show"] and options["report"] is None
    return found if found.wanted or bare else _beside(video)


def _page_of(video: NamedVideo, given: Path | None, several: bool) -> Path | None:
    """Return the page of a video, if there shall be one."""
    if given is None:
        return None
    if given == STDOUT:
        raise click.UsageError("--report -: a page is a file; name one")
    name = f"{video.name}.html"
    if several:
        _refuse_one_file("report", given, ".html")
        return given / name
    return in_folder(given, name)


def _beside(video: NamedVideo) -> Outputs:
    """Return the outputs of a video for which none is named: ``a_pose.mp4`` and ``a_pose.json`` for ``a.mp4``."""
    from tposecli.pipeline.job import Outputs
    from tposecli.sources.locations import is_stdin, is_url, local_path, output_stem

    location = video.location
    if is_stdin(location):
        return Outputs()
    folder = local_path(location).parent if isinstance(location, Path) or not is_url(location) else Path()
    stem = f"{output_stem(location)}_pose"
    return Outputs(folder / f"{stem}.mp4", {"coco": folder / f"{stem}.json"})


def _is_file(path: Path, suffix: str) -> bool:
    """Return whether a name means a file of that kind, not a folder."""
    return path != STDOUT and path.suffix.lower() == suffix and not is_folder(path)


def _refuse_one_file(option: str, path: Path, suffix: str) -> None:
    """Refuse to write several inputs to one file.

    Raises:
        UsageError: It says what to write instead.
    """
    from tposecli.sinks.encoding import MUXERS

    flag = "-o" if option == "output" else f"--{option.replace('_', '-')}"
    if path == STDOUT:
        if option not in ("json", SHARED_TABLE):
            raise click.UsageError(f"{flag} -: standard output takes one input only; name a folder")
        return
    suffixes = {suffix} - {""} | (set(MUXERS) if option in ("output", "attention") else set())
    if option != SHARED_TABLE and any(_is_file(path, each) for each in suffixes):
        folder = f"{path.with_suffix('')}/"
        raise click.UsageError(f"{flag} {path}: several inputs cannot share one file; name a folder, such as {folder}")


def _refuse_clashes(jobs: Sequence[VideoJob]) -> None:
    """Refuse two inputs that write one file, and outputs that are inputs."""
    from tposecli.hub.remote import address_of, is_stored, stored_path

    inputs = {stored_path(job.input).resolve() for job in jobs if isinstance(job.input, Path) or is_stored(job.input)}
    taken: set[Path] = set()
    for job in jobs:
        for output in job.outputs.files:
            if output.resolve() in inputs:
                raise click.UsageError(f"{address_of(output)} is an input; choose another output")
            if output.resolve() in taken:
                raise click.UsageError(f"{address_of(output)} would be written twice; choose other names or folders")
            taken.add(output.resolve())
