"""Opening media files with PyAV, the error messages when that fails, and the properties of their streams."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, cast

import av
import av.container
import av.stream
import av.video.frame
import av.video.stream
import cv2
import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type as SideDataType

from tposecli.sources.limits import check_pixels
from tposecli.sources.locations import InputLocation, is_stdin, is_url, open_params, reason_of, redacted
from tposecli.types import Image
from tposecli.utils.errors import InputError, UsageError

FREE_CLOCK_FORMATS = ("mpegts", "mpeg", "dvd", "svcd", "vob", "rtsp", "sdp", "hls")
"""Formats whose clock may start anywhere, so that times are counted from the first timestamp."""

REFERRING_FORMATS = frozenset(
    {"concat", "dash", "hds", "hls", "image2", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp", "smoothstreaming"}
    | {"tee", "vobsub", "webm_dash_manifest"}
)
"""Formats that refer to other files or URLs, which FFmpeg would open."""

VERIFIES_SEGMENTS = av.library_versions["libavformat"][0] >= 63
"""Whether FFmpeg (from version 9) verifies certificates of playlist segments, against the system's CA store."""

PADDING_PIXELS = 1 << 16
"""Pixels that a decoder may allocate beyond 5/4 of the frame, because it works in whole blocks."""

UNDECODABLE = (av.FFmpegError, ValueError)
"""What a damaged packet raises. ValueError: PyAV 19, if an earlier packet kept the decoder from opening."""

NO_TIMESTAMPS = 0x0080
"""FFmpeg's flag of formats that store no timestamps (``AVFMT_NOTIMESTAMPS``)."""

UNSEEKABLE = "an MP4 with its index at the end must be given as a file, or be created with -movflags +faststart"

log = logging.getLogger("tposecli")


def _unknown_side_data(cls: Any, value: int) -> Any:
    """Return a new member of PyAV's enumeration of side data for a type that it does not know."""
    member = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return cls._value2member_map_.setdefault(value, member)


# PyAV's table of types lags behind FFmpeg's. Without this, one unknown type (EXIF, for example) raises ValueError and
# hides the side data beside it, the display matrix among them.
setattr(SideDataType, "_missing_", classmethod(_unknown_side_data))  # noqa: B010

