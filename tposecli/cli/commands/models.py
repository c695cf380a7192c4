"""``tpose models``."""

from __future__ import annotations

import click

from tposecli.cli.command import Command
from tposecli.cli.terminal import console, say


@click.command(cls=Command, short_help="List the models, with accuracy and cost.")
@click.option("--verbose", "-v", is_flag=True, help="Also print the path of the weights, or the URL of absent ones.")
def models(verbose: bool) -> None:
    """List the models: size, cost, published accuracy, and where their weights are."""
    from rich.table import Table

    from tposecli.hub.checkpoints.resolve import locate
    from tposecli.models.catalog import CATALOG

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("model", no_wrap=True)
    for title in ("input", "params", "MACs", "AP", "AP gt"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("licence", "weights"):
        table.add_column(title, no_wrap=True)
    places = []
    for spec in CATALOG:
        height, width = spec.input_hw
        figures = (f"{value:.1f}" if value else "-" for value in (spec.ap_detected, spec.ap_truth))
        where = locate(spec)
        table.add_row(
            spec.name,
            f"{height}x{width}",
            f"{spec.parameters_m:.1f} M",
            f"{spec.macs_g:.1f} G",
            *figures,
            spec.licence,
            "none" if not (spec.trained or where) else "bundled" if spec.bundled else "cached" if where else "absent",
        )
        places.append(f"{spec.name}: {where or spec.url or 'none; for your own training'}")
    console().print(table)
    say("AP: published by the authors, COCO val2017, flip test, detected boxes (56.4 AP)")
    say("AP gt: the same with the boxes of the ground truth")
    if verbose:
        say(*places)
