"""Video out, read back: as many frames, the same times, the same sound, the right colours, whole files only."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.media import NTSC, Film, colours_of, number_of, numbered, sound_packets
from tposecli.sinks.video import VideoOptions, VideoSink, partial_path
from tposecli.sources import VideoSource, Window
from tposecli.types import SourceInfo
from tposecli.utils.errors import OutputError, UsageError

VARIABLE = (0, 40, 41, 100, 333, 334, 335, 900, 901, 1000)


def copy(source: VideoSource, path: Path, options: VideoOptions | None = None) -> VideoSource:
    """Write every frame of ``source`` to ``path`` and open that."""
    with VideoSink(path, source.info, options) as sink:
        for frame in source:
            sink.write(frame.image, frame.pts, frame.time_s)
    return VideoSource(path)


def times(video: VideoSource) -> list[float]:
    """Presentation times in seconds."""
    return [frame.time_s for frame in video]


def numbers(video: VideoSource) -> list[int]:
    """What the frames say they are."""
    return [number_of(frame.image) for frame in video]


# ---- time


@pytest.mark.parametrize("out", ["out.mp4", "out.mov", "out.m4v", "out.mkv", "out.webm"])
@pytest.mark.parametrize(
    "film",
    [Film(pts=VARIABLE, time_base=Fraction(1, 1000)), Film(time_base=1 / NTSC), Film(pts=(0,)), Film(pts=(7, 9, 20))],
    ids=["variable", "ntsc", "one", "late"],
)
def test_frames_and_times_are_kept(tmp_path: Path, film: Film, out: str) -> None:
    source = VideoSource(film.write(tmp_path / "in.mp4"))
    copied = copy(source, tmp_path / out)
    exact = 0 if out.endswith(("mp4", "mov", "m4v")) else 0.001
    assert times(copied) == pytest.approx(times(source), abs=exact, rel=0)
    assert numbers(copied) == list(range(len(film.pts)))


def test_times_of_other_containers_are_exact(tmp_path: Path) -> None:
    for name in ("in.mkv", "in.avi"):
        source = VideoSource(Film(time_base=1 / NTSC, options={"bf": "0"}).write(tmp_path / name))
        assert times(copy(source, tmp_path / f"{name}.mp4")) == times(source)


def test_rate_is_kept(tmp_path: Path) -> None:
    source = VideoSource(Film(time_base=1 / NTSC, pts=range(60)).write(tmp_path / "in.mp4"))
    assert copy(source, tmp_path / "out.mp4").info.fps == NTSC


def test_last_frame_has_a_duration(tmp_path: Path) -> None:
    copied = copy(VideoSource(Film().write(tmp_path / "in.mp4")), tmp_path / "out.mp4")
    with av.open(str(copied.path)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(20 / 25)


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
@pytest.mark.parametrize("start", [1, 3])
def test_start_shifts_video_and_audio_to_zero(tmp_path: Path, name: str, start: int) -> None:
    path = Film(pts=range(125), sound=("aac",), sound_s=5).write(tmp_path / name)
    source = VideoSource(path, Window(start, start + 1))
    options = VideoOptions(audio_from=source.side_streams(), start_s=source.start_s, end_s=source.end_s)
    copied = copy(source, tmp_path / "out.mp4", options)
    assert times(copied) == pytest.approx([i / 25 for i in range(25)])
    assert numbers(copied) == list(range(25 * start, 25 * start + 25))
    before, after = sound_packets(path), sound_packets(copied.path)
    kept = [(time - start, data) for time, data in before if start <= time < start + 1]
    assert [data for _, data in after] == [data for _, data in kept]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in kept], abs=0.0005)


@pytest.mark.parametrize("start", [0.0, 0.4])
def test_clock_with_any_start(tmp_path: Path, start: float) -> None:
    film = Film(pts=range(900_000, 1_000_000, 5_000), time_base=Fraction(1, 90_000), options={"bf": "0"})
    source = VideoSource(film.write(tmp_path / "in.ts"), Window(start))
    copied = copy(source, tmp_path / "out.mp4", VideoOptions(start_s=source.start_s, audio_from=source.path))
    assert times(copied)[:2] == pytest.approx([0, 1 / 18], abs=1e-4)


def test_broken_timestamps_are_put_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    info = SourceInfo("in.mp4", (128, 64), Fraction(25), Fraction(1, 1000))
    stamps = [0, 40, 40, 30, 120, 5000, 0, 40, 80]
    with caplog.at_level(logging.WARNING, "tposecli"), VideoSink(tmp_path / "out.mp4", info) as sink:
        for number, pts in enumerate(stamps):
            sink.write(numbered(number), pts, pts / 1000)
    assert sink.nudged == 3 and "3 frames" in caplog.text
    copied = VideoSource(tmp_path / "out.mp4")
    assert [round(time * 1000) for time in times(copied)] == [0, 40, 41, 42, 120, 5000, 5040, 5080, 5120]
    assert numbers(copied) == list(range(9))


def test_without_timestamps_the_time_in_seconds_is_used(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "out.mp4", SourceInfo("stills")) as sink:
        for number in range(5):
            sink.write(numbered(number), None, number * 0.5)
    assert times(VideoSource(tmp_path / "out.mp4")) == [0, 0.5, 1, 1.5, 2]


# ---- picture


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "libx264"])
def test_colours_and_tags(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "out.mp4"
    info = SourceInfo("in", (384, 192), Fraction(25), Fraction(1, 25))
    with VideoSink(path, info, VideoOptions(codec=codec, crf=10)) as sink:
        for number in range(3):
            sink.write(numbered(number, 384, 192), number, number / 25)
    for frame in VideoSource(path):
        assert np.abs(colours_of(frame.image) - colours_of(numbered(0, 384, 192))).max() < 5
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.pix_fmt, context.color_range, context.colorspace) == ("yuv420p", 1, 1)
        assert (context.color_primaries, context.color_trc) == (1, 1)
        assert context.codec_tag == {"hevc": "hvc1", "vp9": "vp09"}.get(codec, "avc1")


@pytest.mark.parametrize("size", [(127, 64), (128, 63), (127, 63), (1, 1)])
def test_odd_sides_are_padded_by_the_edge(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    image = np.full((height, width, 3), 40, np.uint8)
    image[:, -1] = image[-1] = 200
    path = tmp_path / "out.mp4"
    with VideoSink(path, SourceInfo("in"), VideoOptions(crf=1)) as sink:
        sink.write(image, None, 0.0)
    frame = next(iter(VideoSource(path)))
    assert frame.size_wh == (width + width % 2, height + height % 2)
    assert np.abs(frame.image[-1].astype(int) - 200).max() < 12 or height % 2 == 0
    assert np.abs(frame.image[:, -1].astype(int) - 200).max() < 12 or width % 2 == 0


def test_rotation_is_not_applied_twice(tmp_path: Path) -> None:
    source = VideoSource(Film(turn=(90, False)).write(tmp_path / "in.mp4"))
    copied = copy(source, tmp_path / "out.mp4")
    assert copied.info.rotation == 0 and copied.info.size_wh == source.info.size_wh == (64, 128)
    pairs = zip(source, copied, strict=True)
    assert all(np.abs(a.image.astype(int) - b.image).mean() < 6 for a, b in pairs)


def test_size_must_not_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected"), VideoSink(tmp_path / "out.mp4", SourceInfo("in")) as sink:
        sink.write(numbered(0), None, 0.0)
        sink.write(numbered(0, 64, 32), None, 0.1)


def test_written_images_are_not_changed(tmp_path: Path) -> None:
    image = numbered(5)
    with VideoSink(tmp_path / "out.mp4", SourceInfo("in")) as sink:
        sink.write(image, None, 0.0)
    assert np.array_equal(image, numbered(5))


# ---- whole files only


def test_files_appear_when_they_are_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"earlier")
    sink = VideoSink(path, SourceInfo("in"))
    for number in range(30):
        sink.write(numbered(number), None, number / 25)
    assert path.read_bytes() == b"earlier"
    assert sink.close() == path
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert numbers(VideoSource(path)) == list(range(30))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_interrupted_video_is_left_playable(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    source = VideoSource(Film(pts=range(50), sound=("aac",), sound_s=2).write(tmp_path / "in.mp4"))
    options = VideoOptions(audio_from=source.path)
    with pytest.raises(KeyboardInterrupt), VideoSink(path, source.info, options) as sink:
        for frame in source:
            if frame.index == 12:
                raise KeyboardInterrupt
            sink.write(frame.image, frame.pts, frame.time_s)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.mp4", f"out.partial{suffix}"]
    assert numbers(VideoSource(partial_path(path))) == list(range(12))
    assert max(time for time, _ in sound_packets(partial_path(path))) < 0.5


def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", SourceInfo("in"))
    assert sink.close() is None and sink.close() is None
    assert list(tmp_path.iterdir()) == []


def test_write_errors_are_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        VideoSink(tmp_path / "nowhere" / "out.mp4", SourceInfo("in"))


@pytest.mark.parametrize(
    ("name", "codec", "said"),
    [
        ("out.wmv", None, "one of .mp4"),
        ("out", None, "one of .mp4"),
        ("out.webm", "h264", "cannot be written to webm"),
        ("out.mp4", "nonsense", "use one of h264"),
    ],
)
def test_unsupported_containers_and_codecs_are_refused(tmp_path: Path, name: str, codec: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        VideoSink(tmp_path / name, SourceInfo("in"), VideoOptions(codec=codec))


def test_invalid_quality_is_refused() -> None:
    with pytest.raises(UsageError, match="crf"):
        VideoOptions(crf=-3)


@pytest.mark.parametrize("name", ["фильм 映画.mp4", "a:b#c%20d%03d.mp4", "x" * 200 + ".mp4"])
def test_odd_file_names(tmp_path: Path, name: str) -> None:
    source = VideoSource(Film(pts=range(3), sound=("aac",)).write(tmp_path / "in.mp4"))
    assert numbers(copy(source, tmp_path / name, VideoOptions(audio_from=source.path))) == [0, 1, 2]
