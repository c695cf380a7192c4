"""Kinds of video inputs: each one is created, read, and compared with what was written."""

from __future__ import annotations

import functools
import http.server
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.support.media import Film, colours_of, number_of, numbered, write_image
from tposecli.sources import ImageSource, VideoInput, VideoSource, Window, find_images, open_video, open_video_input
from tposecli.sources.camera import CameraSource
from tposecli.sources.filters import ToneMap
from tposecli.sources.hdr import HLG, PQ, nits_to_pq, pq_to_nits, to_sdr
from tposecli.sources.image_sequence import is_sequence, numbered_path
from tposecli.sources.locations import camera_number, open_params, output_stem, short_name
from tposecli.sources.webp import AnimationSource
from tposecli.utils.errors import InputError, UsageError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="made with the ffmpeg command")


def ffmpeg(*arguments: object) -> None:
    """Run an ``ffmpeg`` executable."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def numbers(source: VideoInput) -> list[int]:
    """Return the numbers drawn into the frames."""
    with source:
        return [number_of(frame.image) for frame in source]


def streamed(folder: Path, name: str = "film.ts", **film: Any) -> Path:
    """Write a film in a container that can be read as a stream."""
    return Film(pts=range(20), options={"bf": "2", "g": "10"}, **film).write(folder / name)


# ---- URLs


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """A request handler that records the requests and logs nothing."""

    asked: list[str] = []  # noqa: RUF012 - shared on purpose

    def log_message(self, format: str, *arguments: Any) -> None:
        """Remember instead."""
        self.asked.append(self.path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a local server for ``tmp_path``."""
    _Quiet.asked.clear()
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["film.mp4", "film.ts", "film.mkv"])
def test_http(tmp_path: Path, server: str, name: str) -> None:
    streamed(tmp_path, name, sound=("aac",))
    with open_video(f"{server}/{name}", start_s=0.2, end_s=0.6) as video:
        side = video.side_streams()
        assert side is not None
        assert [number_of(frame.image) for frame in video] == list(range(5, 15))
        sound = [stream.index for stream in side.container.streams.audio]
        assert side.take(sound) is not None
        assert [number_of(frame.image) for frame in video] == list(range(5, 15))
    assert video.info.name == f"{server}/{name}" and video.files == ()


def test_http_playlist_cannot_reach_local_files(tmp_path: Path, server: str) -> None:
    secret = streamed(tmp_path, "secret.ts")
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.8,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "good.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.8,\nsecret.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError):
        VideoSource(f"{server}/list.m3u8")
    assert numbers(VideoSource(f"{server}/good.m3u8")) == list(range(20))


def test_local_playlist_cannot_reach_the_network(tmp_path: Path, server: str) -> None:
    streamed(tmp_path)
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.8,\n{server}/film.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError):
        VideoSource(path)
    assert _Quiet.asked == []


def test_live_url(tmp_path: Path) -> None:
    data = streamed(tmp_path).read_bytes()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        source = open_video(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert source.live and source.expected is None and source.files == ()
    assert numbers(source) == list(range(20))


def test_unknown_scheme_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="rtsp"):
        VideoSource("gopher://example.org/film.mp4")


def test_file_url(tmp_path: Path) -> None:
    path = Film(pts=range(3)).write(tmp_path / "a b.mp4")
    assert numbers(open_video(path.as_uri())) == [0, 1, 2]


@pytest.mark.parametrize(
    ("medium", "name", "short"),
    [
        ("http://u:p@host/d/film.mp4?key=1", "http://host/d/film.mp4", "film"),
        ("rtsp://host:554/", "rtsp://host:554/", "video"),
        ("-", "stdin", "stdin"),
        (Path("a/film.mov"), "film.mov", "film"),
        (Path("a/%06d.png"), "%06d.png", "06d"),
        (Path("a/50% off.mp4"), "50% off.mp4", "50% off"),
        ("7", "7", "camera7"),
    ],
)
def test_names(medium: Path | str, name: str, short: str) -> None:
    assert (short_name(medium), output_stem(medium)) == (name, short)


