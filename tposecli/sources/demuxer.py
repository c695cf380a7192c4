"""A container that is being read: what was read ahead to look at it is not lost, and its sound can be listened to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Protocol, Self, TypeAlias, cast, runtime_checkable

import av
import av.audio.stream
import av.container
import av.stream
import av.video.frame
import av.video.stream
from av.packet import Packet

from tposecli.sources.container import (
    UNDECODABLE,
    UNSEEKABLE,
    has_own_zero,
    limit_pixels,
    open_media,
    pick_video,
    set_discard,
)
from tposecli.sources.limits import MAX_PIXELS
from tposecli.sources.locations import InputLocation, is_once, is_stdin, shown
from tposecli.utils.errors import InputError

AnyPacket: TypeAlias = "Packet[av.stream.Stream]"
VideoPacket: TypeAlias = "Packet[av.video.stream.VideoStream]"

BESIDE = ("audio", "subtitle")
"""Types of the streams that may be carried over unseen."""

MAX_PACKETS_AHEAD = 4096
"""Packets without one good frame after which a source that can be read only once is given up."""


@runtime_checkable
class SideStreams(Protocol):
    """The streams of a source beside its picture, which a video output carries over.

    Attributes:
        name: Of the source, for messages.
        container: It lives as long as somebody takes packets.
    """

    name: str
    container: av.container.InputContainer

    def take(self, indices: Sequence[int]) -> AnyPacket | None:
        """The next packet of these streams; None where there is none, or none yet."""
        ...

    def skip_to(self, time_s: float) -> None:
        """Go to about this time, if that saves reading."""
        ...

    def close(self) -> None:
        """No more packets will be taken."""
        ...


class FileSideStreams:
    """Sound and subtitles of a source that can be opened a second time: read for themselves."""

    def __init__(self, medium: InputLocation) -> None:
        self.name = shown(medium)
        self.container = open_media(medium)
        set_discard(self.container, BESIDE)
        self._packets: Iterator[AnyPacket] | None = None

    def take(self, indices: Sequence[int]) -> AnyPacket | None:
        """The next packet of these streams.

        Raises:
            av.FFmpegError: The file is damaged here.
        """
        if not indices:
            return None
        if self._packets is None:
            streams = [stream for stream in self.container.streams if stream.index in indices]
            self._packets = self.container.demux(*streams)
        return next(self._packets, None)

    def skip_to(self, time_s: float) -> None:
        """Seek, where time 0 is the file's beginning."""
        if has_own_zero(self.container):
            self.container.seek(int(time_s * 1_000_000))

    def close(self) -> None:
        """Close the file."""
        self.container.close()


class LiveSideStreams:
    """Sound and subtitles of a source that is read but once: what its one reader comes across."""

    def __init__(self, name: str, container: av.container.InputContainer) -> None:
        self.name, self.container = name, container
        self._packets: deque[AnyPacket] = deque()

    def put(self, packet: AnyPacket) -> None:
        """Called by the reader, in its own thread."""
        self._packets.append(packet)

    def take(self, indices: Sequence[int]) -> AnyPacket | None:
        """The next packet of these streams that was read so far."""
        while self._packets:
            packet = self._packets.popleft()
            if packet.stream_index in indices:
                return packet
        return None

    def skip_to(self, time_s: float) -> None:
        """Nothing can be skipped."""

    def close(self) -> None:
        """The container belongs to its reader."""


class Demuxer:
    """An open container and its picture's stream.

    Attributes:
        container: Of PyAV.
        stream: The one that is decoded.
        listeners: Take sound and subtitles as they are read.
        lead: Ticks by which frames come too late, once the first frame was seen: AVI stores no presentation times, and
            FFmpeg adds the decoder's delay to those that it counts.
    """

    def __init__(
        self, medium: InputLocation, wanted: int | None = None, threads: str = "AUTO", max_pixels: int = MAX_PIXELS
    ) -> None:
        """Open ``medium``.

        Args:
            medium: What to read.
            wanted: Which of several video streams, from 0; None: the best.
            threads: FFmpeg's kind of decoder threads: ``AUTO``, or ``SLICE``, which holds no frames back.
            max_pixels: Larger frames are not decoded.

        Raises:
            InputError: It cannot be opened, is no video, or has larger frames.
        """
        self._name, self._medium = shown(medium), medium
        self._once = is_once(medium)
        self._ahead: list[AnyPacket] = []
        self.listeners: list[LiveSideStreams] = []
        self.lead = 0
        self.container = open_media(medium)
        try:
            self.stream = pick_video(self.container, self._name, wanted)
            limit_pixels(self.stream, self._name, max_pixels)
        except BaseException:
            self.container.close()
            raise
        set_discard(self.container, ("video", *BESIDE) if self._once else ("video",))
        self.stream.thread_type = threads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the container."""
        self.container.close()

    def listen(self) -> LiveSideStreams:
        """From here on, keep what stands beside the picture for somebody who takes it."""
        listener = LiveSideStreams(self._name, self.container)
        self.listeners.append(listener)
        return listener

    def first_frame(self) -> av.video.frame.VideoFrame:
        """The first frame that can be decoded; :meth:`packets` still begins at the beginning if read only once.

        Raises:
            InputError: None can.
        """
        try:
            for packet in chain(self._demux(), [None]):
                if self._once and packet is not None:
                    self._ahead.append(packet)
                    if len(self._ahead) > MAX_PACKETS_AHEAD:
                        break
                frame = self._good_frame(packet)
                if frame is not None:
                    return frame
        except av.FFmpegError:
            pass
        advice = UNSEEKABLE if is_stdin(self._medium) else "it may be cut off or damaged: check that it plays"
        raise InputError(f"{self._name}: not one frame of it can be decoded; {advice}")

    def packets(self) -> Iterator[VideoPacket]:
        """The packets of the picture, in decoding order.

        Raises:
            av.FFmpegError: The container is damaged here.
        """
        if self._ahead:
            self.stream.codec_context.flush_buffers()
        while self._ahead:
            yield from self._sorted(self._ahead.pop(0))
        for packet in self._demux():
            yield from self._sorted(packet)

    def _demux(self) -> Iterator[AnyPacket]:
        """Packets of the picture and, where the source is read only once, of what stands beside it."""
        streams: list[av.stream.Stream] = [self.stream]
        if self._once:
            streams += [stream for stream in self.container.streams if stream.type in BESIDE]
        for packet in self.container.demux(*streams):
            if packet.size:
                yield packet

    def _sorted(self, packet: AnyPacket) -> Iterator[VideoPacket]:
        """Pass the picture's packets on, put the others aside."""
        if packet.stream_index == self.stream.index:
            yield cast(VideoPacket, packet)
        else:
            for listener in self.listeners:
                listener.put(packet)

    def _good_frame(self, packet: AnyPacket | None) -> av.video.frame.VideoFrame | None:
        """The first whole frame that a packet gives, or the decoder when it is emptied."""
        if packet is not None and packet.stream_index != self.stream.index:
            return None
        if packet is not None and packet.dts == 0 and self.container.format.name == "avi":
            self.lead = packet.pts or 0
        try:
            frames = self.stream.decode(cast("VideoPacket | None", packet))
        except UNDECODABLE:
            return None
        return next((frame for frame in frames if not frame.is_corrupt), None)
