"""Videos that play slower or faster: times of the frames, length and pitch of the sound, and what is left out."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.media import Film, number_of
from tposecli.sinks.open_video import open_output
from tposecli.sinks.video import VideoOptions
from tposecli.sources import VideoInput, View, open_video_input


def written(source: VideoInput, path: Path, options: VideoOptions) -> Path:
    output = open_output(path, source, options)
    for frame in source:
        output.write(frame.image, frame.pts, frame.time_s, frame.duration_s)
    output.close()
    return path


def video_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]  # type: ignore[misc]


def sound(path: Path) -> tuple[np.ndarray, int, float]:
    """Return the samples of the first channel, their rate, and when they begin."""
    with av.open(str(path)) as container:
        parts = list(container.decode(audio=0))
    samples = np.concatenate([part.to_ndarray()[0] for part in parts])
    return samples, parts[0].sample_rate, float(parts[0].time or 0)


def pitch(samples: np.ndarray, rate: int) -> float:
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(spectrum.argmax() * rate / len(middle))


@pytest.mark.parametrize(("speed", "suffix"), [("1/4", ".mp4"), ("1/2", ".mkv"), ("3", ".mp4"), ("1/3", ".webm")])
def test_frames_and_sound_are_stretched_alike(tmp_path: Path, speed: str, suffix: str) -> None:
    path = Film(sound=("aac",)).write(tmp_path / "in.mp4")
    pace = Fraction(speed)
    with open_video_input(path) as source:
        out = written(source, tmp_path / f"out{suffix}", VideoOptions(speed=pace))
    before, after = video_times(path), video_times(out)
    assert after == pytest.approx([at / pace for at in before], abs=0.002)
    heard, rate, start = sound(path)
    slow, slow_rate, slow_start = sound(out)
    assert len(slow) / slow_rate == pytest.approx(float(len(heard) / rate / pace), abs=0.12)
    assert pitch(slow, slow_rate) == pytest.approx(pitch(heard, rate), rel=0.05)
    assert slow_start == pytest.approx(start / pace, abs=0.06)


def test_a_constant_rate_repeats_frames_of_slow_motion(tmp_path: Path) -> None:
    path = Film().write(tmp_path / "in.mp4")
    with open_video_input(path) as source:
        out = written(source, tmp_path / "out.mp4", VideoOptions(speed=Fraction(1, 4), rate=Fraction(20)))
    times = video_times(out)
    assert np.diff(times) == pytest.approx(1 / 20, abs=0.001)
    assert times[-1] > 3.5 * video_times(path)[-1]


def test_slow_motion_of_a_true_rate_is_the_file_as_it_was_with_its_own_sound(tmp_path: Path) -> None:
    path = Film(sound=("aac",)).write(tmp_path / "in.mp4")
    with open_video_input(path) as plain:
        rate = plain.info.fps
    assert rate is not None
    with open_video_input(path, view=View(true_fps=8 * rate)) as source:
        out = written(source, tmp_path / "out.mp4", VideoOptions(speed=Fraction(1, 8)))
    assert video_times(out) == pytest.approx(video_times(path), abs=0.002)
    assert np.array_equal(sound(out)[0], sound(path)[0]), "copied, not stretched and squeezed again"


def test_sound_that_would_be_a_blur_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = Film(sound=("aac",)).write(tmp_path / "in.mp4")
    with open_video_input(path) as source, caplog.at_level(logging.WARNING):
        out = written(source, tmp_path / "out.mp4", VideoOptions(speed=Fraction(1, 50)))
    with av.open(str(out)) as container:
        assert not container.streams.audio
    assert "audio stream 1 left out" in caplog.text


def test_frames_stay_the_same(tmp_path: Path) -> None:
    path = Film().write(tmp_path / "in.mp4")
    with open_video_input(path) as source:
        out = written(source, tmp_path / "out.mp4", replace(VideoOptions(crf=5), speed=Fraction(1, 2)))
    with open_video_input(path) as first, open_video_input(out) as second:
        assert [number_of(frame.image) for frame in first] == [number_of(frame.image) for frame in second]
