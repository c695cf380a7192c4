"""One timeline for all streams of a container, whatever its own clock does.

The clock of a file may begin anywhere, as in MPEG-TS, and may be reset within the file: recordings that were joined, or
a stream that was interrupted and reconnected. Timestamps are mended packet by packet, before decoding, so that video,
audio and subtitles stay in step and everything after the demuxer sees a clock that only runs forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from tposecli.sources.container import as_fraction

FAR_S: Final = 10
"""A clock that jumps forward by more was reset, as in FFmpeg (``dts_delta_threshold``)."""

BACK_S: Final = Fraction(1, 10)
"""A clock that jumps back by more, and by more than three frames, was reset; less is an error in a few timestamps."""

WRAP: Final = 1 << 33
"""Ticks of 1/90000 s after which the clock of MPEG streams starts again."""

MAX_HELD: Final = 4096
"""Audio and subtitle packets that wait for the video to say how a reset clock goes on."""


@dataclass(slots=True)
class Origin:
    """What the times of frames are counted from; shared with those who copy other streams of the source.

    Attributes:
        cut_s: Time on the mended clock that is 0 in ``Frame.time_s``; known once the first frame has been read.
        resets: Number of resets of the clock so far.
    """

    cut_s: Fraction = Fraction(0)
    resets: int = 0


@dataclass(frozen=True, slots=True)
class _Span:
    """A part of the source in which its clock ran without a reset.

    Attributes:
        offset_s: Added to the source's times.
        position: Byte position of its first video packet; None if unknown.
    """

    offset_s: Fraction
    position: int | None = None


@dataclass(slots=True)
class _SideState:
    """State of an audio or subtitle stream: the number of its span, and the end of its latest packet by its clock."""

    span: int = 0
    latest_s: Fraction | None = None
    step_s: Fraction = Fraction(0)


@dataclass(slots=True)
class _VideoState:
    """State of the video stream, in its ticks.

    Attributes:
        span: Number of its span.
        ticks: The shift of that span; None if not computed yet.
        latest: Latest decoding timestamp by the source's clock.
        step: Latest difference between two of them.
        end: End of the latest frame on the mended clock.
    """

    span: int = 0
    ticks: int | None = None
    latest: int | None = None
    step: int = 0
    end: int | None = None


class Clock:
    """Mends the timestamps of the packets of one pass through a source.

    The video decides: where its clock is reset, it goes on after the latest frame, and the other streams follow by the
    same difference. Packets of these that arrive before the video's first packet after the reset are held back.
    """

    def __init__(
        self,
        video_index: int,
        zero_s: Fraction = Fraction(0),
        free: bool = False,
        frame_s: Fraction = Fraction(1, 25),
        origin: Origin | None = None,
    ) -> None:
        """Begin a pass.

        Args:
            video_index: Index of the video stream in the container.
            zero_s: Time of the source's clock that becomes 0.
            free: The format's clock may begin anywhere and jump: one that jumps far forward was reset.
            frame_s: Nominal duration of a frame.
            origin: Where resets are counted.
        """
        self._video_index, self._free, self._frame_s = video_index, free, frame_s
        self._spans = [_Span(-zero_s)]
        self._origin = origin or Origin()
        self._video = _VideoState()
        self._sides: dict[int, _SideState] = {}
        self._held: list[Any] = []

    def mend(self, packet: Any) -> Iterator[Any]:
        """Take the next packet of the source, and yield those that are ready, with mended timestamps."""
        if packet.stream_index == self._video_index:
            before = len(self._spans)
            self._mend_video(packet)
            yield packet
            if len(self._spans) > before:
                yield from self._release()
        elif self._held or not self._follow(packet):
            self._held.append(packet)
            if len(self._held) > MAX_HELD:
                yield from self.flush()
        else:
            yield packet

    def flush(self) -> Iterator[Any]:
        """Yield the packets that wait for video that does not come: their own clock decides."""
        while self._held:
            packet = self._held[0]
            state = self._sides[packet.stream_index]
            if state.latest_s is not None and state.span == len(self._spans) - 1:
                expected_s = state.latest_s + state.step_s + self._spans[state.span].offset_s
                self._begin_span(expected_s - _stamp_s(packet), packet.pos)
            yield from self._release()

    def _release(self) -> Iterator[Any]:
        """Yield the held packets, in order, up to the first that still has to wait."""
        while self._held and self._follow(self._held[0]):
            yield self._held.pop(0)

    def _mend_video(self, packet: Any) -> None:
        """Shift a video packet, after beginning a new span if the clock was reset."""
        video, time_base = self._video, as_fraction(packet.time_base) or Fraction(1)
        frame = max(1, round(self._frame_s / time_base))
        duration = packet.duration or frame
        if packet.dts is not None:
            if video.latest is not None:
                step = packet.dts - video.latest
                if step <= 0 or step > 3 * max(video.step, duration):  # Most packets need no fractions.
                    usual_s = max(video.step, duration) * time_base
                    if self._is_reset(step * time_base, usual_s):
                        self._begin_video_span(packet, step * time_base, time_base)
                video.step = step if step > 0 else video.step
            video.latest = packet.dts
        if video.ticks is None:
            video.ticks = round(self._spans[video.span].offset_s / time_base)
        _shift(packet, video.ticks)
        if packet.pts is not None:
            end = packet.pts + duration
            video.end = end if video.end is None else max(video.end, end)

    def _is_reset(self, step_s: Fraction, usual_s: Fraction) -> bool:
        """Check whether a step between two timestamps means that the clock was reset."""
        return step_s < -max(BACK_S, 3 * self._frame_s) or (self._free and step_s > max(Fraction(FAR_S), 3 * usual_s))

    def _begin_video_span(self, packet: Any, step_s: Fraction, time_base: Fraction) -> None:
        """Begin a span whose first frame follows the latest one; a clock that wrapped around goes on exactly."""
        video, wrap_s = self._video, WRAP * Fraction(1, 90_000)
        if self._free and abs(step_s + wrap_s) < FAR_S:
            offset_s = self._spans[video.span].offset_s + wrap_s
        else:
            first = packet.dts if packet.pts is None else packet.pts
            offset_s = ((first if video.end is None else video.end) - first) * time_base
        self._begin_span(offset_s, packet.pos)
        video.span, video.ticks = len(self._spans) - 1, None

    def _begin_span(self, offset_s: Fraction, position: int | None) -> None:
        self._spans.append(_Span(offset_s, position))
        self._origin.resets += 1

    def _follow(self, packet: Any) -> bool:
        """Shift an audio or subtitle packet as the video of its span; False if that span is not known yet."""
        state = self._sides.setdefault(packet.stream_index, _SideState())
        if packet.dts is not None or packet.pts is not None:
            stamp_s = _stamp_s(packet)
            last, duration_s = len(self._spans) - 1, (packet.duration or 0) * packet.time_base
            if state.latest_s is not None and self._is_reset(stamp_s - state.latest_s, max(state.step_s, duration_s)):
                if state.span == last:
                    return False
                state.span += 1
            while state.span < last and _is_within(packet, self._spans[state.span + 1]):
                state.span += 1
            state.latest_s, state.step_s = stamp_s, duration_s
        _shift(packet, round(self._spans[state.span].offset_s / packet.time_base))
        return True


def _is_within(packet: Any, span: _Span) -> bool:
    """Check whether a packet lies after the beginning of a span in the file."""
    return packet.pos is not None and span.position is not None and packet.pos >= span.position >= 0


def _stamp_s(packet: Any) -> Fraction:
    """Return the decoding time of a packet, or its presentation time, in seconds."""
    return Fraction((packet.pts if packet.dts is None else packet.dts) * packet.time_base)


def _shift(packet: Any, ticks: int) -> None:
    """Shift the timestamps of a packet by a number of ticks."""
    if ticks:
        packet.dts = None if packet.dts is None else packet.dts + ticks
        packet.pts = None if packet.pts is None else packet.pts + ticks
