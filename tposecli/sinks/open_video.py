"""From the name of a video output to what writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tposecli.sinks.destination import STDOUT
from tposecli.sinks.encoding import FALLBACK_RATE, GIF_RATE, VideoOptions, encoder_of, muxer_of
from tposecli.sinks.image_sequence import ImageSequenceSink, check_numbered
from tposecli.sinks.resample import ConstantRateVideo
from tposecli.sinks.video import VideoOut, VideoSink
from tposecli.sources import VideoInput
from tposecli.sources.image_sequence import is_numbered
from tposecli.types import SourceInfo
from tposecli.utils.files import check_output


def open_output(path: Path, source: VideoInput, options: VideoOptions) -> VideoOut:
    """Open a video, numbered pictures (``%06d.png``) or standard output (``-``), at a constant rate if it must be.

    Sound, subtitles, chapters and the span are those of ``source``, which must not have been iterated yet.

    Raises:
        UsageError: The ending, the codec, or both together cannot be written.
        InputError: The file with the sound cannot be opened.
    """
    info = source.info
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
    output = _unpaced(path, source, info, options)
    return output if rate is None else ConstantRateVideo(output, rate, nominal, forced_by)


def _unpaced(path: Path, source: VideoInput, info: SourceInfo, options: VideoOptions) -> VideoOut:
    """What writes every frame that it is given."""
    if is_numbered(path):
        return ImageSequenceSink(path, options.scale)
    beside = None if muxer_of(path) == "gif" else source.side_streams()
    carried = replace(options, audio_from=beside, start_s=source.start_s, end_s=source.end_s)
    return VideoSink(path, info, carried)


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
