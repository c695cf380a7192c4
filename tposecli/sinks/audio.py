"""The sound of a source, carried into a video as it is written: copied where possible, else encoded anew."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import av
import av.audio.frame
import av.audio.stream
import av.container
from av.packet import Packet

from tposecli.source.container import as_fraction, has_own_zero, open_media, set_discard, shown

log = logging.getLogger("tposecli")

AudioPacket: TypeAlias = "Packet[av.audio.stream.AudioStream]"

COPIED = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
}
"""Muxer to codecs that players expect in it, besides PCM in MOV; other muxers say themselves what they can hold."""

ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "libopus", "webm": "libopus"}
"""Muxer to encoder, for sound that cannot be copied."""

BITS_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


class _Track(Protocol):
    """One stream of sound on its way from the source into the output."""

    def take(self, packet: AudioPacket, zero_s: Fraction) -> Iterable[AudioPacket]:
        """What is to be muxed for a packet of the source, with ``zero_s`` of the source as the output's 0."""

    def rest(self) -> Iterable[AudioPacket]:
        """What is to be muxed at the end."""


class _Copied:
    """The packets of the source, byte for byte."""

    def __init__(self, output: av.container.OutputContainer, source: av.audio.stream.AudioStream) -> None:
        self._target = output.add_stream_from_template(source)
        _describe(self._target, source)
        self._latest: int | None = None

    def take(self, packet: AudioPacket, zero_s: Fraction) -> Iterator[AudioPacket]:
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

    def rest(self) -> Iterable[AudioPacket]:
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
        _describe(self._target, source)
        self._next: Fraction = Fraction(0)

    def take(self, packet: AudioPacket, zero_s: Fraction) -> Iterator[AudioPacket]:
        """Decode and encode; a damaged packet costs its sound only."""
        try:
            frames = self._source.decode(packet)
        except av.FFmpegError:
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


class AudioFeed:
    """The sound of one file, handed to a container piece by piece, never all at once.

    Attributes:
        lost: A sentence for each stream of sound that had to be left out.
    """

    def __init__(self, path: Path | str, output: av.container.OutputContainer, muxer: str) -> None:
        """Open the source and add its streams of sound to ``output``, before anything is written to that.

        Raises:
            InputError: The source cannot be opened.
        """
        self._output = output
        self._zero_s = Fraction(0)
        self._end_s: float | None = None
        self._input = open_media(path)
        set_discard(self._input, "audio")
        self.lost: list[str] = []
        self._tracks: dict[int, _Track] = {}
        for stream in self._input.streams.audio:
            try:
                self._tracks[stream.index] = _track(stream, output, muxer)
            except (av.FFmpegError, ValueError, AttributeError) as error:
                self.lost.append(
                    f"{shown(path)}: sound track {stream.index} left out, {muxer} cannot hold it ({error})"
                )
                log.warning("%s", self.lost[-1])
        self._packets = self._demux()
        self._waiting: AudioPacket | None = None

    def begin(self, zero_s: Fraction, end_s: float | None) -> None:
        """Say which time of the source is the output's 0, and from which on its sound is not wanted."""
        self._zero_s, self._end_s = zero_s, end_s
        if zero_s > 1 and self._tracks and has_own_zero(self._input):
            try:
                self._input.seek(int((zero_s - 1) * 1_000_000))
            except av.FFmpegError:
                log.debug("the sound cannot be sought in and is read from its beginning")

    def advance(self, until_s: float) -> None:
        """Mux all sound up to ``until_s``, in seconds of the output."""
        while (packet := self._waiting or next(self._packets, None)) is not None:
            self._waiting = packet
            if packet.dts is not None and packet.dts * packet.time_base - self._zero_s > until_s:
                return
            self._waiting = None
            self._output.mux(list(self._tracks[packet.stream_index].take(packet, self._zero_s)))

    def finish(self) -> None:
        """Mux what the encoders still hold."""
        for track in self._tracks.values():
            self._output.mux(list(track.rest()))

    def close(self) -> None:
        """Close the source."""
        self._input.close()

    def _demux(self) -> Iterator[AudioPacket]:
        """The packets of the wanted span; a source that breaks off ends here."""
        streams = [stream for stream in self._input.streams.audio if stream.index in self._tracks]
        if not streams:
            return
        try:
            for packet in cast(Iterator[AudioPacket], self._input.demux(*streams)):
                if packet.size and packet.dts is not None and self._wanted(packet):
                    yield packet
        except av.FFmpegError as error:
            log.warning("the sound ends early (%s)", error.strerror)

    def _wanted(self, packet: AudioPacket) -> bool:
        """Whether the packet lies in the span; what primes the decoder comes before a 0 that is the source's own."""
        time_s = (packet.dts if packet.pts is None else packet.pts) * packet.time_base  # type: ignore[operator]
        if self._end_s is not None and time_s >= self._end_s:
            return False
        return bool(time_s >= self._zero_s) or self._zero_s == 0


def _track(stream: av.audio.stream.AudioStream, output: av.container.OutputContainer, muxer: str) -> _Track:
    """Copy the stream if it may be copied, else encode it."""
    codec = stream.codec_context.codec.canonical_name
    if muxer not in COPIED or codec in COPIED[muxer] or (muxer == "mov" and codec.startswith("pcm_")):
        try:
            return _Copied(output, stream)
        except ValueError:
            log.debug("%s cannot hold %s", muxer, codec)
    return _Encoded(output, stream, ENCODERS[muxer])


def _describe(target: av.audio.stream.AudioStream, source: av.audio.stream.AudioStream) -> None:
    """Keep the language and whether the stream is the default one."""
    if source.language:
        target.metadata["language"] = source.language
    target.disposition = source.disposition
