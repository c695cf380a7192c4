"""Opening media with PyAV: what the user is told when it fails, and what the first frame reveals."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, cast

import av
import av.container
import av.stream
import av.video.frame
import av.video.stream
import cv2
import numpy as np
from av.buffer import Buffer

from tposecli.sources.limits import check_pixels
from tposecli.sources.locations import InputLocation, access_to, is_address, is_stdin, reason_of, shown
from tposecli.types import Image
from tposecli.utils.errors import InputError, UsageError

ANY_CLOCK = ("mpegts", "mpeg", "dvd", "svcd", "vob", "rtsp", "sdp", "hls")
"""Formats whose clock may start anywhere, so that "from the beginning" means from their first timestamp."""

FOLLOWING = frozenset(
    {"concat", "dash", "hds", "hls", "image2", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp", "smoothstreaming"}
    | {"tee", "vobsub", "webm_dash_manifest"}
)
"""Formats that name other files or addresses, which FFmpeg then opens."""

CHECKS_PIECES = av.library_versions["libavformat"][0] >= 63
"""Whether FFmpeg checks the certificates of a playlist's pieces, against those that the system trusts: from 9 on."""

PADDING = 1 << 16
"""Pixels that a decoder may need beyond those of the picture, and a quarter of it: it works in whole blocks."""

UNDECODABLE = (av.FFmpegError, ValueError)
"""What a damaged packet raises; ValueError: PyAV 19 where the decoder could not be opened for an earlier one."""

UNSEEKABLE = "an MP4 with its index at the end must be named as a file, or made with -movflags +faststart"

log = logging.getLogger("tposecli")

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True, slots=True)
class DisplayTransform:
    """How the pixels must be turned to stand upright.

    Attributes:
        rotation: 0, 90, 180 or 270 degrees, counter-clockwise.
        mirror: Swap left and right after the turn.
    """

    rotation: int = 0
    mirror: bool = False

    @classmethod
    def of(cls, frame: av.video.frame.VideoFrame) -> DisplayTransform:
        """Read the display matrix of a decoded frame; turns between the four are rounded to the nearest.

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
        """Width and height after the turn."""
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def apply(self, image: Image) -> Image:
        """Turn (H, W, 3) pixels; the result is contiguous, and is ``image`` itself where nothing is to be done."""
        turned: Any = cv2.rotate(image, _TURNS[self.rotation]) if self.rotation else image
        turned = cv2.flip(turned, 1) if self.mirror else turned
        return np.ascontiguousarray(turned)


def open_media(medium: InputLocation) -> av.container.InputContainer:
    """Open a file, an address or standard input for reading.

    Raises:
        InputError: It is missing, a folder, empty, not allowed to be read, or no media at all.
        UsageError: An address of an unknown kind.
    """
    access = access_to(medium)
    options = access.options if is_address(medium) else {**access.options, "format_whitelist": _self_contained()}
    container: av.container.InputContainer
    try:
        container = av.open(access.name, "r", options=options, timeout=access.timeout_s, **_lenient())
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{shown(medium)}: cannot be opened as a video ({_reason(medium, error)})") from error
    if container.format.name == "tty":
        container.close()
        raise InputError(f"{shown(medium)}: this is text, not a video; name a video file")
    if not CHECKS_PIECES and container.format.name in FOLLOWING and str(medium).lower().startswith("https:"):
        log.warning("%s: FFmpeg does not check the certificates of a playlist's pieces", shown(medium))
    return container


def _lenient() -> dict[str, Any]:
    """What has PyAV open files with titles and other texts that are not UTF-8.

    Version 18 fails there unless told otherwise; 19 keeps such bytes of itself and no longer takes the argument.
    """
    return {"metadata_errors": "replace"} if hasattr(av.container.Container, "metadata_errors") else {}


@cache
def _self_contained() -> str:
    """The formats that FFmpeg may take a file for: a list of other files would have it open those."""
    return ",".join(sorted(av.formats_available - FOLLOWING))


def _reason(medium: InputLocation, error: Exception) -> str:
    """FFmpeg's reason, and what can be done about it."""
    reason = reason_of(error)
    if is_address(medium):
        return f"{reason}; check the address, that it can be reached from here, and with https its certificate"
    if is_stdin(medium):
        return f"{reason}; {UNSEEKABLE}"
    return f"{reason}; it may be cut off, damaged or of another kind"


def pick_video(
    container: av.container.InputContainer, name: str, wanted: int | None = None
) -> av.video.stream.VideoStream:
    """The best video stream, or the ``wanted``-th from 0; cover pictures of music do not count.

    Raises:
        InputError: There is none, or nothing here can decode it.
        UsageError: There are not so many.
    """
    moving = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not moving:
        kinds = ", ".join(sorted({_kind(stream) for stream in container.streams}))
        only = f"only {kinds}" if kinds else "and no other"
        raise InputError(f"{name}: no video stream in it ({only}); name a file with a moving picture")
    if wanted is not None and wanted >= len(moving):
        raise UsageError(f"{name}: video stream {wanted} asked for, it has {len(moving)}, counted from 0")
    best = container.streams.best("video")
    stream = moving[wanted] if wanted is not None else best if best in moving else moving[0]
    if stream.codec_context is None:
        raise InputError(f"{name}: no decoder for its video codec; convert it to H.264, for example with ffmpeg")
    return stream


def limit_pixels(stream: av.video.stream.VideoStream, name: str, most: int) -> None:
    """Refuse a stream whose frames are too large, and have its decoder refuse those that grow on the way.

    Raises:
        InputError: They are too large from the beginning.
    """
    check_pixels(name, (stream.width, stream.height), most)
    stream.codec_context.options = {"max_pixels": str(most + most // 4 + PADDING)}


def set_discard(container: av.container.InputContainer, keep: Collection[str]) -> None:
    """Let the demuxer pass over the streams of other types, which saves reading them (PyAV from 17 on)."""
    discard = getattr(av.stream, "Discard", None)
    for stream in container.streams:
        if discard is not None and stream.type not in keep:
            stream.discard = discard.all


def as_fraction(value: Any) -> Fraction | None:
    """A rational of any PyAV version as a Fraction; None for none and for zero."""
    return Fraction(value.numerator, value.denominator) if value else None


def has_own_zero(container: av.container.InputContainer) -> bool:
    """Whether time 0 is the file's beginning, as in most formats, and not any moment of a running clock."""
    return not any(name in ANY_CLOCK for name in container.format.name.split(","))


def origin_s(container: av.container.InputContainer) -> float:
    """Seconds at which the file begins: 0, except where the format's clock starts anywhere."""
    return 0.0 if has_own_zero(container) else (container.start_time or 0) / 1_000_000


def claimed_end_s(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float:
    """Where Matroska's tag ``DURATION`` (``HH:MM:SS.fraction``) says that the stream ends; 0 without one."""
    if "matroska" not in container.format.name:
        return 0.0
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip("\0 "))
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0


def duration_s(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float | None:
    """Length of the stream, or of the whole file, as the container claims it."""
    time_base = as_fraction(stream.time_base)
    if stream.duration and time_base:
        return float(stream.duration * time_base)
    return container.duration / 1_000_000 if container.duration else None


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _kind(stream: av.stream.Stream) -> str:
    return "a cover picture" if _is_cover(stream) else str(stream.type)
