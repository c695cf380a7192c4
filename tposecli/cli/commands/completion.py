"""``tpose completion``: let the shell complete commands, options and their values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from tposecli.cli.command import Group
from tposecli.cli.terminal import say

SHELLS: Final = ("bash", "zsh", "fish")
PROGRAM: Final = "tpose"

shell_argument = click.argument("shell", required=False, type=click.Choice(SHELLS))


@click.group(cls=Group, short_help="Complete commands and options in the shell.")
def completion() -> None:
    """Let bash, zsh or fish complete commands, options and their values with the Tab key."""


@completion.command(short_help="Install completion for your shell.")
@shell_argument
def install(shell: str | None) -> None:
    """Install completion for SHELL, by default the one that $SHELL names.

    The script is written to the shell's own folder; for bash and zsh, a line that reads it is added to ~/.bashrc or
    ~/.zshrc, unless it is there. Start a new shell to use it, and repeat the command after an update.
    """
    from tposecli.utils.files import append_line, write_text

    chosen = _chosen(shell)
    script, startup = _places(chosen)
    script.parent.mkdir(parents=True, exist_ok=True)
    write_text(script, _source(chosen), replace=True)
    say(f"{script}: written")
    if startup is not None:
        line = f"[ -r {_quoted(script)} ] && . {_quoted(script)}"
        added = append_line(startup, line)
        say(f"{startup}: {'now reads it' if added else 'reads it already'}")
    say(f"start a new {chosen}, or run: exec {chosen}")


@completion.command(short_help="Print the script for your shell.")
@shell_argument
def show(shell: str | None) -> None:
    """Print the script that makes SHELL, by default the one that $SHELL names, complete."""
    say(*_source(_chosen(shell)).split("\n"))


def _chosen(shell: str | None) -> str:
    """Return the shell that was named, or the one of the environment."""
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise click.UsageError(f"the shell cannot be told from $SHELL; name one of {', '.join(SHELLS)}")
    return name


def _places(shell: str) -> tuple[Path, Path | None]:
    """Return where the script goes, and the file that must read it; None if the shell finds it by itself."""
    home = Path.home()
    if shell == "fish":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        return config / "fish" / "completions" / f"{PROGRAM}.fish", None
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    folder = Path(os.environ.get("ZDOTDIR") or home) if shell == "zsh" else home
    return data / PROGRAM / f"completion.{shell}", folder / f".{shell}rc"


def _source(shell: str) -> str:
    """Return the script, made by click."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    return found(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source()


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
