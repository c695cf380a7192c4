"""Which frame of a video each packet holds, known from the packets alone, so that decoding can begin at any of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from tposecli.sources.demuxer import VideoPacket

HIDES_FRAMES: Final = ("vp8",)
"""Codecs of which some packets hold a frame that is never shown."""

LENGTHS_AT: Final = {"h264": 4, "hevc": 21}
"""Byte of the codec's configuration (ISO 14496-15) whose lower two bits say how long the lengths of its units are."""


@dataclass(frozen=True, slots=True)
class PacketIndex:
    """The frames of a video in the order of their times; the place of a frame among them is its ``Frame.index``.

    Attributes:
        pts: (F,) timestamp of each frame in the stream's ticks, strictly increasing.
        keys: (G,) frames, 0 and increasing, that begin a group of pictures: they and all later frames can be decoded
            from their packet on.
    """

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]

    def key_of(self, frame: int) -> int:
        """Return the latest frame, at most this one, from which it can be decoded."""
        return int(self.keys[np.searchsorted(self.keys, frame, side="right") - 1])


def index_of(packets: Iterable[VideoPacket], codec: VideoCodecContext, first: int) -> PacketIndex | None:
    """Return the index of a stream; None if its packets and its frames may not be one to one.

    Packets that are damaged where no container says so, and of which no decoder makes a frame, are known in H.264 and
    HEVC only; in other codecs they count as frames.

    Args:
        packets: All packets in decoding order.
        codec: The decoder, which need not be open.
        first: Timestamp of the first frame that can be decoded.

    Raises:
        av.FFmpegError: The container is damaged.
    """
    if codec.name in HIDES_FRAMES:
        return None
    length = _bytes_of_length(codec)
    times: list[int] = []
    keys: list[int] = []
    begun = False
    for packet in packets:
        begun = begun or packet.is_keyframe
        if packet.is_discard:
            continue
        pts = packet.pts
        if not begun or pts is None or packet.is_corrupt or (length and not _is_whole(packet, length)):
            return None
        if packet.is_keyframe:
            keys.append(len(times))
        times.append(pts)
    if not times or min(times) != first:
        return None
    decoded = np.asarray(times, np.int64)
    shown = np.sort(decoded)
    if (np.diff(shown) <= 0).any():
        return None
    latest = np.maximum.accumulate(decoded)
    # Nothing that is decoded before such a frame is shown after it.
    begins = [at for at in keys if at and latest[at - 1] < decoded[at]]
    return PacketIndex(shown, np.concatenate([[0], np.searchsorted(shown, decoded[begins])]))


def _bytes_of_length(codec: VideoCodecContext) -> int:
    """Return how many bytes the length of a unit takes; 0 if the stream has none, as in MPEG-TS."""
    at, configuration = LENGTHS_AT.get(codec.name), codec.extradata or b""
    return 0 if at is None or len(configuration) <= at or configuration[0] != 1 else (configuration[at] & 3) + 1


def _is_whole(packet: VideoPacket, length: int) -> bool:
    """Return whether a packet consists of whole units, each after its length and none of them empty."""
    data = memoryview(packet)
    at, size = 0, data.nbytes
    while at + length < size:
        unit = int.from_bytes(data[at : at + length], "big")
        if not unit:
            return False
        at += length + unit
    return at == size
