"""Options from a file and from the environment.

The command line comes first, then the environment (``TPOSE_VIDEO_SMOOTH``), then the file, then the option's default.
The file is ``--config FILE``, or ``tpose.toml`` in the current folder, or the one in the user's configuration folder:
TOML with keys named like the options. The file of the current folder may come from others, as one unpacked from an
archive is: it may neither grant trust, nor replace files, nor name any, and is announced when it is read. Keys at
the top apply to every command that has the option, those of a table to the command of that name::

    device = "cpu"

    [video]
    smooth = "none"
    trails = ["left_wrist", "right_wrist"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from tposecli.cli.command import Group, note
from tposecli.utils.errors import nearest_name

PREFIX: Final = "TPOSE"
"""Prefix of environment variables: TPOSE_COMMAND_OPTION."""

DEFAULT_FILE: Final = Path("tpose.toml")
UNTRUSTED: Final = frozenset({"trust", "overwrite", "replace", "force", "resume", "input", "mirrors"})
"""Options that the file of the current folder may not set, besides those that name files."""
UNCONFIGURED: Final = frozenset({"doctor"})
"""Commands that ignore the file, because they must work whatever is in it."""

_CONFIG_GIVEN = "tposecli.cli.config.given"
_CONFIG_READ = "tposecli.cli.config.read"


class ConfiguredGroup(Group):
    """Commands whose options also come from a file and from the environment; errors say where a value came from."""

    def add_command(self, cmd: click.Command, *args: Any, **keywords: Any) -> None:
        """Add a command, and ``--config`` to it and to those below it."""
        if cmd.name not in UNCONFIGURED:
            for leaf in _leaves(cmd):
                leaf.params.append(config_option(_read))
        super().add_command(cmd, *args, **keywords)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; suggest the nearest for one that does not exist."""
        name = args[0]
        if not (ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name)):
            kind = self._kind_of(ctx, name)
            if kind:
                return kind, self.get_command(ctx, kind), args
            ctx.fail(f"no command is called {name!r}; {_suggestion(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def _kind_of(self, ctx: click.Context, word: str) -> str:
        """Return the command for an input that is given without one, as in ``tpose in.mp4``; empty for none."""
        if not (set(word) & {".", "/", "\\"} or Path(word).exists()):
            return ""
        from tposecli.sources import kind_of

        kind = kind_of(word)
        return kind if kind and self.get_command(ctx, kind) else ""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error in a value says where the value came from."""
        try:
            return super().invoke(ctx)
        except click.BadParameter as error:
            origin = _origin(error)
            if origin is None:
                raise
            message = f"{error.message.rstrip('.')} (from {origin})."
            raise click.BadParameter(message, error.ctx, error.param, error.param_hint) from error


def config_option(callback: Any) -> click.Option:
    """Return the option ``--config``."""
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=callback,
        help="Options from this TOML file.  [tpose.toml, if there is one]",
    )


def remember(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Keep the file that is given before the command."""
    ctx.meta[_CONFIG_GIVEN] = value


def read_config(path: Path, root: click.Command) -> dict[str, Any]:
    """Read a configuration file.

    Raises:
        click.UsageError: It cannot be read, is not TOML, or has a key that is neither an option nor a command.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: cannot be read as TOML ({error}); correct it") from error
    _check(content, root, str(path))
    return content


def defaults(content: Mapping[str, Any], commands: Iterable[str], command: click.Command) -> dict[str, Any]:
    """Return what a file sets for one command, for click's ``default_map``.

    Args:
        content: From :func:`read_config`.
        commands: Names of the command and of those above it, outermost first.
        command: The command.
    """
    tables, table = [content], content
    for name in commands:
        table = table.get(name, {})
        tables.append(table)
    options = _options(command)
    found: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            option = options.get(_plain(key))
            if option is not None and option.name is not None and not isinstance(value, dict):
                found[option.name] = _to_argument(value, option)
    return found


def variables(command: click.Command, prefix: str = PREFIX) -> Iterator[str]:
    """Yield the environment variables of a command and its subcommands."""
    for option in _options(command).values():
        yield option.envvar if isinstance(option.envvar, str) else f"{prefix}_{option.name}".upper()
    for name, below in command.commands.items() if isinstance(command, click.Group) else ():
        yield from variables(below, f"{prefix}_{name}".upper().replace("-", "_"))


def _find(ctx: click.Context, value: Path | None) -> tuple[Path | None, bool]:
    """Return the file to read, and whether the user chose it: not so the one that lies in the current folder."""
    chosen: Path | None = value or ctx.meta.get(_CONFIG_GIVEN)
    if chosen is not None:
        return chosen, True
    if DEFAULT_FILE.is_file():
        return DEFAULT_FILE, False
    own = user_file()
    return (own if own.is_file() else None), True


def user_file() -> Path:
    """Return the user's own configuration file, which may set everything."""
    from platformdirs import user_config_path

    return user_config_path("tpose", appauthor=False) / DEFAULT_FILE.name


def _refuse_untrusted(table: Mapping[str, Any], command: click.Command, where: str) -> None:
    """Refuse keys that the file of a folder, perhaps unpacked from somebody's archive, may not set.

    These grant trust, replace files, or name files to read or to write.

    Raises:
        click.UsageError: There is such a key.
    """
    below = command.commands if isinstance(command, click.Group) else {}
    leaves = [command, *_leaves(command)]
    for key, value in table.items():
        if isinstance(value, dict):
            _refuse_untrusted(value, below[key], f"{where}, [{key}]")
            continue
        options = [found for leaf in leaves if (found := _options(leaf).get(_plain(key))) is not None]
        names_file = any(isinstance(option.type, click.Path | click.File) for option in options)
        names_file |= _plain(key) in ("detector", "det_model", "boxes", "model") and _looks_like_file(value)
        if _plain(key) in UNTRUSTED or names_file:
            raise click.UsageError(
                f"{where}: {key!r} may not be set in the {DEFAULT_FILE} of a folder, which may come from others; "
                f"give it on the command line, in a file named with --config, or in {user_file()}"
            )


def _looks_like_file(value: Any) -> bool:
    return any(sign in str(value) for sign in (":", "/", "\\", "."))


def _read(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Take the defaults of the command from the file."""
    path, chosen = (None, False) if ctx.resilient_parsing else _find(ctx, value)
    if path is None:
        return
    ctx.meta[_CONFIG_READ] = path
    names = [context.info_name or "" for context in _chain(ctx)][1:]
    root = ctx.find_root().command
    content = read_config(path, root)
    if not chosen:
        _refuse_untrusted(content, root, str(path))
        found = defaults(content, names, ctx.command)
        if found:
            note(ctx, f"{path.absolute()}: sets {', '.join(sorted(found)).replace('_', '-')}")
    ctx.default_map = defaults(content, names, ctx.command)


def _check(table: Mapping[str, Any], command: click.Command, where: str) -> None:
    """Refuse unknown keys."""
    below = command.commands if isinstance(command, click.Group) else {}
    leaves = [command, *_leaves(command)]
    for key, value in table.items():
        if isinstance(value, dict):
            if key not in below or key in UNCONFIGURED:
                raise click.UsageError(
                    f"{where}: no command is called {key!r}; {_suggestion(key, set(below) - UNCONFIGURED)}"
                )
            _check(value, below[key], f"{where}, [{key}]")
        elif not any(_plain(key) in _options(leaf) for leaf in leaves):
            known = {name.replace("_", "-") for leaf in leaves for name in _options(leaf)}
            raise click.UsageError(f"{where}: no option is called {key!r}; {_suggestion(key.replace('_', '-'), known)}")
        elif any("\0" in str(part) for part in (value if isinstance(value, list) else [value])):
            raise click.UsageError(f"{where}: {key!r} contains a NUL character, which no option can; remove it")


def _leaves(command: click.Command) -> Iterator[click.Command]:
    """Yield the command itself, or all commands of a group."""
    if not isinstance(command, click.Group):
        yield command
        return
    for below in command.commands.values():
        if below.name not in UNCONFIGURED:
            yield from _leaves(below)


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return the options that a file may set, by their long names."""
    options = (param for param in command.params if isinstance(param, click.Option))
    return {
        _plain(name): option
        for option in options
        if option.name not in ("config", "version", "help", "help_all")
        for name in option.opts
        if name.startswith("--")
    }


def _plain(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")


def _to_argument(value: Any, option: click.Option) -> Any:
    """Convert a value of the file to what the command line would give."""
    if isinstance(value, list):
        parts = [str(part) for part in value]
        return parts if option.multiple or option.nargs != 1 else ",".join(parts)
    return value if isinstance(value, bool) and option.is_flag else str(value)


def _chain(ctx: click.Context) -> list[click.Context]:
    """Return the contexts from the root to this one."""
    chain = [ctx]
    while chain[0].parent is not None:
        chain.insert(0, chain[0].parent)
    return chain


def _origin(error: click.BadParameter) -> str | None:
    """Return where a bad value came from; None for the command line."""
    ctx, param = error.ctx, error.param
    if ctx is None or param is None or param.name is None:
        return None
    source = ctx.get_parameter_source(param.name)
    if source is ParameterSource.DEFAULT_MAP:
        return str(ctx.meta.get(_CONFIG_READ))
    if source is ParameterSource.ENVIRONMENT:
        name = param.envvar if isinstance(param.envvar, str) else f"{ctx.auto_envvar_prefix}_{param.name.upper()}"
        return f"the environment variable {name}"
    return None


def _suggestion(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest name, or list the known ones."""
    names = sorted(known)
    near = nearest_name(name, names)
    if near:
        return f"did you mean {near!r}?"
    if Path(name).exists():
        return f"for a video use tpose video {name}, for images tpose images {name}"
    return f"known: {', '.join(names)}"
