"""Numbers of threads are bounded by the CPUs, wherever they come from; a full cache ends no run."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tposecli.inference.backends import autotune
from tposecli.inference.backends.autotune import Tuning, max_threads, tuning
from tposecli.inference.backends.cpu import tune
from tposecli.utils.errors import OutputError


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path))
    threads = torch.get_num_threads()
    tuning.cache_clear()
    yield
    tuning.cache_clear()
    torch.set_num_threads(threads)


def test_threads_are_at_most_the_cpus(caplog: pytest.LogCaptureFixture) -> None:
    assert tune(100_000) == os.cpu_count() == torch.get_num_threads()
    assert "--threads 100000" in caplog.text
    assert tune(1) == 1


@pytest.mark.parametrize("threads", [100_000, 3e9, True, 0, -1, None, "2", [], max_threads() + 1])
def test_stored_threads_that_cannot_be_are_measured_again(threads: object) -> None:
    assert Tuning.from_dict({"threads": threads, "onednn": False}) is None


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "[]", "null", "\udcff"])
def test_damaged_tuning_is_measured_again(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tuning, "measure", lambda: Tuning(1, False))
    (tmp_path / autotune.FILE).write_bytes(content.encode(errors="surrogateescape"))
    assert tuning() == Tuning(1, False)
    assert list(json.loads((tmp_path / autotune.FILE).read_text()).values()) == [{"threads": 1, "onednn": False}]


@pytest.mark.parametrize("error", [OSError(errno.EROFS, "read-only"), OutputError("no space left")])
def test_a_cache_that_cannot_be_written_ends_no_run(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(autotune, "write_text", full)
    monkeypatch.setattr(Tuning, "measure", lambda: Tuning(1, False))
    assert tuning() == Tuning(1, False)