def test_protocols_are_those_of_the_source(tmp_path: Path) -> None:
    path = Film(pts=(0,)).write(tmp_path / "film.mp4")
    assert open_params(path).options["protocol_whitelist"] == "file,crypto,data"
    for address in ("http://h/x", "https://h/x", "rtsp://h/x", "udp://h:1", "rtmp://h/x"):
        assert "file" not in open_params(address).options["protocol_whitelist"].split(",")


# ---- standard input


def read_stdin(path: Path, redirected: bool) -> str:
    """Read a film from standard input in another process; return frames, times and audio packets."""
    script = (
        "from tposecli.sources import open_video\n"
        "from tests.support.media import number_of\n"
        "with open_video('-') as v:\n"
        "    b = v.side_streams()\n"
        "    n = [number_of(f.image) for f in v]\n"
        "    s = [s.index for s in b.container.streams.audio]\n"
        "    print(n == list(range(20)), v.info.size_wh, sum(1 for _ in iter(lambda: b.take(s), None)) > 20)\n"
        "    try:\n        list(v)\n"
        "    except Exception as e:\n        print(type(e).__name__)\n"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with path.open("rb") as file:
        given: dict[str, Any] = {"stdin": file} if redirected else {"input": path.read_bytes()}
        done = subprocess.run(command, capture_output=True, text=redirected, env=environment, check=False, **given)
    output = done.stdout if redirected else done.stdout.decode()
    return output if done.returncode == 0 else f"{output}{done.stderr!r}"


@pytest.mark.parametrize(("name", "redirected"), [("film.mkv", False), ("film.mp4", True)])
def test_stdin(tmp_path: Path, name: str, redirected: bool) -> None:
    path = streamed(tmp_path, name, sound=("aac",))
    assert read_stdin(path, redirected) == "True (128, 64) True\nInputError\n"


def test_unseekable_stdin_error_suggests_faststart(tmp_path: Path) -> None:
    path = streamed(tmp_path, "film.mov", sound=("pcm_s16le",), sound_s=3.0)
    assert "faststart" in read_stdin(path, redirected=False)


# ---- image sequences


def write_numbered_images(folder: Path, count: int = 12, first: int = 7, size: tuple[int, int] = (128, 64)) -> Path:
    """Write numbered images from ``first`` on."""
    for number in range(count):
        write_image(folder / f"{first + number:06d}.png", numbered(number, *size))
    return folder / "%06d.png"


def test_numbered_images(tmp_path: Path) -> None:
    pattern = write_numbered_images(tmp_path)
    (tmp_path / "000010.png").unlink()
    (tmp_path / "7.png").write_bytes(b"another pattern's")
    source = open_video(pattern, rate=Fraction(30000, 1001))
    assert source.expected == 11 and source.info.fps == Fraction(30000, 1001)
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, *range(4, 12)]
    assert [frame.time_s for frame in frames] == pytest.approx([k * 1001 / 30000 for k in range(11)])
    assert frames[3].name == "000011.png"
    assert numbers(open_video(pattern, 0.08, 0.2)) == [2, 4, 5]
    assert len(source.files) == 11


def test_damaged_and_differently_sized_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pattern = write_numbered_images(tmp_path, 5)
    (tmp_path / "000008.png").write_bytes(b"no picture")
    write_image(tmp_path / "000009.png", numbered(2, 256, 128))
    source = open_video(pattern)
    with caplog.at_level(logging.WARNING, "tposecli"):
        frames = list(source)
    assert [(frame.index, number_of(frame.image)) for frame in frames] == [(0, 0), (2, 2), (3, 3), (4, 4)]
    assert {frame.size_wh for frame in frames} == {(128, 64)} and source.corrupt == 1
    assert "000008.png" in caplog.text and "1 frames changed size" in caplog.text


