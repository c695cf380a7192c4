"""Videos as upright RGB frames with their true times, however damaged the file is."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Self, TypeAlias

import av
import av.container
import av.video.frame
import av.video.reformatter
import av.video.stream
import numpy as np
from av.packet import Packet

from tposecli.source.container import (
    Upright,
    as_fraction,
    claimed_end_s,
    duration_s,
    first_frame,
    is_address,
    label,
    open_media,
    origin_s,
    pick_video,
    set_discard,
    shown,
)
from tposecli.source.window import WHOLE, Window
from tposecli.types import Frame, Image, SourceInfo

log = logging.getLogger("tposecli")

VideoPacket: TypeAlias = "Packet[av.video.stream.VideoStream]"

NAMED_LOSSES = 100
"""How many times of lost frames are kept for the summary; all are counted."""

_FALLBACK_RATE = Fraction(25)
_EPSILON_S = 1e-6
_EARLY_S = 1.0


@dataclass(slots=True)
class _Pass:
    """One way through the file: what went into the decoder and what came out.

    Attributes:
        threads: FFmpeg's kind of decoder threads: ``AUTO``, or ``SLICE``, which holds no frames back.
        after: Only frames with a later timestamp count; None: all.
        last: Timestamp of the latest frame.
        guessed: Some timestamp was missing.
        waiting: Timestamps of the packets sent whose frames are still to come.
    """

    threads: str = "AUTO"
    after: int | None = None
    last: int | None = None
    guessed: bool = False
    waiting: list[int] = field(default_factory=list)


class VideoSource:
    """A video file as frames; each iteration opens the file anew and closes it when it ends, however it ends.

    Frames are decoded from the beginning even when they are not wanted, so that ``Frame.index`` is the true count of
    decoded frames in the file; unwanted ones are never converted to RGB. A damaged packet costs its frame, which is
    counted; a file that is cut off gives the frames it has.

    Attributes:
        info: Size and rotation are those of the first frame that can be decoded.
        start_s: Beginning of the window on the source's own clock, as in ``Frame.time_s``.
        end_s: End of the window on the same clock, None without one.
        expected: Estimate of how many frames the window gives; None where the file does not say.
        corrupt: Frames (or packets) lost inside the window in the latest iteration.
        corrupt_at: Times of the first ``NAMED_LOSSES`` of them, in seconds; where frames are stored out of order, they
            may be a few frames off.
        resized: Frames that had another size than the first and were scaled to it.
    """

    def __init__(self, path: Path | str, window: Window = WHOLE) -> None:
        """Look at the beginning of the file.

        Raises:
            InputError: The file is missing, a folder, empty, no video, or not one frame of it can be decoded.
        """
        self.path, self.window = path, window
        self.corrupt, self.resized = 0, 0
        self.corrupt_at: list[float] = []
        self._name = label(path)
        self._reformatter = av.video.reformatter.VideoReformatter()
        with open_media(path) as container:
            stream = pick_video(container, shown(path))
            set_discard(container, "video")
            first = first_frame(container, stream, shown(path))
            self._coded_wh = first.width, first.height
            self._upright = Upright.of(first)
            self._time_base = as_fraction(stream.time_base) or Fraction(1, 90_000)
            self.info = self._describe(container, stream)
            origin = origin_s(container)
            self.start_s = origin + window.start_s
            self.end_s = None if window.end_s is None else origin + window.end_s
            self.expected = window.expected(self.info.frames, self.info.fps, duration_s(container, stream))

    def _describe(self, container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> SourceInfo:
        """What is known before the frames are read."""
        rate = as_fraction(stream.average_rate) or as_fraction(stream.guessed_rate) or as_fraction(stream.base_rate)
        return SourceInfo(
            name=self._name,
            size_wh=self._upright.size_wh(*self._coded_wh),
            fps=rate,
            time_base=self._time_base,
            frames=stream.frames or None,
            rotation=self._upright.rotation,
            audio_streams=len(container.streams.audio),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open but what an iteration has opened, and that closes itself."""

    def __iter__(self) -> Iterator[Frame]:
        self.corrupt, self.resized, self.corrupt_at = 0, 0, []
        wanted = 0
        with closing(self._all_frames()) as frames:
            for index, (frame, pts) in enumerate(frames):
                time_s = float(pts * self._time_base)
                if self.end_s is not None and time_s >= self.end_s - _EPSILON_S:
                    break
                if frame.is_corrupt:
                    self._lose(time_s)
                elif time_s >= self.start_s - _EPSILON_S:
                    if wanted % self.window.stride == 0:
                        yield Frame(self._pixels(frame), index, time_s, self._name, pts)
                    wanted += 1
        if self.resized:
            log.warning("%s: %d frames changed size and were scaled to the first one's", self._name, self.resized)

    def _all_frames(self) -> Generator[tuple[av.video.frame.VideoFrame, int], None, None]:
        """Every frame of the file with its timestamp.

        PyAV drops the frames behind a damaged one when it empties a decoder with several threads; those at the very end
        are then read again without threads.
        """
        first = _Pass()
        yield from self._read(first)
        if first.waiting and not first.guessed and not is_address(self.path):
            yield from self._read(_Pass("SLICE", after=first.last))

    def _read(self, run: _Pass) -> Generator[tuple[av.video.frame.VideoFrame, int], None, None]:
        """Decode the file once, packet by packet."""
        with open_media(self.path) as container:
            stream = pick_video(container, shown(self.path))
            set_discard(container, "video")
            stream.thread_type = run.threads
            if run.after is not None:
                container.seek(run.after, stream=stream)
            for packet in self._packets(container, stream, run):
                for frame in self._decode(stream, packet, run):
                    pts = self._timestamp(frame, run)
                    run.waiting = [later for later in run.waiting if later > pts]
                    if run.after is None or pts > run.after:
                        run.last = pts
                        yield frame, pts

    def _packets(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream, run: _Pass
    ) -> Iterator[VideoPacket | None]:
        """The packets of the stream, then None to empty the decoder; a demuxer that fails has come to its end."""
        end_s, reason = 0.0, "cut off"
        claimed_s = claimed_end_s(container, stream)
        try:
            for packet in container.demux(stream):
                if packet.size:
                    end_s = max(end_s, self._seconds(packet.pts))
                    yield packet
        except av.FFmpegError as error:
            reason, claimed_s = str(error.strerror), math.inf
        if run.after is None and claimed_s > end_s + _EARLY_S:
            self._lose(end_s)
            log.warning("%s: the file ends early (%s)", self._name, reason)
        yield None

    def _decode(
        self, stream: av.video.stream.VideoStream, packet: VideoPacket | None, run: _Pass
    ) -> list[av.video.frame.VideoFrame]:
        """What one packet gives; nothing, and one frame counted as lost, where it is damaged."""
        pts = None if packet is None else packet.pts
        if pts is not None:
            run.waiting.append(pts)
        try:
            return stream.decode(packet)
        except av.FFmpegError:
            if packet is not None:
                lost = min(run.waiting, default=run.last)
                run.waiting = [later for later in run.waiting if later != lost]
                if run.after is None or (lost is not None and lost > run.after):
                    self._lose(self._seconds(lost))
            return []

    def _timestamp(self, frame: av.video.frame.VideoFrame, run: _Pass) -> int:
        """The frame's own timestamp; where it has none, one frame after the previous one."""
        if frame.pts is not None:
            return frame.pts
        run.guessed = True
        step = 1 / ((self.info.fps or _FALLBACK_RATE) * self._time_base)
        return 0 if run.last is None else run.last + max(1, round(step))

    def _pixels(self, frame: av.video.frame.VideoFrame) -> Image:
        """(H, W, 3) uint8 RGB, upright and contiguous, owned by nobody else."""
        width, height = self._coded_wh
        self.resized += (frame.width, frame.height) != self._coded_wh
        rgb = self._reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1)
        image = np.asarray(rgb.to_ndarray(), np.uint8)
        if rgb is frame:  # the decoder may still refer to these pixels
            image = image.copy()
        return self._upright.apply(image)

    def _seconds(self, pts: int | None) -> float:
        return self.start_s if pts is None else float(pts * self._time_base)

    def _lose(self, time_s: float) -> None:
        """Count one lost frame if it lies in the window."""
        if time_s < self.start_s - _EPSILON_S or (self.end_s is not None and time_s >= self.end_s):
            return
        self.corrupt += 1
        if len(self.corrupt_at) < NAMED_LOSSES:
            self.corrupt_at.append(time_s)
