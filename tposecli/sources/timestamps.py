"""Presentation timestamps of a video without decoding it."""

from __future__ import annotations

from tposecli.sources.time_window import WHOLE
from tposecli.sources.video import VideoSource


def timestamps(source: VideoSource) -> list[int]:
    """Return the presentation timestamp of every frame of the whole video, in ticks of the source's time base.

    Packets are read but not decoded: an hour of video takes about a second. Frames are decoded if the container has no
    timestamps, or if the source is only a part of a file.

    Raises:
        InputError: The file cannot be opened.
    """
    if source.window != WHOLE or source.live:
        return [frame.pts or 0 for frame in source]
    with source.demuxer() as demuxer:
        packets = [packet.pts for packet in demuxer.packets() if not packet.is_discard]
    found = [pts - source.lead for pts in packets if pts is not None]
    if len(found) < len(packets):
        return [frame.pts or 0 for frame in source]
    increasing: list[int] = []
    for pts in sorted(found):
        increasing.append(pts if not increasing or pts > increasing[-1] else increasing[-1] + 1)
    return increasing
