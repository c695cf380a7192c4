"""``--start`` by seeking yields what decoding from the beginning yields, and is left out where it might not."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests import REPOSITORY
from tests.support.media import Film, cut, damage, faststart
from tposecli.sources.packet_index import PacketIndex
from tposecli.sources.time_window import Window
from tposecli.sources.video import VideoSource

FRAMES = 60
TICK = Fraction(1, 90_000)
MARKS = {"crf": "20", "preset": "veryfast", "g": "12", "sc_threshold": "0"}
Make = Callable[[Path], Path]


def film(name: str, **given: Any) -> Make:
    """Return what writes a film of 60 frames."""
    options = {"pts": range(FRAMES), "options": {**MARKS, "bf": "3"}, **given}
    return lambda folder: Film(**options).write(folder / name)


def transport_stream(bf: int) -> Make:
    pts = range(900_000, 900_000 + FRAMES * 3600, 3600)
    return film("film.ts", pts=pts, time_base=TICK, options={**MARKS, "bf": str(bf)})


def variable(folder: Path) -> Path:
    pts = [number * 40 + number % 3 * 11 + (number > 30) * 900 for number in range(FRAMES)]
    return film("film.mkv", pts=pts, time_base=Fraction(1, 1000))(folder)


def with_edit_list(folder: Path) -> Path:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    whole, path = film("whole.mp4")(folder), folder / "film.mp4"
    command = ["ffmpeg", "-v", "error", "-ss", "0.7", "-i", str(whole), "-c", "copy", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def truncated(folder: Path) -> Path:
    path = film("film.mkv")(folder)
    cut(path, 50)
    return path


def cut_front(folder: Path) -> Path:
    path = faststart(film("film.mp4")(folder))
    cut(path, 50)
    return path


def damaged(*packets: int) -> Make:
    def make(folder: Path) -> Path:
        path = film("film.mp4")(folder)
        damage(path, packets)
        return path

    return make


def begins_in_a_group(folder: Path) -> Path:
    path = transport_stream(2)(folder)
    data = path.read_bytes()
    path.write_bytes(data[188 * (len(data) // 188 // 3) :])
    return path


def with_a_reset_clock(folder: Path) -> Path:
    path = transport_stream(0)(folder)
    path.write_bytes(path.read_bytes() * 2)
    return path


FOUND: dict[str, Make] = {
    "mp4": film("film.mp4"),
    "open groups": film("film.mp4", options={**MARKS, "bf": "3", "x264-params": "open-gop=1"}),
    "pyramid": film("film.mov", options={**MARKS, "bf": "5", "x264-params": "b-pyramid=normal"}),
    "hevc": film("film.mp4", codec="libx265", options={"preset": "ultrafast", "x265-params": "keyint=12:log-level=0"}),
    "hevc, closed groups": film(
        "film.mkv", codec="libx265", options={"preset": "ultrafast", "x265-params": "keyint=12:open-gop=0:log-level=0"}
    ),
    "intra only": film("film.mkv", codec="ffv1", options={}),
    "variable rate": variable,
    "edit list": with_edit_list,
    "MPEG-TS": transport_stream(0),
    "MPEG-TS, reordered": transport_stream(2),
    "MPEG-2": film("film.mpg", codec="mpeg2video", options={"bf": "2", "g": "12", "q": "2"}),
    "MPEG-4": film("film.mp4", codec="mpeg4", options={"bf": "2", "g": "12"}),
    "VP9": film("film.webm", codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "g": "12"}),
    "AV1": film("film.mkv", codec="libsvtav1", options={"preset": "12", "g": "12"}),
    "truncated": truncated,
    "begins late": film("film.mp4", pts=range(40, 40 + FRAMES)),
    "walk": lambda _: REPOSITORY / "sample_media" / "walk.mp4",
    "crossing": lambda _: REPOSITORY / "sample_media" / "crossing.mp4",
    "portrait": lambda _: REPOSITORY / "sample_media" / "portrait.mp4",
}
REFUSED: dict[str, Make] = {
    "no timestamps": film("film.h264", options={**MARKS, "bf": "0"}),
    "AVI": film("film.avi", codec="mpeg4", options={"bf": "2", "g": "12"}),
    "hidden frames": film(
        "film.webm", codec="libvpx", options={"deadline": "realtime", "g": "12", "lag-in-frames": "8"}
    ),
    "interlaced": film("film.mp4", options={**MARKS, "x264-params": "tff=1"}),
    "damaged": damaged(17, 40),
    "damaged beginning": damaged(0, 1),
    "truncated MP4": cut_front,
    "begins in a group": begins_in_a_group,
    "clock was reset": with_a_reset_clock,
}


def seen(path: Path, window: Window) -> tuple[list[tuple[Any, ...]], float | None, Any]:
    """Return all that a source says of its frames."""
    source = VideoSource(path, window)
    frames = [
        (frame.index, frame.pts, frame.time_s, frame.duration_s, hashlib.sha256(frame.image.tobytes()).digest())
        for frame in source
    ]
    return frames, source.ends_s, (source.corrupt, source.corrupt_at, source.resized, source.origin)


@pytest.fixture
def decoded_packets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many packets each call of the decoder got, collected by iterations."""
    counts: list[int] = []
    original = VideoSource._decode

    def decode(self: VideoSource, *given: Any) -> Any:
        counts.append(1)
        return original(self, *given)

    monkeypatch.setattr(VideoSource, "_decode", decode)
    return counts


