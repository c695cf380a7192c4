"""Small synthetic films and images whose frames can be identified."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

BITS = 8
NTSC = Fraction(30000, 1001)
COLOURS = ((220, 40, 40), (40, 200, 60), (50, 60, 220), (240, 240, 240), (15, 15, 15), (128, 60, 200))


def numbered(number: int, width: int = 128, height: int = 64) -> Image:
    """Return (height, width, 3) RGB: ``number`` as black and white blocks above, coloured fields below."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    upper = np.repeat(np.array(bits, np.uint8) * 225 + 15, -(-width // BITS))[:width]
    lower = np.repeat(np.array(COLOURS, np.uint8), -(-width // len(COLOURS)), axis=0)[:width]
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2] = upper[None, :, None]
    image[height // 2 :] = lower[None]
    return image


def number_of(image: Image) -> int:
    """Return the number that :func:`numbered` drew."""
    height, width = image.shape[:2]
    block = -(-width // BITS)
    row = image[height // 4].mean(axis=1)
    return sum(int(row[min(bit * block + block // 2, width - 1)] > 127) << bit for bit in range(BITS))


def colours_of(image: Image) -> NDArray[np.float64]:
    """Return the (6, 3) mean colours of the fields in the lower half."""
    height, width = image.shape[:2]
    block = -(-width // len(COLOURS))
    rows = image[height * 5 // 8 : height * 7 // 8]
    fields = [rows[:, i * block + block // 4 : i * block + 3 * block // 4] for i in range(len(COLOURS))]
    return np.array([field.reshape(-1, 3).mean(axis=0) for field in fields])


@dataclass(frozen=True)
class Film:
    """A film to write.

    Attributes:
        pts: Timestamp of each frame, in ``time_base``.
        sound: Encoder of each audio track.
        turn: (degrees counter-clockwise, mirrored) for the display matrix.
        tags: Attributes of the video codec context.
    """

    pts: Sequence[int] = tuple(range(20))
    time_base: Fraction = Fraction(1, 25)
    size: tuple[int, int] = (128, 64)
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "10", "preset": "ultrafast"})
    sound: tuple[str, ...] = ()
    sound_s: float = 1.0
    turn: tuple[int, bool] = (0, False)
    tags: dict[str, Any] = field(default_factory=dict)
    format: str | None = None

    @property
    def times_s(self) -> list[float]:
        """Presentation time of each frame in seconds."""
        return [float(pts * self.time_base) for pts in self.pts]

    def write(self, path: Path) -> Path:
        """Write the file."""
        with av.open(str(path), "w", format=self.format) as container:
            rate = 1 / self.time_base if self.time_base > Fraction(1, 200) else Fraction(25)
            stream = container.add_stream(self.codec, rate=rate, options=dict(self.options))
            stream.width, stream.height, stream.pix_fmt = *self.size, self.pix_fmt
            stream.codec_context.time_base = self.time_base
            for name, value in self.tags.items():
                setattr(stream.codec_context, name, value)
            if self.turn != (0, False):
                stream.set_display_rotation(self.turn[0], hflip=self.turn[1])
            sounds = [container.add_stream(codec, rate=48_000, layout="stereo") for codec in self.sound]
            for number, pts in enumerate(self.pts):
                frame = av.VideoFrame.from_ndarray(numbered(number, *self.size), format="rgb24")
                frame.pts, frame.time_base = pts, self.time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            for sound in sounds:
                write_tone(container, sound, self.sound_s)
        return path


def write_tone(container: Any, stream: Any, seconds: float) -> None:
    """Encode a tone with some noise, so that packets differ."""
    rate = 48_000
    noise = np.random.default_rng(0).normal(0, 0.02, int(seconds * rate))
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(len(noise)) / rate) + noise
    samples = np.repeat(tone, 2)[None].astype(np.float32)
    for start in range(0, len(noise), 1024):
        piece = np.ascontiguousarray(samples[:, start * 2 : (start + 1024) * 2])
        frame = av.AudioFrame.from_ndarray(piece, format="flt", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def sound_packets(path: Path, track: int = 0) -> list[tuple[float, bytes]]:
    """Return (time in seconds, bytes) of each packet of an audio track."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.dts is not None]


def video_packets(path: Path) -> list[tuple[int, int]]:
    """Return (position in the file, size) of each video packet, in decoding order."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def damage(path: Path, packets: Sequence[int]) -> None:
    """Overwrite whole video packets with zeros."""
    data = bytearray(path.read_bytes())
    places = video_packets(path)
    for packet in packets:
        position, size = places[packet]
        data[position : position + size] = bytes(size)
    path.write_bytes(data)


def cut(path: Path, packets: int) -> None:
    """Truncate the file in the middle of a video packet."""
    position, size = video_packets(path)[packets]
    path.write_bytes(path.read_bytes()[: position + size // 2])


def faststart(path: Path) -> Path:
    """Move the index of an MP4 to the front."""
    moved = path.with_name("front_" + path.name)
    options = {"movflags": "+faststart"}
    with av.open(str(path)) as source, av.open(str(moved), "w", container_options=options) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return moved


def write_image(path: Path, image: NDArray[Any]) -> Path:
    """Encode an image by its suffix; RGB, grey or RGBA of 8 or 16 bits; works with any file name."""
    channels = image.shape[2] if image.ndim == 3 else 1
    swap = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[channels]
    done, data = cv2.imencode(path.suffix, image if swap is None else cv2.cvtColor(image, swap))
    if not done:
        raise ValueError(path)
    path.write_bytes(data.tobytes())
    return path


def orient(path: Path, orientation: int) -> None:
    """Add an EXIF block that contains only an orientation (1 to 8) to a JPEG."""
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    block = b"Exif\0\0" + tiff
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
