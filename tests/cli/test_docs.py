"""The pages of the documentation in the terminal, and those of the commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tposecli.cli.commands import docs
from tposecli.cli.commands.docs import pages, plain_markdown, title_of
from tposecli.cli.main import cli
from tposecli.cli.reference import LIST, command_pages, write_pages


def shown(*words: str) -> str:
    result = CliRunner().invoke(cli, ["docs", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_names_every_page_with_its_title() -> None:
    text = shown()
    for name, path in pages().items():
        assert re.search(rf"^  {name} +{re.escape(title_of(path))}$", text, re.MULTILINE)
    assert text.index("Start:") < text.index("How to:") < text.index("Reference:") < text.index("Explanation:")


@pytest.mark.parametrize("name", ["privacy", "how-to/privacy", "privacy.md", "how-to/privacy.md"])
def test_a_page_is_found_by_its_name(name: str) -> None:
    assert shown(name).startswith("# Privacy\n")


@pytest.mark.parametrize("name", pages())
def test_no_directive_or_link_into_nowhere_is_left(name: str) -> None:
    text = plain_markdown(pages()[name].read_text(encoding="utf-8"))
    assert "```{" not in text and "{py:" not in text and "![" not in text and ".md)" not in text and ".md#" not in text


@pytest.mark.parametrize(
    ("name", "hint"), [("privacies", "privacy"), ("video", "tpose video --help-all"), ("zzz", "lists")]
)
def test_an_unknown_name_is_an_error_that_helps(name: str, hint: str) -> None:
    result = CliRunner().invoke(cli, ["docs", name])
    assert result.exit_code == 2 and hint in result.output


def test_the_site_is_opened_if_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(docs, "SITE", tmp_path)
    monkeypatch.setattr("click.launch", lambda address: opened.append(address))
    result = CliRunner().invoke(cli, ["docs", "--open"])
    assert result.exit_code == 2 and "sphinx-build" in result.output
    (tmp_path / "how-to").mkdir()
    for page in ("index.html", "how-to/privacy.html"):
        (tmp_path / page).write_text("")
    shown("--open")
    shown("--open", "privacy")
    assert opened == [(tmp_path / page).as_uri() for page in ("index.html", "how-to/privacy.html")]


def test_each_command_has_a_page_with_all_of_its_options(tmp_path: Path) -> None:
    content = dict(command_pages())
    assert sorted(content) == sorted(cli.commands)
    assert content["video"].startswith("# tpose video\n") and "## Tracking\n" in content["video"]
    assert "`--track-gate AFFINITY`\n: Minimum similarity" in content["video"]
    assert "## tpose weights pull\n" in content["weights"]
    (tmp_path / "tpose-gone.md").write_text("# gone")
    written = write_pages(tmp_path)
    assert set(tmp_path.iterdir()) == set(written) and len(written) == len(content) + 1
    listed = re.findall(
        r"^: \[tpose ([\w-]+)\]\(commands/tpose-\1\.md\): \S", (tmp_path / LIST).read_text(), re.MULTILINE
    )
    assert sorted(listed) == sorted(content)