@pytest.mark.parametrize("kind", [*FOUND, *REFUSED])
def test_frames_are_those_of_full_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded_packets: list[int], kind: str
) -> None:
    path = {**FOUND, **REFUSED}[kind](tmp_path)
    whole = [frame.time_s for frame in VideoSource(path, Window(clock="source"))]
    starts = [whole[len(whole) * part // 10] for part in (2, 5, 9)]
    windows = [Window(start, clock="source") for start in starts]
    windows += [Window(max(starts[1] - whole[0], 0.1) + 0.001, starts[1] - whole[0] + 1.2, stride=3)]
    decoded_packets.clear()
    sought = [seen(path, window) for window in windows]
    by_seeking = len(decoded_packets)
    with monkeypatch.context() as patched:
        patched.setattr(VideoSource, "index", lambda source: None)
        decoded_packets.clear()
        assert sought == [seen(path, window) for window in windows]
    assert all(frames for frames, _, _ in sought)
    if kind in FOUND:
        assert by_seeking < len(decoded_packets)


@pytest.mark.parametrize("kind", REFUSED)
def test_no_index_where_packets_and_frames_may_differ(tmp_path: Path, kind: str) -> None:
    assert VideoSource(REFUSED[kind](tmp_path)).index() is None


@pytest.mark.parametrize("kind", FOUND)
def test_index_is_that_of_all_frames(tmp_path: Path, kind: str) -> None:
    source = VideoSource(FOUND[kind](tmp_path))
    index = source.index()
    assert isinstance(index, PacketIndex)
    assert index.pts.tolist() == [frame.pts for frame in source]


def test_a_seek_that_leads_too_far_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, window = film("film.mp4")(tmp_path), Window(1.2)
    expected = seen(path, window)
    monkeypatch.setattr("tposecli.sources.video._MARGIN_S", -1)
    assert seen(path, window) == expected


@pytest.mark.parametrize("kind", ["mp4", "AVI"])
def test_a_start_after_the_end_yields_nothing(tmp_path: Path, kind: str) -> None:
    path = {**FOUND, **REFUSED}[kind](tmp_path)
    source = VideoSource(path, Window(7))
    assert not list(source)
    assert source.ends_s == pytest.approx(FRAMES / 25, abs=0.05)
