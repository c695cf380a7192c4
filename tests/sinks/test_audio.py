"""Sound of written videos: copied byte for byte, else encoded anew, else told to be missing."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.sinks.test_video import copy, times
from tests.support.media import Film, sound_packets
from tposecli.sinks import audio
from tposecli.sinks.video import VideoOptions, VideoSink
from tposecli.sources import VideoSource
from tposecli.utils.errors import InputError


def audio_streams(source: VideoSource) -> int:
    with av.open(str(source.path)) as container:
        return len(container.streams.audio)


@pytest.mark.parametrize(
    ("codecs", "made", "out"),
    [
        (("aac",), "in.mp4", "out.mp4"),
        (("aac", "libmp3lame"), "in.mp4", "out.mp4"),
        (("aac",), "in.mp4", "out.mkv"),
        (("libopus",), "in.mkv", "out.mkv"),
        (("libopus",), "in.mkv", "out.webm"),
        (("libopus",), "in.mkv", "out.mp4"),
        (("flac",), "in.mkv", "out.mp4"),
        (("pcm_s16le",), "in.mov", "out.mov"),
    ],
)
def test_audio_is_copied_byte_for_byte(tmp_path: Path, codecs: tuple[str, ...], made: str, out: str) -> None:
    source = VideoSource(Film(sound=codecs).write(tmp_path / made))
    copied = copy(source, tmp_path / out, VideoOptions(audio_from=source.path))
    assert audio_streams(copied) == audio_streams(source) == len(codecs)
    assert times(copied) == pytest.approx(times(source), abs=0.001)
    for track in range(len(codecs)):
        before, after = sound_packets(source.path, track), sound_packets(copied.path, track)
        assert [data for _, data in after] == [data for _, data in before]
        assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.0011)


@pytest.mark.parametrize(
    ("made", "codec", "out", "becomes"),
    [
        ("in.mov", "pcm_s16le", "out.mp4", "aac"),
        ("in.mp4", "aac", "out.webm", "opus"),
        ("in.mkv", "flac", "out.mov", "aac"),
        ("in.mkv", "libopus", "out.mov", "aac"),
        ("in.mkv", "pcm_s16le", "out.webm", "opus"),
    ],
)
def test_unsupported_audio_is_transcoded(tmp_path: Path, made: str, codec: str, out: str, becomes: str) -> None:
    source = VideoSource(Film(sound=(codec,), pts=range(25)).write(tmp_path / made))
    copied = copy(source, tmp_path / out, VideoOptions(audio_from=source.path))
    with av.open(str(copied.path)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.codec.canonical_name == becomes
        samples = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in container.decode(stream)])
        assert len(samples) / stream.rate == pytest.approx(1.0, abs=0.06)
        spectrum = np.abs(np.fft.rfft(samples))
        assert np.argmax(spectrum) * stream.rate / len(samples) == pytest.approx(440, abs=3)
    assert times(copied) == pytest.approx(times(source), abs=0.001)


def test_undecodable_audio_loses_only_the_audio(tmp_path: Path) -> None:
    path = Film(sound=("aac",)).write(tmp_path / "in.mkv")
    with av.open(str(path)) as container:
        setup = container.streams.audio[0].codec_context.extradata
    assert setup
    path.write_bytes(path.read_bytes().replace(setup, b"\xff" * len(setup)))
    copied = copy(VideoSource(path), tmp_path / "out.webm", VideoOptions(audio_from=path))
    assert len(list(copied)) == 20 and not sound_packets(copied.path)


def test_audio_of_transport_streams(tmp_path: Path) -> None:
    film = Film(sound=("aac",), pts=range(0, 90_000, 3_600), time_base=Fraction(1, 90_000), options={"bf": "0"})
    source = VideoSource(film.write(tmp_path / "in.ts"))
    copied = copy(source, tmp_path / "out.mp4", VideoOptions(audio_from=source.path, start_s=source.start_s))
    with av.open(str(copied.path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == pytest.approx(48_000, abs=3_000)


def test_audio_that_cannot_be_written_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(audio.ENCODERS, "webm", "no_such_encoder")
    source = VideoSource(Film(sound=("aac",)).write(tmp_path / "in.mp4"))
    with caplog.at_level(logging.WARNING, "tposecli"):
        copied = copy(source, tmp_path / "out.webm", VideoOptions(audio_from=source.path))
    assert audio_streams(copied) == 0 and "left out" in caplog.text


def test_source_without_audio(tmp_path: Path) -> None:
    source = VideoSource(Film().write(tmp_path / "in.mp4"))
    assert audio_streams(copy(source, tmp_path / "out.mp4", VideoOptions(audio_from=source.path))) == 0
    with pytest.raises(InputError, match="no such file"):
        VideoSink(tmp_path / "out2.mp4", source.info, VideoOptions(audio_from=tmp_path / "missing.mp4"))


def test_video_and_audio_are_interleaved(tmp_path: Path) -> None:
    film = Film(pts=range(300), size=(64, 32), sound=("aac",), sound_s=14)
    source = VideoSource(film.write(tmp_path / "in.mkv"))
    copied = copy(source, tmp_path / "out.mp4", VideoOptions(audio_from=source.path))
    with av.open(str(copied.path)) as container:
        packets = [
            (packet.pos, packet.stream.type, float(packet.dts * packet.time_base))
            for packet in container.demux()
            if packet.size
        ]
    picture, lag = 0.0, 0.0
    for _, kind, time in sorted(packets):
        if kind == "video":
            picture = time
        elif time < 11.5:
            lag = max(lag, abs(time - picture))
    assert lag < 1.5
    assert len(sound_packets(copied.path)) == len(sound_packets(source.path))
