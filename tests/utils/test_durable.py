"""Promises about files that only a power cut or a race would show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tposecli.utils.files import write_text
from tposecli.utils.locks import output_locks


@pytest.mark.parametrize("durable", [True, False])
def test_content_is_on_the_disk_before_the_file_has_its_name(
    durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, replace, link = os.fsync, os.replace, os.link

    def synced(descriptor: int) -> None:
        events.append("sync")
        sync(descriptor)

    def named(*arguments: object, **options: object) -> None:
        events.append("name")
        replace(*arguments, **options)  # type: ignore[call-overload]

    def linked(*arguments: object, **options: object) -> None:
        events.append("name")
        link(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    monkeypatch.setattr(os, "rename", named)
    monkeypatch.setattr(os, "link", linked)
    write_text(tmp_path / "x.json", "{}", durable)
    assert (tmp_path / "x.json").read_text() == "{}"
    before = events[: events.index("name")]
    assert ("sync" in before) is durable


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_a_lock_whose_holder_ended_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder removes its lock file between our opening and our locking it: that file locks nobody out."""
    from tposecli.utils import locks

    output, lock, calls = tmp_path / "out.mp4", tmp_path / "out.mp4.lock", []
    lock.write_bytes(locks._head())
    real = locks.try_lock

    def lock_after_removal(descriptor: int) -> bool:
        calls.append(descriptor)
        if len(calls) == 1:
            lock.unlink()
        return real(descriptor)

    monkeypatch.setattr(locks, "try_lock", lock_after_removal)
    with output_locks([output]):
        assert len(calls) == 2
        assert [file.name for file in tmp_path.iterdir()] == [lock.name]