_ROTATIONS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True, slots=True)
class DisplayTransform:
    """Rotation and mirroring that make the pixels upright.

    Attributes:
        rotation: 0, 90, 180 or 270 degrees, counter-clockwise.
        mirror: Swap left and right after the rotation.
    """

    rotation: int = 0
    mirror: bool = False

    @classmethod
    def of(cls, frame: av.video.frame.VideoFrame) -> DisplayTransform:
        """Read the display matrix of a decoded frame; other angles are rounded to the nearest multiple of 90 degrees.

        The matrix is 3x3, row by row, ``x' = a x + c y``, ``y' = b x + d y`` with (a, b) first and (c, d) second, as in
        ISO 14496-12, 8.3.2.
        """
        side_data = frame.side_data.get("DISPLAYMATRIX")
        if side_data is None:
            return cls()
        matrix = np.frombuffer(bytes(cast(Buffer, side_data)), np.int32)[:9].reshape(3, 3).astype(np.float64)
        (a, b), (c, d) = matrix[0, :2], matrix[1, :2]
        mirror = bool(a * d - b * c < 0)
        degrees = -math.degrees(math.atan2(b, -a if mirror else a))
        return cls(round(degrees / 90) % 4 * 90, mirror)

    def size_wh(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height after the rotation."""
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def apply(self, image: Image) -> Image:
        """Return (H, W, 3) pixels rotated and contiguous; this is ``image`` itself if there is nothing to do."""
        rotated: Any = cv2.rotate(image, _ROTATIONS[self.rotation]) if self.rotation else image
        rotated = cv2.flip(rotated, 1) if self.mirror else rotated
        return np.ascontiguousarray(rotated)


def open_media(location: InputLocation) -> av.container.InputContainer:
    """Open a file, a URL or standard input for reading.

    Raises:
        InputError: It is missing, a folder, empty, unreadable, or not a media file.
        UsageError: The URL scheme is not supported.
    """
    params = open_params(location)
    options = params.options if is_url(location) else {**params.options, "format_whitelist": _format_whitelist()}
    container: av.container.InputContainer
    try:
        container = av.open(params.name, "r", options=options, timeout=params.timeout_s, **_metadata_args())
    except (av.FFmpegError, OSError, ValueError) as error:
        remedy = _remedy(location)
        raise InputError(f"{redacted(location)}: cannot be opened as a video ({reason_of(error)}); {remedy}") from error
    if container.format.name == "tty":
        container.close()
        raise InputError(f"{redacted(location)}: this is a text file, not a video; name a video file")
    if (
        not VERIFIES_SEGMENTS
        and container.format.name in REFERRING_FORMATS
        and str(location).lower().startswith("https:")
    ):
        log.warning("%s: FFmpeg does not check the certificates of playlist segments", redacted(location))
    return container


def _metadata_args() -> dict[str, Any]:
    """Return arguments that let PyAV open files whose metadata is not valid UTF-8.

    Version 18 raises an error without them; version 19 tolerates such bytes and no longer accepts the argument.
    """
    return {"metadata_errors": "replace"} if hasattr(av.container.Container, "metadata_errors") else {}


@cache
def _format_whitelist() -> str:
    """Return the formats that FFmpeg may detect in a file; playlists are excluded, as they would open other files."""
    return ",".join(sorted(av.formats_available - REFERRING_FORMATS))


def _remedy(location: InputLocation) -> str:
    """Return what to do about a video that cannot be opened."""
    if is_url(location):
        return "check the URL, the connection and, for https, the certificate"
    return UNSEEKABLE if is_stdin(location) else "it may be truncated, damaged or in another format"


def pick_video(
    container: av.container.InputContainer, name: str, wanted: int | None = None
) -> av.video.stream.VideoStream:
    """Return the best video stream, or the one with index ``wanted``, from 0; cover art is ignored.

    Raises:
        InputError: There is no video stream, or no decoder for it.
        UsageError: There are not that many streams.
    """
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        kinds = ", ".join(sorted({_kind(stream) for stream in container.streams}))
        only = f"only {kinds}" if kinds else "no streams at all"
        raise InputError(f"{name}: no video stream found ({only}); name a file that contains video")
    if wanted is not None and wanted >= len(streams):
        raise UsageError(f"{name}: no video stream {wanted}; choose 0 to {len(streams) - 1}")
    best = container.streams.best("video")
    stream = streams[wanted] if wanted is not None else best if best in streams else streams[0]
    if stream.codec_context is None:
        raise InputError(f"{name}: no decoder for its video codec; convert it to H.264, for example with ffmpeg")
    return stream


def limit_pixels(stream: av.video.stream.VideoStream, name: str, max_pixels: int) -> None:
    """Refuse a stream whose frames are too large, and make its decoder refuse frames that grow later.

    Raises:
        InputError: The frames are too large from the beginning.
    """
    check_pixels(name, (stream.width, stream.height), max_pixels)
    stream.codec_context.options = {"max_pixels": str(max_pixels + max_pixels // 4 + PADDING_PIXELS)}


def set_discard(container: av.container.InputContainer, keep: Collection[str]) -> None:
    """Make the demuxer skip streams of other types, which saves reading them (PyAV 17 and later)."""
    discard = getattr(av.stream, "Discard", None)
    for stream in container.streams:
        if discard is not None and stream.type not in keep:
            stream.discard = discard.all


def as_fraction(value: Any) -> Fraction | None:
    """Return a rational number of any PyAV version as a Fraction; None for None and for zero."""
    return Fraction(value.numerator, value.denominator) if value else None


def starts_at_zero(container: av.container.InputContainer) -> bool:
    """Return whether the file begins at time 0, as in most formats, rather than anywhere on a running clock."""
    return not any(name in FREE_CLOCK_FORMATS for name in container.format.name.split(","))


def has_timestamps(container: av.container.InputContainer) -> bool:
    """Return whether the format stores times; elementary streams and concatenated images do not."""
    return not container.format.flags & NO_TIMESTAMPS and not container.format.name.endswith("_pipe")


def resets_clock(container: av.container.InputContainer) -> bool:
    """Return whether the clock of the format can be reset within a file; the index of MP4 cannot express that."""
    return not {"mp4", "mov"} & set(container.format.name.split(","))


def is_whole_matroska(path: Path) -> bool:
    """Return whether a Matroska file is as long as its segment (RFC 8794), and does not end in a hole of zeros."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            size = file.seek(0, 2)
            file.seek(max(0, size - 4096))
            tail = file.read()
    except OSError:
        return False
    at = 4 + _vint_length(head[4:])
    at += _vint(head[4:])
    if head[:4] != b"\x1a\x45\xdf\xa3" or head[at : at + 4] != b"\x18\x53\x80\x67":
        return False
    segment = head[at + 4 :]
    length, data = _vint_length(segment), at + 4 + _vint_length(segment)
    unknown = (1 << 7 * length) - 1
    return _vint(segment) != unknown and data + _vint(segment) <= size and any(tail)


def _vint_length(data: bytes) -> int:
    """Return the number of bytes of an EBML variable-length integer."""
    return 9 - data[0].bit_length() if data else 1


def _vint(data: bytes) -> int:
    """Return the value of an EBML variable-length integer."""
    length = _vint_length(data)
    return int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)


def claimed_end_s(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float:
    """Return the stream's end in seconds from Matroska's ``DURATION`` tag (``HH:MM:SS.fraction``); 0 without one."""
    if "matroska" not in container.format.name:
        return 0.0
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip("\0 "))
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0


def duration_s(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float | None:
    """Return the duration of the stream, or of the whole file, according to the container."""
    time_base = as_fraction(stream.time_base)
    if stream.duration and time_base:
        return float(stream.duration * time_base)
    return container.duration / 1_000_000 if container.duration else None


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _kind(stream: av.stream.Stream) -> str:
    return "cover art" if _is_cover(stream) else str(stream.type)
