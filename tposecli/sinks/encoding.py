"""Containers, encoders, presets and quality of videos."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.container
import av.video.stream

from tposecli.sinks.destination import STDOUT
from tposecli.sinks.pixel_format import BT709, LIMITED_RANGE
from tposecli.sinks.scale import Scale
from tposecli.sources.demuxer import SideStreams
from tposecli.sources.locations import InputLocation
from tposecli.utils.errors import UsageError

MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".gif": "gif",
    ".avi": "avi",
}
"""FFmpeg's muxer by extension; all but AVI keep a timestamp for each frame."""

ALIASES = {"h264": "libx264", "hevc": "libx265", "h265": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}

DEFAULT_CODECS = {"webm": "libvpx-vp9", "gif": "gif"}
"""Encoder by muxer, where it is not H.264."""

GIF_TICK = Fraction(1, 100)
GIF_RATE = Fraction(50)
"""Highest frame rate that GIF viewers show at the right speed."""

PRESETS = {
    **dict.fromkeys(
        ("libx264", "libx265"),
        "ultrafast superfast veryfast faster fast medium slow slower veryslow placebo".split(),  # noqa: SIM905
    ),
    "libsvtav1": [str(number) for number in range(14)],
    "libvpx-vp9": [str(number) for number in range(9)],
}
"""Speed presets of each encoder: words, or numbers (higher is faster); VP9's is FFmpeg's ``cpu-used``."""

DEFAULT_PRESETS = {"libx264": "veryfast", "libx265": "veryfast", "libsvtav1": "10", "libvpx-vp9": "6"}

QUALITY = {"libx264": 20, "libx265": 23, "libvpx-vp9": 31, "libsvtav1": 32}
"""Default constant rate factor of each encoder."""

FALLBACK_TIME_BASE = Fraction(1, 90_000)
FALLBACK_RATE = Fraction(25)

