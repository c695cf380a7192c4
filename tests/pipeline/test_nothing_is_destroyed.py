"""Nothing that this program did not make is replaced or removed, whatever writer meets it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tposecli.cli.main import cli
from tposecli.formats.base import WriteOptions
from tposecli.formats.catalog import written_formats
from tposecli.sinks.images import write_image
from tposecli.sinks.npz_archive import NpzArchive
from tposecli.sinks.video import VideoSink
from tposecli.types import Boxes, Frame, Poses, Result, SourceInfo
from tposecli.utils.errors import OutputError, TposeError, UsageError
from tposecli.utils.files import PartFile, check_output, forbid_replacing, new_file, write_text
from tposecli.utils.locks import output_locks

PIXELS = np.zeros((48, 64, 3), np.uint8)
POSES = Poses(Boxes([[4, 4, 40, 40]], [0.9]), np.full((1, 17, 2), 9.0), np.full((1, 17), 0.9), np.array([1]))


def result() -> Result:
    return Result(Frame(PIXELS.copy(), 0, 0.0, "in.mp4", 0), POSES)


def write_pose_file(row_name: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        row = next(row for row in written_formats() if row.name == row_name)
        pytest.importorskip(row.package or "numpy")
        row.check_output(path, overwrite=False)
        sink = row.open_sink(path, WriteOptions({"description": "poses"}))
        sink.write(result())
        appear(path / IN_FOLDER[row.folder_pattern] if row.folder_pattern else path)
        sink.close(complete=True)

    return write


IN_FOLDER = {"*_keypoints.json": f"in_{0:012d}_keypoints.json", "images/*.jpg": "images/in_000000.jpg"}
"""A file of a format that is a folder."""


def appear(path: Path) -> None:
    """Somebody else writes a file of the output's name while the run goes on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")


def write_video(path: Path) -> None:
    check_output(path, overwrite=False)
    sink = VideoSink(path, SourceInfo("in"))
    sink.write(PIXELS, None, 0.0)
    appear(path)
    sink.close()


def write_one_image(path: Path) -> None:
    forbid_replacing(path.parent)
    appear(path)
    write_image(path, PIXELS)


def write_archive(path: Path) -> None:
    check_output(path, overwrite=False)
    archive = NpzArchive(path)
    archive.append({"a": np.zeros((2, 3))})
    appear(path)
    archive.close(complete=True)


def write_by_name(path: Path) -> None:
    check_output(path, overwrite=False)
    with new_file(path) as temporary:
        temporary.write_bytes(b"ours")
        appear(path)


def write_part(path: Path) -> None:
    check_output(path, overwrite=False)
    part = PartFile(path)
    part.file.write(b"ours")
    appear(path)
    part.close(complete=True)


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    **{
        row.name: ("out" if row.folder_pattern else f"out{row.suffix}", write_pose_file(row.name))
        for row in written_formats()
    },
    "video": ("out.mp4", write_video),
    "image": ("images/out.png", write_one_image),
    "archive": ("out.npz", write_archive),
    "figure": ("out.png", write_by_name),
    "text": ("out.txt", write_part),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_appears_during_the_run_survives(tmp_path: Path, writer: str) -> None:
    name, write = WRITERS[writer]
    with pytest.raises(OutputError, match="appeared meanwhile"):
        write(tmp_path / name)
    mine = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in mine] == [b"mine"], "and nothing of ours stays"


@pytest.mark.parametrize("name", ["out.mp4", "out.json"])
@pytest.mark.parametrize("kind", ["file", "link", "dangling", "folder"])
def test_existing_outputs_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    path = squat(tmp_path / name, kind)
    before = state(tmp_path)
    with pytest.raises(UsageError, match=r"already exists|is a folder"):
        check_output(path, overwrite=False)
    assert state(tmp_path) == before


def squat(path: Path, kind: str) -> Path:
    precious = path.parent / "precious.txt"
    precious.write_text("precious")
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "treasure.txt").write_text("treasure")
    else:
        path.symlink_to(precious if kind == "link" else path.parent / "nowhere")
    return path


