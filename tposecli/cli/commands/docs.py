"""``tpose docs``: the pages of the documentation in the terminal."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import click

from tposecli.cli.command import Command
from tposecli.cli.terminal import say

PAGES: Final = Path(__file__).parents[2] / "docs"
SITE: Final = PAGES / "_site"
WIDTH: Final = 100
"""Columns of a page in a wide terminal; longer lines are hard to read."""
SECTIONS: Final = {"": "Start", "how-to": "How to", "reference": "Reference", "explanation": "Explanation"}
"""Titles of the folders of pages, in the order of the list."""


@click.command(cls=Command, short_help="Show the documentation, offline.")
@click.argument("page", required=False)
@click.option("--open", "in_browser", is_flag=True, help="Open the built site in the browser instead, if there is one.")
def docs(page: str | None, in_browser: bool) -> None:
    """Show a PAGE of the documentation, or list the pages.

    \b
    tpose docs
    tpose docs privacy
    tpose docs --open tracking
    """
    if in_browser:
        _open(page)
    elif page is None:
        _list()
    else:
        _show(page)


def pages() -> dict[str, Path]:
    """Return the pages by their names, in the order of the list."""
    return {
        path.stem: path
        for folder in SECTIONS
        for path in sorted((PAGES / folder).glob("*.md"))
        if path.stem not in ("index", "changelog")
    }


def title_of(path: Path) -> str:
    """Return the heading of a page."""
    return path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").replace("`", "")


def plain_markdown(text: str) -> str:
    """Return a page in the Markdown that every reader knows: without directives and pictures; links as words."""
    text = re.sub(r"```\{(toctree|include|eval-rst)\}.*?```\n?", "", text, flags=re.DOTALL)
    text = re.sub(r"```\{literalinclude\} (\S*/)*(\S+)\n.*?```", r"It is the file `\2`.", text, flags=re.DOTALL)
    text = text.replace("```python notest", "```python")
    text = re.sub(r"\{py:\w+\}(?=`)", "", text)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*?([\w-]+)\.md[^)]*\)", _reference, text)


def _reference(link: re.Match[str]) -> str:
    """Return a link to another page as words that say how to get there."""
    words, target = link.groups()
    command = target.removeprefix("tpose-")
    return words if target != f"tpose-{command}" else f"{words} (`tpose {command} --help-all`)"


def _list() -> None:
    """Print the names and titles of all pages."""
    found = pages()
    width = max(map(len, found))
    for folder, section in SECTIONS.items():
        say("" if folder else f"{section}:", *([f"{section}:"] if folder else []))
        for name, path in found.items():
            if path.parent == PAGES / folder:
                say(f"  {name:<{width}}  {title_of(path)}")
    say("", "Show one with: tpose docs NAME")


def _find(name: str) -> Path:
    """Return the page of this name.

    Raises:
        UsageError: There is none.
    """
    from tposecli.utils.errors import nearest_name

    found = pages()
    stem = name.strip("/").removesuffix(".md").rpartition("/")[2]
    if stem in found:
        return found[stem]
    root = click.get_current_context().find_root().command
    if isinstance(root, click.Group) and stem in root.commands:
        raise click.UsageError(f"a command has no page; use tpose {stem} --help-all")
    near = nearest_name(stem, found)
    raise click.UsageError(
        f"there is no page {name!r}; {f'did you mean {near}?' if near else 'tpose docs lists the pages'}"
    )


def _show(name: str) -> None:
    """Print a page: set for the terminal, or as Markdown into a pipe."""
    text = plain_markdown(_find(name).read_text(encoding="utf-8"))
    if not sys.stdout.isatty():
        say(*text.splitlines())
        return
    from rich.console import Console
    from rich.markdown import Markdown

    screen = Console(width=min(WIDTH, Console().width))
    with screen.capture() as captured:
        screen.print(Markdown(text))
    click.echo_via_pager(captured.get())


def _open(name: str | None) -> None:
    """Open a page of the built site, or its front page.

    Raises:
        UsageError: The site has not been built.
    """
    page = Path("index.html") if name is None else _find(name).relative_to(PAGES).with_suffix(".html")
    if not (SITE / page).exists():
        raise click.UsageError(
            "there is no built site; in a copy of the repository, build it with: "
            "pip install '.[docs]' && sphinx-build tposecli/docs tposecli/docs/_site"
        )
    say((SITE / page).as_uri())
    click.launch((SITE / page).as_uri())
