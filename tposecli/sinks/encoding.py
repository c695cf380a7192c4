"""Which encoder, which container, which quality."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.container
import av.video.stream

from tposecli.errors import UsageError
from tposecli.source.access import Medium
from tposecli.source.session import Beside

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Ending to FFmpeg's muxer; all of them keep a timestamp for each frame."""

ALIASES = {"h264": "libx264", "hevc": "libx265", "h265": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}

DEFAULT_CODECS = {"mp4": "libx264", "mov": "libx264", "matroska": "libx264", "webm": "libvpx-vp9"}

QUALITY = {"libx264": 20, "libx265": 23, "libvpx-vp9": 31, "libsvtav1": 32}
"""Constant rate factor of each encoder where none is asked for."""

FALLBACK_TIME_BASE = Fraction(1, 90_000)
FALLBACK_RATE = Fraction(25)
BT709 = 1
LIMITED_RANGE = 1


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """How a video is to be written.

    Attributes:
        codec: FFmpeg's name of the encoder, or h264, hevc, vp9, av1; None: H.264, or VP9 in ``.webm``.
        crf: Constant rate factor, lower is better and bigger; None: the encoder's value in ``QUALITY``.
        preset: Speed of libx264 and libx265.
        audio_from: Whose sound, subtitles and chapters are carried over; None: silent.
        start_s: Where the picture begins, on the source's own clock. Above 0, picture and sound are moved so that the
            first frame is at 0; at 0 they keep their times.
        end_s: Where the sound ends, on the source's own clock; None: where it ends in the source.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str = "veryfast"
    audio_from: Medium | Beside | None = None
    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise UsageError(f"crf: expected 0 (best) to 63 (smallest), got {self.crf}")


def muxer_of(path: Path) -> str:
    """FFmpeg's name of the container."""
    muxer = MUXERS.get(path.suffix.lower())
    if muxer is None:
        raise UsageError(f"{path}: no video can be written with this ending; use one of {', '.join(MUXERS)}")
    return muxer


def container_options(muxer: str, time_base: Fraction) -> dict[str, str]:
    """What keeps the times as they are, and lets playing begin before a download ends.

    MP4: the index goes to the front; a stream that begins late does so in units of the whole film, by default
    milliseconds, which are made fine enough for the picture's own ticks. Matroska: sound that begins before 0, to prime
    its decoder, does not move the picture.
    """
    if muxer not in ("mp4", "mov"):
        return {"avoid_negative_ts": "disabled"}
    ticks = time_base.denominator * -(-1000 // time_base.denominator)
    return {"movflags": "+faststart", "movie_timescale": str(ticks if ticks <= 1_000_000 else 90_000)}


def add_video(
    container: av.container.OutputContainer, muxer: str, options: VideoOptions, rate: Fraction
) -> av.video.stream.VideoStream:
    """Add the stream of the picture.

    Raises:
        UsageError: There is no such encoder, or the container cannot hold what it makes.
    """
    asked = options.codec or DEFAULT_CODECS[muxer]
    name = ALIASES.get(asked, asked)
    try:
        codec = av.Codec(name, "w")
        added = container.add_stream(name, rate=rate, options=_encoder_options(name, options))
    except (av.FFmpegError, ValueError) as error:
        known = ", ".join(ALIASES)
        raise UsageError(f"codec {asked}: no {muxer} file can be made with it ({error}); use one of {known}") from error
    stream = cast(av.video.stream.VideoStream, added)
    formats = [pixel_format.name for pixel_format in codec.video_formats or ()]
    stream.pix_fmt = "yuv420p" if "yuv420p" in formats or not formats else formats[0]
    context = stream.codec_context
    context.color_range = LIMITED_RANGE
    context.colorspace = context.color_primaries = context.color_trc = BT709
    if codec.canonical_name == "hevc" and muxer in ("mp4", "mov"):
        context.codec_tag = "hvc1"
    return stream


def _encoder_options(name: str, options: VideoOptions) -> dict[str, str]:
    """Quality and speed in the words of the encoder."""
    crf = QUALITY.get(name) if options.crf is None else options.crf
    chosen = {} if crf is None or name not in QUALITY else {"crf": str(crf)}
    if name in ("libx264", "libx265"):
        chosen["preset"] = options.preset
    elif name == "libvpx-vp9":
        chosen |= {"b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}
    return chosen
