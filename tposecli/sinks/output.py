"""From the name of a video output to what writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tposecli.files import check_output
from tposecli.sinks.encoding import FALLBACK_RATE, GIF_RATE, VideoOptions, encoder_of, muxer_of
from tposecli.sinks.numbered import NumberedPictures, check_numbered
from tposecli.sinks.resample import Resampled
from tposecli.sinks.target import STDOUT
from tposecli.sinks.video import VideoOut, VideoSink
from tposecli.source.sequence import is_numbered
from tposecli.types import SourceInfo


def open_output(path: Path, source: SourceInfo, options: VideoOptions) -> VideoOut:
    """Open a video, numbered pictures (``%06d.png``) or standard output (``-``), at a constant rate if it must be.

    Raises:
        UsageError: The ending, the codec, or both together cannot be written.
        InputError: The file with the sound cannot be opened.
    """
    nominal = source.fps or FALLBACK_RATE
    rate, forced_by = options.rate, ""
    if not is_numbered(path):
        muxer = muxer_of(path)
        if rate is None and muxer == "avi":
            rate, forced_by = nominal, "AVI"
        elif muxer == "gif" and (rate or nominal) > GIF_RATE:
            rate, forced_by = GIF_RATE, "GIF"
    if rate is not None:
        source = replace(source, fps=rate, time_base=1 / rate)
    output: VideoOut
    output = NumberedPictures(path, options.scale) if is_numbered(path) else VideoSink(path, source, options)
    return output if rate is None else Resampled(output, rate, nominal, forced_by)


def check_video_output(path: Path, options: VideoOptions, overwrite: bool) -> None:
    """Refuse, before any work is done, what cannot be written or would overwrite something.

    Raises:
        UsageError: It exists, or the ending, the codec or the preset are unknown.
        OutputError: The folder cannot be made or written.
    """
    if is_numbered(path):
        check_numbered(path, overwrite)
        return
    encoder_of(muxer_of(path), options)
    if path != STDOUT:
        check_output(path, overwrite)
