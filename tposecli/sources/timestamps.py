"""When the frames of a video are shown, without decoding them."""

from __future__ import annotations

from tposecli.sources.demuxer import Demuxer
from tposecli.sources.time_window import WHOLE
from tposecli.sources.video import VideoSource


def timestamps(source: VideoSource) -> list[int]:
    """Presentation timestamp of every frame of the whole video by its index, in ticks of the source's time base.

    Packets are read, not decoded: an hour takes about a second. Where the container has no timestamps, and for a source
    that is only part of a file, frames are decoded after all.

    Raises:
        InputError: The file cannot be opened.
    """
    if source.window != WHOLE or source.live:
        return [frame.pts or 0 for frame in source]
    with Demuxer(source.path) as session:
        session.first_frame()
        lead = session.lead
    with Demuxer(source.path) as session:
        packets = [packet.pts for packet in session.packets() if not packet.is_discard]
    found = [pts - lead for pts in packets if pts is not None]
    return sorted(found) if len(found) == len(packets) else [frame.pts or 0 for frame in source]
