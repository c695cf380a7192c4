"""``tpose doctor``."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tposecli.cli.command import Command
from tposecli.cli.config import DEFAULT_FILE, PREFIX, read_config, variables
from tposecli.cli.options import common as shared
from tposecli.cli.terminal import say
from tposecli.utils.errors import nearest_name

if TYPE_CHECKING:
    from tposecli.cli.diagnostics import Diagnosis

NOT_OPTIONS = ("TPOSE_HOME", "TPOSE_OFFLINE", "TPOSE_MIRRORS", "TPOSE_CONFIG", "TPOSE_WEIGHTS")
"""Environment variables that are no command's option."""

CREDENTIALS = re.compile(r"//[^/@\s]*@")
"""User and password in a URL: the output is meant to be shared."""


@click.command(cls=Command, short_help="Report what this machine has, and what would be chosen.")
@click.option(
    "--json",
    "as_json",
    is_flag=False,
    flag_value="-",
    type=shared.OUTPUT,
    metavar="FILE",
    help="Write the report as JSON, or to standard output (-).",
)
@click.pass_context
def doctor(ctx: click.Context, /, as_json: Path | None) -> None:
    """Report versions, devices, codecs, cache and weights, and what would be chosen and why.

    Lines starting with ! name what most runs need and lack. The exit status is always 0.
    """
    from tposecli.cli import diagnostics as examination

    findings = [*examination.examine(), *_settings(ctx.find_root().command)]
    if as_json is not None:
        _write(json.dumps(examination.as_json(findings), indent=1), as_json)
        return
    say(*_lines(findings))


def _write(text: str, path: Path) -> None:
    """Write the report to a file or to standard output."""
    from tposecli.utils.files import check_output, write_text

    if path == Path("-"):
        say(*text.split("\n"))
    else:
        check_output(path, overwrite=False)
        write_text(path, text + "\n")


def _settings(root: click.Command) -> list[Diagnosis]:
    """Report the configuration file and the environment variables."""
    from tposecli.cli.diagnostics import Diagnosis

    found = []
    if DEFAULT_FILE.is_file():
        try:
            keys = ", ".join(read_config(DEFAULT_FILE, root)) or "nothing"
            found.append(Diagnosis("settings", str(DEFAULT_FILE), "read", f"sets {keys}"))
        except click.UsageError as error:
            found.append(Diagnosis("settings", str(DEFAULT_FILE), "wrong", error.message, good=False))
    else:
        found.append(Diagnosis("settings", str(DEFAULT_FILE), "none", "in this folder"))
    known = {*variables(root), *NOT_OPTIONS}
    for name in sorted(name for name in os.environ if name.startswith(f"{PREFIX}_")):
        near = nearest_name(name, known)
        hint = f"; did you mean {near}?" if near else ""
        note = "" if name in known else f"unknown{hint}"
        value = CREDENTIALS.sub("//", os.environ[name])
        found.append(Diagnosis("settings", name, value, note, good=name in known))
    return found


def _lines(findings: list[Diagnosis]) -> list[str]:
    """Format the report as sections of aligned lines."""
    width = max(len(finding.name) for finding in findings)
    lines, section = [], ""
    for finding in findings:
        if finding.section != section:
            lines += ([""] if section else []) + [finding.section]
            section = finding.section
        note = f"  ({finding.note})" if finding.note else ""
        lines.append(f"{' ' if finding.good else '!'} {finding.name:<{width}}  {finding.value}{note}")
    return lines
