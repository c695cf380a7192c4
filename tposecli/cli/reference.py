"""Pages about the commands, made from the commands themselves: what ``--help-all`` says, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import cloup

from tposecli.cli.command import Command, option_sections

PROGRAM: Final = "tpose"
LIST: Final = "list.inc"
"""The list of the commands, which is no page of its own."""


def write_pages(folder: Path) -> list[Path]:
    """Write a page for each command and a list of all, remove pages of former commands, and return the files.

    Files that are up to date are left as they are.

    Args:
        folder: Where the pages go; it is created if there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = {folder / f"{PROGRAM}-{name}.md": page for name, page in command_pages()} | {folder / LIST: command_list()}
    for path in set(folder.glob("*.md")) - set(pages):
        path.unlink()
    for path, page in pages.items():
        if not path.exists() or path.read_text(encoding="utf-8") != page:
            path.write_text(page, encoding="utf-8")
    return list(pages)


def command_pages() -> Iterator[tuple[str, str]]:
    """Yield the name of each command with its page."""
    from tposecli.cli.main import cli

    with cloup.Context(cli, info_name=PROGRAM, **cli.context_settings) as root:
        for name in cli.list_commands(root):
            command = cli.get_command(root, name)
            if command is not None and not command.hidden:
                yield name, "\n".join(_page(command, click.Context(command, info_name=name, parent=root), 1)) + "\n"


def command_list() -> str:
    """Return the commands in their sections, each with a link to its page and what it does."""
    from tposecli.cli.main import cli

    lines = []
    with cloup.Context(cli, info_name=PROGRAM) as root:
        for section in cli.list_sections(root):
            lines.append(section.title)
            for name, command in section.list_commands():
                link = f"[{PROGRAM} {name}](commands/{PROGRAM}-{name}.md)"
                lines.append(f": {link}: {_escaped(command.get_short_help_str(limit=200))}\n")
    return "\n".join(lines)


def _page(command: click.Command, ctx: click.Context, level: int) -> Iterator[str]:
    """Yield the lines about a command and those below it."""
    yield f"{'#' * level} {ctx.command_path}\n"
    yield f"```text\n{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}\n```\n"
    yield from _description(command.help or command.short_help or "")
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            if below is not None and not below.hidden:
                yield from _page(below, click.Context(below, info_name=name, parent=ctx), level + 1)
        return
    if isinstance(command, Command):
        for title, records in option_sections(command, ctx):
            yield f"{'#' * (level + 1)} {title}\n"
            for names, text in records:
                yield f"`{names}`\n: {_escaped(text)}\n"


def _description(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; what click must not rewrap becomes a block."""
    for paragraph in re.split(r"\n[ ]*\n", "\n".join(line.strip(" ") for line in text.splitlines())):
        lines = paragraph.strip().splitlines()
        if paragraph.startswith("\b"):
            lines = lines[1:]
            language = "sh" if any(line.startswith(f"{PROGRAM} ") for line in lines) else "text"
            yield f"```{language}\n" + "\n".join(lines) + "\n```\n"
        elif lines:
            yield _escaped(" ".join(lines)) + "\n"


def _escaped(text: str) -> str:
    """Return text in which Markdown sees no markup but code between backticks."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if index % 2 else re.sub(r"([\\`*_<>\[\]#|$])", r"\\\1", part) for index, part in enumerate(parts)
    )
