"""What is measured once on a machine is the same in all runs on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tposecli.inference.backends import autotune as module
from tposecli.inference.backends.autotune import FILE, Tuning, fewest_threads, tuning
from tposecli.utils.system import cores, cpu_quota, processor

CHOICES = [Tuning(1, True), Tuning(2, False)]
"""What a machine that does much else might find pays, one time and the next."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a machine that measures something else every time."""
    folder, found = tmp_path / "home", iter(CHOICES)
    monkeypatch.setenv("TPOSE_HOME", str(folder))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # ultralytics sets it on import
    monkeypatch.setattr(module.Tuning, "measure", classmethod(lambda cls: next(found)))
    tuning.cache_clear()
    yield folder
    tuning.cache_clear()


def again() -> Tuning:
    """What another process would find."""
    tuning.cache_clear()
    return tuning()


def test_what_was_found_first_stays(home: Path) -> None:
    assert [again(), again(), again()] == [CHOICES[0]] * 3


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"%s": 1}', '{"%s": {"threads": 0, "onednn": true}}', '{"%s": {"threads": 2}}']
)
def test_damaged_notes_are_replaced(home: Path, damage: str) -> None:
    assert again() == CHOICES[0]
    key = next(iter(json.loads((home / FILE).read_text())))
    (home / FILE).write_text(damage.replace("%s", key))
    assert [again(), again()] == [CHOICES[1]] * 2


def test_machines_that_share_a_cache_have_their_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = again()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert again() == CHOICES[1] != first
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert again() == first


def test_a_cache_that_cannot_be_is_no_obstacle(home: Path) -> None:
    home.write_text("no folder")
    assert [again(), again()] == CHOICES


def test_two_processes_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path))
    command = [sys.executable, "-c", "from tposecli.inference.backends.autotune import tuning; print(tuning())"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (process.communicate()[0] for process in both)
    assert first == second and first.startswith("Tuning(")


def test_what_is_measured_is_possible() -> None:
    found = Tuning.measure()
    assert 1 <= found.threads <= torch.get_num_threads()


@pytest.mark.parametrize(("taken", "threads"), [(100.0, 4), (0.0, 1), (None, 1)])
def test_a_busy_machine_does_not_show_that_threads_do_not_pay(
    monkeypatch: pytest.MonkeyPatch, taken: float | None, threads: int
) -> None:
    seconds = iter([0.0, taken])
    monkeypatch.setattr(module, "machine_busy_s", lambda: next(seconds))
    monkeypatch.setattr(module, "_candidates", lambda available, limit: [1, 2, 4])
    monkeypatch.setattr(module, "_time_convolution", lambda threads: 1.0)
    assert Tuning.measure().threads == threads


def test_threads_that_do_not_pay_are_not_used() -> None:
    assert fewest_threads({1: 8.0, 2: 4.1, 4: 4.0, 8: 9.0}) == 2
    assert fewest_threads({1: 8.0, 2: 4.1}) == 2
    assert fewest_threads({3: 1.0}) == 3


def test_a_container_s_share_of_the_cpus(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    for text, expected in (("150000 100000\n", 2), ("max 100000\n", None), ("50000 100000\n", 1)):
        file.write_text(text)
        assert cpu_quota(file) == expected
    assert cpu_quota(tmp_path / "none") is None


def test_the_processor_has_a_name_and_cores() -> None:
    assert processor() and cores() >= 1
