"""Video files with the timestamps, audio and subtitles of the source; by default H.264 that browsers play."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
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
from tposecli.sinks.pixel_format import FrameConverter, PaletteConverter, VideoConverter
from tposecli.sinks.stream_copy import StreamCopier
from tposecli.types import Image, SourceInfo

__all__ = ["VideoOptions", "VideoOut", "VideoSink", "partial_path"]

log = logging.getLogger("tposecli")


class VideoOut(Protocol):
    """Writer of the frames of a video, in order."""

    def write(self, image: Image, pts: int | None, time_s: float, duration_s: float | None = None) -> None:
        """Write one (H, W, 3) uint8 RGB image with its timestamp, if it has one, its time and duration in seconds."""
        ...

    def close(self, complete: bool = True) -> object:
        """Finish the video, complete or not."""
        ...


class VideoSink:
    """Writes frames to one video file, which appears under its own name only when it is complete.

    As a context manager it is closed as complete if the block ends without an exception, else as partial.

    Attributes:
        path: The output.
        frames: Number of frames written so far.
        nudged: Number of frames whose timestamp was moved because it was not later than the one before.
    """

    def __init__(self, path: Path, source: SourceInfo, options: VideoOptions | None = None, muxer: str = "") -> None:
        """Prepare the encoder; no file is created before the first frame.

        Args:
            path: The output; the extension chooses the container.
            source: Time base of the timestamps and nominal frame rate.
            options: Codec, quality, audio.
            muxer: FFmpeg's name of the container; empty for that of the extension.

        Raises:
            UsageError: The extension, the codec, or their combination is not supported.
            InputError: The file with the audio cannot be opened.
        """
        self.path = path
        self._options = options or VideoOptions()
        self._muxer = muxer or muxer_of(path)
        self._source_tick = source.time_base or FALLBACK_TIME_BASE
        self._time_base = GIF_TICK if self._muxer == "gif" else self._source_tick
        self._rate = source.fps or FALLBACK_RATE
        self.frames, self.nudged = 0, 0
        self._shift, self._last = 0, -1
        self._durations: dict[int, int] = {}
        self._delay: int | None = None
        self._end: int | None = None
        self._size_wh = (0, 0)
        self._closed = False
        self._destination = Destination(path)
        try:
            self._open()
        except BaseException:
            self._destination.discard()
            raise

    def _open(self) -> None:
        """Open the container and its encoders."""
        layout = container_options(self._muxer, self._time_base, self._destination.streamed)
        self._container = av.open(self._destination.address, "w", format=self._muxer, container_options=layout)
        self._stream = add_video(self._container, self._muxer, self._options, self._rate)
        self._stream.codec_context.time_base = self._time_base
        pix_fmt, scale = str(self._stream.pix_fmt), self._options.scale
        self._converter: FrameConverter
        self._converter = PaletteConverter(scale) if pix_fmt == "pal8" else VideoConverter(pix_fmt, scale)
        self._copier: StreamCopier | None = None
        if self._options.audio_from is not None:
            self._copier = StreamCopier(self._options.audio_from, self._container, self._muxer, self._options.stretch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.close(complete=kind is None)

    def write(self, image: Image, pts: int | None, time_s: float, duration_s: float | None = None) -> None:
        """Encode one frame.

        Args:
            image: (H, W, 3) uint8 RGB of the same size as the first.
            pts: Timestamp in the source's time base; None to use ``time_s``.
            time_s: Time in seconds of the source.
            duration_s: Seconds for which it is shown; it matters for the last frame. None for the nominal rate.

        Raises:
            ValueError: The size differs from the first frame's.
            OutputError: The disk is full, or the encoder fails.
        """
        ticks = self._ticks(pts, time_s)
        try:
            if not self.frames:
                self._begin(image, ticks)
            frame = self._convert(image)
            frame.pts, frame.time_base = self._increasing(ticks - self._shift), self._time_base
            self.frames += 1
            if duration_s is not None:
                self._durations[self._last] = max(1, round(duration_s / self._time_base))
            for packet in self._stream.encode(frame):
                self._mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise self._destination.failure(error) from error

    def close(self, complete: bool = True) -> Path | None:
        """Finish the file.

        Args:
            complete: Whether all frames were written; if not, the file becomes ``partial_path(path)``.

        Returns:
            The path of the file; None if no frame was written.

        Raises:
            OutputError: The file cannot be finished; what was written is removed.
        """
        if self._closed:
            return None
        self._closed = True
        try:
            return self._finish(complete) if self.frames else None
        except (av.FFmpegError, OSError) as error:
            raise self._destination.failure(error) from error
        finally:
            self._release()
            self._destination.discard()

    def _ticks(self, pts: int | None, time_s: float) -> int:
        """Return the time of a frame in ticks of the output."""
        exact = Fraction(time_s) if pts is None else pts * self._source_tick
        return round(exact / self._time_base)

    def _held_back(self) -> Iterable[Packet[av.video.stream.VideoStream]]:
        """Return the packets that are still to be muxed at the end."""
        return self._stream.encode(None)

    def _finish(self, complete: bool) -> Path:
        """Flush the encoders, write the index, and publish the file."""
        last = None
        for packet in self._held_back():
            if last is not None:
                self._mux(last)
            last = packet
        if last is not None:
            self._mux(last, is_last=True)
        if self._copier is not None:
            self._copier.advance(math.inf if complete else float(self._last * self._time_base))
            self._copier.finish()
        self._container.close()
        self._destination.check()
        if self.nudged:
            log.warning("%s: moved %d frames whose timestamps were out of order", self.path, self.nudged)
        return self._destination.publish(complete)

    def _release(self) -> None:
        """Close the output and the source of the audio, whatever state they are in."""
        if self._copier is not None:
            self._copier.close()
        try:
            self._container.close()
        except av.FFmpegError:
            log.debug("%s: the container could not be closed", self.path)

    def _begin(self, image: Image, ticks: int) -> None:
        """Set the size, and the time that becomes 0, from the first frame."""
        height, width = image.shape[:2]
        self._size_wh = width, height
        self._stream.width, self._stream.height = self._converter.size_wh(width, height)
        self._shift = ticks if self._options.start_s > 0 or ticks < 0 else 0
        self._last = ticks - self._shift - 1
        if self._copier is not None:
            self._copier.begin(self._shift * self._time_base / self._options.stretch, self._options.end_s)

    def _convert(self, image: Image) -> av.VideoFrame:
        """Convert an image to the encoder's pixel format."""
        height, width = image.shape[:2]
        if (width, height) != self._size_wh:
            raise ValueError(f"image: expected {self._size_wh} (width, height) as the first one, got {(width, height)}")
        return self._converter.convert(image)

    def _increasing(self, ticks: int) -> int:
        """Return ``ticks``, or the first tick after the previous frame if it is not later.

        A clock that jumps back by more than a second was reset: all following frames are shifted.
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

    def _mux(self, packet: Packet[av.video.stream.VideoStream], is_last: bool = False) -> None:
        """Mux one video packet, and the audio up to it."""
        self._set_duration(packet, is_last)
        if self._copier is not None and packet.dts is not None:
            self._copier.advance(float(packet.dts * packet.time_base))
        self._container.mux(packet)
        self._destination.check()

    def _set_duration(self, packet: Packet[av.video.stream.VideoStream], is_last: bool) -> None:
        """Set how long the frame of a packet is shown."""
        nominal = max(1, round(1 / (self._rate * packet.time_base)))
        duration = None if packet.pts is None else self._durations.pop(packet.pts, None)
        if duration is not None or not packet.duration:
            packet.duration = duration or nominal
        if packet.pts is not None and packet.dts is not None:
            if self._delay is None:
                self._delay = packet.pts - packet.dts
            if packet.pts == self._last:
                self._end = packet.pts + packet.duration
            if is_last and self._muxer in ("mp4", "mov") and self._end is not None:
                # The duration of the last packet in decoding order makes up the total, whichever frame is in it.
                packet.duration = max(1, self._end - self._delay - packet.dts)
