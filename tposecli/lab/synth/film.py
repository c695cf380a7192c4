"""Write frames as H.264 video with exact timestamps, sound and rotation; the same input gives the same file."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from tposecli.lab.synth.arrays import Floats
from tposecli.lab.synth.sound import RATE
from tposecli.types import Image
from tposecli.utils.files import new_file


@dataclass(frozen=True, slots=True)
class Reel:
    """How a clip is stored.

    Attributes:
        rate: Average frames per second.
        time_base: Seconds per tick of the timestamps.
        quality: x264's constant rate factor; lower is better and larger.
        rotation: Degrees counter-clockwise by which players rotate the stored pixels.
    """

    rate: Fraction
    time_base: Fraction
    quality: int = 23
    rotation: int = 0


def write_clip(path: Path, reel: Reel, frames: Iterable[tuple[int, Image]], sound: Floats | None = None) -> None:
    """Write an MP4.

    Args:
        path: The file, replaced when complete.
        reel: How to store it.
        frames: Increasing timestamps in ticks, and (H, W, 3) uint8 RGB images as stored (before rotation).
        sound: (2, S) samples in -1..1 at ``sound.RATE``; None for no audio stream.
    """
    options = {"movflags": "+faststart", "video_track_timescale": str(reel.time_base.denominator)}
    with new_file(path) as temporary, av.open(str(temporary), "w", format="mp4", options=options) as container:
        audio: Any = None
        video: Any = None
        for pts, image in frames:
            if video is None:
                video = _video(container, reel, image)
                audio = None if sound is None else container.add_stream("aac", rate=RATE, layout="stereo")
                if audio is not None:
                    audio.bit_rate = 96_000
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = pts, reel.time_base
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            _mux_sound(container, audio, sound)


def _video(container: Any, reel: Reel, image: Image) -> Any:
    stream = container.add_stream("libx264", rate=reel.rate)
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.time_base = reel.time_base
    stream.codec_context.time_base = reel.time_base
    stream.codec_context.thread_count = 1
    colour = {"colorprim": "bt709", "transfer": "bt709", "colormatrix": "bt709"}
    # x264's macroblock tree decides differently from run to run; without it the file is the same each time.
    detail = ":".join(["threads=1", "mbtree=0", "keyint=60", *(f"{name}={value}" for name, value in colour.items())])
    stream.options = {"crf": str(reel.quality), "preset": "slow", "x264-params": detail}
    if reel.rotation:
        stream.set_display_rotation(reel.rotation)
    return stream


def _mux_sound(container: Any, stream: Any, sound: Floats) -> None:
    block = 1024
    for start in range(0, sound.shape[1], block):
        part = np.ascontiguousarray(sound[:, start : start + block])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_jpeg(path: Path, image: Image, orientation: int = 1, quality: int = 88) -> None:
    """Write a JPEG; with EXIF orientation 6 it is stored on its side, and viewers rotate it upright.

    Args:
        path: The file, replaced when complete.
        image: (H, W, 3) uint8 RGB, upright.
        orientation: EXIF tag 0x0112: 1 or 6.
        quality: JPEG quality, 1..100.
    """
    stored = np.rot90(image, 1) if orientation == 6 else image
    data = bytes(cv2.imencode(".jpg", stored[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
    if orientation != 1:
        # One TIFF directory, big-endian, with the single short entry 0x0112.
        tiff = b"MM\x00*\x00\x00\x00\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
        body = b"Exif\x00\x00" + tiff
        data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    with new_file(path) as temporary:
        temporary.write_bytes(data)
