"""A container that is being demuxed: packets read ahead to inspect it are kept, and audio can be tapped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import Protocol, Self, TypeAlias, cast, runtime_checkable

import av
import av.audio.stream
import av.container
import av.stream
import av.video.frame
import av.video.stream
from av.packet import Packet

from tposecli.sources.clock import Clock, Origin
from tposecli.sources.container import (
    UNDECODABLE,
    UNSEEKABLE,
    limit_pixels,
    open_media,
    pick_video,
    resets_clock,
    set_discard,
    starts_at_zero,
)
from tposecli.sources.limits import MAX_PIXELS
from tposecli.sources.locations import InputLocation, is_read_once, is_stdin, redacted
from tposecli.utils.errors import InputError

AnyPacket: TypeAlias = "Packet[av.stream.Stream]"
VideoPacket: TypeAlias = "Packet[av.video.stream.VideoStream]"

SIDE_TYPES = ("audio", "subtitle")
"""Types of the streams that outputs may copy without decoding."""

MAX_PACKETS_AHEAD = 4096
"""Packets without a decodable frame after which a source that can only be read once is given up."""


@runtime_checkable
class SideStreams(Protocol):
    """The audio and subtitle streams of a source, which a video output copies.

    Attributes:
        name: Name of the source, for messages.
        container: The open container; it stays open as long as packets are taken.
        origin: What the times of the frames are counted from; packets have times on the mended clock.
    """

    name: str
    container: av.container.InputContainer
    origin: Origin

    def take(self, indices: Sequence[int]) -> AnyPacket | None:
        """Return the next packet of these streams; None if there is none, or none yet."""
        ...

    def skip_to(self, time_s: float) -> None:
        """Seek to about this time if that saves reading."""
        ...

    def close(self) -> None:
        """Release the streams; no more packets will be taken."""
        ...


class FileSideStreams:
    """Side streams of a source that can be opened a second time: demuxed independently.

    Where the clock may be reset, the video is demuxed once more, too, as it decides how the clock goes on.
    """

    def __init__(
        self,
        location: InputLocation,
        new_clock: Callable[[], Clock] | None = None,
        video_index: int | None = None,
        origin: Origin | None = None,
    ) -> None:
        """Open the source.

        Args:
            location: A file.
            new_clock: Returns a clock for one pass; None keeps the timestamps.
            video_index: Index of the stream that the clock follows.
            origin: What the times of the frames are counted from.
        """
        self.name, self.origin = redacted(location), origin or Origin()
        self.container = open_media(location)
        self._clock = None if new_clock is None else new_clock()
        self._video_index = video_index if resets_clock(self.container) and self._clock is not None else None
        set_discard(self.container, SIDE_TYPES if self._video_index is None else ("video", *SIDE_TYPES))
        self._packets: Iterator[AnyPacket] | None = None

    def take(self, indices: Sequence[int]) -> AnyPacket | None:
        """Return the next packet of these streams.

        Raises:
            av.FFmpegError: The file is damaged at this point.
        """
        if not indices:
            return None
        if self._packets is None:
            self._packets = self._mended([*indices, self._video_index])
        return next((packet for packet in self._packets if packet.stream_index in indices), None)

    def _mended(self, indices: Sequence[int | None]) -> Iterator[AnyPacket]:
        """Demux these streams and mend the times of their packets."""
        streams = [stream for stream in self.container.streams if stream.index in indices]
        for packet in self.container.demux(*streams):
            if packet.size and self._clock is not None:
                yield from self._clock.mend(packet)
            elif packet.size:
                yield packet
        if self._clock is not None:
            yield from self._clock.flush()

    def skip_to(self, time_s: float) -> None:
        """Seek, if time 0 is the beginning of the file and its clock was not reset so far."""
        if starts_at_zero(self.container) and not self.origin.resets:
            self.container.seek(int(time_s * 1_000_000))

    def close(self) -> None:
        """Close the file."""
        self.container.close()


class LiveSideStreams:
    """Side streams of a source that can only be read once: the packets that its demuxer passes on."""

    def __init__(self, name: str, container: av.container.InputContainer, origin: Origin | None = None) -> None:
        self.name, self.container, self.origin = name, container, origin or Origin()
        self._packets: deque[AnyPacket] = deque()

    def put(self, packet: AnyPacket) -> None:
        """Queue a packet; called by the demuxer, in its own thread."""
        self._packets.append(packet)

    def take(self, indices: Sequence[int]) -> AnyPacket | None:
        """Return the next packet of these streams that has been read so far."""
        while self._packets:
            packet = self._packets.popleft()
            if packet.stream_index in indices:
                return packet
        return None

    def skip_to(self, time_s: float) -> None:
        """Do nothing: a live source cannot seek."""

    def close(self) -> None:
        """Do nothing: the container belongs to the demuxer."""


class Demuxer:
    """An open container and its video stream.

    Attributes:
        container: The PyAV container.
        stream: The video stream that is decoded.
        listeners: Receive audio and subtitle packets as they are read.
        lead: Ticks by which timestamps are late, known after the first frame: AVI stores no presentation times, and
            FFmpeg adds the decoder delay to the timestamps that it generates.
        clock: Mends the timestamps of :meth:`packets`; None keeps them. To be set after the first frame was inspected.
        speed: Factor of all timestamps of :meth:`packets`, for streams whose rate FFmpeg could only assume.
    """

    def __init__(
        self, location: InputLocation, wanted: int | None = None, threads: str = "AUTO", max_pixels: int = MAX_PIXELS
    ) -> None:
        """Open ``location``.

        Args:
            location: What to read.
            wanted: Index of the video stream, from 0; None selects the best one.
            threads: FFmpeg's decoder threading: ``AUTO``, or ``SLICE``, which does not delay frames.
            max_pixels: Larger frames are not decoded.

        Raises:
            InputError: It cannot be opened, is not a video, or has larger frames.
        """
        self._name, self._location = redacted(location), location
        self._read_once = is_read_once(location)
        self._ahead: list[AnyPacket] = []
        self.listeners: list[LiveSideStreams] = []
        self.lead = 0
        self.clock: Clock | None = None
        self.speed = Fraction(1)
        self.container = open_media(location)
        try:
            self.stream = pick_video(self.container, self._name, wanted)
            limit_pixels(self.stream, self._name, max_pixels)
        except BaseException:
            self.container.close()
            raise
        set_discard(self.container, ("video", *SIDE_TYPES) if self._read_once else ("video",))
        self.stream.thread_type = threads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the container."""
        self.container.close()

    def listen(self, origin: Origin | None = None) -> LiveSideStreams:
        """Queue audio and subtitle packets from now on, and return the queue."""
        listener = LiveSideStreams(self._name, self.container, origin)
        self.listeners.append(listener)
        return listener

    def first_frame(self) -> av.video.frame.VideoFrame:
        """Return the first decodable frame.

        If the source can only be read once, :meth:`packets` still starts at the beginning.

        Raises:
            InputError: No frame can be decoded.
        """
        try:
            for packet in chain(self._demux(), [None]):
                if self._read_once and packet is not None:
                    self._ahead.append(packet)
                    if len(self._ahead) > MAX_PACKETS_AHEAD:
                        break
                frame = self._good_frame(packet)
                if frame is not None:
                    return frame
        except av.FFmpegError:
            pass
        advice = UNSEEKABLE if is_stdin(self._location) else "it may be cut off or damaged: check that it plays"
        raise InputError(f"{self._name}: no frame can be decoded; {advice}")

    def packets(self) -> Iterator[VideoPacket]:
        """Yield the video packets in decoding order.

        Raises:
            av.FFmpegError: The container is damaged at this point.
        """
        if self._ahead:
            self.stream.codec_context.flush_buffers()
        while self._ahead:
            yield from self._dispatch(self._ahead.pop(0))
        for packet in self._demux():
            yield from self._dispatch(packet)
        for packet in () if self.clock is None else self.clock.flush():
            self._pass_on(packet)

    def _demux(self) -> Iterator[AnyPacket]:
        """Yield video packets and, if the source can only be read once, those of the side streams."""
        streams: list[av.stream.Stream] = [self.stream]
        if self._read_once:
            streams += [stream for stream in self.container.streams if stream.type in SIDE_TYPES]
        for packet in self.container.demux(*streams):
            if packet.size:
                yield packet

    def _dispatch(self, packet: AnyPacket) -> Iterator[VideoPacket]:
        """Yield video packets, and pass the others to the listeners, with mended timestamps."""
        if self.speed != 1:
            packet.pts = None if packet.pts is None else round(packet.pts * self.speed)
            packet.dts = None if packet.dts is None else round(packet.dts * self.speed)
            packet.duration = round((packet.duration or 0) * self.speed)
        for mended in (packet,) if self.clock is None else self.clock.mend(packet):
            if mended.stream_index == self.stream.index:
                yield cast(VideoPacket, mended)
            else:
                self._pass_on(mended)

    def _pass_on(self, packet: AnyPacket) -> None:
        for listener in self.listeners:
            listener.put(packet)

    def _good_frame(self, packet: AnyPacket | None) -> av.video.frame.VideoFrame | None:
        """Return the first intact frame that a packet yields; None flushes the decoder."""
        if packet is not None and packet.stream_index != self.stream.index:
            return None
        if packet is not None and packet.dts == 0 and self.container.format.name == "avi":
            self.lead = packet.pts or 0
        try:
            frames = self.stream.decode(cast("VideoPacket | None", packet))
        except UNDECODABLE:
            return None
        return next((frame for frame in frames if not frame.is_corrupt), None)
