"""Subtitle streams of the source in the output: copied, or their text converted to the container's own format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final

import av
import av.container
from av.packet import Packet

from tposecli.sinks.audio import CopiedStream, OutputStream, copy_metadata

COPYABLE: Final = {
    "mp4": frozenset({"mov_text"}),
    "mov": frozenset({"mov_text"}),
    "webm": frozenset({"webvtt"}),
    "matroska": frozenset({"subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"}),
}
"""Codecs that can be copied, by muxer."""

TEXT: Final = frozenset({"subrip", "text", "mov_text", "ass", "webvtt"})
"""Codecs whose packets hold the text of one caption."""

_LANGUAGE_TAGS = re.compile(r"<[^>]*>|\{\\[^}]*\}")


class _MovText:
    """Converts text captions, without styles, to ``mov_text``: two bytes of length, then UTF-8 (3GPP TS 26.245)."""

    def __init__(self, output: av.container.OutputContainer, source: Any) -> None:
        self._codec = source.codec_context.codec.canonical_name
        self._target: Any = output.add_mux_stream("mov_text", time_base=Fraction(1, 1000))
        copy_metadata(self._target, source)

    def convert(self, packet: Any, zero_s: Fraction) -> Iterator[Any]:
        """Convert one caption."""
        text = caption(self._codec, bytes(packet)).encode()[:65_535]
        converted = Packet(len(text).to_bytes(2, "big") + text)
        converted.time_base = Fraction(1, 1000)
        converted.pts = converted.dts = round((packet.pts * packet.time_base - zero_s) * 1000)
        converted.duration = round((packet.duration or 0) * packet.time_base * 1000)
        converted.stream = self._target
        yield converted

    def flush(self) -> Iterable[Any]:
        """Return nothing: no packets are held back."""
        return ()


def add_subtitles(stream: Any, output: av.container.OutputContainer, muxer: str) -> OutputStream:
    """Add a stream to the output that copies the source's if possible, else converts its text.

    Raises:
        ValueError: The container cannot hold subtitles of this codec.
    """
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
    if codec in COPYABLE.get(muxer, ()):
        return CopiedStream(output, stream)
    if muxer in ("mp4", "mov") and codec in TEXT:
        return _MovText(output, stream)
    raise ValueError(f"subtitles of codec {codec}")


def caption(codec: str, data: bytes) -> str:
    """Return the plain text of one caption's packet."""
    if codec == "mov_text":
        return data[2 : 2 + int.from_bytes(data[:2], "big")].decode(errors="replace")
    text = data.decode(errors="replace")
    if codec == "ass":  # Eight fields come before the text.
        text = text.split(",", 8)[-1].replace("\\N", "\n").replace("\\n", "\n")
    return _LANGUAGE_TAGS.sub("", text).replace("\r\n", "\n").strip("\n")
