"""One clock for frames, tables, audio and subtitles: whatever the source's own clock does, times only run forward."""

from __future__ import annotations

import io
import logging
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from tests.support.media import Film, number_of, numbered, sound_packets
from tposecli.sinks.open_video import open_output
from tposecli.sinks.video import VideoOptions
from tposecli.sources import VideoInput, open_video
from tposecli.sources.time_window import Window
from tposecli.sources.timestamps import timestamps
from tposecli.sources.video import VideoSource
from tposecli.types import Frame
from tposecli.utils.errors import UsageError

TICK = Fraction(1, 90_000)
FRAME = 3_600


def clip(path: Path, start: int = 0, frames: int = 25, **options: Any) -> bytes:
    """Return an MPEG-TS of 25 frames per second that begins at ``start`` ticks."""
    pts = range(start, start + frames * FRAME, FRAME)
    coding = {"crf": "20", "preset": "ultrafast", "bf": str(options.pop("bf", 0)), "g": "50"}
    return Film(pts=pts, time_base=TICK, options=coding, **options).write(path).read_bytes()


def copied(source: VideoInput, out: Path) -> Path:
    """Write the frames of a source with its other streams."""
    with source:
        video = open_output(out, source, VideoOptions())
        for frame in source:
            video.write(frame.image, frame.pts, frame.time_s, frame.duration_s)
        video.close()
    return out


def seconds(frames: list[Frame]) -> list[float]:
    return [frame.time_s for frame in frames]


@contextmanager
def piped(data: bytes, path: Path) -> Iterator[Path]:
    """Make a named pipe from which ``data`` can be read once."""
    os.mkfifo(path)

    def feed() -> None:
        with path.open("wb", buffering=0) as file:
            file.write(data)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    yield path
    thread.join(10)


