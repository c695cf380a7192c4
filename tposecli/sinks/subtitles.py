"""Streams of subtitles on their way into a video: copied, or their text put into the container's own form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final

import av
import av.container
from av.packet import Packet

from tposecli.sinks.audio import Copied, Track, describe

COPIED: Final = {
    "mp4": frozenset({"mov_text"}),
    "mov": frozenset({"mov_text"}),
    "webm": frozenset({"webvtt"}),
    "matroska": frozenset({"subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"}),
}
"""Muxer to the kinds that go into it as they are."""

TEXT: Final = frozenset({"subrip", "text", "mov_text", "ass", "webvtt"})
"""Kinds whose packets hold one caption's text."""

_LANGUAGE_TAGS = re.compile(r"<[^>]*>|\{\\[^}]*\}")


class _Retold:
    """Captions of text, without their styles, as ``mov_text``: a length of two bytes, then UTF-8 (3GPP TS 26.245)."""

    def __init__(self, output: av.container.OutputContainer, source: Any) -> None:
        self._kind = source.codec_context.codec.canonical_name
        self._target: Any = output.add_mux_stream("mov_text", time_base=Fraction(1, 1000))
        describe(self._target, source)

    def take(self, packet: Any, zero_s: Fraction) -> Iterator[Any]:
        """One caption."""
        text = caption(self._kind, bytes(packet)).encode()[:65_535]
        told = Packet(len(text).to_bytes(2, "big") + text)
        told.time_base = Fraction(1, 1000)
        told.pts = told.dts = round((packet.pts * packet.time_base - zero_s) * 1000)
        told.duration = round((packet.duration or 0) * packet.time_base * 1000)
        told.stream = self._target
        yield told

    def rest(self) -> Iterable[Any]:
        """Nothing is held back."""
        return ()


def subtitle_track(stream: Any, output: av.container.OutputContainer, muxer: str) -> Track:
    """Copy the stream if it may be copied, else retell it.

    Raises:
        ValueError: The container holds no subtitles of this kind.
    """
    kind = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
    if kind in COPIED.get(muxer, ()):
        return Copied(output, stream)
    if muxer in ("mp4", "mov") and kind in TEXT:
        return _Retold(output, stream)
    raise ValueError(f"subtitles of kind {kind}")


def caption(kind: str, data: bytes) -> str:
    """The plain text of one caption's packet."""
    if kind == "mov_text":
        return data[2 : 2 + int.from_bytes(data[:2], "big")].decode(errors="replace")
    text = data.decode(errors="replace")
    if kind == "ass":  # eight fields come before the text
        text = text.split(",", 8)[-1].replace("\\N", "\n").replace("\\n", "\n")
    return _LANGUAGE_TAGS.sub("", text).replace("\r\n", "\n").strip("\n")
