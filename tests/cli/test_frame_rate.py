"""Frame rates on the command line: one parser for every option that takes a rate."""

from __future__ import annotations

from fractions import Fraction

import click
import pytest

from tposecli.cli.main import cli
from tposecli.cli.options.common import frame_rate

RATE_OPTIONS = [
    (command, option)
    for command in cli.commands.values()
    for option in command.params
    if isinstance(option, click.Option) and any(name.endswith("fps") for name in option.opts)
]


def test_every_command_that_takes_a_rate_is_tested() -> None:
    found = {(command.name, option.opts[0]) for command, option in RATE_OPTIONS}
    read = {(command, "--input-fps") for command in ("check", "convert", "plot", "report", "video")}
    assert found == read | {("video", "--true-fps"), ("video", "--fps"), ("render", "--fps")}


@pytest.mark.parametrize(("command", "option"), RATE_OPTIONS)
@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", Fraction(25)),
        ("12.5", Fraction(25, 2)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("24", Fraction(24)),
        ("29.97", Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("2997/100", Fraction(2997, 100)),
        ("0.999", Fraction(999, 1000)),
    ],
)
def test_rates_are_exact_and_the_same_everywhere(
    command: click.Command, option: click.Option, text: str, rate: Fraction
) -> None:
    assert option.type_cast_value(click.Context(command), text) == rate


@pytest.mark.parametrize("text", ["0", "-25", "1001", "1/0", "fast", "nan", ""])
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected frames per second"):
        frame_rate(text)
