"""What damaged files once broke, and a short look for more; ``python -m tests.fuzz --minutes 5`` looks longer."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.fuzz.mutate import damaged
from tests.fuzz.targets import TARGETS, Target, corpus_files
from tposecli.utils.errors import TposeError


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("reader", "file"), [pytest.param(*pair, id=pair[1].name) for pair in corpus_files()])
def test_what_was_trouble_once_is_an_error_that_says_so(reader: Target, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    try:
        reader.read(copy)
    except TposeError as error:
        assert str(error)


@pytest.mark.slow
def test_twelve_seconds_find_nothing(tmp_path: Path) -> None:
    names = [part for name in ("journal", "boxes", "images", "video") for part in ("--target", name)]
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", "0.2", "--seed", "20211010", "--out", str(tmp_path)]
    done = subprocess.run([*command, *names], capture_output=True, text=True, cwd=REPOSITORY, env={**os.environ})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("files in") == 4


@pytest.mark.parametrize("is_json", [False, True])
def test_damage_is_the_same_for_the_same_seed(is_json: bool) -> None:
    whole = b'{"a": [1, 2, {"b": null}]}'
    made = [[damaged(whole, [b"other"], random.Random(seed), is_json) for seed in range(200)] for _ in range(2)]
    assert made[0] == made[1] and len(set(made[0])) > 100


def test_readers_have_different_names() -> None:
    assert len({reader.name for reader in TARGETS}) == len(TARGETS)