def state(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "folder"])
@pytest.mark.parametrize("suffix", [".lock", ".poses.jsonl", ".part", ".rows.part", ".annotations.part"])
def test_files_with_names_that_we_use_survive(tmp_path: Path, media: Path, suffix: str, kind: str) -> None:
    """They are passed by, or the run is refused; never are they replaced, removed or written through."""
    squat(tmp_path / f"out.json{suffix}", kind)
    before = state(tmp_path)
    if suffix == ".lock":
        with pytest.raises(UsageError, match="not a lock"), output_locks([tmp_path / "out.json"]):
            pass
    elif suffix == ".poses.jsonl":
        from tposecli.pipeline.resume import check_journal

        with pytest.raises(UsageError, match="not a journal"):
            check_journal(tmp_path / "out.json.poses.jsonl", [tmp_path / "out.json"])
    else:
        with output_locks([tmp_path / "out.json"]):
            write_text(tmp_path / "out.json", "ours")
        assert (tmp_path / "out.json").read_text() == "ours"
        (tmp_path / "out.json").unlink()
    assert state(tmp_path) == before


def test_a_named_link_is_written_through_with_overwrite(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "out.json"
    target.write_text("old")
    link.symlink_to(target)
    check_output(link, overwrite=True)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"


def test_a_link_in_a_folder_of_images_is_replaced_and_not_followed(tmp_path: Path) -> None:
    original, link = tmp_path / "original.png", tmp_path / "out.png"
    original.write_bytes(b"precious")
    link.symlink_to(original)
    write_image(link, PIXELS)
    assert original.read_bytes() == b"precious" and not link.is_symlink()


def test_temporary_files_of_a_dead_run_are_removed_and_no_others(tmp_path: Path) -> None:
    output, lock = tmp_path / "out.json", tmp_path / "out.json.lock"
    with output_locks([output]):
        part = PartFile(output)
        content = lock.read_bytes()
    part.file.raw.close()
    mine = tmp_path / ".out.json.deadbeef.part"
    mine.write_text("mine")
    forged = json.dumps({"temporary": str(mine), "inode": 1}).encode() + b"\n"
    lock.write_bytes(content + forged)
    assert part.temporary.exists()
    with output_locks([output]):
        assert not part.temporary.exists()
    assert mine.read_text() == "mine" and not lock.exists()


def test_long_names_have_short_temporary_ones(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120 + ".txt")
    write_text(path, "whole")
    assert path.read_text() == "whole"


@pytest.mark.parametrize("option", ["-o", "--crops", "--attention"])
def test_images_in_folders_are_not_replaced(tmp_path: Path, media: Path, option: str) -> None:
    photos, folder = tmp_path / "photos", tmp_path / "backup"
    photos.mkdir()
    folder.mkdir()
    cv2.imwrite(str(photos / "p.jpg"), PIXELS)
    name = {"-o": "p.jpg", "--crops": "p_p0.jpg", "--attention": "p.jpg.jpg"}[option]
    (folder / name).write_bytes(b"mine")
    refused = CliRunner().invoke(cli, ["images", str(photos), option, str(folder), "--json", str(tmp_path / "o.json")])
    assert refused.exit_code == 2 or isinstance(refused.exception, UsageError)
    assert (folder / name).read_bytes() == b"mine"


def test_trained_weights_are_not_replaced(tmp_path: Path) -> None:
    from tposecli.lab.training.shared import check_new_run

    (tmp_path / "last.safetensors").write_bytes(b"weights of a week")
    for resume in (False, True):
        with pytest.raises(TposeError, match="already exists"):
            check_new_run(tmp_path, ("last.safetensors", "metrics.csv"), resume)


def test_sample_media_are_not_replaced(tmp_path: Path) -> None:
    from tposecli.lab.synth.sample_media import make_all

    (tmp_path / "walk.mp4").write_bytes(b"mine")
    with pytest.raises(UsageError, match="already exists"):
        make_all(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["walk.mp4"]