def duration_s(path: Path) -> float:
    """Return the duration of a video stream as players see it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.duration:
            return float(stream.duration * stream.time_base)
        hours, minutes, rest = stream.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)


# ---- clocks that are reset


@pytest.mark.parametrize("bf", [0, 2])
@pytest.mark.parametrize("later_s", [0, 0.3, 60, 5000])
def test_joined_clips_are_one_timeline(tmp_path: Path, bf: int, later_s: float) -> None:
    start = round(later_s * 90_000)
    data = clip(tmp_path / "a.ts", bf=bf) + clip(tmp_path / "b.ts", start, bf=bf)
    (tmp_path / "joined.ts").write_bytes(data)
    video = VideoSource(tmp_path / "joined.ts")
    frames = list(video)
    assert seconds(frames) == pytest.approx([n / 25 for n in range(50)], abs=1e-4)
    assert [number_of(frame.image) for frame in frames] == [*range(25), *range(25)]
    assert timestamps(video) == [frame.pts for frame in frames]
    out = copied(open_video(tmp_path / "joined.ts"), tmp_path / "out.mp4")
    assert seconds(list(open_video(out))) == pytest.approx(seconds(frames), abs=1e-4)
    assert duration_s(out) == pytest.approx(2, abs=1e-3)


def test_a_reset_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "joined.ts").write_bytes(clip(tmp_path / "a.ts") * 3)
    with caplog.at_level(logging.WARNING, "tposecli"):
        assert len(list(open_video(tmp_path / "joined.ts"))) == 75
    assert caplog.text.count("clock was reset 2 times") == 1 and "out of order" not in caplog.text


@pytest.mark.parametrize("later_s", [0, 60])
@pytest.mark.parametrize("read_once", [False, True])
@pytest.mark.parametrize("out", ["out.mp4", "out.mkv", "out.webm"])
def test_sound_of_joined_clips_stays_in_step(tmp_path: Path, later_s: int, read_once: bool, out: str) -> None:
    first = clip(tmp_path / "a.ts", sound=("aac",))
    # Raw bytes of TS carry their clock: the second clip is the first one, written with another start.
    second = first if not later_s else _shifted(tmp_path / "a.ts", tmp_path / "b.ts", later_s)
    path = tmp_path / "joined.ts"
    path.write_bytes(first + second)
    if read_once:
        with piped(path.read_bytes(), tmp_path / "pipe.ts") as pipe:
            copied(open_video(pipe), tmp_path / out)
    else:
        copied(open_video(path), tmp_path / out)
    assert seconds(list(open_video(tmp_path / out))) == pytest.approx([n / 25 for n in range(50)], abs=1e-3)
    packets = sound_packets(tmp_path / out)
    times = np.array([time for time, _ in packets])
    assert (np.diff(times) > 0).all()
    assert 1.9 < times[-1] < 2.1
    if out != "out.webm":
        again = {data: time for time, data in packets[len(packets) // 2 :]}
        shifts = [again[data] - time for time, data in packets[: len(packets) // 2] if data in again]
        assert len(shifts) > 30 and shifts == pytest.approx([1.0] * len(shifts), abs=2e-3)


def _shifted(path: Path, out: Path, by_s: int) -> bytes:
    """Return the clip with all of its packets later."""
    with av.open(str(path)) as source, av.open(str(out), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.pts, packet.dts = packet.pts + by_s * 90_000, packet.dts + by_s * 90_000
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    return out.read_bytes()


def test_slow_and_interrupted_video_is_no_reset(tmp_path: Path) -> None:
    slow = Film(pts=range(0, 5 * 1_800_000, 1_800_000), time_base=TICK, options={"bf": "0", "g": "1"})
    assert seconds(list(open_video(slow.write(tmp_path / "slow.mkv")))) == [0, 20, 40, 60, 80]
    gap = Film(pts=[0, 3600, 7200, 7200 + 8 * 90_000], time_base=TICK, options={"bf": "0"})
    assert seconds(list(open_video(gap.write(tmp_path / "gap.ts")))) == pytest.approx([0, 0.04, 0.08, 8.08], abs=1e-4)


@pytest.mark.parametrize("before_s", [0.2, 0.6])
def test_clock_that_wraps(tmp_path: Path, before_s: float) -> None:
    clip(tmp_path / "wrap.ts", (1 << 33) - round(before_s * 90_000) - 126_000)
    frames = list(open_video(tmp_path / "wrap.ts"))
    assert seconds(frames) == pytest.approx([n / 25 for n in range(25)], abs=1e-4)


# ---- where times count from


@pytest.mark.parametrize("start", [0, 3600])
def test_one_zero_for_frames_videos_and_windows(tmp_path: Path, start: int) -> None:
    clip(tmp_path / "film.ts", sound=("aac",))
    path = tmp_path / "late.ts"
    _shifted(tmp_path / "film.ts", path, start)
    assert seconds(list(open_video(path)))[0] == 0
    assert seconds(list(open_video(copied(open_video(path), tmp_path / "all.mp4"))))[0] == 0
    cut = list(open_video(path, 0.4, 0.6))
    assert [frame.index for frame in cut] == [10, 11, 12, 13, 14]
    assert seconds(cut) == pytest.approx([n / 25 for n in range(5)], abs=1e-4)
    out = copied(open_video(path, 0.4, 0.6), tmp_path / "cut.mp4")
    assert seconds(list(open_video(out))) == pytest.approx(seconds(cut), abs=1e-4)
    assert 0 <= sound_packets(out)[0][0] < 0.03 and sound_packets(out)[-1][0] < 0.2

    own = list(open_video(path, clock="source"))
    assert own[0].time_s >= start and own[5].time_s - own[0].time_s == pytest.approx(0.2, abs=1e-4)
    again = list(open_video(path, start_s=own[5].time_s, end_s=own[8].time_s, clock="source"))
    assert [(frame.index, frame.time_s) for frame in again] == [(frame.index, frame.time_s) for frame in own[5:8]]
    window = copied(open_video(path, own[5].time_s, clock="source"), tmp_path / "window.mp4")
    assert seconds(list(open_video(window)))[0] == 0
    assert 0 <= sound_packets(window)[0][0] < 0.03


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv"])
def test_late_start_in_other_containers_is_kept(tmp_path: Path, suffix: str) -> None:
    film = Film(pts=range(700, 1500, 40), time_base=Fraction(1, 1000), options={"bf": "0"})
    path = film.write(tmp_path / f"late{suffix}")
    assert seconds(list(open_video(path)))[0] == pytest.approx(0.7)
    assert [frame.index for frame in open_video(path, 1.1)] == list(range(10, 20))
    out = copied(open_video(path), tmp_path / "out.mp4")
    assert seconds(list(open_video(out)))[0] == pytest.approx(0.7)


def test_window_of_older_journals_is_on_the_source_clock() -> None:
    assert Window.of_header({"window": {"start_s": 1, "end_s": None, "stride": 1}}).clock == "source"
    for window in (Window(), Window(2.0, 3.0, 4), Window(2.0, clock="source"), Window(clock="source")):
        assert Window.of_header({"window": window.to_dict()}) == window
    assert Window().to_dict() == {"start_s": 0.0, "end_s": None, "stride": 1}
    with pytest.raises(UsageError, match="clock"):
        Window(clock="wall")


# ---- the last frame


@pytest.mark.parametrize("out", ["out.mp4", "out.mov", "out.mkv", "out.webm", "out.gif"])
@pytest.mark.parametrize(("count", "last_ms"), [(4, 2000), (11, 2000), (12, 2000), (4, 20)])
def test_last_frame_lasts_as_in_the_source(tmp_path: Path, out: str, count: int, last_ms: int) -> None:
    durations = [100] * (count - 1) + [last_ms]
    images = [Pillow.fromarray(numbered(number)) for number in range(count)]
    path = tmp_path / "slides.png"
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations)
    middle = copied(open_video(path), tmp_path / "middle.mp4")
    for source in (path, middle):
        total = duration_s(copied(open_video(source), tmp_path / out))
        assert total == pytest.approx(sum(durations) / 1000, abs=0.001)


def test_last_image_of_an_animated_webp_lasts(tmp_path: Path) -> None:
    images = [Pillow.fromarray(numbered(number)) for number in range(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=[100, 100, 900])
    assert duration_s(copied(open_video(tmp_path / "a.webp"), tmp_path / "out.mp4")) == pytest.approx(1.1, abs=0.001)


@pytest.mark.parametrize("seconds_per_frame", [5, 20])
def test_slow_matroska_is_not_cut_off(tmp_path: Path, seconds_per_frame: int, caplog: pytest.LogCaptureFixture) -> None:
    film = Film(pts=range(5), time_base=Fraction(seconds_per_frame), options={"bf": "0"})
    data = film.write(tmp_path / "slow.mkv").read_bytes()
    with caplog.at_level(logging.WARNING, "tposecli"), piped(data, tmp_path / "pipe.mkv") as pipe:
        for path in (tmp_path / "slow.mkv", pipe):
            video = VideoSource(path)
            assert len(list(video)) == 5
            assert video.corrupt == 0
    assert "ends early" not in caplog.text


# ---- streams without timestamps


RAW = [("libx264", "h264", {"bf": "2"}), ("libx265", "hevc", {}), ("mpeg2video", "m2v", {"bf": "2"})]


@pytest.mark.parametrize(("codec", "suffix", "options"), RAW)
def test_rate_in_the_header_of_a_raw_stream(tmp_path: Path, codec: str, suffix: str, options: dict[str, str]) -> None:
    film = Film(time_base=Fraction(1, 60), codec=codec, options={**options, "x265-params": "log-level=none"})
    path = film.write(tmp_path / f"film.{suffix}")
    for rate, expected in ((None, 60), (Fraction(30), 30), (Fraction(24000, 1001), Fraction(24000, 1001))):
        video = open_video(path, rate=rate)
        assert video.info.fps == expected
        assert seconds(list(video)) == pytest.approx([float(n / Fraction(expected)) for n in range(20)], abs=1e-5)
        total = duration_s(copied(open_video(path, rate=rate), tmp_path / "out.mp4"))
        assert total == pytest.approx(float(20 / Fraction(expected)), abs=1e-3)


def test_raw_stream_without_a_rate_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film = Film(codec="mjpeg", pix_fmt="yuvj420p", options={}, format="mjpeg")
    path = film.write(tmp_path / "camera.mjpeg")
    with caplog.at_level(logging.WARNING, "tposecli"):
        assert seconds(list(open_video(path)))[1] == pytest.approx(0.04)
    assert "assumed 25 frames per second" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "tposecli"):
        assert seconds(list(open_video(path, rate=Fraction(10)))) == pytest.approx(np.arange(20) / 10, abs=1e-5)
    assert not caplog.text


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "webp"])
def test_rate_of_a_source_with_times_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film.{suffix}"
    if suffix == "webp":
        Pillow.fromarray(numbered(0)).save(path)
    else:
        Film().write(path)
    with pytest.raises(UsageError, match="--input-fps"):
        open_video(path, rate=Fraction(60))


# ---- pipes


def test_named_pipe_is_read_as_a_stream(tmp_path: Path) -> None:
    data = Film(pts=range(10)).write(tmp_path / "film.mkv").read_bytes()
    with piped(data, tmp_path / "pipe.mkv") as pipe, open_video(pipe) as video:
        assert video.files == ()
        assert [number_of(frame.image) for frame in video] == list(range(10))


# ---- side data of frames


def _exif(orientation: int) -> bytes:
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    return b"Exif\0\0" + tiff


@pytest.mark.parametrize("suffix", ["avi", "mov", "mkv"])
@pytest.mark.parametrize(("orientation", "size"), [(None, (128, 64)), (1, (128, 64)), (6, (64, 128)), (3, (128, 64))])
def test_exif_in_frames(tmp_path: Path, suffix: str, orientation: int | None, size: tuple[int, int]) -> None:
    path = tmp_path / f"camera.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuvj420p"
        for number in range(6):
            target = io.BytesIO()
            exif = {} if orientation is None else {"exif": _exif(orientation)}
            Pillow.fromarray(numbered(number)).save(target, "jpeg", quality=95, **exif)
            packet = av.Packet(target.getvalue())
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 25), number, number
            packet.is_keyframe = True
            container.mux(packet)
    frames = list(open_video(path))
    assert seconds(frames) == pytest.approx([n / 25 for n in range(6)])
    if orientation in (None, 1):
        assert [number_of(frame.image) for frame in frames] == list(range(6))
    # FFmpeg turns an orientation in EXIF into a display matrix from version 8 on.
    assert {frame.size_wh for frame in frames} <= {(128, 64), size}
