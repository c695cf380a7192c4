"""Open the writer of a video output by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from tposecli.sinks.destination import STDOUT
from tposecli.sinks.encoding import FALLBACK_RATE, FALLBACK_TIME_BASE, GIF_RATE, VideoOptions, encoder_of, muxer_of
from tposecli.sinks.image_sequence import ImageSequenceSink, check_numbered
from tposecli.sinks.pace import PacedVideo
from tposecli.sinks.parts import DIVISIBLE_ENCODERS, DIVISIBLE_MUXERS, SplicedVideo
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
    return VideoSink(path, info, _carrying(path, source, options))


def _carrying(path: Path, source: VideoInput, options: VideoOptions) -> VideoOptions:
    """Return the options with what is carried over from the source."""
    side_streams = None if muxer_of(path) == "gif" else source.side_streams()
    return replace(
        options,
        audio_from=side_streams,
        start_s=source.start_s,
        end_s=source.end_s,
        stretch=time_factor(source) / options.speed,
    )


def is_divisible(path: Path, options: VideoOptions) -> bool:
    """Return whether a video can be encoded in parts that are joined by :func:`open_spliced`.

    Not if frames are repeated or dropped, which needs their neighbours, or played at another speed, or if the container
    or the encoder is one of which it is not known that parts fit together.
    """
    if path == STDOUT or is_numbered(path) or options.rate is not None or options.speed != 1:
        return False
    muxer = muxer_of(path)
    return muxer in DIVISIBLE_MUXERS and encoder_of(muxer, options) in DIVISIBLE_ENCODERS


def open_spliced(path: Path, source: VideoInput, options: VideoOptions, parts: Sequence[Path]) -> VideoOut:
    """Open a video as :func:`open_output` does, of which all frames are encoded already, in ``parts``.

    Raises:
        OutputError: A part is damaged.
        InputError: The file with the audio cannot be opened.
    """
    return SplicedVideo(path, source.info, _carrying(path, source, options), parts)


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
