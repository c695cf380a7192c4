"""What stands beside the picture of a source (sound, subtitles, chapters), carried into a video as it is written."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Any

import av
import av.container
import av.stream

from tposecli.sinks.audio import Track, sound_track
from tposecli.sinks.subtitles import subtitle_track
from tposecli.sources.container import as_fraction
from tposecli.sources.demuxer import AnyPacket, FileSideStreams, SideStreams
from tposecli.sources.locations import InputLocation

log = logging.getLogger("tposecli")

WITH_CHAPTERS = ("mp4", "mov", "matroska", "webm")


class StreamCopier:
    """Sound and subtitles of one source, handed to a container piece by piece, never all at once.

    Attributes:
        lost: A sentence for each stream that had to be left out.
    """

    def __init__(self, source: InputLocation | SideStreams, output: av.container.OutputContainer, muxer: str) -> None:
        """Open the source and add its streams to ``output``, before anything is written to that.

        Raises:
            InputError: The source cannot be opened.
        """
        self._output, self._muxer = output, muxer
        self._zero_s = Fraction(0)
        self._end_s: float | None = None
        self._source: SideStreams = source if isinstance(source, SideStreams) else FileSideStreams(source)
        self.lost: list[str] = []
        self._tracks: dict[int, Track] = {}
        for stream in self._source.container.streams:
            if stream.type in ("audio", "subtitle"):
                self._add(stream)
        self._waiting: AnyPacket | None = None

    def begin(self, zero_s: Fraction, end_s: float | None) -> None:
        """Say which time of the source is the output's 0, and from which on nothing is wanted."""
        self._zero_s, self._end_s = zero_s, end_s
        if self._muxer in WITH_CHAPTERS:
            self._set_chapters()
        if zero_s > 1 and self._tracks:
            try:
                self._source.skip_to(float(zero_s - 1))
            except av.FFmpegError:
                log.debug("the sound cannot be sought in and is read from its beginning")

    def advance(self, until_s: float) -> None:
        """Mux everything up to ``until_s``, in seconds of the output, as far as it was read."""
        while (packet := self._waiting or self._next()) is not None:
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
        """Let the source go."""
        self._source.close()

    def _add(self, stream: Any) -> None:
        """Carry one stream, or say that it is left out."""
        make = sound_track if stream.type == "audio" else subtitle_track
        try:
            self._tracks[stream.index] = make(stream, self._output, self._muxer)
        except (av.FFmpegError, ValueError, AttributeError) as error:
            kind = "sound track" if stream.type == "audio" else "subtitles"
            self.lost.append(
                f"{self._source.name}: {kind} {stream.index} left out, {self._muxer} cannot hold it ({error})"
            )
            log.warning("%s", self.lost[-1])

    def _next(self) -> AnyPacket | None:
        """The next packet of the wanted span; a source that breaks off has come to its end."""
        try:
            while (packet := self._source.take(list(self._tracks))) is not None:
                if packet.size and packet.dts is not None and self._wanted(packet):
                    return packet
        except av.FFmpegError as error:
            log.warning("the sound ends early (%s)", error.strerror)
        return None

    def _wanted(self, packet: AnyPacket) -> bool:
        """Whether the packet lies in the span; what primes the decoder comes before a 0 that is the source's own."""
        time_s = (packet.dts if packet.pts is None else packet.pts) * packet.time_base  # type: ignore[operator]
        if self._end_s is not None and time_s >= self._end_s:
            return False
        return bool(time_s >= self._zero_s) or self._zero_s == 0

    def _set_chapters(self) -> None:
        """Chapters that lie in the span, moved as the picture is."""
        kept: list[Any] = []
        for chapter in self._source.container.chapters():
            time_base = as_fraction(chapter["time_base"]) or Fraction(1)
            start, end = (chapter[side] * time_base - self._zero_s for side in ("start", "end"))
            end_s = None if self._end_s is None else Fraction(self._end_s) - self._zero_s
            if end > 0 and (end_s is None or start < end_s):
                end = end if end_s is None else min(end, end_s)
                ticks = {"start": round(max(start, Fraction(0)) * 1000), "end": round(end * 1000)}
                kept.append({**chapter, **ticks, "time_base": Fraction(1, 1000)})
        if kept:
            self._output.set_chapters(kept)
