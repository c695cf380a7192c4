"""Everything that the program says: written to one file to read through, and held to the rules of the style page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests import REPOSITORY
from tests.support.messages import Message, messages
from tposecli.cli.main import cli
from tposecli.pipeline.summary import Summary

PAGE = REPOSITORY / ".github" / "MESSAGES.md"
ALL = REPOSITORY / "build" / "messages.txt"

NAMES = ("HTTP", "TPOSE_MIRRORS", "AP", "HEIC", "COCO", "OpenCV", "OpenVINO", "YOLO", "HOTA", "Triton", "FFmpeg")
"""What an error or a log line may begin with besides lower case: names that are written so."""

WORDS = (
    *("anew", "gone on with", "go on with", "goes on with", "leans on", "calm", "calmer", "at rest", "surest"),
    *("somebody", "told by", "it is no", "it is none", "so many", "this often", "makes no sense"),
    *("please", "sorry", "oops", "can't", "don't", "isn't", "won't", "doesn't", "picture", "pictures"),
    "whose name it has",
)
"""Words that are not used in anything that the program says."""

USER_ERRORS = (
    *("InputError", "UsageError", "OutputError", "WeightsError", "DownloadError", "TposeError"),
    *("click.UsageError", "click.BadParameter"),
)

REMEDY = re.compile(
    r"; |\bexpected\b|\bknown: |\bpip install\b|\b(choose|give|add|use|name|write|get it with:|set|reinstall)\b|\{[^}]*"
    r"(hint|remed|REMEDY|advice|HAS_TIMES|error|reason|_none_found|\.\.\.)[^}]*\}$"
)
"""What to do, or what is right; an error that is passed on has it at its end."""

SAID = messages()
SPOKEN = [message for message in SAID if message.is_error or message.is_log]


def place(message: Message) -> str:
    return message.place


@pytest.fixture(scope="module", autouse=True)
def written() -> None:
    """Write all messages and help texts to one file."""
    ALL.parent.mkdir(exist_ok=True)
    errors = [f"{message.place}  [{message.kind}]\n    {message.text}" for message in SAID]
    parts = ["# Errors, log lines and other texts", *errors, "", "# Summaries", *summaries(), ""]
    parts += [f"# {' '.join(words)}\n\n{text}" for words, text in helps()]
    ALL.write_text("\n".join(parts) + "\n", encoding="utf-8")


def helps(command: click.Command = cli, words: tuple[str, ...] = ("tpose",)) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the words and the help of every command."""
    more = ["--help"] if isinstance(command, click.Group) else ["--help-all"]
    result = CliRunner().invoke(cli, [*words[1:], *more], prog_name="tpose")
    assert result.exit_code == 0, result.output
    yield words, result.output
    for name, below in getattr(command, "commands", {}).items():
        yield from helps(below, (*words, name))


def summaries() -> list[str]:
    """Return summaries of runs, as a log file has them."""
    from rich.console import Console

    from tposecli.cli.watchers import LineWatcher

    screen = io.StringIO()
    watcher = LineWatcher(Console(file=screen, width=80), verbose=True)
    watcher.plan(3)
    source: Any = SimpleNamespace(name="walk.mp4")
    watcher.begin(source, 135)
    watcher.frames = 60
    for expected in (135, None):
        watcher.expected = expected
        screen.write(watcher.progress_line(9.0) + "\n")
    seconds = {"read": 2.8, "detect": 13.4}
    runs = [
        Summary("walk.mp4", 135, 135, 1, 1, wall_s=17, seconds=seconds, outputs=[Path("walk_pose.mp4")]),
        Summary("empty.mp4", 1, 0, 0, 0, corrupt=2, wall_s=4000, outputs=[Path("empty_pose.mp4")]),
        Summary("bad.mp4", failed=[("bad.mp4", "cannot be opened as a video; check that it plays")]),
        Summary("1 image", 1, 3, 3, stills=True, skipped=1, unsupported=2, wall_s=0.1, outputs=[Path("poses.json")]),
    ]
    for run in runs:
        watcher.end(run)
    watcher.done(runs, 1)
    return screen.getvalue().splitlines()


def test_everything_is_written_to_one_file() -> None:
    text = ALL.read_text(encoding="utf-8")
    assert len(SPOKEN) > 400
    assert "no such file; check the name" in text and "# tpose weights pull" in text
    assert "walk.mp4: 135 frames, 1 person, 1 id in 17.0 s (7.9 frames/s)" in text


@pytest.mark.parametrize("message", SPOKEN, ids=place)
def test_an_error_or_a_log_line_has_the_one_shape(message: Message) -> None:
    text = message.text
    assert "\n" not in text and "  " not in text and text == text.strip(), text
    assert not re.search(r"[.!:,;]$", text), text
    assert not text.endswith("?") or re.search(r"did you mean \S+\?$", text), text
    assert not re.match(r"[A-Z]", text) or text.startswith(NAMES), text
    assert len(text) <= 300, text


@pytest.mark.parametrize("message", [message for message in SPOKEN if message.kind in USER_ERRORS], ids=place)
def test_an_error_of_a_user_says_what_to_do(message: Message) -> None:
    assert REMEDY.search(message.text), message.text


def test_no_text_has_words_of_our_own() -> None:
    found = re.compile(rf"(?<![\w'_-])({'|'.join(WORDS)})(?![\w_-])", re.IGNORECASE)
    texts = {message.place: re.sub(r"{[^}]*}", "{}", message.text) for message in SAID}
    texts |= {" ".join(words): text for words, text in helps()}
    texts["summaries"] = "\n".join(summaries())
    bad = {where: match[0] for where, text in texts.items() if (match := found.search(text))}
    assert not bad


def test_help_texts_are_sentences() -> None:
    for words, _ in helps():
        command: click.Command = cli
        for word in words[1:]:
            assert isinstance(command, click.Group)
            command = command.commands[word]
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden and option.name != "help":
                text = re.sub(r"  \[.*\]$", "", option.help or "")
                assert re.match(r"[A-Z]|[a-z]+: ", text) and re.search(r"[.)]$", text), (words, option.opts, text)


def test_summaries_fit_and_count_right() -> None:
    lines = summaries()
    assert all(len(line) <= 80 for line in lines)
    assert not [line for line in lines if re.search(r"\b1 (frames|people|ids|images|inputs)\b", line)]
    assert "  1 skipped: not images; 2 skipped: unsupported formats" in lines


def test_the_style_page_names_the_words() -> None:
    if not PAGE.exists():  # A source distribution does not have it.
        pytest.skip("the style page is in the repository only")
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("| not | but |")[2]
    listed = {word.strip() for row in table.splitlines() for word in row.strip("| ").partition("|")[0].split(",")}
    assert set(WORDS) == listed - {"---", ""}
