"""README and the pages: small enough, every link leads somewhere, every command and option exists."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from tests import REPOSITORY
from tposecli.cli.main import cli

README = REPOSITORY / "README.md"
PAGES = sorted(path for path in (REPOSITORY / "tposecli" / "docs").rglob("*.md") if "_site" not in path.parts)
WRITTEN = [README, *(path for path in PAGES if path.parent.name != "commands")]


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def commands(text: str) -> list[list[str]]:
    """Return the words of every ``tpose`` command in the blocks of a page."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    parts = (part.strip() for line in lines for part in re.split(r"&&|(?<!\S)\|(?!\S)", line))
    return [shlex.split(part.removeprefix("$ "), comments=True) for part in parts if re.match(r"(\$ )?tpose ", part)]


def test_the_readme_is_short() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.encode()) <= 8 * 1024 and len(text.splitlines()) <= 150


def test_the_readme_has_the_two_commands() -> None:
    text = README.read_text(encoding="utf-8")
    assert re.search(r"^pip install \. && tpose video sample_media/walk\.mp4 ", text, re.MULTILINE)
    section = text.partition("\n## Develop\n")[2].partition("\n## ")[0]
    assert re.search(r"^pip install -e '\.\[dev\]' && pytest -n 2 --dist loadfile$", section, re.MULTILINE)


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_links_and_pictures_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", path.read_text(encoding="utf-8"))
    made = [link for link in links if "commands/" in link]
    assert all(Path(link).stem.removeprefix("tpose-") in cli.commands for link in made)
    assert not [link for link in links if link not in made and not (path.parent / link).exists()]


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_commands_and_options_exist(path: Path) -> None:
    for words in commands(path.read_text(encoding="utf-8")):
        command: click.Command = cli
        rest = words[1:]
        while isinstance(command, click.Group) and rest and rest[0] in command.commands:
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
        used = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert used <= known | {"--help", "--version"}, (words, used - known)


def test_every_page_is_in_the_list_of_the_site() -> None:
    index = (REPOSITORY / "tposecli" / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(?:how-to/|reference/|explanation/)?[\w-]+$", index, re.MULTILINE))
    folder = REPOSITORY / "tposecli" / "docs"
    found = {path.relative_to(folder).with_suffix("").as_posix() for path in PAGES}
    assert {page for page in found if not page.startswith(("reference/commands", "reference/cards"))} == listed | {
        "index"
    }


def test_the_citation_names_paper_and_version() -> None:
    text = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert "TransPose: Keypoint Localization via Transformer" in text and "family-names: Quan" in text
    from tposecli import __version__

    assert f"\nversion: {__version__}\n" in text


def test_what_the_site_needs_is_in_both_extras() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert set(extras["docs"]) <= set(extras["dev"])
