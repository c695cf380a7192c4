"""Videos that several processes encode in parts, which are joined by copying their packets.

A part is a NUT file, which keeps packets as the encoder made them, and a file beside it that says which frame each
packet holds. The joined video gets its times as one that is encoded at once does, from the same code; every part begins
with a key frame of its own.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import av
import av.video.stream
import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

from tposecli.sinks.encoding import VideoOptions, encoder_of, muxer_of
from tposecli.sinks.video import VideoOut, VideoSink
from tposecli.types import Image, Result, SourceInfo
from tposecli.utils.errors import OutputError
from tposecli.utils.files import new_file

VideoPacket: TypeAlias = "Packet[av.video.stream.VideoStream]"

DIVISIBLE_MUXERS: Final = ("mp4", "mov", "matroska", "webm")
DIVISIBLE_ENCODERS: Final = ("libx264", "libx265", "libvpx-vp9", "libsvtav1")
"""Of these a test holds that parts, joined, play as one video."""

SUFFIX: Final = ".nut"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What is known of a part besides its packets.

    Attributes:
        path: Its file.
        size_wh: Size of the encoded frames.
        lead: Frames by which decoding goes ahead of showing.
        packets: (P, 2): of each packet, the frame that it holds, counted from the beginning of the part, and for how
            many ticks that is shown.
    """

    path: Path
    size_wh: tuple[int, int]
    lead: int
    packets: NDArray[np.int64]


def _facts_path(path: Path) -> Path:
    return path.with_suffix(".json")


def is_whole(path: Path) -> bool:
    """Return whether a part was written to its end."""
    return path.is_file() and _facts_path(path).is_file()


def read_part(path: Path) -> Part:
    """Return what is known of a part.

    Raises:
        OutputError: It is missing or damaged.
    """
    try:
        found = json.loads(_facts_path(path).read_bytes())
        width, height = found["size_wh"]
        return Part(path, (width, height), found["lead"], np.array(found["packets"], np.int64).reshape(-1, 2))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error


def fit_together(paths: Sequence[Path]) -> bool:
    """Return whether parts can be played with one configuration of the decoder.

    Raises:
        OutputError: One is missing or damaged.
    """
    parts = [read_part(path) for path in paths]
    return len({(part.size_wh, part.lead, _configuration(part.path)) for part in parts}) == 1


def _configuration(path: Path) -> tuple[str, bytes]:
    try:
        with av.open(f"file:{path}") as container:
            codec = container.streams.video[0].codec_context
            return codec.name, codec.extradata or b""
    except (av.FFmpegError, IndexError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path}: a damaged part of the video; remove it, and run the command again with --resume")


class PartSink(VideoSink):
    """Writes a part of a video; one that is not written to its end leaves no file."""

    def __init__(self, path: Path, source: SourceInfo, options: VideoOptions, whole: Path) -> None:
        """Prepare the encoder.

        Args:
            path: The part.
            source: As for the whole.
            options: As for the whole.
            whole: The name of the whole, which chooses the encoder.

        Raises:
            UsageError: The extension or the codec is not supported.
        """
        codec = encoder_of(muxer_of(whole), options)
        super().__init__(path, source, replace(options, codec=codec, audio_from=None), "nut")
        self._packets: list[tuple[int, int, int]] = []

    def _set_duration(self, packet: VideoPacket, is_last: bool) -> None:
        super()._set_duration(packet, is_last)
        pts = packet.pts or 0
        self._packets.append((pts, pts if packet.dts is None else packet.dts, packet.duration or 1))

    def _finish(self, complete: bool) -> Path:
        """Publish the part, and then what makes it a whole one."""
        if not complete:
            return self.path
        path = super()._finish(complete)
        shown = sorted(pts for pts, _, _ in self._packets)
        pts, dts, _ = self._packets[0]
        facts = {
            "size_wh": [self._stream.width, self._stream.height],
            "lead": bisect_left(shown, shown[0] + pts - dts),
            "packets": [(bisect_left(shown, pts), duration) for pts, _, duration in self._packets],
        }
        with new_file(_facts_path(path), True) as temporary:
            temporary.write_text(json.dumps(facts))
        return path


class SplicedVideo(VideoSink):
    """Writes a video of which all frames are encoded already: it is given their times, and copies their packets.

    One that is not written to its end leaves no file, since the parts are still there.
    """

    def __init__(self, path: Path, source: SourceInfo, options: VideoOptions, parts: Sequence[Path]) -> None:
        """Open the output; for the arguments see :class:`VideoSink`.

        Raises:
            OutputError: A part is damaged.
        """
        self._parts = [read_part(part) for part in parts]
        self._waiting = iter(self._parts)
        self._part = next(self._waiting)
        self._first = 0
        self._times: list[int] = []
        super().__init__(path, source, options)

    def write(self, image: Image, pts: int | None, time_s: float, duration_s: float | None = None) -> None:
        """Take the time of the next frame; pixels and duration are those of its part."""
        del duration_s
        ticks = self._ticks(pts, time_s)
        try:
            if not self.frames:
                self._begin(image, ticks)
                self._stream.width, self._stream.height = self._part.size_wh
            if self.frames - self._first == len(self._part.packets):
                for packet in self._copied():
                    self._mux(packet)
                self._first, self._part = self.frames, next(self._waiting, self._part)
            self._times.append(self._increasing(ticks - self._shift))
            self.frames += 1
        except (av.FFmpegError, OSError) as error:
            raise self._destination.failure(error) from error

    def _finish(self, complete: bool) -> Path:
        return super()._finish(complete) if complete else self.path

    def _held_back(self) -> Iterator[VideoPacket]:
        """Return the packets of the last part."""
        if self.frames != sum(len(part.packets) for part in self._parts):
            raise _damaged(self._part.path)
        return self._copied()

    def _copied(self) -> Iterator[VideoPacket]:
        """Yield the packets of the part whose frames were all taken, with their times in the whole."""
        with av.open(f"file:{self._part.path}") as container:
            given: Iterator[Any] = (packet for packet in container.demux(video=0) if packet.size)
            count = 0
            for packet, (frame, duration) in zip(given, self._part.packets.tolist(), strict=False):
                packet.stream, packet.time_base = self._stream, self._time_base
                packet.pts = self._times[self._first + frame]
                packet.dts, packet.duration = self._decoded_at(self._first + count), duration
                count += 1
                yield packet
        if count < len(self._part.packets):
            raise _damaged(self._part.path)

    def _decoded_at(self, packet: int) -> int:
        """Return when a packet is decoded: when the frame is shown that is ``lead`` frames earlier.

        The first ones have none before them; they are as much earlier than a frame as the first packet.
        """
        times, lead = self._times, min(self._part.lead, len(self._times) - 1)
        return times[packet - lead] if packet >= lead else times[packet] - (times[lead] - times[0])


class DrawnVideo:
    """The sink of an annotated video that is drawn already."""

    def __init__(self, video: VideoOut) -> None:
        self.video = video

    def write(self, result: Result) -> None:
        """Pass on the time of a frame."""
        frame = result.frame
        self.video.write(frame.image, frame.pts, frame.time_s, frame.duration_s)

    def close(self, complete: bool) -> None:
        """Publish the video if it is complete."""
        self.video.close(complete)
