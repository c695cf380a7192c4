"""The examination tells what is there and never fails over what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests import REPOSITORY
from tposecli import __version__
from tposecli.cli import diagnostics
from tposecli.cli.main import cli


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and an empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "cache"))
    return tmp_path


def told() -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["doctor", "--json", "-"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_it_tells_what_there_is(home: Path) -> None:
    findings = told()
    assert set(findings) == {"good", "versions", "devices", "codecs", "places", "weights", "choices", "settings"}
    assert findings["versions"]["tposecli"]["value"] == __version__
    assert findings["versions"]["python"]["value"] == sys.version.split()[0]
    assert findings["codecs"]["encoder libx264"]["value"] == "yes"
    assert findings["places"]["cache"]["value"] == str(home / "cache")
    assert findings["weights"]["transpose-m-a3"]["value"].endswith(".safetensors")
    assert findings["weights"]["transpose-h-a6"]["value"] == "not here"
    assert "tpose weights pull transpose-h-a6" in findings["weights"]["transpose-h-a6"]["note"]
    assert findings["choices"]["--model"]["value"] == "transpose-m-a3"


def test_text_says_the_same(home: Path) -> None:
    output = CliRunner().invoke(cli, ["doctor"]).output
    for section, rows in told().items():
        if section != "good":
            assert section in output.splitlines()
            for name, row in rows.items():
                assert any(name in line and row["value"] in line for line in output.splitlines())


def test_official_weights_in_the_cache_are_chosen(home: Path) -> None:
    from tposecli.models.catalog import AUTO_OFFICIAL, find_spec

    (home / "cache").mkdir()
    (home / "cache" / find_spec(AUTO_OFFICIAL).file).touch()
    choice = told()["choices"]["--model"]
    assert choice["value"] == AUTO_OFFICIAL
    assert "cache" in choice["note"]


def test_why_the_bundled_model_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TPOSE_OFFLINE", raising=False)
    assert "downloaded" in told()["choices"]["--model"]["note"]
    monkeypatch.setenv("TPOSE_OFFLINE", "1")
    assert "network is off" in told()["choices"]["--model"]["note"]
    assert told()["places"]["network"]["value"] == "off"


@pytest.mark.parametrize("module", ["av", "torch"])
def test_what_does_not_work_is_said(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    section = {"av": diagnostics._codecs, "torch": diagnostics._devices}[module]()
    assert any(not finding.good and "does not work" in finding.value for finding in section)
    assert told()["good"] is False


def test_packages_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise diagnostics.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(diagnostics.metadata, "version", version)
    findings = {finding.name: finding for finding in diagnostics._versions()}
    assert findings["ultralytics"].good
    assert not findings["torch"].good
    assert not findings["opencv-python"].good


def test_packages_that_are_there_but_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cv2", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    findings = {finding.name: finding for finding in diagnostics._versions()}
    assert "cannot be imported" in findings["opencv-python"].value and not findings["opencv-python"].good
    assert "cannot be imported" in findings["torchvision"].value and findings["torchvision"].good


def test_two_builds_of_opencv_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_opencv_builds", lambda: ["opencv-python", "opencv-python-headless"])
    findings = {finding.name: finding for finding in diagnostics._versions()}
    assert findings["OpenCV"].value == "2 builds" and not findings["OpenCV"].good
    assert "pip uninstall" in findings["OpenCV"].note


@pytest.mark.parametrize("content", [None, "raise ImportError('libGL.so.1: cannot open shared object file')"])
def test_an_opencv_that_cannot_load_is_a_sentence(content: str | None, tmp_path: Path) -> None:
    block = "import sys; sys.modules['cv2'] = None"
    if content is not None:
        (tmp_path / "cv2").mkdir()
        (tmp_path / "cv2" / "__init__.py").write_text(content)
        block = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    program = f"{block}; from tposecli.cli.main import main; sys.argv = ['tpose', 'images', '.', '--json', 'x']; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "OpenCV cannot be loaded" in done.stderr and "opencv-python-headless" in done.stderr


def test_a_cache_that_cannot_be_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").touch()
    monkeypatch.setenv("TPOSE_HOME", str(home / "file" / "cache"))
    cache = told()["places"]["cache"]
    assert "cannot be written" in cache["note"]
    assert cache["good"] is False


def test_missing_bundled_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tposecli.hub.checkpoints.resolve.bundled_file", lambda name: None)
    findings = told()
    assert findings["good"] is False
    assert "install" in findings["choices"]["--detector"]["note"]


def test_a_broken_file_of_options_and_unknown_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "tpose.toml").write_text("[video]\nsmoth = 1\n")
    monkeypatch.setenv("TPOSE_VIDEO_SMOTH", "none")
    monkeypatch.setenv("TPOSE_VIDEO_SMOOTH", "none")
    monkeypatch.setenv("TPOSE_MIRRORS", "https://me:secret@host/")
    settings = told()["settings"]
    assert "did you mean 'smooth'" in settings["tpose.toml"]["note"]
    assert "did you mean TPOSE_VIDEO_SMOOTH" in settings["TPOSE_VIDEO_SMOTH"]["note"]
    assert settings["TPOSE_VIDEO_SMOOTH"]["good"]
    assert settings["TPOSE_MIRRORS"]["value"] == "https://host/"
    (home / "tpose.toml").write_text('[video]\nsmooth = "none"\n')
    assert told()["settings"]["tpose.toml"]["note"] == "sets video"
