"""A tpose.toml that came with a folder may set how a command works, and nothing that costs the user something."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tposecli.cli.main import cli


@pytest.mark.parametrize(
    "line",
    [
        "trust = true",
        "overwrite = true",
        'csv = "/home/me/x.csv"',
        'weights = "w.pth"',
        'detector = "yolo:model.pt"',
        '[video]\njson = "o.json"',
    ],
)
def test_refused_keys_say_where_they_may_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tpose.toml").write_text(line + "\n")
    refused = CliRunner().invoke(cli, ["video", "in.mp4", "--json", "out.json"])
    assert refused.exit_code == 2
    assert "--config" in refused.output and "command line" in refused.output


def test_what_it_sets_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tpose"])
    (tmp_path / "tpose.toml").write_text('[video]\nsmooth = "none"\n')
    ran = CliRunner().invoke(cli, ["video", "in.mp4", "--json", "out.json"])
    assert "tpose.toml: sets smooth" in ran.output


def test_a_named_file_and_the_users_own_may_set_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "config" / "tpose" / "tpose.toml"
    own.parent.mkdir(parents=True)
    own.write_text("overwrite = true\n")
    monkeypatch.setattr("tposecli.cli.config.user_file", lambda: own)
    for words in (["--config", str(own), "video"], ["video"]):
        ran = CliRunner().invoke(cli, [*words, "in.mp4", "--json", "out.json"])
        assert "may not be set" not in ran.output