def test_pattern_without_images_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file matches"):
        open_video(tmp_path / "%04d.png")


def test_patterns_are_distinguished_from_files(tmp_path: Path) -> None:
    odd = Film(pts=(0,)).write(tmp_path / "100%d.mp4")
    assert not is_sequence(odd) and numbers(open_video(odd)) == [0]
    assert numbered_path(Path("a/f_%04d.jpg"), 12) == Path("a/f_0012.jpg")
    assert numbered_path(Path("%d.jpg"), 12) == Path("12.jpg")


def archive(folder: Path) -> Path:
    """Write a zip file with images and other files."""
    write_numbered_images(folder, 4, first=8)
    with zipfile.ZipFile(folder / "shots.zip", "w") as writer:
        for path in sorted(folder.glob("*.png")):
            writer.write(path, f"in/{int(path.stem)}.png")
        writer.writestr("in/notes.txt", "no picture")
        writer.writestr("__MACOSX/._8.png", "no picture")
        writer.writestr("../out.png", (folder / "000008.png").read_bytes())
    return folder / "shots.zip"


def test_zip_of_images(tmp_path: Path) -> None:
    path = archive(tmp_path)
    assert numbers(open_video(path)) == [0, 1, 2, 3]
    found = find_images([path])
    assert found.names == ("in/8.png", "in/9.png", "in/10.png", "in/11.png") and found.files == (path,)
    assert [number_of(frame.image) for frame in ImageSource(found)] == [0, 1, 2, 3]


def test_damaged_zip_raises(tmp_path: Path) -> None:
    path = archive(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="zip"):
        open_video(path)


# ---- animated images


def test_animated_gif_keeps_its_timestamps(tmp_path: Path) -> None:
    film = Film(
        pts=(0, 10, 30, 35, 60), time_base=Fraction(1, 100), codec="gif", pix_fmt="rgb8", options={}, format="gif"
    )
    frames = list(open_video(film.write(tmp_path / "film.gif")))
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.time_s for frame in frames] == pytest.approx(film.times_s)


@pytest.mark.skipif(cv2.__version__ < "5", reason="older OpenCV cannot decode it")
@pytest.mark.parametrize("count", [1, 5, 70])
def test_animated_webp_keeps_its_timestamps(tmp_path: Path, count: int) -> None:
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(numbered(number), cv2.COLOR_RGB2BGRA) for number in range(count)]
    durations = [40 + number % 3 * 20 for number in range(count)]
    animation.durations = durations
    path = tmp_path / "film.webp"
    assert cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, 95])
    source = open_video(path)
    assert isinstance(source, AnimationSource)
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(count)) and source.expected == count
    if count > 1:
        starts = np.cumsum([0, *durations[:-1]]) / 1000
        assert [frame.time_s for frame in frames] == pytest.approx(starts)
    assert np.abs(colours_of(frames[0].image) - colours_of(numbered(0))).max() < 12


def test_invalid_webp_raises(tmp_path: Path) -> None:
    (tmp_path / "film.webp").write_bytes(b"RIFF....WEBP")
    with pytest.raises(InputError, match="WebP"):
        open_video(tmp_path / "film.webp")


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk(tmp_path: Path, suffix: str) -> None:
    image = pytest.importorskip("PIL.Image")
    picture = image.fromarray(numbered(5)).convert("CMYK")
    path = tmp_path / f"still{suffix}"
    picture.save(path, quality=95) if suffix == ".jpg" else picture.save(path)
    frame = next(iter(ImageSource([path])))
    assert np.abs(colours_of(frame.image) - colours_of(numbered(5))).max() < 8


@pytest.mark.skipif(cv2.__version__ < "4.12", reason="older OpenCV reads no GIF")
def test_animations_are_read_as_their_first_image(tmp_path: Path) -> None:
    film = Film(pts=range(3), codec="gif", pix_fmt="rgb8", options={}, format="gif").write(tmp_path / "film.gif")
    frames = list(ImageSource(find_images([film])))
    assert [number_of(frame.image) for frame in frames] == [0]


