"""``tpose validate``."""

from __future__ import annotations

from pathlib import Path

import click

from tposecli.cli.command import Command
from tposecli.cli.options.common import FILE
from tposecli.cli.terminal import say


@click.command(cls=Command, short_help="Check journals and COCO files.")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.pass_context
def validate(ctx: click.Context, /, files: tuple[Path, ...]) -> None:
    """Validate journals and COCO files against their JSON Schema and for consistency.

    The schemas are in the package, in tposecli/formats/schemas. Exit status 1 if anything is wrong.

    \b
    tpose validate out.mp4.poses.jsonl out.json
    """
    from tposecli.formats.validate import validate as check
    from tposecli.utils.errors import InputError

    wrong = 0
    for file in files:
        try:
            verdict = check(file)
        except InputError as error:
            say(error, err=True)
            wrong += 1
            continue
        for problem in verdict.problems:
            say(f"{file}: {problem}", err=True)
        counts = ", ".join(f"{count} {what}" for what, count in verdict.counts.items())
        state = f"{verdict.problem_count} problems" if verdict.problem_count else "valid"
        say(f"{file}: {verdict.kind}, {state}{f'; {counts}' if counts else ''}")
        wrong += verdict.problem_count
    ctx.exit(1 if wrong else 0)
