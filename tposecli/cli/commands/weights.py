"""``tpose weights``: download, check and add the weights of models."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tposecli.cli.command import Group
from tposecli.cli.download_bar import bar
from tposecli.cli.options.common import FILE, offline_option, quiet_option
from tposecli.cli.terminal import console, say


@click.group(cls=Group, short_help="List, download and check weights.")
def weights() -> None:
    """List, download and check weights.

    Weights are kept in TPOSE_HOME, by default the platform's cache folder. TPOSE_MIRRORS lists the URLs of mirrors,
    separated by commas, which are tried before the publishers' own. HTTPS_PROXY is respected.
    """


@weights.command("list")
@click.option("--verbose", "-v", is_flag=True, help="Also print the path of each file, or the URL of absent ones.")
def list_(verbose: bool) -> None:
    """List all weights, downloaded or not.

    The table has a row for each model and for any other file in the cache.

    \b
    pinned    the digest is published and checked at every use
    recorded  the digest was recorded at first use and is checked since
    new       not used yet
    """
    from rich.table import Table

    from tposecli.hub.checkpoints.inventory import inventory
    from tposecli.hub.checkpoints.resolve import cache_dir

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("model", "size", "digest"):
        table.add_column(title, no_wrap=True, justify="right" if title == "size" else "left")
    table.add_column("file", overflow="fold")
    items = inventory()
    for item in items:
        table.add_row(*item.row())
    console().print(table)
    say(f"cache: {cache_dir()}")
    if verbose:
        say(*(f"{item.model if item.model != '-' else item.file}: {item.place}" for item in items))


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Download again and forget the recorded digest.")
@offline_option
@quiet_option
def pull(names: tuple[str, ...], force: bool, offline: bool, quiet: bool) -> None:
    """Download weights into the cache. NAME is a model of `tpose models`, yolo:NAME or torchvision:NAME.

    Interrupted downloads are resumed.
    """
    from tposecli.cli.watchers import watcher
    from tposecli.detection.remote_models import find_published
    from tposecli.hub.checkpoints import inventory
    from tposecli.hub.download.options import Downloads

    watcher(quiet, log_json=False)
    downloads = Downloads(offline, bar=bar(quiet, log_json=False))
    for name in names:
        found = inventory.pull(find_published(name), downloads, force=force)
        if not quiet:
            say(found)


@weights.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.pass_context
def verify(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Check digests; exit status 1 if one is wrong.

    Without NAME, all weights on this machine are checked.
    """
    from tposecli.detection.remote_models import find_published
    from tposecli.hub.checkpoints.inventory import find_local, verify_all

    reports = verify_all([find_local(find_published(name)) for name in names] or None)
    for report in reports:
        say(report.line, err=not report.ok)
    ctx.exit(int(not all(report.ok for report in reports)))


@weights.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the path of the file; exit status 1 if it is absent."""
    from tposecli.detection.remote_models import find_published
    from tposecli.hub.checkpoints.inventory import find_local

    found = find_local(find_published(name))
    if sys.stdout.isatty():
        say(found)
    else:  # For a program: the very bytes of the name.
        click.echo(os.fsencode(found))


@weights.command()
@click.argument("file", type=FILE)
@click.option("--model", help="Model that the weights belong to, if the file name does not say it.")
@click.option("--replace", is_flag=True, help="Replace the present file, and trust this one from now on.")
def add(file: Path, model: str | None, replace: bool) -> None:
    """Copy FILE into the cache, where its model finds it."""
    from tposecli.detection.remote_models import find_published, published_as
    from tposecli.hub.checkpoints.inventory import add_file

    remote = find_published(model) if model else published_as(file)
    say(f"{remote.label}: {add_file(file, remote, replace)}")
