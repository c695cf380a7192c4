"""Audio streams of the source in the output: copied if possible, else transcoded."""

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

COPYABLE = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
    "avi": frozenset({"mp3", "ac3"}),
}
"""Codecs that players expect by muxer, besides PCM in MOV and AVI; the other muxers report what they can hold."""

ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "libopus", "webm": "libopus", "avi": "libmp3lame"}
"""Encoder by muxer, for audio that cannot be copied."""

BITS_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


class OutputStream(Protocol):
    """A stream of the output that is made from one of the source."""

    def convert(self, packet: Any, zero_s: Fraction) -> Iterable[Any]:
        """Return the packets to mux for a packet of the source; ``zero_s`` of the source is 0 in the output."""

    def flush(self) -> Iterable[Any]:
        """Return the packets to mux at the end."""


class CopiedStream:
    """Copies the packets of a stream of any type byte for byte.

    Audio that overlaps what was written before, as where recordings were joined, is left out: moved, it would be late.
    """

    def __init__(self, output: av.container.OutputContainer, source: Any) -> None:
        self._target = output.add_stream_from_template(source)
        copy_metadata(self._target, source)
        self._is_audio = source.type == "audio"
        self._latest: int | None = None

    def convert(self, packet: Any, zero_s: Fraction) -> Iterator[Any]:
        """Shift the packet in time; a timestamp that does not increase becomes the next tick."""
        shift = round(zero_s / packet.time_base)
        dts = (packet.dts or 0) - shift
        pts = dts if packet.pts is None else packet.pts - shift
        if self._latest is not None and dts <= self._latest:
            if self._is_audio:
                return
            dts = self._latest + 1
        self._latest = dts
        packet.dts, packet.pts = dts, max(pts, dts)
        packet.stream = self._target
        yield packet

    def flush(self) -> Iterable[Any]:
        """Return nothing: no packets are held back."""
        return ()


class TranscodedAudio:
    """Decodes the audio of the source and encodes it again."""

    def __init__(self, output: av.container.OutputContainer, source: av.audio.stream.AudioStream, encoder: str) -> None:
        self._source = source
        codec = av.Codec(encoder, "w")
        rates = codec.audio_rates or [source.rate]
        rate = source.rate if source.rate in rates else 48_000
        layout = _LAYOUTS.get(source.codec_context.channels, "stereo")
        target = output.add_stream(encoder, rate=rate, layout=layout)
        self._target = cast(av.audio.stream.AudioStream, target)
        self._target.bit_rate = BITS_PER_CHANNEL * self._target.codec_context.channels
        copy_metadata(self._target, source)
        self._next: Fraction = Fraction(0)

    def convert(self, packet: AudioPacket, zero_s: Fraction) -> Iterator[AudioPacket]:
        """Decode and encode; a damaged packet loses only its own audio."""
        try:
            frames = self._source.decode(packet)
        except UNDECODABLE:
            return
        for frame in frames:
            yield from self._encode(frame, zero_s)

    def flush(self) -> Iterator[AudioPacket]:
        """Flush the encoder."""
        yield from self._target.encode(None)

    def _encode(self, frame: av.audio.frame.AudioFrame, zero_s: Fraction) -> list[AudioPacket]:
        """Encode one frame with its timestamp counted in samples."""
        tick = Fraction(1, frame.sample_rate)
        start = self._start(frame, zero_s)
        overlaps = start + frame.samples * tick / 2 < self._next
        if start < 0 or overlaps:
            return []
        self._next = start + frame.samples * tick
        frame.time_base, frame.pts = tick, round(start / tick)
        return list(self._target.encode(frame))

    def _start(self, frame: av.audio.frame.AudioFrame, zero_s: Fraction) -> Fraction:
        """Return the time of a frame in seconds, of which ``zero_s`` is 0."""
        time_base = as_fraction(frame.time_base)
        return self._next if frame.pts is None or time_base is None else frame.pts * time_base - zero_s


def add_audio(stream: av.audio.stream.AudioStream, output: av.container.OutputContainer, muxer: str) -> OutputStream:
    """Add a stream to the output that copies the source's if possible, else transcodes it.

    Raises:
        ValueError: The container cannot hold audio.
    """
    if muxer not in ENCODERS:
        raise ValueError("it has no audio")
    codec = stream.codec_context.codec.canonical_name
    if muxer not in COPYABLE or codec in COPYABLE[muxer] or (muxer in ("mov", "avi") and codec.startswith("pcm_")):
        try:
            return CopiedStream(output, stream)
        except ValueError:
            log.debug("%s cannot hold %s", muxer, codec)
    return TranscodedAudio(output, stream, ENCODERS[muxer])


def copy_metadata(target: Any, source: Any) -> None:
    """Copy the language, and whether the stream is the default one."""
    if source.language:
        target.metadata["language"] = source.language
    target.disposition = source.disposition
