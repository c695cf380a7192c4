"""``tpose data``: download public data sets and check that they are complete."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from cloup import option_group

from tposecli.cli.command import FILES, RUN, Group
from tposecli.cli.options import common as shared
from tposecli.cli.terminal import say

if TYPE_CHECKING:
    from tposecli.hub.datasets.get import ArchiveTask, DataJob

NAMES = ("val2017", "train2017", "test2017", "test-dev2017")

folder_option = click.option(
    "--data-dir", type=shared.FOLDER, default="data/coco", show_default=True, help="Folder with COCO's files."
)


@click.group(cls=Group, short_help="Download and check public data sets.")
def data() -> None:
    """Download and check the data that `tpose eval` and `tpose train` read.

    \b
    data/coco/annotations/person_keypoints_val2017.json
    data/coco/images/val2017/000000000139.jpg ...
    data/coco/person_detection_results/COCO_val2017_detections_AP_H_56_person.json
    """


@data.command()
@click.argument("sets", nargs=-1, required=True, type=click.Choice(NAMES), metavar="SET...")
@option_group(
    FILES,
    folder_option,
    click.option("--keep-archives", is_flag=True, help="Keep the zip files in DATA_DIR/archives after unpacking."),
)
@option_group(
    RUN,
    click.option("--dry-run", is_flag=True, help="Report what would be downloaded, and stop."),
    shared.offline_option,
)
@shared.reporting_options
def coco(
    sets: tuple[str, ...],
    data_dir: Path,
    keep_archives: bool,
    dry_run: bool,
    offline: bool,
    quiet: bool,
    verbose: bool,
    log_json: bool,
) -> None:
    """Download COCO's official archives and unpack what pose estimation needs.

    SET is val2017, train2017, test2017 or test-dev2017. The sizes are reported first. Repeat the command to continue an
    interrupted download. Archives are checked against their SHA-256, files against their CRC. Mirrors in TPOSE_MIRRORS
    are tried first (URL/val2017.zip); an archive that is already in DATA_DIR/archives is not downloaded.
    """
    from tposecli.cli.download_bar import bar
    from tposecli.cli.watchers import watcher
    from tposecli.hub.datasets.get import RETRY, DataJob, get_datasets, plan_downloads
    from tposecli.hub.download.options import Downloads

    watcher(quiet, log_json)
    downloads = Downloads(offline, RETRY, bar(quiet, log_json))
    job = DataJob(sets, data_dir, keep_archives, downloads, bar(quiet, log_json, "unpack"))
    steps = plan_downloads(job)
    if not quiet:
        say(*_takes(job, steps))
    if steps and not dry_run:
        get_datasets(job, steps)
    if not quiet:
        say(*_lines(data_dir, sets, everything=not dry_run))


@data.command()
@click.argument("sets", nargs=-1, type=click.Choice(NAMES), metavar="[SET]...")
@folder_option
@click.pass_context
def check(ctx: click.Context, sets: tuple[str, ...], data_dir: Path) -> None:
    """Report what is present and what is missing; exit status 1 if anything is missing.

    Without SET: all sets of which something is present, else val2017.
    """
    from tposecli.hub.datasets.check import check_set, present_sets

    found = {f: None for name in sets or present_sets(data_dir) or NAMES[:1] for f in check_set(data_dir, name)}
    say(*(finding.line for finding in found))
    ctx.exit(int(any(finding.remedy for finding in found)))


@data.command()
@click.argument("annotations", type=shared.FILE)
@click.argument("opinions", type=shared.FILE)
@click.option("--output", "-o", type=shared.FILE, required=True, help="Write the improved annotations here.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def relabel(annotations: Path, opinions: Path, output: Path, overwrite: bool) -> None:
    """Improve annotations with another model's keypoints.

    OPINIONS are COCO results for the images of ANNOTATIONS, one person per image (as in Leeds Sports Poses). Faces and
    hidden joints without annotation are added; swapped arms and legs are corrected. Annotated joints are never moved.
    """
    from tposecli.lab.training.relabel import relabel_file

    for what, count in relabel_file(annotations, opinions, output, overwrite).most_common():
        say(f"{count:7d}  {what}")


def _takes(job: DataJob, steps: Sequence[ArchiveTask]) -> list[str]:
    """Return lines that say what will be downloaded and unpacked."""
    from tposecli.hub.datasets.get import peak_bytes
    from tposecli.hub.download.download import free_bytes

    if not steps:
        return [f"{', '.join(job.sets)}: nothing to download"]
    lines = [f"{job.archive(step.archive)}: {_amount(step)}" for step in steps]
    fetched, kept = sum(step.to_fetch for step in steps), sum(step.to_write for step in steps)
    return [
        *lines,
        f"total: {fetched / 1e9:.2f} GB to download; up to {peak_bytes(steps, job.keep_archives) / 1e9:.2f} GB of disk "
        f"during the run, about {kept / 1e9:.2f} GB afterwards; {free_bytes(job.folder) / 1e9:.2f} GB free",
    ]


def _amount(step: ArchiveTask) -> str:
    """Return how much of one archive will be downloaded and unpacked."""
    fetched = f"{step.to_fetch / 1e6:.1f} MB to download" if step.to_fetch else "already there"
    begun = f" (the rest of {step.archive.size / 1e6:.1f} MB)" if 0 < step.to_fetch < step.archive.size else ""
    return f"{fetched}{begun}, about {step.to_write / 1e6:.1f} MB to unpack from it"


def _lines(folder: Path, sets: Sequence[str], everything: bool) -> list[str]:
    """Return what is present now; before a download only the published detections, which no download brings."""
    from tposecli.hub.datasets.check import check_set
    from tposecli.hub.datasets.coco import detections_file

    by_hand = {detections_file(folder, name) for name in sets}
    found = {finding: None for name in sets for finding in check_set(folder, name)}
    return [finding.line for finding in found if everything or finding.path in by_hand]
