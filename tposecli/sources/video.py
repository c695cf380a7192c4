"""Videos as upright RGB frames with their true timestamps, tolerating damaged files."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import av.video.frame
import av.video.stream

from tposecli.sources.clock import Clock, Origin
from tposecli.sources.container import (
    UNDECODABLE,
    as_fraction,
    claimed_end_s,
    duration_s,
    has_timestamps,
    is_whole_matroska,
    resets_clock,
    starts_at_zero,
)
from tposecli.sources.demuxer import Demuxer, FileSideStreams, SideStreams, VideoPacket
from tposecli.sources.filters import Deinterlacer, TimedFrame
from tposecli.sources.limits import MAX_PIXELS, check_pixels
from tposecli.sources.locations import (
    InputLocation,
    is_live,
    is_pipe,
    is_read_once,
    is_stdin,
    local_path,
    short_name,
)
from tposecli.sources.packet_index import PacketIndex, index_of
from tposecli.sources.pixels import FrameConverter, square_wh
from tposecli.sources.time_window import WHOLE, ZERO, Window
from tposecli.types import Frame, SourceInfo
from tposecli.utils.errors import InputError, UsageError

log = logging.getLogger("tposecli")

MAX_NAMED_LOSSES = 100
"""How many times of lost frames are kept for the summary; all of them are counted."""

HAS_TIMES = (
    "its frames have times of their own; --input-fps is for image sequences and streams without timestamps; "
    "use --fps to write another rate"
)

_FALLBACK_RATE = Fraction(25)
_EPSILON_S = 1e-6
_EARLY_S = 1.0  # A file that ends this much before its declared end was truncated.
_MARGIN_S = 1  # Seeking goes by decoding times, which are somewhat earlier than those of the frames.
_WORTH = 50
"""Reading the packet of a frame takes less than a fiftieth of decoding it: for starts earlier than that part of the
video, decoding from the beginning is faster than reading all packets."""


class _MissedError(Exception):
    """Seeking led past the packet that decoding was to begin with."""


@dataclass(slots=True)
class _Pass:
    """State of one pass through the file: what went into the decoder and what came out.

    Attributes:
        threads: FFmpeg's decoder threading: ``AUTO``, or ``SLICE``, which does not delay frames.
        after: Only frames with a later timestamp are wanted; None means all.
        key: Timestamp of the packet to begin with, and of the first frame; None for the first one.
        seek: Whether to seek; otherwise packets are read from the beginning.
        last: Timestamp of the latest frame.
        guessed: Whether a timestamp was missing.
        waiting: Timestamps of packets sent to the decoder whose frames have not come out yet.
    """

    threads: str = "AUTO"
    after: int | None = None
    key: int | None = None
    seek: bool = True
    last: int | None = None
    guessed: bool = False
    waiting: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Extent:
    """What the packets of a stream say of its end.

    In MP4 the duration of the last packet in decoding order makes up the total. If frames were reordered, that packet
    is not the one of the last frame, which is shown longer than its own packet says.

    Attributes:
        latest: Presentation timestamp of the last frame.
        end: End of the last frame; None if unknown, or before the last packet was read.
        reached: Latest timestamp of all packets, those that are not shown included.
        step: Longest time that a frame is shown.
    """

    latest: int | None = None
    end: int | None = None
    reached: int = 0
    step: int = 0
    _first: tuple[int, int] | None = None
    _end_dts: int | None = None

    def add(self, packet: VideoPacket) -> None:
        """Take the next packet."""
        if packet.pts is not None:
            self.step = max(self.step, packet.pts - self.reached, packet.duration or 0)
            self.reached = max(self.reached, packet.pts)
        if packet.pts is None or packet.dts is None or packet.is_discard:
            return
        first = self._first or (packet.pts, packet.dts)
        self._first = min(first[0], packet.pts), first[1]
        self.latest = packet.pts if self.latest is None else max(self.latest, packet.pts)
        self._end_dts = packet.dts + packet.duration if packet.duration else None

    def finish(self) -> None:
        """Note that there are no more packets."""
        if self._first is not None and self._end_dts is not None:
            self.end = self._first[0] + self._end_dts - self._first[1]


class VideoSource:
    """A video file or stream as frames; each iteration opens it anew and closes it when it ends, for whatever reason.

    Sources that can only be read once (standard input, URLs) are opened once, for inspection and the first iteration.
    ``Frame.index`` counts all frames of the file. To begin late, the packets of a file are counted, and decoding begins
    with the group of the first frame in the window; where packets and frames may not be one to one, all are decoded,
    but those before the window are not converted to RGB. A damaged packet costs its frame, which is counted; a
    truncated file yields the frames it has. Interlaced frames are deinterlaced, HDR is mapped to 8 bit, and non-square
    pixels are stretched to square.

    Attributes:
        info: Metadata; size and rotation are those of the first decodable frame.
        cut: Timestamp of the first frame in the window if times count from it, else 0; known once it was read.
        start_s: Start of the time window, in seconds from the beginning of the source or, if the window says so, on the
            source's own clock.
        end_s: End of the window on the same clock, or None.
        origin: What ``Frame.time_s`` is counted from on that clock.
        expected: Estimated number of frames in the window; None if the file does not say.
        live: The source is endless; the reader has to stop it.
        corrupt: Frames (or packets) lost inside the window in the latest iteration.
        corrupt_at: Times in seconds of the first ``MAX_NAMED_LOSSES`` of them; they may be a few frames off if frames
            are stored out of order.
        resized: Frames whose size differed from the first one's and that were scaled to it.
        moved: Frames that were not later than the one before and were moved to the next tick.
    """

    def __init__(
        self,
        path: InputLocation,
        window: Window = WHOLE,
        stream: int | None = None,
        max_pixels: int = MAX_PIXELS,
        rate: Fraction | None = None,
    ) -> None:
        """Open the video and inspect its beginning.

        Args:
            path: A file, a URL, or ``-`` for standard input.
            window: Time window.
            stream: Index of the video stream, from 0; None selects the default one, as players do.
            max_pixels: Larger frames are refused.
            rate: Frame rate of a stream without timestamps; None takes it from the codec's header, else 25.

        Raises:
            InputError: The file is missing, a folder, empty, not a video, has larger frames, or no frame can be
                decoded.
            UsageError: The URL scheme is not supported, there are not that many streams, or a rate was given for a
                source that has timestamps.
        """
        self.path, self.window = path, window
        self.origin = Origin()
        self.corrupt, self.resized, self.moved, self.cut = 0, 0, 0, 0
        self.corrupt_at: list[float] = []
        self._extent = _Extent()
        self._index: PacketIndex | None = None
        self._whole: _Extent | None = None
        self._name, self._wanted, self._max_pixels = short_name(path), stream, max_pixels
        demuxer = Demuxer(path, stream, "SLICE" if is_live(path) else "AUTO", max_pixels)
        try:
            self._inspect(demuxer, rate)
        except BaseException:
            demuxer.close()
            raise
        self._kept: Demuxer | None = demuxer if is_read_once(path) else None
        self._used = self._reading = False
        if self._kept is None:
            demuxer.close()

    def _inspect(self, demuxer: Demuxer, given_rate: Fraction | None) -> None:
        """Read the metadata from the container and its first frame."""
        container, stream = demuxer.container, demuxer.stream
        timed = has_timestamps(container)
        if timed and given_rate is not None:
            raise UsageError(f"{self._name}: {HAS_TIMES}")
        first = demuxer.first_frame()
        self.lead = demuxer.lead
        self._converter = FrameConverter(first, square_wh(first, as_fraction(stream.sample_aspect_ratio)))
        check_pixels(self._name, self._converter.size_wh, self._max_pixels)
        self._time_base = as_fraction(stream.time_base) or Fraction(1, 90_000)
        rate = as_fraction(stream.average_rate) or as_fraction(stream.guessed_rate) or as_fraction(stream.base_rate)
        self._speed = Fraction(1)
        if not timed:
            coded = as_fraction(stream.codec_context.framerate)
            assumed = coded or rate or _FALLBACK_RATE
            if given_rate is None and coded is None:
                log.warning(
                    "%s: contains neither times nor a frame rate; assumed %s frames per second (or give --input-fps)",
                    *(self._name, assumed),
                )
            rate = given_rate or assumed
            self._speed = assumed / rate
        self._free, self._video_index = timed and not starts_at_zero(container), stream.index
        begin_s = Fraction(0) if timed and not self._free else (first.pts or 0) * self._time_base * self._speed
        self._zero_s = begin_s if self.window.clock == ZERO or not timed else Fraction(0)
        self._zero = round(self._zero_s / self._time_base)
        plain = timed and self._speed == 1 and not self.lead and not first.interlaced_frame
        self._first = first.pts - self._zero if plain and first.pts is not None else None
        self.info = SourceInfo(
            name=self._name,
            size_wh=self._converter.size_wh,
            fps=rate,
            time_base=self._time_base,
            frames=stream.frames or None,
            rotation=self._converter.upright.rotation,
        )
        self._length_s = length_s = duration_s(container, stream)
        before_s = float(begin_s - self._zero_s)
        self.start_s, self.end_s = self.window.start_s or before_s, self.window.end_s
        self.expected = self.window.expected(self.info.frames, self.info.fps, length_s, before_s)
        self.live = is_live(self.path) or (is_read_once(self.path) and not length_s)
        self._configure(demuxer)

    def _new_clock(self, origin: Origin | None = None) -> Clock:
        """Return a clock for one pass through the source."""
        frame_s = 1 / (self.info.fps or _FALLBACK_RATE)
        return Clock(self._video_index, self._zero_s, self._free, frame_s, origin)

    def _configure(self, demuxer: Demuxer) -> None:
        """Make a demuxer mend the times of its packets."""
        demuxer.clock, demuxer.speed = self._new_clock(self.origin), self._speed

    def begins_at(self, pts: int) -> None:
        """Note where times begin (``cut``) if that is known and no frame is going to be read."""
        self.cut, self.origin.cut_s = pts, pts * self._time_base

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read, for fingerprints; empty for a source that can only be read once."""
        return () if is_read_once(self.path) else (local_path(self.path),)

    def side_streams(self) -> SideStreams:
        """Return the audio and subtitle streams, for an output that copies them; call it before iterating.

        Raises:
            InputError: The file cannot be opened again.
        """
        if self._kept is not None:
            return self._kept.listen(self.origin)
        return FileSideStreams(self.path, self._new_clock, self._video_index, self.origin)

    def index(self) -> PacketIndex | None:
        """Return the frames of the whole video and where decoding can begin, from its packets, which are not decoded.

        An hour of video takes about a second; later calls return the same. None if packets and frames may not be one to
        one: the file is damaged, interlaced or joined of several, or its packets have no timestamps. None as well for
        a source that can only be read once.

        Raises:
            InputError: The file cannot be opened again.
        """
        if self._whole is None and self._first is not None and not is_read_once(self.path):
            self._whole, resets = _Extent(), self.origin.resets
            with self.demuxer() as demuxer:
                with suppress(av.FFmpegError):
                    packets = self._measured(demuxer, self._whole)
                    self._index = index_of(packets, demuxer.stream.codec_context, self._first)
                if self.origin.resets > resets or self._ends_early(demuxer, self._whole):
                    self._index, self.origin.resets = None, resets
                if not resets_clock(demuxer.container):
                    self._whole.finish()
        return self._index

    @staticmethod
    def _measured(demuxer: Demuxer, extent: _Extent) -> Iterator[VideoPacket]:
        for packet in demuxer.packets():
            extent.add(packet)
            yield packet

    @property
    def ends_s(self) -> float | None:
        """End of the last frame that was read in the latest iteration, on the clock of the window; None if unknown."""
        end = self._extent.latest if self._extent.end is None else self._extent.end
        return None if end is None else float(end * self._time_base)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close a source that is read once, unless a thread hangs in it; an iteration closes everything else."""
        if self._kept is not None and not self._reading:
            self._kept.close()

    def __iter__(self) -> Iterator[Frame]:
        self.corrupt, self.resized, self.moved, self.corrupt_at = 0, 0, 0, []
        self.origin.cut_s, self.origin.resets = Fraction(0), 0
        wanted = cut = self.cut = 0
        deinterlacer = Deinterlacer(self._time_base)
        known = self.index() if self._is_late() else None
        begin, key = 0, None
        if known is not None:
            found = self.frames_of(known)
            if not found:
                self._extent = self._whole or _Extent()
                return
            begin = known.key_of(found.start)
            key = int(known.pts[begin]) if begin else None
        with closing(self._deinterlaced_frames(deinterlacer, key)) as frames:
            for index, (frame, pts) in enumerate(frames, start=begin):
                time_s = float(pts * self._time_base)
                if self.end_s is not None and time_s >= self.end_s - _EPSILON_S:
                    break
                if frame.is_corrupt:
                    self._count_loss(time_s)
                elif time_s >= self.start_s - _EPSILON_S:
                    if not wanted and self.window.is_cut:
                        cut = self.cut = pts
                        self.origin.cut_s = pts * self._time_base
                    if wanted % self.window.stride == 0:
                        self.resized += not self._converter.fits(frame)
                        try:
                            image = self._converter.to_rgb(frame)
                        except av.FFmpegError:
                            # A damaged file may declare a pixel format that cannot be converted to RGB.
                            self._count_loss(time_s)
                            continue
                        shown_s, pts = self._shown_s(frame, pts), pts - cut
                        yield Frame(image, index, float(pts * self._time_base), self._name, pts, shown_s)
                    wanted += 1
        self._log_conversions(deinterlacer)

    def _is_late(self) -> bool:
        """Return whether the window begins so late that it is worth reading all packets to find its beginning."""
        return self.start_s > 0 and (not self._length_s or self.start_s * _WORTH > self._length_s)

    def frames_of(self, index: PacketIndex) -> range:
        """Return the numbers of the frames in the time window; ``stride`` plays no part."""

        def number_of(time_s: float | None) -> int:
            end = len(index.pts)
            return end if time_s is None else bisect_left(range(end), True, key=lambda frame: not_before(frame, time_s))

        def not_before(frame: int, time_s: float) -> bool:
            return float(int(index.pts[frame]) * self._time_base) >= time_s - _EPSILON_S

        return range(number_of(self.start_s), number_of(self.end_s))

    def _shown_s(self, frame: av.video.frame.VideoFrame, pts: int) -> float | None:
        """Return how long a frame is shown according to the source, or None."""
        time_base = as_fraction(frame.time_base) or self._time_base
        shown_s = float(frame.duration * time_base) if frame.duration else None
        if self._extent.end is not None and pts == self._extent.latest and self._extent.end > pts:
            return float((self._extent.end - pts) * self._time_base)
        return shown_s

    def _log_conversions(self, deinterlacer: Deinterlacer) -> None:
        """Log what was done to the pixels."""
        done = {
            f"{self.resized} frames changed size and were scaled to the first one's": self.resized,
            f"moved {self.moved} frames whose timestamps were out of order": self.moved,
            f"its clock was reset {self.origin.resets} times; its times continue without a gap": self.origin.resets,
            "interlaced, was deinterlaced": deinterlacer.used,
            "pixels were not square, stretched to {}x{}".format(*self._converter.size_wh): self._converter.stretched,
            "high dynamic range, mapped to 8 bits": self._converter.mapped,
        }
        for what, happened in done.items():
            if happened:
                log.warning("%s: %s", self._name, what)

    def _deinterlaced_frames(self, deinterlacer: Deinterlacer, key: int | None) -> Generator[TimedFrame, None, None]:
        """Yield every frame from one on with its timestamp, deinterlaced."""
        with closing(self._all_frames(key)) as frames:
            for frame, pts in frames:
                yield from deinterlacer.push(frame, pts)
            yield from deinterlacer.flush()

    def _all_frames(self, key: int | None) -> Generator[TimedFrame, None, None]:
        """Yield every frame of the file with its timestamp, which increases.

        If ``key`` is given, the frame of this timestamp, which begins a group, is the first one.

        When PyAV flushes a multi-threaded decoder, it drops the frames after a damaged one; frames lost in this way at
        the very end are read again without threads.
        """
        first = _Pass(after=None if key is None else key - 1, key=key)
        latest = None
        for frame, pts in self._read_from(first):
            latest = self._increasing(pts, latest)
            yield frame, latest
        if first.waiting and not first.guessed and not is_read_once(self.path):
            after = first.after if first.last is None else first.last
            for frame, pts in self._read(_Pass("SLICE", after=after)):
                latest = self._increasing(pts, latest)
                yield frame, latest

    def _increasing(self, pts: int, latest: int | None) -> int:
        """Return a timestamp, or the tick after the latest one if it is not later."""
        if latest is None or pts > latest:
            return pts
        self.moved += 1
        return latest + 1

    @contextmanager
    def demuxer(self, threads: str = "AUTO") -> Iterator[Demuxer]:
        """Yield the demuxer that inspected the beginning, on first use and if it was kept; otherwise a new one."""
        if self._kept is not None and not self._used:
            self._used = self._reading = True
            try:
                yield self._kept
            finally:
                self._reading = False
            return
        if is_stdin(self.path) or is_pipe(self.path):
            raise InputError(f"{self._name}: can only be read once; write it to a file first")
        with Demuxer(self.path, self._wanted, threads, self._max_pixels) as demuxer:
            self._configure(demuxer)
            yield demuxer

    def _read_from(self, run: _Pass) -> Generator[TimedFrame, None, None]:
        """Decode the file once; if seeking leads past the beginning, read all packets instead."""
        try:
            yield from self._read(run)
        except _MissedError:
            run.seek = False
            yield from self._read(run)

    def _read(self, run: _Pass) -> Generator[TimedFrame, None, None]:
        """Decode the file once, packet by packet."""
        with self.demuxer(run.threads) as demuxer:
            if run.after is not None and run.seek and not self.origin.resets and self._speed == 1:
                early = 0 if run.key is None else round(_MARGIN_S / self._time_base)
                with suppress(av.FFmpegError):  # Damaged files may not be seekable; they are read from the start.
                    demuxer.container.seek(run.after + self.lead + self._zero - early, stream=demuxer.stream)
            for packet in self._packets(demuxer, run):
                for frame in self._decode(demuxer.stream, packet, run):
                    pts = self._timestamp(frame, run)
                    run.waiting = [later for later in run.waiting if later > pts]
                    if run.after is None or pts > run.after:
                        run.last = pts
                        yield frame, pts

    def _packets(self, demuxer: Demuxer, run: _Pass) -> Iterator[VideoPacket | None]:
        """Yield the packets of the stream, then None to flush the decoder; a demuxer error ends the file."""
        extent, reason = _Extent(), ""
        self._extent = extent
        try:
            for packet in self._from_key(demuxer.packets(), run.key):
                extent.add(packet)
                yield packet
            if run.key is not None and self._whole is not None:
                self._extent = self._whole
            elif not resets_clock(demuxer.container):
                extent.finish()
        except av.FFmpegError as error:
            reason = str(error.strerror)
        if run.after is None and (reason or self._ends_early(demuxer, extent)):
            self._count_loss(self._seconds(extent.reached))
            log.warning("%s: the file ends early (%s)", self._name, reason or "cut off")
        yield None

    @staticmethod
    def _from_key(packets: Iterator[VideoPacket], key: int | None) -> Iterator[VideoPacket]:
        """Yield the packets from that of a frame on which begins a group; all before it are shown before it."""
        missed = key is not None
        for packet in packets:
            if missed and key is not None:
                if packet.pts is None or packet.is_discard or packet.pts < key:
                    continue
                if packet.pts > key:
                    raise _MissedError
                missed = False
            yield packet
        if missed:
            raise _MissedError

    def _ends_early(self, demuxer: Demuxer, extent: _Extent) -> bool:
        """Return whether a file that was read to its end is shorter than it claims to be."""
        claimed_s = claimed_end_s(demuxer.container, demuxer.stream)
        if claimed_s and not is_read_once(self.path) and is_whole_matroska(local_path(self.path)):
            return False
        # The last frame may be shown as long as any before it.
        end_s, step_s = float(extent.reached * self._time_base), float(extent.step * self._time_base)
        return claimed_s > end_s + max(_EARLY_S, 2 * step_s)

    def _decode(
        self, stream: av.video.stream.VideoStream, packet: VideoPacket | None, run: _Pass
    ) -> list[av.video.frame.VideoFrame]:
        """Decode one packet; if it is damaged, return nothing and count one lost frame."""
        if packet is not None and packet.pts is not None:
            run.waiting.append(packet.pts - self.lead)
        try:
            return stream.decode(packet)
        except UNDECODABLE:
            if packet is not None:
                lost = min(run.waiting, default=run.last)
                run.waiting = [later for later in run.waiting if later != lost]
                if run.after is None or (lost is not None and lost > run.after):
                    self._count_loss(self._seconds(lost))
            return []

    def _timestamp(self, frame: av.video.frame.VideoFrame, run: _Pass) -> int:
        """Return the frame's own timestamp; if it has none, one frame interval after the previous one."""
        if frame.pts is not None:
            return frame.pts - self.lead
        run.guessed = True
        step = 1 / ((self.info.fps or _FALLBACK_RATE) * self._time_base)
        return 0 if run.last is None else run.last + max(1, round(step))

    def _seconds(self, pts: int | None) -> float:
        return self.start_s if pts is None else float(pts * self._time_base)

    def _count_loss(self, time_s: float) -> None:
        """Count a lost frame if it lies in the window."""
        if 0 < self.window.start_s - _EPSILON_S > time_s or (self.end_s is not None and time_s >= self.end_s):
            return
        self.corrupt += 1
        if len(self.corrupt_at) < MAX_NAMED_LOSSES:
            self.corrupt_at.append(time_s)