# ---- properties of videos


def test_video_stream_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for size in ((128, 64), (64, 32)):
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "bgr0"
            streams.append(stream)
        for number in range(3):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(numbered(number, stream.width, stream.height), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    assert open_video(path, stream=0).info.size_wh == (128, 64)
    second = open_video(path, stream=1)
    assert second.info.size_wh == (64, 32) and numbers(second) == [0, 1, 2]
    with pytest.raises(UsageError, match="choose 0 to 1"):
        open_video(path, stream=2)


@pytest.mark.parametrize(("aspect", "size"), [("64/45", (182, 64)), ("2/3", (128, 96)), ("1/1", (128, 64))])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_pixels_become_square(
    tmp_path: Path, aspect: str, size: tuple[int, int], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    film = Film(pts=range(3), tags={"sample_aspect_ratio": Fraction(aspect)}).write(tmp_path / name)
    video = open_video(film)
    assert video.info.size_wh == size
    with caplog.at_level(logging.WARNING, "tposecli"):
        assert [number_of(frame.image) for frame in video] == [0, 1, 2]
    assert ("not square" in caplog.text) == (size != (128, 64))
    assert {frame.size_wh for frame in video} == {size}


@needs_ffmpeg
def test_interlaced_video_is_deinterlaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    moving = "nullsrc=s=128x96:r=50:d=1,geq=lum='255*lt(mod(X+N*3,64),32)':cb=128:cr=128"
    path = tmp_path / "film.mp4"
    flags = ("-c:v", "libx264", "-flags", "+ilme+ildct", "-qp", 5, "-bf", 2)
    ffmpeg("-f", "lavfi", "-i", moving, "-vf", "interlace=scan=tff:lowpass=off,setfield=tff", *flags, path)
    with av.open(str(path)) as container:
        raw = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        times = [packet.pts for packet in container.demux(video=0)]
    assert times is not None
    with caplog.at_level(logging.WARNING, "tposecli"):
        frames = list(open_video(path))
    assert len(frames) == len(raw) == 25 and "deinterlaced" in caplog.text
    assert [frame.time_s for frame in frames] == pytest.approx([number / 25 for number in range(25)])

    def combing(image: Any) -> float:
        lines = image[8:-8, :, 0].astype(float)
        return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())

    assert combing(raw[10]) > 5
    assert combing(frames[10].image) < combing(raw[10]) / 5


def test_tone_curve() -> None:
    nits = np.array([0, 1, 10, 100, 203, 1000, 10_000], np.float32)
    assert pq_to_nits(nits_to_pq(nits)) == pytest.approx(nits, rel=1e-3, abs=1e-3)
    grey = np.repeat(nits_to_pq(nits)[:, None], 3, axis=1)
    shown = to_sdr(grey, PQ)[:, 0]
    assert (np.diff(shown) >= 0).all() and shown[0] == 0 and shown[-1] == 1
    assert shown[3] == pytest.approx((100 / 203) ** (1 / 2.4), abs=0.01), "dark and middle tones stay as they are"
    assert 0.85 < shown[4] < 0.95, "diffuse white is near the top"
    same = to_sdr(np.full((1, 3), 0.75, np.float32), HLG)[0, 0]
    assert same == pytest.approx(shown[4], abs=0.02), "HLG's reference white is PQ's"


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_is_mapped_to_8_bit(tmp_path: Path, transfer: int, caplog: pytest.LogCaptureFixture) -> None:
    levels = np.linspace(0, 1, 8)
    luma = np.repeat(np.round(64 + 876 * levels), 16).astype(np.uint16)
    planes = np.concatenate([np.tile(luma, 64), np.full(64 * 64, 512, np.uint16)]).reshape(96, 128)
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, transfer, 1
        container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p10le")))
        container.mux(stream.encode(None))
    with caplog.at_level(logging.WARNING, "tposecli"):
        image = next(iter(frames := list(open_video(path)))).image
    assert len(frames) == 1 and "high dynamic range" in caplog.text
    expected = to_sdr(np.repeat(levels[:, None], 3, axis=1).astype(np.float32), transfer) * 255
    assert np.abs(image[30, 8::16].astype(float) - expected).max() < 3
    assert not ToneMap.needed(av.VideoFrame(16, 16, "yuv420p"))


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hevc10.mp4", ("-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le")),
        ("mpeg2.mpg", ("-c:v", "mpeg2video", "-q:v", 2)),
        ("xvid.avi", ("-c:v", "mpeg4", "-q:v", 2)),
        ("vp9.webm", ("-c:v", "libvpx-vp9", "-crf", 10, "-b:v", 0)),
        ("prores.mov", ("-c:v", "prores_ks")),
        ("alpha.mov", ("-c:v", "qtrle", "-pix_fmt", "argb")),
        ("edited.mp4", ("-c:v", "libx264", "-bf", 2, "-ss", 0.2)),
        ("flv.flv", ("-c:v", "flv1", "-q:v", 2)),
        ("wmv.wmv", ("-c:v", "wmv2", "-q:v", 2)),
        ("mjpeg.avi", ("-c:v", "mjpeg", "-q:v", 2)),
    ],
)
def test_files_of_another_tool(tmp_path: Path, name: str, arguments: tuple[object, ...]) -> None:
    write_numbered_images(tmp_path, 20, first=0, size=(256, 128))
    ffmpeg("-framerate", 25, "-i", tmp_path / "%06d.png", *arguments, tmp_path / name)
    frames = list(open_video(tmp_path / name))
    first = 5 if name.startswith("edited") else 0
    assert [number_of(frame.image) for frame in frames] == list(range(first, 20))
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx([0.04] * (19 - first), abs=0.002)
    assert np.abs(colours_of(frames[0].image) - colours_of(numbered(0, 256, 128))).max() < 25


