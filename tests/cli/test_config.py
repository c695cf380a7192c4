"""Options from the file and the environment: who wins, and what mistakes are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tposecli.cli.config import ConfiguredGroup, config_option, remember, variables
from tposecli.cli.main import cli


@click.group(cls=ConfiguredGroup, params=[config_option(remember)], context_settings={"auto_envvar_prefix": "TPOSE"})
def program() -> None:
    """A small program of the same make."""


@program.command()
@click.argument("name", default="nobody")
@click.option("--smooth", type=click.Choice(["one-euro", "none"]), default="one-euro")
@click.option("--start", type=float, default="0")
@click.option("--line-width", "thickness", type=click.FloatRange(0, 5), default=1.0)
@click.option("--joint", multiple=True)
@click.option("--trails", default="")
@click.option("--quiet", "-q", is_flag=True)
def video(**options: Any) -> None:
    """Say what came."""
    click.echo(repr(options))


@program.command()
@click.option("--quiet", "-q", is_flag=True)
@click.option("--min-score", type=float, default=0.2)
def images(**options: Any) -> None:
    """Say what came."""
    click.echo(repr(options))


@click.group()
def weights() -> None:
    """Commands below a command."""


@weights.command("pull")
@click.option("--offline", is_flag=True)
@click.option("--min-score", type=float, default=0.2)
def pull(**options: Any) -> None:
    """Say what came."""
    click.echo(repr(options))


program.add_command(weights)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(program, arguments, env=environment, prog_name="tpose")


def said(*arguments: str, **environment: str) -> dict[str, Any]:
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    return dict(eval(result.stdout))  # our own repr


def test_command_line_then_environment_then_file_then_default(folder: Path) -> None:
    assert said("video")["thickness"] == 1.0
    (folder / "tpose.toml").write_text("[video]\nline-width = 2\n")
    assert said("video")["thickness"] == 2.0
    assert said("video", TPOSE_VIDEO_THICKNESS="3")["thickness"] == 3.0
    assert said("video", "--line-width", "4", TPOSE_VIDEO_THICKNESS="3")["thickness"] == 4.0


def test_keys_on_top_are_for_every_command_that_has_them(folder: Path) -> None:
    (folder / "tpose.toml").write_text("quiet = true\nmin_score = 0.5\n[images]\nmin-score = 0.7\n")
    assert said("video")["quiet"] is True
    assert said("images") == {"quiet": True, "min_score": 0.7}
    assert said("weights", "pull")["min_score"] == 0.5


def test_values_of_every_kind(folder: Path) -> None:
    (folder / "tpose.toml").write_text(
        '[video]\nsmooth = "none"\nstart = 5\njoint = ["nose", "left_eye"]\ntrails = ["a", "b"]\nquiet = false\n'
    )
    options = said("video")
    assert options == {
        "name": "nobody",
        "smooth": "none",
        "start": 5.0,
        "thickness": 1.0,
        "joint": ("nose", "left_eye"),
        "trails": "a,b",
        "quiet": False,
    }


def test_the_file_can_be_named_before_and_after_the_command_and_by_the_environment(folder: Path) -> None:
    (folder / "tpose.toml").write_text("[video]\nstart = 1\n")
    (folder / "a.toml").write_text("[video]\nstart = 2\n")
    (folder / "b.toml").write_text("[video]\nstart = 3\n")
    assert said("video")["start"] == 1
    assert said("--config", "a.toml", "video")["start"] == 2
    assert said("video", "--config", "b.toml")["start"] == 3
    assert said("--config", "a.toml", "video", "--config", "b.toml")["start"] == 3
    assert said("video", TPOSE_CONFIG="a.toml")["start"] == 2


def test_commands_below_commands(folder: Path) -> None:
    (folder / "tpose.toml").write_text("[weights.pull]\noffline = true\n")
    assert said("weights", "pull")["offline"] is True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[video]\nsmoth = "none"\n', "tpose.toml, [video]: no option is called 'smoth'; did you mean 'smooth'?"),
        ("[vidoe]\nstart = 1\n", "tpose.toml: no command is called 'vidoe'; did you mean 'video'?"),
        ("min_scor = 1\n", "did you mean 'min-score'?"),
        ("[weights.pul]\noffline = true\n", "tpose.toml, [weights]: no command is called 'pul'; did you mean 'pull'?"),
        ('[video]\nname = "argument"\n', "no option is called 'name'"),
        ("[video\n", "cannot be read as TOML"),
        ('[video]\nsmooth = "nine"\n', "(from tpose.toml)"),
        ("[video]\nline-width = 9\n", "(from tpose.toml)"),
    ],
)
def test_mistakes_in_the_file_are_named(folder: Path, content: str, message: str) -> None:
    (folder / "tpose.toml").write_text(content)
    result = run("video")
    assert result.exit_code == 2
    assert message in result.output


def test_mistakes_in_the_environment_are_named() -> None:
    result = run("video", TPOSE_VIDEO_SMOOTH="nine")
    assert result.exit_code == 2
    assert "(from the environment variable TPOSE_VIDEO_SMOOTH)" in result.output
    assert "from" not in run("video", "--smooth", "nine").output


def test_a_file_that_is_not_there_is_a_mistake() -> None:
    result = run("--config", "no.toml", "video")
    assert result.exit_code == 2
    assert "no.toml" in result.output


def test_help_does_not_read_the_file(folder: Path) -> None:
    (folder / "tpose.toml").write_text("nonsense")
    for arguments in (["--help"], ["video", "--help"]):
        result = run(*arguments)
        assert result.exit_code == 0
        assert "--config" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vidoe", "x.mp4"], "did you mean 'video'?"),
        (["zzz"], "convert, "),
        (["video", "--smoth", "none"], "--smooth"),
        (["render", "--colour", "side"], "--colour-by"),
    ],
)
def test_the_nearest_is_suggested(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_file_instead_of_a_command_is_understood(folder: Path) -> None:
    (folder / "walk.mp4").touch()
    result = CliRunner().invoke(cli, ["walk.mp4", "--start", "soon"])
    assert result.exit_code == 2 and "tpose video" not in result.output and "'soon' is not a time" in result.output
    (folder / "0042").touch()
    result = CliRunner().invoke(cli, ["0042", "-o", "out.mp4"])
    assert result.exit_code == 2 and "tpose video 0042" in result.output


def test_the_real_commands_take_both(folder: Path) -> None:
    (folder / "tpose.toml").write_text('quiet = true\n[convert]\njson-format = "none"\n')
    (folder / "j").touch()
    assert "(from tpose.toml)" in CliRunner().invoke(cli, ["convert", "j", "--json", "o.json"]).output
    (folder / "tpose.toml").unlink()
    result = CliRunner().invoke(cli, ["convert", "j"], env={"TPOSE_CONVERT_SMOOTH": "much", "TPOSE_HOME": str(folder)})
    assert "TPOSE_CONVERT_SMOOTH" in result.output


def test_every_command_has_the_option_and_no_variable_means_two_things() -> None:
    names = list(variables(cli))
    assert {"TPOSE_VIDEO_SMOOTH", "TPOSE_RENDER_TRAIL_SECONDS"} <= set(names)
    assert len({name for name in names if name != "TPOSE_OFFLINE"}) == len(
        [name for name in set(names) if name != "TPOSE_OFFLINE"]
    )
    assert not {"TPOSE_HOME", "TPOSE_MIRRORS", "TPOSE_CONFIG"} & set(names)
    for name, command in cli.commands.items():
        if not isinstance(command, click.Group):
            assert any("--config" in param.opts for param in command.params) == (name != "doctor")


def test_shells_complete_commands_options_and_choices() -> None:
    def completed(words: str, at: int) -> set[str]:
        script = "from tposecli.cli.main import cli; cli(prog_name='tpose')"
        environment = {"_TPOSE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True)
        return {line.partition(",")[2] for line in done.stdout.decode().splitlines()}

    assert {"render", "video", "convert"} <= completed("tpose ", 1)
    assert "--background" in completed("tpose render --back", 2)
    assert completed("tpose render --background b", 3) == {"blur", "black"}


@pytest.mark.parametrize("value", ['"a\\u0000b"', '["ok", "a\\u0000b"]'])
def test_a_nul_character_is_refused(folder: Path, value: str) -> None:
    (folder / "tpose.toml").write_text(f"[video]\njoint = {value}\n")
    result = run("video")
    assert result.exit_code == 2 and "'joint' contains a NUL character" in result.output
