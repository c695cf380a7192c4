"""Every block of the how-to pages is run, in order, as a reader would: ``sh`` and ``python``, without the network.

Blocks of ``console`` need what is not here (a network, a camera, another program) and ``python notest`` another
package; their options are checked in ``test_pages.py``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests import REPOSITORY
from tposecli.cli.main import cli

FOLDER = REPOSITORY / "tposecli" / "docs"
REFERENCE = [FOLDER / "reference" / name for name in ("python.md", "other-programs.md")]
PAGES = [FOLDER / "first-steps.md", *REFERENCE, *sorted((FOLDER / "how-to").glob("*.md"))]
QUICK = {"own-detector", "other-tools"}
"""Pages that also run in the ordinary suite."""
WHOLE = {"correct"}
"""Pages whose times need the whole clip of 4.5 seconds."""
MEDIA = REPOSITORY / "sample_media"
SECONDS = "0.5"


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and text of the blocks that are run."""
    found = re.findall(r"^```(sh|python)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [(language, text) for language, text in found]


RUN = [page for page in PAGES if blocks(page)]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of a person who walks."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the ffmpeg command")
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    command = ["ffmpeg", "-loglevel", "error", "-i", MEDIA / "walk.mp4", "-t", SECONDS, path]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def desk(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files that the pages speak of, and ``tpose`` among the programs."""
    for name in ("clip.mp4", "cam01.mp4", "cam02.mp4", "clips/a.mp4", "clips/deeper/a.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tmp_path / name)
    (tmp_path / "photos").mkdir()
    shutil.copy(MEDIA / "stills" / "still_01.jpg", tmp_path / "photo.jpg")
    shutil.copy(MEDIA / "stills" / "still_02.jpg", tmp_path / "photos")
    (tmp_path / "sample_media").symlink_to(MEDIA)
    program = tmp_path / "bin" / "tpose"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tposecli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def run_shell(text: str) -> None:
    """Run a block; plain calls of ``tpose`` in this process, which spares the imports."""
    lines = text.replace("\\\n", " ").splitlines()
    if all(re.fullmatch(r"tpose [^|><;&$*`]*|tpose [^|><;&$`]*'[^']*'[^|><;&$*`]*", line) for line in lines):
        for line in lines:
            result = CliRunner().invoke(cli, shlex.split(line, comments=True)[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        return
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def run_page(page: Path, languages: Sequence[str] = ("sh", "python")) -> None:
    """Run the blocks of a page in the current folder."""
    names: dict[str, object] = {}
    for language, text in blocks(page):
        if language not in languages:
            continue
        if language == "sh":
            run_shell(text)
        else:
            exec(compile(text, page.name, "exec"), names)


@pytest.mark.parametrize("page", [page for page in RUN if page.stem in QUICK], ids=lambda page: page.stem)
def test_the_blocks_of_a_quick_page_run(page: Path, desk: Path) -> None:
    run_page(page)


def test_the_python_of_the_readme_runs(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_page(REPOSITORY / "README.md", languages=("python",))
    assert len(re.findall(r"^0\.\d+ \[1\] \[\[\[", capsys.readouterr().out, re.MULTILINE)) == 15


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in RUN if page.stem not in QUICK], ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page: Path, desk: Path) -> None:
    if page.stem in WHOLE:
        shutil.copy(MEDIA / "walk.mp4", desk / "clip.mp4")
    run_page(page)


def test_every_how_to_has_blocks_that_are_run() -> None:
    assert {page.stem for page in PAGES} - {page.stem for page in RUN} == {"containers", "remote-files", "ray"}
