"""Help: groups, the options used most, 80 columns; former names of options go on working."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tposecli.cli.command import GROUPS, Command, Group, RenamedOption, group_of
from tposecli.cli.config import PREFIX
from tposecli.cli.main import cli
from tposecli.utils.errors import UsageError


def leaves(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Yield every command with its words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            assert isinstance(command, Group)
            yield from leaves(command, (*path, name))
        else:
            assert isinstance(command, Command)
            yield (*path, name), command


COMMANDS = dict(leaves())


def help_of(*words: str) -> str:
    """Return what a command line prints; click's runner has a terminal of 80 columns."""
    result = CliRunner().invoke(cli, words, prog_name="tpose")
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_fits_and_names_every_option(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    for text in (help_of(*words, "--help"), help_of(*words, "--help-all")):
        examples = [line for line in text.splitlines() if " tpose " in line]
        assert all(len(line) <= 80 for line in text.splitlines() if line not in examples)
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, option.opts
            assert option.opts[0] in text


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_groups_have_known_titles_and_long_help_has_groups(words: tuple[str, ...]) -> None:
    options = [param for param in COMMANDS[words].params if isinstance(param, click.Option)]
    assert {group_of(option) for option in options} - {""} <= set(GROUPS)
    ungrouped = {option.name for option in options if not group_of(option)} - {"config", "help_all"}
    assert not ungrouped or all(not group_of(option) for option in options)
    assert len(options) <= 16 or not ungrouped
    assert COMMANDS[words].first or len(options) <= 24


def test_short_help_shows_the_options_used_most() -> None:
    text = help_of("video", "--help")
    assert "--json" in text and "--help-all" in text and "--track-gate" not in text and "Tracking:" not in text
    assert len(text.splitlines()) < 50
    everything = help_of("video", "--help-all")
    assert everything.index("Input:") < everything.index("Tracking:") < everything.index("Run:")
    assert "INTEGER RANGE" not in everything and "x>=" not in everything and "0 to 1" in everything


def test_commands_are_in_sections() -> None:
    text = help_of("--help")
    assert text.index("\nRun:") < text.index("\n  video ") < text.index("\nMeasure:") < text.index("\n  eval ")
    assert "..." not in text.partition("Run:")[2]


@pytest.mark.parametrize(
    ("words", "former", "present"),
    [
        (["convert"], "--fps", "--input-fps"),
        (["train"], "--out", "--output"),
        (["train"], "--batch", "--batch-size"),
        (["train-detector"], "--out", "--output"),
        (["eval"], "--out", "--output"),
        (["export"], "--attention", "--with-attention"),
    ],
)
def test_former_names_are_one_option_with_the_present_ones(words: list[str], former: str, present: str) -> None:
    options = [option for option in COMMANDS[tuple(words)].params if present in option.opts]
    assert len(options) == 1 and isinstance(options[0], RenamedOption) and former in options[0].opts
    assert f"{former} " not in help_of(*words, "--help-all")


@pytest.fixture
def openpose(tmp_path: Path) -> Path:
    """A folder of OpenPose JSON with one frame and nobody in it."""
    (tmp_path / "op").mkdir()
    text = json.dumps({"version": 1.3, "people": []})
    (tmp_path / "op" / "a_000000000000_keypoints.json").write_text(text, encoding="utf-8")
    return tmp_path / "op"


@pytest.mark.parametrize("extra", [[], ["-q"], ["--log-json"]])
def test_a_former_name_works_and_says_so(openpose: Path, tmp_path: Path, extra: list[str]) -> None:
    words = ["convert", str(openpose), "--size", "64x48", "--json", str(tmp_path / "o.json"), *extra]
    result = CliRunner().invoke(cli, [*words, "--fps", "25"])
    assert result.exit_code == 0, result.output
    said = result.stderr.count("--fps is now called --input-fps")
    assert said == (0 if "-q" in extra else 1)
    if "--log-json" in extra:
        assert all(json.loads(line)["event"] for line in result.stderr.splitlines())


def test_former_names_work_in_file_and_environment(
    openpose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["convert", str(openpose), "--size", "64x48", "-q"]
    refused = CliRunner().invoke(cli, [*words, "--json", str(tmp_path / "no.json")], prog_name="tpose")
    assert isinstance(refused.exception, UsageError) and "--input-fps" in str(refused.exception)
    settings = tmp_path / "own.toml"
    settings.write_text("[convert]\nfps = 25\n", encoding="utf-8")
    by_file = [*words, "--json", str(tmp_path / "file.json"), "--config", str(settings)]
    assert CliRunner().invoke(cli, by_file, prog_name="tpose").exit_code == 0
    monkeypatch.setenv(f"{PREFIX}_CONVERT_FPS", "25")
    by_variable = CliRunner().invoke(cli, [*words, "--json", str(tmp_path / "env.json")], prog_name="tpose")
    assert by_variable.exit_code == 0, by_variable.output
    assert (tmp_path / "env.json").read_bytes()[:200] == (tmp_path / "file.json").read_bytes()[:200]


def test_doctor_writes_json_to_a_file_or_standard_output(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["doctor", "--json", str(tmp_path / "d.json")])
    assert result.exit_code == 0 and not result.stdout
    assert json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    again = CliRunner().invoke(cli, ["doctor", "--json", str(tmp_path / "d.json")])
    assert isinstance(again.exception, UsageError)
    assert json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).stdout)
