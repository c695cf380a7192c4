"""Videos by folders, patterns and lists: which are found, and the names that their outputs take."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from tposecli.sources import find_videos, kind_of
from tposecli.utils.errors import InputError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Videos of two cameras whose names repeat, and what is no video."""
    for name in ("cam1/GOPR2.MP4", "cam1/GOPR10.MP4", "cam2/GOPR2.MP4", "notes.txt", "photo.jpg", ".hidden.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*inputs: str, recursive: bool = False) -> list[str]:
    return [video.name for video in find_videos(inputs, recursive)]


def test_a_folder_gives_its_videos_in_natural_order(tree: Path) -> None:
    assert names("cam1") == ["GOPR2", "GOPR10"]
    assert names(".", recursive=True) == ["cam1/GOPR2", "cam1/GOPR10", "cam2/GOPR2"]
    assert all(video.is_one_of_many for video in find_videos(["cam1"]))


def test_equal_names_keep_their_tree_and_others_stay_short(tree: Path) -> None:
    assert names("cam1", "cam2") == ["cam1/GOPR2", "cam1/GOPR10", "cam2/GOPR2"]
    assert names("cam?/*.MP4") == ["cam1/GOPR2", "cam1/GOPR10", "cam2/GOPR2"]
    assert names("cam1/GOPR10.MP4", "cam2/GOPR2.MP4") == ["GOPR10", "GOPR2"]
    (tree / "cam1" / "GOPR2.mov").write_bytes(b"x")
    assert names("cam1/GOPR2.MP4", "cam1/GOPR2.mov") == ["GOPR2_MP4", "GOPR2_mov"]


def test_the_same_file_is_one_video(tree: Path) -> None:
    assert names("cam1/GOPR2.MP4", "cam1/GOPR2.MP4") == ["GOPR2"]


def test_lists_are_relative_to_their_own_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "cam1" / "list.txt").write_text("# today's\n\nGOPR10.MP4\n../cam2\nhttps://example.org/a.mp4\n")
    expected = [Path("cam1/GOPR10.MP4"), Path("cam1/../cam2/GOPR2.MP4"), "https://example.org/a.mp4"]
    assert [video.location for video in find_videos([], lists=["cam1/list.txt"])] == expected
    assert [video.location for video in find_videos(["cam1/list.txt"])] == expected
    monkeypatch.setattr("sys.stdin", io.StringIO("cam2/GOPR2.MP4\n"))
    assert [video.name for video in find_videos([], lists=["-"])] == ["GOPR2"]


def test_what_the_program_made_is_no_input(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tree / "cam2" / "GOPR2_pose.mp4").write_bytes(b"x")
    (tree / "cam2" / "GOPR2_pose.mp4.poses.jsonl").write_bytes(b"x")
    with caplog.at_level(logging.INFO, "tposecli"):
        found = find_videos(["cam2"], own_suffix=".poses.jsonl")
    assert [video.name for video in found] == ["GOPR2"] and "GOPR2_pose.mp4" in caplog.text


def test_image_sequences_urls_and_cameras_pass_as_they_are(tree: Path) -> None:
    given = ["%06d.png", "shots/*.png", "rtsp://h/x", "-", "0", "nosuch.mp4"]
    assert [str(video.location) for video in find_videos(given)] == given


def test_a_folder_without_videos_does_not_stop_the_others(tree: Path) -> None:
    (tree / "empty").mkdir()
    assert names("empty", "cam1") == ["empty", "GOPR2", "GOPR10"]


@pytest.mark.parametrize("given", ["nosuch*.mp4", ".", "notes.txt"])
def test_what_yields_no_video_is_an_error(tree: Path, given: str) -> None:
    (tree / "notes.txt").write_text("# nothing yet\n")
    with pytest.raises(InputError, match=r"no videos found|list is empty|no file matches"):
        find_videos([given])


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("cam1", "video"),
        ("a.mkv", "video"),
        ("https://example.org/x", "video"),
        ("%06d.png", "video"),
        ("photo.jpg", "images"),
        ("shots.zip", "images"),
        ("notes.txt", ""),
        ("nothing", ""),
    ],
)
def test_kind(tree: Path, word: str, kind: str) -> None:
    assert kind_of(word) == kind


def test_a_list_with_a_nul_character_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a\0.mp4\n")
    with pytest.raises(InputError, match="NUL character"):
        find_videos([], lists=[str(tmp_path / "list.txt")])
