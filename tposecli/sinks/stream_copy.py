"""Audio, subtitles and chapters of a source, carried into the output while its video is written."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from typing import Any

import av
import av.container
import av.stream

from tposecli.sinks.audio import OutputStream, add_audio
from tposecli.sinks.stretched_audio import StretchedAudio
from tposecli.sinks.subtitles import add_subtitles
from tposecli.sources.container import as_fraction
from tposecli.sources.demuxer import AnyPacket, FileSideStreams, SideStreams
from tposecli.sources.locations import InputLocation

log = logging.getLogger("tposecli")

REFUSALS = frozenset({errno.EINVAL, errno.ERANGE, errno.EDOM})
"""Errors with which muxers and encoders refuse a packet; any other error concerns the whole file."""

LONG_CAPTION_S = 60
"""Seconds before the start of a cut from which captions are read, because they may last into it."""

WITH_CHAPTERS = ("mp4", "mov", "matroska", "webm")


class StreamCopier:
    """Muxes audio and subtitles of one source piece by piece, so that they never are in memory as a whole.

    Attributes:
        lost: A message for each stream that had to be left out.
    """

    def __init__(
        self,
        source: InputLocation | SideStreams,
        output: av.container.OutputContainer,
        muxer: str,
        stretch: Fraction = Fraction(1),
    ) -> None:
        """Open the source and add its streams to ``output``, to which nothing may have been written yet.

        Args:
            source: Where the streams come from.
            output: Where they go.
            muxer: FFmpeg's name of the container.
            stretch: Seconds of the output for each second of the source. If it is not 1, audio is stretched, and
                subtitles and chapters are left out.

        Raises:
            InputError: The source cannot be opened.
        """
        self._output, self._muxer, self._stretch = output, muxer, stretch
        self._zero_s = Fraction(0)
        self._end_s: float | None = None
        self._source: SideStreams = source if isinstance(source, SideStreams) else FileSideStreams(source)
        self.lost: list[str] = []
        self._streams: dict[int, OutputStream] = {}
        for stream in self._source.container.streams:
            if stream.type in ("audio", "subtitle"):
                self._add(stream)
        self._waiting: AnyPacket | None = None

    def begin(self, zero_s: Fraction, end_s: float | None) -> None:
        """Set the span that is copied.

        Args:
            zero_s: Time of the frames that is 0 in the output, on the source's clock.
            end_s: End on the source's clock; None for the source's own end.
        """
        zero_s += self._source.origin.cut_s
        self._zero_s, self._end_s = zero_s, end_s
        if self._muxer in WITH_CHAPTERS and self._stretch == 1:
            self._set_chapters()
        if zero_s > 1 and self._streams:
            try:
                subtitles = any(stream.type == "subtitle" for stream in self._source.container.streams)
                self._source.skip_to(max(0.0, float(zero_s - (LONG_CAPTION_S if subtitles else 1))))
            except av.FFmpegError:
                log.debug("cannot seek in the audio; reading it from the beginning")

    def advance(self, until_s: float) -> None:
        """Mux everything up to ``until_s``, in seconds of the output."""
        until_s /= float(self._stretch)
        while (packet := self._waiting or self._next()) is not None:
            self._waiting = packet
            if packet.dts is not None and packet.dts * packet.time_base - self._zero_s > until_s:
                return
            self._waiting = None
            stream = self._streams[packet.stream_index]
            self._mux(packet.stream_index, partial(stream.convert, packet, self._zero_s))

    def finish(self) -> None:
        """Mux what the encoders still hold back."""
        for index, stream in list(self._streams.items()):
            self._mux(index, stream.flush)

    def _mux(self, index: int, make: Callable[[], Iterable[Any]]) -> None:
        """Mux the packets of a stream; one that the muxer or the encoder refuses ends that stream, not the video."""
        try:
            self._output.mux(list(make()))
        except av.FFmpegError as error:
            if error.errno not in REFUSALS:
                raise
            del self._streams[index]
            self.lost.append(
                f"{self._source.name}: stream {index} (audio or subtitles) ends early, {self._muxer} cannot hold it "
                f"({error.strerror})"
            )
            log.warning("%s", self.lost[-1])

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _add(self, stream: Any) -> None:
        """Add one stream to the output, or warn that it is left out."""
        try:
            self._streams[stream.index] = self._made(stream)
        except (av.FFmpegError, ValueError, AttributeError) as error:
            kind = "audio stream" if stream.type == "audio" else "subtitle stream"
            reason = f"{self._muxer} cannot hold it: " if self._stretch == 1 else ""
            self.lost.append(f"{self._source.name}: {kind} {stream.index} left out ({reason}{error})")
            log.warning("%s", self.lost[-1])

    def _made(self, stream: Any) -> OutputStream:
        """Add one stream to the output."""
        if self._stretch == 1:
            add = add_audio if stream.type == "audio" else add_subtitles
            return add(stream, self._output, self._muxer)
        if stream.type != "audio":
            raise ValueError("its times are those of another speed")
        found = StretchedAudio(self._output, stream, self._muxer, self._stretch)
        change = "%s: audio stream %d is stretched to %.3g times its length, at the same pitch"
        log.info(change, self._source.name, stream.index, float(self._stretch))
        return found

    def _next(self) -> AnyPacket | None:
        """Return the next packet of the selected span, or None at the end; a source that fails counts as ended."""
        try:
            while (packet := self._source.take(list(self._streams))) is not None:
                if packet.size and packet.dts is not None and self._is_selected(packet):
                    if packet.stream.type == "subtitle":
                        self._clip(packet)
                    return packet
        except av.FFmpegError as error:
            log.warning("the audio ends early (%s)", error.strerror)
        return None

    def _is_selected(self, packet: AnyPacket) -> bool:
        """Check whether a packet is in the selected span.

        If the span begins with the source, so are packets before 0, which prime the decoder.
        """
        time_s = (packet.dts if packet.pts is None else packet.pts) * packet.time_base  # type: ignore[operator]
        if self._end_s is not None and time_s >= self._end_s:
            return False
        if packet.stream.type == "subtitle":
            return bool(time_s + (packet.duration or 0) * packet.time_base > self._zero_s) or time_s >= self._zero_s
        return bool(time_s >= self._zero_s) or self._zero_s == 0

    def _clip(self, packet: Any) -> None:
        """Make a caption begin and end with the selected span."""
        begin = packet.dts if packet.pts is None else packet.pts
        end = begin + (packet.duration or 0)
        first = max(begin, round(self._zero_s / packet.time_base))
        if self._end_s is not None:
            end = min(end, round(Fraction(self._end_s) / packet.time_base))
        if (first, end) != (begin, begin + (packet.duration or 0)):
            packet.pts, packet.dts, packet.duration = first, first, max(0, end - first)

    def _set_chapters(self) -> None:
        """Copy the chapters in the selected span, shifted as the video is."""
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