def test_negative_first_timestamps(tmp_path: Path) -> None:
    path = tmp_path / "film.ts"
    with av.open(str(path), "w", container_options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number - 5, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = list(open_video(path))
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert frames[0].time_s == 0
    times = [frame.time_s for frame in open_video(path, clock="source")]
    assert times == pytest.approx(np.arange(-5, 5) / 25, abs=0.001)
    assert [number_of(frame.image) for frame in open_video(path, 0.2)] == list(range(5, 10))


# ---- cameras


class FakeCapture:
    """A camera that delivers numbered images."""

    def __init__(self, count: int) -> None:
        self.count, self.given, self.open = count, 0, True

    def read(self) -> tuple[bool, Any]:
        """The next picture, BGR."""
        self.given += 1
        done = self.given <= self.count
        return done, cv2.cvtColor(numbered(self.given - 1), cv2.COLOR_RGB2BGR) if done else None

    def get(self, prop: int, /) -> float:
        """The rate."""
        return 30.0 if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        """Remember."""
        self.open = False


def test_camera() -> None:
    capture = FakeCapture(10)
    ticks = iter(np.arange(100) * 0.05)
    camera = CameraSource(0, Window(0.1), lambda number: capture, lambda: float(next(ticks)))
    with camera:
        frames = list(camera)
    assert camera.live and not capture.open and camera.info.fps == 30
    assert [number_of(frame.image) for frame in frames] == list(range(1, 10))
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx([0.05] * 8)


def test_missing_camera_raises() -> None:
    with pytest.raises(InputError, match="camera 9"):
        CameraSource(9, connect=lambda number: FakeCapture(0))


def test_numbers_are_cameras_unless_they_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert camera_number("0") == 0
    Film(pts=range(2)).write(tmp_path / "film.mp4").rename(tmp_path / "0")
    assert camera_number("0") is None and camera_number(Path("1")) is None
    assert numbers(open_video_input("0")) == [0, 1]
