"""Streams of sound on their way into a video: copied where possible, else encoded anew."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Protocol, TypeAlias, cast

import av
import av.audio.frame
import av.audio.stream
import av.container
from av.packet import Packet

from tposecli.sources.container import UNDECODABLE, as_fraction

log = logging.getLogger("tposecli")

AudioPacket: TypeAlias = "Packet[av.audio.stream.AudioStream]"

COPIED = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
    "avi": frozenset({"mp3", "ac3"}),
}
"""Muxer to codecs that players expect in it, besides PCM in MOV and AVI; others say themselves what they can hold."""

ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "libopus", "webm": "libopus", "avi": "libmp3lame"}
"""Muxer to encoder, for sound that cannot be copied."""

BITS_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


class Track(Protocol):
    """One stream on its way from the source into the output."""

    def take(self, packet: Any, zero_s: Fraction) -> Iterable[Any]:
        """What is to be muxed for a packet of the source, with ``zero_s`` of the source as the output's 0."""

    def rest(self) -> Iterable[Any]:
        """What is to be muxed at the end."""


class Copied:
    """The packets of a stream of any type, byte for byte."""

    def __init__(self, output: av.container.OutputContainer, source: Any) -> None:
        self._target = output.add_stream_from_template(source)
        describe(self._target, source)
        self._latest: int | None = None

    def take(self, packet: Any, zero_s: Fraction) -> Iterator[Any]:
        """Move the packet in time; repeated or backward timestamps go one tick on."""
        shift = round(zero_s / packet.time_base)
        dts = (packet.dts or 0) - shift
        pts = dts if packet.pts is None else packet.pts - shift
        if self._latest is not None and dts <= self._latest:
            dts = self._latest + 1
        self._latest = dts
        packet.dts, packet.pts = dts, max(pts, dts)
        packet.stream = self._target
        yield packet

    def rest(self) -> Iterable[Any]:
        """Nothing is held back."""
        return ()


class _Encoded:
    """The sound of the source, decoded and encoded anew."""

    def __init__(self, output: av.container.OutputContainer, source: av.audio.stream.AudioStream, encoder: str) -> None:
        self._source = source
        codec = av.Codec(encoder, "w")
        rates = codec.audio_rates or [source.rate]
        rate = source.rate if source.rate in rates else 48_000
        layout = _LAYOUTS.get(source.codec_context.channels, "stereo")
        target = output.add_stream(encoder, rate=rate, layout=layout)
        self._target = cast(av.audio.stream.AudioStream, target)
        self._target.bit_rate = BITS_PER_CHANNEL * self._target.codec_context.channels
        describe(self._target, source)
        self._next: Fraction = Fraction(0)

    def take(self, packet: AudioPacket, zero_s: Fraction) -> Iterator[AudioPacket]:
        """Decode and encode; a damaged packet costs its sound only."""
        try:
            frames = self._source.decode(packet)
        except UNDECODABLE:
            return
        for frame in frames:
            yield from self._encode(frame, zero_s)

    def rest(self) -> Iterator[AudioPacket]:
        """Empty the encoder."""
        yield from self._target.encode(None)

    def _encode(self, frame: av.audio.frame.AudioFrame, zero_s: Fraction) -> list[AudioPacket]:
        """Encode one frame with its time counted in samples."""
        tick = Fraction(1, frame.sample_rate)
        time_base = as_fraction(frame.time_base)
        start = self._next if frame.pts is None or time_base is None else frame.pts * time_base - zero_s
        self._next = start + frame.samples * tick
        if start < 0:
            return []
        frame.time_base, frame.pts = tick, round(start / tick)
        return list(self._target.encode(frame))


def sound_track(stream: av.audio.stream.AudioStream, output: av.container.OutputContainer, muxer: str) -> Track:
    """Copy the stream if it may be copied, else encode it.

    Raises:
        ValueError: The container holds no sound.
    """
    if muxer not in ENCODERS:
        raise ValueError("it has no sound")
    codec = stream.codec_context.codec.canonical_name
    if muxer not in COPIED or codec in COPIED[muxer] or (muxer in ("mov", "avi") and codec.startswith("pcm_")):
        try:
            return Copied(output, stream)
        except ValueError:
            log.debug("%s cannot hold %s", muxer, codec)
    return _Encoded(output, stream, ENCODERS[muxer])


def describe(target: Any, source: Any) -> None:
    """Keep the language and whether the stream is the default one."""
    if source.language:
        target.metadata["language"] = source.language
    target.disposition = source.disposition
