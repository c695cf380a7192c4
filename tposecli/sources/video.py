"""Videos as upright RGB frames with their true times, however damaged the file is."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import av.video.frame
import av.video.stream

from tposecli.sources.container import UNDECODABLE, as_fraction, claimed_end_s, duration_s, origin_s
from tposecli.sources.demuxer import Demuxer, FileSideStreams, SideStreams, VideoPacket
from tposecli.sources.filters import Deinterlacer, Timed
from tposecli.sources.limits import MAX_PIXELS, check_pixels
from tposecli.sources.locations import InputLocation, is_live, is_once, is_stdin, label, local_path
from tposecli.sources.pixels import Pixels, square_wh
from tposecli.sources.time_window import WHOLE, Window
from tposecli.types import Frame, SourceInfo
from tposecli.utils.errors import InputError

log = logging.getLogger("tposecli")

MAX_NAMED_LOSSES = 100
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
    """A video as frames; each iteration opens it anew and closes it when it ends, however it ends.

    What can be read but once (standard input, an address) is opened once, for looking at its beginning and for the
    first iteration. Frames are decoded from the beginning even when they are not wanted, so that ``Frame.index`` is the
    true count of decoded frames; unwanted ones are never converted to RGB. A damaged packet costs its frame, which is
    counted; a file that is cut off gives the frames it has. Interlaced frames are made whole, high dynamic range is
    mapped to 8 bit, pixels that are not square are stretched until they are.

    Attributes:
        info: Size and rotation are those of the first frame that can be decoded.
        start_s: Beginning of the window on the source's own clock, as in ``Frame.time_s``.
        end_s: End of the window on the same clock, None without one.
        expected: Estimate of how many frames the window gives; None where the file does not say.
        live: It goes on for ever: to be ended by whoever reads it.
        corrupt: Frames (or packets) lost inside the window in the latest iteration.
        corrupt_at: Times of the first ``MAX_NAMED_LOSSES`` of them, in seconds; if frames are stored out of order, they
            may be a few frames off.
        resized: Frames that had another size than the first and were scaled to it.
    """

    def __init__(
        self, path: InputLocation, window: Window = WHOLE, stream: int | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        """Look at the beginning of the video.

        Args:
            path: A file, an address, or ``-`` for standard input.
            window: Which part of it.
            stream: Which of several video streams, from 0; None: the one that players choose.
            max_pixels: Of a frame; larger ones are refused.

        Raises:
            InputError: The file is missing, a folder, empty, no video, one of larger frames, or not one frame of it can
                be decoded.
            UsageError: The address is of an unknown kind, or there are not so many streams.
        """
        self.path, self.window = path, window
        self.corrupt, self.resized = 0, 0
        self.corrupt_at: list[float] = []
        self._name, self._wanted, self._max_pixels = label(path), stream, max_pixels
        session = Demuxer(path, stream, "SLICE" if is_live(path) else "AUTO", max_pixels)
        try:
            self._look(session)
        except BaseException:
            session.close()
            raise
        self._kept: Demuxer | None = session if is_once(path) else None
        self._used = self._reading = False
        if self._kept is None:
            session.close()

    def _look(self, session: Demuxer) -> None:
        """What the beginning tells."""
        container, stream = session.container, session.stream
        first = session.first_frame()
        self._lead = session.lead
        self._pixels = Pixels(first, square_wh(first, as_fraction(stream.sample_aspect_ratio)))
        check_pixels(self._name, self._pixels.size_wh, self._max_pixels)
        self._time_base = as_fraction(stream.time_base) or Fraction(1, 90_000)
        rate = as_fraction(stream.average_rate) or as_fraction(stream.guessed_rate) or as_fraction(stream.base_rate)
        self.info = SourceInfo(
            name=self._name,
            size_wh=self._pixels.size_wh,
            fps=rate,
            time_base=self._time_base,
            frames=stream.frames or None,
            rotation=self._pixels.upright.rotation,
        )
        length_s = duration_s(container, stream)
        origin = origin_s(container)
        self.start_s = origin + self.window.start_s
        self.end_s = None if self.window.end_s is None else origin + self.window.end_s
        self.expected = self.window.expected(self.info.frames, self.info.fps, length_s)
        self.live = is_live(self.path) or (is_once(self.path) and not length_s)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read, for fingerprints."""
        return () if is_once(self.path) else (local_path(self.path),)

    def beside(self) -> SideStreams:
        """Sound and subtitles, for an output that carries them over; ask before iterating.

        Raises:
            InputError: The file cannot be opened again.
        """
        return FileSideStreams(self.path) if self._kept is None else self._kept.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close what is read once, unless a thread hangs in it; an iteration closes what else is open."""
        if self._kept is not None and not self._reading:
            self._kept.close()

    def __iter__(self) -> Iterator[Frame]:
        self.corrupt, self.resized, self.corrupt_at = 0, 0, []
        wanted = 0
        deinterlacer = Deinterlacer(self._time_base)
        with closing(self._whole_frames(deinterlacer)) as frames:
            for index, (frame, pts) in enumerate(frames):
                time_s = float(pts * self._time_base)
                if self.end_s is not None and time_s >= self.end_s - _EPSILON_S:
                    break
                if frame.is_corrupt:
                    self._lose(time_s)
                elif time_s >= self.start_s - _EPSILON_S:
                    if wanted % self.window.stride == 0:
                        self.resized += not self._pixels.fits(frame)
                        try:
                            image = self._pixels.of(frame)
                        except av.FFmpegError:  # a damaged file may claim a form that has no colours
                            self._lose(time_s)
                            continue
                        yield Frame(image, index, time_s, self._name, pts)
                    wanted += 1
        self._tell(deinterlacer)

    def _tell(self, deinterlacer: Deinterlacer) -> None:
        """Say what was done to the pixels."""
        done = {
            f"{self.resized} frames changed size and were scaled to the first one's": self.resized,
            "interlaced, deinterlaced": deinterlacer.used,
            "pixels were not square, stretched to {}x{}".format(*self._pixels.size_wh): self._pixels.stretched,
            "high dynamic range, mapped to 8 bit": self._pixels.mapped,
        }
        for what, happened in done.items():
            if happened:
                log.warning("%s: %s", self._name, what)

    def _whole_frames(self, deinterlacer: Deinterlacer) -> Generator[Timed, None, None]:
        """Every frame with its timestamp, fields woven apart."""
        with closing(self._all_frames()) as frames:
            for frame, pts in frames:
                yield from deinterlacer.push(frame, pts)
            yield from deinterlacer.flush()

    def _all_frames(self) -> Generator[Timed, None, None]:
        """Every frame of the file with its timestamp.

        PyAV drops the frames behind a damaged one when it empties a decoder with several threads; those at the very end
        are then read again without threads.
        """
        first = _Pass()
        yield from self._read(first)
        if first.waiting and not first.guessed and not is_once(self.path):
            yield from self._read(_Pass("SLICE", after=first.last))

    @contextmanager
    def _session(self, threads: str) -> Iterator[Demuxer]:
        """The session that looked at the beginning, the first time, if it was kept; else a new one."""
        if self._kept is not None and not self._used:
            self._used = self._reading = True
            try:
                yield self._kept
            finally:
                self._reading = False
            return
        if is_stdin(self.path):
            raise InputError("standard input can be read only once; write it to a file first")
        with Demuxer(self.path, self._wanted, threads, self._max_pixels) as session:
            yield session

    def _read(self, run: _Pass) -> Generator[Timed, None, None]:
        """Decode the file once, packet by packet."""
        with self._session(run.threads) as session:
            if run.after is not None:
                with suppress(av.FFmpegError):  # Damaged files may not be seekable: they are read from their start.
                    session.container.seek(run.after + self._lead, stream=session.stream)
            for packet in self._packets(session, run):
                for frame in self._decode(session.stream, packet, run):
                    pts = self._timestamp(frame, run)
                    run.waiting = [later for later in run.waiting if later > pts]
                    if run.after is None or pts > run.after:
                        run.last = pts
                        yield frame, pts

    def _packets(self, session: Demuxer, run: _Pass) -> Iterator[VideoPacket | None]:
        """The packets of the stream, then None to empty the decoder; a demuxer that fails has come to its end."""
        end_s, reason = 0.0, "cut off"
        claimed_s = claimed_end_s(session.container, session.stream)
        try:
            for packet in session.packets():
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
        if packet is not None and packet.pts is not None:
            run.waiting.append(packet.pts - self._lead)
        try:
            return stream.decode(packet)
        except UNDECODABLE:
            if packet is not None:
                lost = min(run.waiting, default=run.last)
                run.waiting = [later for later in run.waiting if later != lost]
                if run.after is None or (lost is not None and lost > run.after):
                    self._lose(self._seconds(lost))
            return []

    def _timestamp(self, frame: av.video.frame.VideoFrame, run: _Pass) -> int:
        """The frame's own timestamp; where it has none, one frame after the previous one."""
        if frame.pts is not None:
            return frame.pts - self._lead
        run.guessed = True
        step = 1 / ((self.info.fps or _FALLBACK_RATE) * self._time_base)
        return 0 if run.last is None else run.last + max(1, round(step))

    def _seconds(self, pts: int | None) -> float:
        return self.start_s if pts is None else float(pts * self._time_base)

    def _lose(self, time_s: float) -> None:
        """Count one lost frame if it lies in the window."""
        if time_s < self.start_s - _EPSILON_S or (self.end_s is not None and time_s >= self.end_s):
            return
        self.corrupt += 1
        if len(self.corrupt_at) < MAX_NAMED_LOSSES:
            self.corrupt_at.append(time_s)