SLOWEST, FASTEST = Fraction(1, 100), Fraction(100)
"""Speeds of a video, relative to what it shows."""


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """Encoding options of a video.

    Attributes:
        codec: FFmpeg's name of the encoder, or h264, hevc, vp9, av1; None for H.264, or VP9 in ``.webm``.
        crf: Constant rate factor; lower means better quality and a larger file; None for the default in ``QUALITY``.
        preset: Speed of the encoder, see ``PRESETS``; None for the default in ``DEFAULT_PRESETS``.
        scale: Size of the video; None for that of the frames.
        rate: Constant frame rate, for which frames are repeated and dropped; None keeps all frames and times.
        audio_from: Source of audio, subtitles and chapters; None for no audio.
        start_s: Start of the video, in seconds of the source. If it is above 0, video and audio are shifted so that
            the first frame is at 0; at 0 they keep their times.
        end_s: End of the audio, in seconds of the source; None for the end of the source.
        speed: Seconds that pass in the frames while one second is played.
        stretch: Seconds of the output for each second of the file that the audio comes from.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    scale: Scale | None = None
    rate: Fraction | None = None
    audio_from: InputLocation | SideStreams | None = None
    start_s: float = 0.0
    end_s: float | None = None
    speed: Fraction = Fraction(1)
    stretch: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise UsageError(f"crf: expected 0 (best) to 63 (smallest), got {self.crf}")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise UsageError(f"fps: expected more than 0 and at most 1000 frames per second, got {self.rate}")
        if not SLOWEST <= self.speed <= FASTEST:
            raise UsageError(f"speed: expected {SLOWEST} to {FASTEST} times, got {float(self.speed):g}")


def muxer_of(path: Path) -> str:
    """Return FFmpeg's name of the container; on standard output it is MP4.

    Raises:
        UsageError: The extension is not supported.
    """
    muxer = "mp4" if path == STDOUT else MUXERS.get(path.suffix.lower())
    if muxer is None:
        known = f"{', '.join(MUXERS)}, or a pattern of images such as %06d.png"
        raise UsageError(f"{path}: no video format has this extension; use one of {known}")
    return muxer


def encoder_of(muxer: str, options: VideoOptions) -> str:
    """Return FFmpeg's name of the encoder.

    Raises:
        UsageError: It does not have the preset.
    """
    codec = options.codec or DEFAULT_CODECS.get(muxer, "libx264")
    name = ALIASES.get(codec, codec)
    if options.preset is not None and options.preset not in PRESETS.get(name, ()):
        known = ", ".join(PRESETS.get(name, ())) or "none"
        raise UsageError(f"preset {options.preset}: not a preset of {name}; its presets are: {known}")
    return name


def container_options(muxer: str, time_base: Fraction, streamed: bool = False) -> dict[str, str]:
    """Return muxer options that keep timestamps exact and let playback begin before a download ends.

    MP4: the index goes to the front, or before each fragment if the output cannot seek. The start of a stream that
    begins late is stored in movie timescale units, by default milliseconds; these are made as fine as the video's
    ticks. Matroska: audio that begins before 0, to prime its decoder, must not shift the video.
    """
    if muxer in ("gif", "avi"):
        return {}
    if muxer not in ("mp4", "mov"):
        return {"avoid_negative_ts": "disabled"}
    ticks = time_base.denominator * -(-1000 // time_base.denominator)
    layout = "+frag_keyframe+delay_moov+default_base_moof" if streamed else "+faststart"
    return {"movflags": layout, "movie_timescale": str(ticks if ticks <= 1_000_000 else 90_000)}


def add_video(
    container: av.container.OutputContainer, muxer: str, options: VideoOptions, rate: Fraction
) -> av.video.stream.VideoStream:
    """Add the video stream.

    Raises:
        UsageError: The encoder does not exist, or the container cannot hold its codec.
    """
    name = encoder_of(muxer, options)
    if name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # Errors only; it has no option for that.
    try:
        codec = av.Codec(name, "w")
        added = container.add_stream(name, rate=rate, options=_encoder_options(name, muxer, options))
    except (av.FFmpegError, ValueError) as error:
        known = ", ".join(alias for alias in ALIASES if _is_supported(container, ALIASES[alias])) or "none"
        raise UsageError(f"codec {name}: cannot be written to {muxer} ({error}); use one of {known}") from error
    stream = cast(av.video.stream.VideoStream, added)
    formats = [pixel_format.name for pixel_format in codec.video_formats or ()]
    preferred = "pal8" if name == "gif" else "yuv420p"
    stream.pix_fmt = preferred if preferred in formats or not formats else formats[0]
    if name != "gif":
        context = stream.codec_context
        context.color_range = LIMITED_RANGE
        context.colorspace = context.color_primaries = context.color_trc = BT709
    if codec.canonical_name == "hevc" and muxer in ("mp4", "mov"):
        stream.codec_context.codec_tag = "hvc1"
    return stream


def _is_supported(container: av.container.OutputContainer, encoder: str) -> bool:
    """Check whether the encoder exists, and the container can hold its codec."""
    try:
        return av.Codec(encoder, "w").canonical_name in container.supported_codecs
    except (av.FFmpegError, ValueError):
        return False


def _encoder_options(name: str, muxer: str, options: VideoOptions) -> dict[str, str]:
    """Return quality and speed as options of the encoder."""
    crf = QUALITY.get(name) if options.crf is None else options.crf
    chosen = {} if crf is None or name not in QUALITY else {"crf": str(crf)}
    preset = options.preset or DEFAULT_PRESETS.get(name)
    if name == "libvpx-vp9":
        chosen |= {"b": "0", "deadline": "realtime", "cpu-used": str(preset), "row-mt": "1"}
    elif preset is not None:
        chosen["preset"] = preset
    if name == "libx265":
        chosen["x265-params"] = "log-level=error"
    if muxer == "avi":
        chosen["bf"] = "0"  # AVI cannot store frames out of order.
    if name == "mjpeg" or name.startswith("mpeg"):
        chosen |= {"flags": "+qscale", "global_quality": str(4 * 118)}
    return chosen
