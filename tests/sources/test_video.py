"""Video sources: true timestamps, upright pixels, counted losses, and errors for invalid files."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import numpy as np
import pytest

from tests.support.media import (
    NTSC,
    Film,
    colours_of,
    cut,
    damage,
    faststart,
    number_of,
    numbered,
    write_image,
    write_tone,
)
from tposecli.sources import ImageSource, Source, VideoSource, Window, find_images, open_video
from tposecli.utils.errors import InputError, UsageError

VARIABLE = (0, 40, 41, 100, 333, 334, 335, 900, 901, 1000)


def _film(folder: Path) -> Source:
    return VideoSource(Film().write(folder / "film.mp4"))


def _turned_film(folder: Path) -> Source:
    return VideoSource(Film(turn=(90, False), size=(62, 34)).write(folder / "turned.mp4"))


def _stills(folder: Path) -> Source:
    for number in range(5):
        write_image(folder / f"{number}.png", numbered(number))
    return ImageSource(find_images([folder]))


@pytest.fixture(params=[_film, _turned_film, _stills], ids=lambda make: make.__name__.strip("_"))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """Every kind of source."""
    make: Callable[[Path], Source] = request.param
    return make(tmp_path)


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# ---- all sources


def test_frames_are_rgb_owned_and_in_order(source: Source) -> None:
    with source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) == source.expected == source.info.frames
    for frame in frames:
        assert frame.image.flags.c_contiguous and frame.image.flags.writeable
        assert source.info.size_wh in (None, frame.size_wh)
    frames[0].image[:] = 0
    assert frames[1].image.any()


def test_each_iteration_starts_from_the_beginning(source: Source) -> None:
    first, second = list(source), list(source)
    assert len(first) == len(second) > 0
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files by /proc")
def test_nothing_stays_open(source: Source) -> None:
    before = _open_files()
    frames = iter(source)
    next(frames)
    del frames
    assert _open_files() == before
    list(source)
    assert _open_files() == before


# ---- time


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_variable_frame_rate(tmp_path: Path, suffix: str) -> None:
    film = Film(pts=VARIABLE, time_base=Fraction(1, 1000))
    frames = list(VideoSource(film.write(tmp_path / f"film{suffix}")))
    assert [frame.time_s for frame in frames] == film.times_s
    assert [number_of(frame.image) for frame in frames] == list(range(len(VARIABLE)))


def test_ntsc_rate_stays_exact(tmp_path: Path) -> None:
    video = VideoSource(Film(time_base=1 / NTSC, options={"bf": "2"}).write(tmp_path / "film.mp4"))
    assert video.info.fps == NTSC
    assert [round(frame.pts * video.info.time_base * NTSC, 9) for frame in video] == list(range(20))


def test_window_counts_true_indices(tmp_path: Path) -> None:
    path = Film().write(tmp_path / "film.mp4")
    for clock, first_s in (("zero", 0), ("source", 0.2)):
        video = open_video(path, start_s=0.2, end_s=0.6, stride=3, clock=clock)
        assert [frame.index for frame in video] == [5, 8, 11, 14]
        assert [frame.time_s for frame in video] == pytest.approx([first_s + 0.12 * number for number in range(4)])
        assert video.expected == 4
        assert [number_of(frame.image) for frame in video] == [5, 8, 11, 14]


def test_window_counts_from_the_first_timestamp(tmp_path: Path) -> None:
    film = Film(pts=range(900_000, 1_000_000, 5_000), time_base=Fraction(1, 90_000), options={"bf": "0"})
    video = open_video(film.write(tmp_path / "film.ts"), start_s=0.5, end_s=0.8)
    frames = list(video)
    assert [number_of(frame.image) for frame in frames] == [9, 10, 11, 12, 13, 14]
    assert (frames[0].time_s, frames[0].pts) == (0, 0)


@pytest.mark.parametrize("window", [{"start_s": -1}, {"start_s": 2, "end_s": 2}, {"stride": 0}, {"start_s": np.nan}])
def test_invalid_windows_raise(window: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        Window(**window)  # type: ignore[arg-type]


def test_missing_timestamps_are_derived(tmp_path: Path) -> None:
    film = Film(pts=range(12), time_base=Fraction(1, 25), options={"bf": "0"})
    times = [frame.time_s for frame in VideoSource(film.write(tmp_path / "film.h264"))]
    assert np.diff(times) == pytest.approx([0.04] * 11)


# ---- pixels


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("mirror", [False, True])
def test_rotation_is_applied(tmp_path: Path, degrees: int, mirror: bool) -> None:
    plain = next(iter(VideoSource(Film(pts=(0,)).write(tmp_path / "plain.mp4"))))
    video = VideoSource(Film(pts=(0,), turn=(degrees, mirror)).write(tmp_path / "turned.mp4"))
    expected = np.rot90(plain.image, degrees // 90)
    frame = next(iter(video))
    assert np.array_equal(frame.image, expected[:, ::-1] if mirror else expected)
    assert frame.size_wh == video.info.size_wh
    assert video.info.rotation == degrees % 360


@pytest.mark.parametrize("size", [(127, 63), (33, 17), (64, 2)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "bgr0", "gray"])
def test_any_size_and_depth(tmp_path: Path, size: tuple[int, int], pix_fmt: str) -> None:
    film = Film(pts=(0, 1), size=size, codec="ffv1", pix_fmt=pix_fmt, options={})
    frames = list(VideoSource(film.write(tmp_path / "film.mkv")))
    assert [frame.size_wh for frame in frames] == [size, size]
    assert number_of(frames[1].image) == 1


@pytest.mark.parametrize("colorspace", [1, 5])
@pytest.mark.parametrize("color_range", [1, 2])
def test_colours(tmp_path: Path, colorspace: int, color_range: int) -> None:
    original = numbered(3)
    frame = av.VideoFrame.from_ndarray(original, format="rgb24")
    frame = frame.reformat(format="yuv444p", dst_colorspace=colorspace, dst_color_range=color_range)
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = colorspace, color_range
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    image = next(iter(VideoSource(path))).image
    assert np.abs(colours_of(image) - colours_of(original)).max() < 4


def test_size_change_is_scaled_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = [
        Film(pts=range(4), size=size, options={"bf": "0"}).write(tmp_path / f"{size[0]}.h264")
        for size in ((128, 64), (192, 96))
    ]
    path = tmp_path / "joined.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    video = VideoSource(path)
    with caplog.at_level(logging.WARNING, "tposecli"):
        frames = list(video)
    assert {frame.size_wh for frame in frames} == {(128, 64)}
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert video.resized == 4 and "4 frames changed size" in caplog.text


# ---- damage


@pytest.mark.parametrize("packet", [7, 15, 18, 19])
def test_damaged_packet_costs_its_frame(tmp_path: Path, packet: int) -> None:
    path = Film(options={"bf": "0", "g": "1"}).write(tmp_path / "film.mp4")
    damage(path, [packet])
    video = VideoSource(path)
    frames = list(video)
    assert [number_of(frame.image) for frame in frames] == [n for n in range(20) if n != packet]
    assert video.corrupt == 1
    assert video.corrupt_at[0] == pytest.approx(packet / 25)


@pytest.mark.parametrize("packet", [5, 20, 37, 38, 39])
def test_damage_among_reordered_frames(tmp_path: Path, packet: int) -> None:
    film = Film(pts=range(40), options={"preset": "veryfast", "bf": "3"})
    path = film.write(tmp_path / "film.mp4")
    damage(path, [packet])
    video = VideoSource(path)
    times = [frame.time_s for frame in video]
    assert len(times) == 39 and video.corrupt == 1
    assert set(times) < set(film.times_s) and times == sorted(times)


def test_damage_outside_the_window_is_not_counted(tmp_path: Path) -> None:
    path = Film(options={"bf": "0", "g": "1"}).write(tmp_path / "film.mp4")
    damage(path, [2])
    video = VideoSource(path, Window(start_s=0.6))
    assert len(list(video)) == 5
    assert video.corrupt == 0


@pytest.mark.parametrize("kept", [5, 12])
def test_truncated_file_yields_its_frames(tmp_path: Path, kept: int) -> None:
    path = faststart(Film(options={"bf": "0", "g": "1"}).write(tmp_path / "film.mp4"))
    cut(path, kept)
    video = VideoSource(path)
    assert [number_of(frame.image) for frame in video][:kept] == list(range(kept))
    assert video.corrupt == 1


def test_truncated_matroska_is_detected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = Film(pts=range(100), options={"bf": "0", "g": "1"}).write(tmp_path / "film.mkv")
    cut(path, 30)
    video = VideoSource(path)
    with caplog.at_level(logging.WARNING, "tposecli"):
        assert len(list(video)) == 30
    assert video.corrupt == 1 and "ends early" in caplog.text


# ---- invalid files


def _audio_only(path: Path) -> None:
    with av.open(str(path), "w", format="ipod") as container:
        write_tone(container, container.add_stream("aac", rate=48_000, layout="stereo"), 0.2)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("missing.mp4", lambda path: None, "no such file"),
        ("folder.mp4", lambda path: path.mkdir(), "folder"),
        ("empty.mp4", lambda path: path.touch(), "empty"),
        ("text.mp4", lambda path: path.write_text("no film at all\n" * 200), "cannot be opened"),
        ("notes.txt", lambda path: path.write_text("no film at all\n" * 200), "text"),
        ("sound.m4a", _audio_only, "no video stream"),
        ("cut.mp4", lambda path: path.write_bytes(Film().write(path).read_bytes()[:3000]), "cannot be opened"),
    ],
)
def test_invalid_videos_raise(tmp_path: Path, name: str, make: Callable[[Path], None], said: str) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=said) as raised:
        VideoSource(path)
    assert name in str(raised.value)


def test_all_packets_damaged(tmp_path: Path) -> None:
    path = Film(pts=range(5)).write(tmp_path / "film.mp4")
    damage(path, range(5))
    with pytest.raises(InputError, match="no frame can be decoded"):
        VideoSource(path)


def test_urls_are_named_without_credentials() -> None:
    with pytest.raises(InputError) as raised:
        VideoSource("http://user:secret@127.0.0.1:9/film.mp4?key=secret")
    assert "secret" not in str(raised.value) and "http://127.0.0.1:9/film.mp4" in str(raised.value)


@pytest.mark.parametrize("takes", [True, False], ids=["18", "19"])
def test_metadata_argument_depends_on_the_pyav_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    path = Film(pts=(0,)).write(tmp_path / "film.mp4")
    really_open, given = av.open, []

    def fake_open(*arguments: Any, metadata_errors: str | None = None, **options: Any) -> Any:
        given.append(metadata_errors)
        return really_open(*arguments, **options)

    monkeypatch.setattr(av, "open", fake_open)
    monkeypatch.setattr(av.container, "Container", type("Container", (), {"metadata_errors": ""} if takes else {}))
    VideoSource(path)
    assert given == ["replace" if takes else None]


@pytest.mark.parametrize("name", ["фильм 映画.mp4", "a:b?c#d%20e%03d.mp4", "x" * 200 + ".mp4"])
def test_odd_file_names(tmp_path: Path, name: str) -> None:
    video = VideoSource(Film(pts=(0,)).write(tmp_path / "film.mp4").rename(tmp_path / name))
    assert [frame.name for frame in video] == [name]
