"""Video out: H.264 that browsers play, with the times and the sound of the source."""

from __future__ import annotations

import logging
import math
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import av
import av.container
import av.video.stream
from av.packet import Packet

from tposecli.sinks.destination import Destination, partial_path
from tposecli.sinks.encoding import (
    FALLBACK_RATE,
    FALLBACK_TIME_BASE,
    GIF_TICK,
    VideoOptions,
    add_video,
    container_options,
    muxer_of,
)
from tposecli.sinks.pixel_format import Conversion, Palette, Video
from tposecli.sinks.stream_copy import StreamCopier
from tposecli.types import Image, SourceInfo

__all__ = ["VideoOptions", "VideoOut", "VideoSink", "partial_path"]

log = logging.getLogger("tposecli")


class VideoOut(Protocol):
    """Takes the pictures of a video in order."""

    def write(self, image: Image, pts: int | None, time_s: float) -> None:
        """Take one (H, W, 3) uint8 RGB picture with its timestamp, if it has one, and its time in seconds."""
        ...

    def close(self, complete: bool = True) -> object:
        """End it, as complete or not."""
        ...


class VideoSink:
    """Writes frames to one video file, which appears under its own name only when it is complete.

    As a context manager it is closed as complete if the block ends without an exception, else as partial.

    Attributes:
        frames: Frames written so far; as many are in the file.
        nudged: Frames whose timestamp had to be moved because it was not later than the one before.
    """

    def __init__(self, path: Path, source: SourceInfo, options: VideoOptions | None = None) -> None:
        """Prepare the encoder; no file is made before the first frame.

        Args:
            path: Where to write; the ending chooses the container.
            source: Gives the time base of the timestamps and the nominal frame rate.
            options: Codec, quality, sound.

        Raises:
            UsageError: The ending, the codec, or both together cannot be written.
            InputError: The file with the sound cannot be opened.
        """
        self.path = path
        self._options = options or VideoOptions()
        self._muxer = muxer_of(path)
        self._source_tick = source.time_base or FALLBACK_TIME_BASE
        self._time_base = GIF_TICK if self._muxer == "gif" else self._source_tick
        self._rate = source.fps or FALLBACK_RATE
        self.frames, self.nudged = 0, 0
        self._shift, self._last = 0, -1
        self._size_wh = (0, 0)
        self._closed = False
        self._target = Destination(path)
        layout = container_options(self._muxer, self._time_base, self._target.streamed)
        self._container = av.open(self._target.address, "w", format=self._muxer, container_options=layout)
        self._stream = add_video(self._container, self._muxer, self._options, self._rate)
        self._stream.codec_context.time_base = self._time_base
        pix_fmt, scale = str(self._stream.pix_fmt), self._options.scale
        self._conversion: Conversion = Palette(scale) if pix_fmt == "pal8" else Video(pix_fmt, scale)
        self._feed: StreamCopier | None = None
        if self._options.audio_from is not None:
            self._feed = StreamCopier(self._options.audio_from, self._container, self._muxer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.close(complete=kind is None)

    def write(self, image: Image, pts: int | None, time_s: float) -> None:
        """Encode one frame.

        Args:
            image: (H, W, 3) uint8 RGB, the same size each time.
            pts: Its timestamp in the source's time base; None: ``time_s`` decides.
            time_s: Its time in seconds on the source's clock.

        Raises:
            ValueError: The size differs from the first frame's.
            OutputError: The disk is full, or the encoder fails.
        """
        exact = Fraction(time_s) if pts is None else pts * self._source_tick
        ticks = round(exact / self._time_base)
        try:
            if not self.frames:
                self._begin(image, ticks)
            frame = self._convert(image)
            frame.pts, frame.time_base = self._later(ticks - self._shift), self._time_base
            self.frames += 1
            for packet in self._stream.encode(frame):
                self._mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise self._target.failure(error) from error

    def close(self, complete: bool = True) -> Path | None:
        """Finish the file.

        Args:
            complete: Whether all frames were written; if not, what there is becomes ``partial_path(path)``.

        Returns:
            The file as it is called now; None where no frame was ever written.

        Raises:
            OutputError: The file cannot be finished; what was written is removed.
        """
        if self._closed:
            return None
        self._closed = True
        try:
            return self._finish(complete) if self.frames else None
        except (av.FFmpegError, OSError) as error:
            raise self._target.failure(error) from error
        finally:
            self._release()
            self._target.discard()

    def _finish(self, complete: bool) -> Path:
        """Write what the encoders hold and the index, then give the file its name."""
        for packet in self._stream.encode(None):
            self._mux(packet)
        if self._feed is not None:
            self._feed.advance(math.inf if complete else float(self._last * self._time_base))
            self._feed.finish()
        self._container.close()
        self._target.check()
        if self.nudged:
            log.warning("%s: %d frames had timestamps out of order and were moved", self.path, self.nudged)
        return self._target.publish(complete)

    def _release(self) -> None:
        """Close both files, whatever state they are in."""
        if self._feed is not None:
            self._feed.close()
        try:
            self._container.close()
        except av.FFmpegError:
            log.debug("%s: could not be finished", self.path)

    def _begin(self, image: Image, ticks: int) -> None:
        """Fix the size, and the time that becomes 0."""
        height, width = image.shape[:2]
        self._size_wh = width, height
        self._stream.width, self._stream.height = self._conversion.size_wh(width, height)
        self._shift = ticks if self._options.start_s > 0 or ticks < 0 else 0
        self._last = ticks - self._shift - 1
        if self._feed is not None:
            self._feed.begin(self._shift * self._time_base, self._options.end_s)

    def _convert(self, image: Image) -> av.VideoFrame:
        """The picture in the encoder's format."""
        height, width = image.shape[:2]
        if (width, height) != self._size_wh:
            raise ValueError(f"image: expected {self._size_wh} (width, height) as the first one, got {(width, height)}")
        return self._conversion.convert(image)

    def _later(self, ticks: int) -> int:
        """``ticks``, or the first tick after the previous frame where it is not later.

        A clock that jumps back by more than a second has begun anew: all that follows is moved on.
        """
        if ticks <= self._last:
            self.nudged += 1
            if (self._last - ticks) * self._time_base > 1:
                step = max(1, round(1 / (self._rate * self._time_base)))
                self._shift -= self._last + step - ticks
                ticks = self._last + step
            else:
                ticks = self._last + 1
        self._last = ticks
        return ticks

    def _mux(self, packet: Packet[av.video.stream.VideoStream]) -> None:
        """Mux one packet of the picture, and the sound up to it."""
        if not packet.duration:
            packet.duration = max(1, round(1 / (self._rate * packet.time_base)))
        if self._feed is not None and packet.dts is not None:
            self._feed.advance(float(packet.dts * packet.time_base))
        self._container.mux(packet)
        self._target.check()
