"""Open the writer of a video output by its name."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from tposecli.sinks.destination import STDOUT
from tposecli.sinks.encoding import FALLBACK_RATE, FALLBACK_TIME_BASE, GIF_RATE, VideoOptions, encoder_of, muxer_of
from tposecli.sinks.image_sequence import ImageSequenceSink, check_numbered
from tposecli.sinks.pace import PacedVideo
from tposecli.sinks.resample import ConstantRateVideo
from tposecli.sinks.video import VideoOut, VideoSink
from tposecli.sources import VideoInput
from tposecli.sources.image_sequence import is_numbered
from tposecli.sources.view import time_factor
from tposecli.types import SourceInfo
from tposecli.utils.files import check_output


def open_output(path: Path, source: VideoInput, options: VideoOptions) -> VideoOut:
    """Open a video, numbered images (``%06d.png``) or standard output (``-``), at a constant rate if necessary.

    Audio, subtitles, chapters and the time span are those of ``source``, which must not have been iterated yet.

    Raises:
        UsageError: The extension, the codec, or their combination is not supported.
        InputError: The file with the audio cannot be opened.
    """
    info = _paced(source.info, options.speed)
    nominal = info.fps or FALLBACK_RATE
    rate, forced_by = options.rate, ""
    if not is_numbered(path):
        muxer = muxer_of(path)
        if rate is None and muxer == "avi":
            rate, forced_by = nominal, "AVI"
        elif muxer == "gif" and (rate or nominal) > GIF_RATE:
            rate, forced_by = GIF_RATE, "GIF"
    if rate is not None:
        info = replace(info, fps=rate, time_base=1 / rate)
    output = _open_variable_rate(path, source, info, options)
    found = output if rate is None else ConstantRateVideo(output, rate, nominal, forced_by)
    return found if options.speed == 1 else PacedVideo(found, options.speed)


def _paced(info: SourceInfo, speed: Fraction) -> SourceInfo:
    """Return the metadata of a video that is played at another speed."""
    if speed == 1:
        return info
    fps = None if info.fps is None else info.fps * speed
    return replace(info, fps=fps, time_base=(info.time_base or FALLBACK_TIME_BASE) / speed)


def _open_variable_rate(path: Path, source: VideoInput, info: SourceInfo, options: VideoOptions) -> VideoOut:
    """Open the writer of every frame that it is given."""
    if is_numbered(path):
        return ImageSequenceSink(path, options.scale)
    side_streams = None if muxer_of(path) == "gif" else source.side_streams()
    carried = replace(
        options,
        audio_from=side_streams,
        start_s=source.start_s,
        end_s=source.end_s,
        stretch=time_factor(source) / options.speed,
    )
    return VideoSink(path, info, carried)


def check_video_output(path: Path, options: VideoOptions, overwrite: bool) -> None:
    """Check, before any work is done, that a video can be written and overwrites nothing.

    Raises:
        UsageError: It exists, or the extension, the codec or the preset is unknown.
        OutputError: The folder cannot be created or written.
    """
    if is_numbered(path):
        check_numbered(path, overwrite)
        return
    encoder_of(muxer_of(path), options)
    if path != STDOUT:
        check_output(path, overwrite)
