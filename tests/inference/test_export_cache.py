"""Exported nets in the cache: damage is noticed, the file made again, and no cache at all ends no run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tposecli.inference.backends.export import write_checked
from tposecli.inference.backends.export_cache import NOTE, CachedExport
from tposecli.utils.errors import OutputError

WEIGHTS = "a" * 64


class Writer:
    """Writes two files, as OpenVINO does, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: Path) -> float:
        def write(part: Path) -> float:
            part.write_text("graph")
            part.with_suffix(".bin").write_bytes(b"weights")
            return 0.0

        self.count += 1
        return write_checked(path, "openvino", write)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CachedExport:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "home"))
    return CachedExport("net", WEIGHTS, ["key"], ".xml")


def test_it_is_written_once(cached: CachedExport) -> None:
    writer = Writer()
    assert cached.get(writer) == cached.get(writer) == cached.path
    assert writer.count == 1 and cached.is_intact()
    assert {file.suffix for file in cached.path.parent.iterdir() if file.is_file()} == {".xml", ".bin", NOTE}


@pytest.mark.parametrize("suffix", [".xml", ".bin", NOTE])
@pytest.mark.parametrize("damage", ["missing", "empty", "changed", "deep"])
def test_damage_is_noticed_and_mended(
    suffix: str, damage: str, cached: CachedExport, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer()
    file = cached.get(writer).with_suffix(suffix)
    content = file.read_bytes()
    changed = {"empty": b"", "changed": bytes([content[0] ^ 1]) + content[1:], "deep": b"[" * 50_000}
    file.unlink() if damage == "missing" else file.write_bytes(changed[damage])
    assert not cached.is_intact()
    assert cached.get(writer) == cached.path
    assert writer.count == 2 and cached.is_intact()
    assert "exported again" in caplog.text or (suffix, damage) == (".xml", "missing")


def test_an_export_of_other_weights_does_not_serve(cached: CachedExport) -> None:
    cached.get(Writer())
    note = cached.path.with_suffix(NOTE)
    note.write_text(note.read_text().replace(WEIGHTS, "b" * 64))
    assert not cached.is_intact()


def test_a_note_cannot_lead_out_of_the_folder(cached: CachedExport) -> None:
    cached.get(Writer())
    note = cached.path.with_suffix(NOTE)
    (cached.path.parent.parent / "net.bin").write_bytes(b"weights")
    note.write_text(note.read_text().replace(cached.path.with_suffix(".bin").name, "../net.bin"))
    assert not cached.is_intact()


def test_without_a_cache_the_export_serves_the_run(
    cached: CachedExport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    path = cached.get(Writer())
    assert path.read_text() == "graph" and path.with_suffix(".bin").is_file()
    assert "this run only" in caplog.text


def test_a_full_cache_ends_no_run(cached: CachedExport, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer()

    def write(path: Path) -> float:
        if path == cached.path:
            raise OutputError("full") from OSError(28, "No space left on device")
        return writer(path)

    assert cached.get(write).read_text() == "graph"


def test_it_is_on_the_disk_before_it_has_its_name(cached: CachedExport, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(cached.path.exists()))
    cached.get(Writer())
    assert synced == [False, False, True]
