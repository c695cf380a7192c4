"""What users can have written: each kind is made here, read back, and held against what was put in."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.support.media import Film, colours_of, number_of, numbered, write_image
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.formats.journal.journal import JournalWriter, read_journal
from tposecli.formats.journal.records import as_line
from tposecli.formats.jsonlines import JsonLinesSink
from tposecli.pipeline.job import Outputs, RunFlags
from tposecli.pipeline.outputs import check_outputs
from tposecli.sinks.annotated import AnnotatedVideo, draw_result
from tposecli.sinks.crops import CropsSink, bounds
from tposecli.sinks.live_window import LiveWindow, check_display
from tposecli.sinks.open_video import check_video_output, open_output
from tposecli.sinks.scale import Scale
from tposecli.sinks.subtitles import caption
from tposecli.sinks.video import VideoOptions
from tposecli.sources import VideoInput, open_video
from tposecli.sources.container import open_media
from tposecli.sources.find_videos import location_of
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.errors import UsageError

SIZE = (256, 128)
TPOSE = [sys.executable, "-c", "from tposecli.cli.main import main; main()"]


def copy(source: VideoInput, path: Path, options: VideoOptions | None = None, complete: bool = True) -> None:
    """Write every frame of ``source`` to ``path``."""
    output = open_output(path, source, options or VideoOptions())
    for frame in source:
        output.write(frame.image, frame.pts, frame.time_s)
    output.close(complete)


def read(path: Path) -> tuple[list[int], list[float]]:
    """Numbers and times of the frames."""
    frames = list(open_video(path))
    return [number_of(frame.image) for frame in frames], [frame.time_s for frame in frames]


def warnings(path: Path) -> str:
    """What another program's FFmpeg has to say about a file."""
    command = ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


# ---- by extension


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("out.mp4", "h264", "aac"),
        ("out.mov", "h264", "aac"),
        ("out.mkv", "h264", "aac"),
        ("out.webm", "vp9", "opus"),
        ("out.avi", "h264", "mp3float"),
        ("out.gif", "gif", None),
    ],
)
def test_containers(tmp_path: Path, name: str, codec: str, sound: str | None) -> None:
    film = Film(size=SIZE, sound=("aac",)).write(tmp_path / "in.mp4")
    path = tmp_path / name
    copy(open_video(film), path)
    numbers, times = read(path)
    assert numbers == list(range(20)) and times == pytest.approx(np.arange(20) / 25, abs=0.001)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
        kinds = [stream.codec_context.codec.name for stream in container.streams.audio]
        assert kinds == [sound] or (sound, kinds) == (None, [])
    frame = next(iter(open_video(path)))
    assert np.abs(colours_of(frame.image) - colours_of(numbered(0, *SIZE))).max() < 12
    if shutil.which("ffmpeg"):
        assert warnings(path) == ""


def test_gif_keeps_variable_times(tmp_path: Path) -> None:
    film = Film(pts=(0, 100, 150, 400, 700), time_base=Fraction(1, 1000)).write(tmp_path / "in.mkv")
    copy(open_video(film), tmp_path / "out.gif")
    assert read(tmp_path / "out.gif") == ([0, 1, 2, 3, 4], pytest.approx([0, 0.1, 0.15, 0.4, 0.7]))


def test_avi_is_resampled_by_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film = Film(pts=(0, 40, 80, 200, 240, 250), time_base=Fraction(1, 1000)).write(tmp_path / "in.mp4")
    source = open_video(film)
    copy(source, tmp_path / "out.avi", VideoOptions(rate=Fraction(25)))
    numbers, times = read(tmp_path / "out.avi")
    assert numbers[:7] == [0, 1, 2, 2, 2, 3, 5] and times == pytest.approx(np.arange(len(times)) / 25)
    copy(source, tmp_path / "own.avi")
    assert "AVI cannot keep the times" in caplog.text


@pytest.mark.parametrize("complete", [True, False])
def test_numbered_images(tmp_path: Path, complete: bool) -> None:
    pattern = tmp_path / "frames" / "%04d.png"
    film = Film(size=SIZE).write(tmp_path / "in.mp4")
    options = VideoOptions(scale=Scale(0.5))
    check_video_output(pattern, options, overwrite=False)
    copy(open_video(film), pattern, options, complete)
    assert sorted(path.name for path in pattern.parent.iterdir()) == [f"{number:04d}.png" for number in range(20)]
    picture = cv2.imread(str(pattern.parent / "0013.png"))
    assert picture.shape == (64, 128, 3) and number_of(picture) == 13
    with pytest.raises(UsageError, match=r"0000\.png"):
        check_video_output(pattern, options, overwrite=False)
    check_video_output(pattern, options, overwrite=True)


# ---- codec, quality, size, rate


@pytest.mark.parametrize(
    ("name", "codec", "preset"),
    [
        ("out.mp4", "h264", "ultrafast"),
        ("out.mp4", "hevc", "ultrafast"),
        ("out.mp4", "av1", "12"),
        ("out.webm", "vp9", "8"),
        ("out.mkv", "ffv1", None),
        ("out.avi", "mpeg4", None),
        ("out.mov", "prores_ks", None),
    ],
)
def test_codecs(tmp_path: Path, name: str, codec: str, preset: str | None) -> None:
    film = Film(pts=range(8), size=SIZE).write(tmp_path / "in.mp4")
    options = VideoOptions(codec=codec, preset=preset)
    check_video_output(tmp_path / name, options, overwrite=False)
    copy(open_video(film), tmp_path / name, options)
    assert read(tmp_path / name)[0] == list(range(8))


def test_better_quality_makes_larger_files(tmp_path: Path, rng: np.random.Generator) -> None:
    sizes = []
    for crf in (10, 40):
        for number in range(4):
            write_image(tmp_path / f"{number}.png", rng.integers(0, 255, (96, 128, 3), np.uint8))
        copy(open_video(tmp_path / "%d.png"), tmp_path / f"{crf}.mp4", VideoOptions(crf=crf))
        sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
    assert sizes[0] > 2 * sizes[1]


@pytest.mark.parametrize(
    ("text", "size"),
    [("0.5", (128, 64)), ("2", (512, 256)), ("100x80", (100, 80)), ("100x", (100, 50)), ("x32", (64, 32))],
)
@pytest.mark.parametrize("name", ["out.mp4", "out.gif"])
def test_scale(tmp_path: Path, text: str, size: tuple[int, int], name: str) -> None:
    film = Film(pts=range(2), size=SIZE).write(tmp_path / "in.mp4")
    copy(open_video(film), tmp_path / name, VideoOptions(scale=Scale.parse(text)))
    frames = list(open_video(tmp_path / name))
    assert {frame.size_wh for frame in frames} == {size} and number_of(frames[1].image) == 1


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "big", "0x10", "99999x"])
def test_invalid_scales_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="scale"):
        Scale.parse(text)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (Fraction(50), [number // 2 for number in range(40)]),
        (Fraction(25), list(range(20))),
        (Fraction(5), [2, 7, 12, 17]),
        (Fraction(75), [number // 3 for number in range(60)]),
    ],
)
def test_rate_repeats_and_drops_by_time(tmp_path: Path, rate: Fraction, expected: list[int]) -> None:
    film = Film(size=SIZE, sound=("aac",)).write(tmp_path / "in.mp4")
    copy(open_video(film), tmp_path / "out.mp4", VideoOptions(rate=rate))
    numbers, times = read(tmp_path / "out.mp4")
    assert len(numbers) == len(expected) and np.diff(times) == pytest.approx(float(1 / rate), abs=1e-6)
    moments = np.array([numbers[place] / 25 - time for place, time in enumerate(times)])
    assert np.abs(moments).max() <= max(float(1 / rate), 0.04) / 2 + 0.021
    assert open_video(tmp_path / "out.mp4").info.fps == rate


def test_start_and_rate_together(tmp_path: Path) -> None:
    film = Film(pts=range(100), size=SIZE, sound=("aac",), sound_s=4).write(tmp_path / "in.mp4")
    copy(open_video(film, start_s=2, end_s=3), tmp_path / "out.mp4", VideoOptions(rate=Fraction(25)))
    numbers, times = read(tmp_path / "out.mp4")
    assert numbers == list(range(50, 75)) and times[0] == 0


def test_reset_clock(tmp_path: Path) -> None:
    pattern = tmp_path / "%d.png"
    write_image(tmp_path / "0.png", numbered(0))
    output = open_output(tmp_path / "out.mp4", open_video(pattern), VideoOptions(rate=Fraction(25)))
    for number, time_s in enumerate([0, 0.04, 90_000, 90_000.04, 5, 5.04]):
        output.write(numbered(number), None, time_s)
    output.close()
    assert read(tmp_path / "out.mp4")[0] == list(range(6))


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("out.wmv", VideoOptions(), "use one of .mp4"),
        ("out.mp4", VideoOptions(preset="soon"), "ultrafast"),
        ("out.mp4", VideoOptions(codec="ffv1", preset="fast"), "none"),
    ],
)
def test_refused_before_any_work(tmp_path: Path, path: str, options: VideoOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_video_output(tmp_path / path, options, overwrite=False)


def test_standard_output_takes_one_output() -> None:
    with pytest.raises(UsageError, match="only one"):
        check_outputs(Outputs(Path("-"), {"coco": Path("-")}), None, RunFlags())
    check_outputs(Outputs(Path("-")), None, RunFlags())


# ---- beside the picture


def with_subtitles(path: Path, codec: str) -> Path:
    """A film with chapters, sound and one stream of captions."""
    plain = Film(pts=range(75), size=SIZE, sound=("aac",), sound_s=3).write(path.with_name("plain.mp4"))
    srt, notes = path.with_name("captions.srt"), path.with_name("chapters.txt")
    srt.write_text(
        "1\n00:00:00,500 --> 00:00:01,000\nOne <i>thing</i>\n\n2\n00:00:02,000 --> 00:00:02,400\nTwo\nlines\n"
    )
    notes.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1500\ntitle=First\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1500\nEND=3000\ntitle=Second\n"
    )
    command = ["ffmpeg", "-v", "error", "-y", "-i", plain, "-i", srt, "-i", notes, "-map", "0", "-map", "1"]
    command += ["-map_metadata", "2", "-c", "copy", "-c:s", codec, "-metadata:s:s:0", "language=fra", path]
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL)
    return path


def captions(path: Path) -> list[tuple[float, str]]:
    """(time in seconds, text) of each caption."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        kind = stream.codec_context.codec.canonical_name
        packets = [packet for packet in container.demux(stream) if packet.size]
        texts = [(float(packet.pts * packet.time_base), caption(kind, bytes(packet))) for packet in packets]
    return [(time, text) for time, text in texts if text]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="made with the ffmpeg command")
@pytest.mark.parametrize(
    ("name", "codec", "out"),
    [
        ("in.mkv", "srt", "out.mkv"),
        ("in.mkv", "srt", "out.mp4"),
        ("in.mkv", "ass", "out.mp4"),
        ("in.mp4", "mov_text", "out.mp4"),
        ("in.mp4", "mov_text", "out.mov"),
    ],
)
def test_subtitles_and_chapters(tmp_path: Path, name: str, codec: str, out: str) -> None:
    film = with_subtitles(tmp_path / name, codec)
    copy(open_video(film), tmp_path / out)
    found = captions(tmp_path / out)
    assert [time for time, _ in found] == pytest.approx([time for time, _ in captions(film)], abs=0.002)
    plain = [text.replace("<i>", "").replace("</i>", "") for _, text in found]
    assert plain == ["One thing", "Two\nlines"]
    with av.open(str(tmp_path / out)) as container:
        assert container.streams.subtitles[0].language == "fra"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["First", "Second"]
    assert warnings(tmp_path / out) == ""
    copy(open_video(film, start_s=1.6), tmp_path / f"part_{out}")
    ((time, _),) = captions(tmp_path / f"part_{out}")
    assert time == pytest.approx(captions(film)[1][0] - 1.6, abs=0.04)
    with av.open(str(tmp_path / f"part_{out}")) as container:
        (chapter,) = container.chapters()
        assert chapter["metadata"]["title"] == "Second" and chapter["start"] == 0


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="made with the ffmpeg command")
def test_unsupported_subtitles_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film = with_subtitles(tmp_path / "in.mkv", "srt")
    copy(open_video(film), tmp_path / "out.webm")
    assert "subtitle stream 2 left out" in caplog.text
    assert read(tmp_path / "out.webm")[0] == list(range(75))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_metadata_that_is_not_utf8_is_accepted(tmp_path: Path, ending: str) -> None:
    film, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    with av.open(str(film), "w") as container:
        container.metadata["title"] = "Caf##, the film"
        chapter = {"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "Caf##"}}
        container.set_chapters([chapter])
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = SIZE
        stream.metadata["title"] = "Caf##, the picture"
        for number in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number, *SIZE), format="rgb24")))
        container.mux(stream.encode(None))
    data = film.read_bytes()
    assert data.count(b"Caf##") >= 3
    film.write_bytes(data.replace(b"Caf##", b"Caf\xe9\xff"))
    copy(open_video(film), out)
    assert read(out)[0] == list(range(5))
    with open_media(out) as container:
        assert [kept["metadata"]["title"][:3] for kept in container.chapters()] == ["Caf"]


# ---- other views


def result(track: int = 3, index: int = 12) -> Result:
    """A grey frame with one person."""
    frame = Frame(np.full((120, 160, 3), 90, np.uint8), index, index / 25, "in.mp4", index)
    middle = np.linspace([50, 30], [90, 100], 17, dtype=np.float32)[None]
    poses = Poses(Boxes([[40, 20, 100, 110]], [0.9]), middle, np.full((1, 17), 0.9), np.array([track]))
    return Result(frame, poses, Poses(poses.boxes, middle + 1, poses.score, poses.track_id))


def test_side_by_side() -> None:
    one = result()
    image = draw_result(one, SkeletonDrawer(), side_by_side=True, keep=False)
    assert image.shape == (120, 320, 3)
    assert (image[:, :160] == 90).all() and (image[:, 160:] != 90).any()


def test_side_by_side_video(tmp_path: Path) -> None:
    source = open_video(Film(pts=range(3), size=SIZE).write(tmp_path / "in.mp4"))
    sink = AnnotatedVideo(
        open_output(tmp_path / "out.mp4", source, VideoOptions()), SkeletonDrawer(), side_by_side=True
    )
    for frame in source:
        sink.write(Result(frame, Poses.empty()))
    sink.close(complete=True)
    assert open_video(tmp_path / "out.mp4").info.size_wh == (512, 128)


def test_crops(tmp_path: Path) -> None:
    sink = CropsSink(tmp_path, SkeletonDrawer())
    for track in (3, -1):
        one = result(track)
        sink.write(one)
        assert (one.frame.image == 90).all(), "the frame is left as it was"
    sink.write(Result(one.frame, Poses.empty()))
    sink.close(complete=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000012_3.jpg", "000012_p0.jpg"]
    picture = cv2.imread(str(tmp_path / "000012_3.jpg"))
    assert picture.shape == (109, 79, 3) and np.ptp(picture) > 60


def test_crops_stay_in_the_frame() -> None:
    assert bounds(np.array([-5, -5, 400, 20], np.float32), (160, 120)) == (0, 0, 160, 61)


def test_json_lines_extend_those_of_the_journal(tmp_path: Path) -> None:
    stream = io.StringIO()
    sink = JsonLinesSink(stream)
    one = result()
    sink.write(one)
    sink.close(complete=True)
    (line,) = (json.loads(text) for text in stream.getvalue().splitlines())
    assert line["people"][0]["track_id"] == 3 and len(line["people"][0]["smoothed"]) == 17
    writer = JournalWriter(tmp_path / "j", {})
    writer.write(one.frame, one.poses)
    writer.close()
    with (tmp_path / "j").open("ab") as journal:
        journal.write(as_line(line, checksum=True))
    first, second = read_journal(tmp_path / "j")
    assert np.array_equal(first.poses.xy, second.poses.xy) and first.index == second.index


class FakeDisplay:
    """Remembers what it was shown, and presses a key."""

    def __init__(self, key: int) -> None:
        self.key, self.shown = key, 0

    def imshow(self, title: str, image: Any, /) -> None:
        """Count."""
        self.shown += 1

    def waitKey(self, delay: int, /) -> int:
        """Press."""
        return self.key

    def destroyAllWindows(self) -> None:
        """Remember."""
        self.shown = -self.shown


def test_window() -> None:
    display = FakeDisplay(-1)
    window = LiveWindow(SkeletonDrawer(), display=display)
    window.write(result())
    window.close(complete=True)
    assert display.shown == -1
    with pytest.raises(KeyboardInterrupt):
        LiveWindow(SkeletonDrawer(), display=FakeDisplay(ord("q"))).write(result())


def test_window_needs_a_display() -> None:
    check_display({"DISPLAY": ":0"}, "linux")
    check_display({}, "darwin")
    with pytest.raises(UsageError, match="no display"):
        check_display({}, "linux")


# ---- in a pipe


def test_names_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [location_of(word) for word in ("-", "0", "rtsp://h/x", "a.mp4")] == ["-", "0", "rtsp://h/x", Path("a.mp4")]


def run_in_pipe(film: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``tpose video -`` with a film on its standard input."""
    command = [*TPOSE, "video", "-", "--detector", "full-frame", "-q", *arguments]
    return subprocess.run(command, input=film.read_bytes(), capture_output=True, check=False, cwd=film.parent)


@pytest.fixture(scope="module")
def streamable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with sound that can be read as it comes."""
    folder = tmp_path_factory.mktemp("pipe")
    return Film(pts=range(12), size=SIZE, sound=("aac",)).write(folder / "in.mkv")


def test_video_from_standard_input_to_standard_output(streamable: Path, tmp_path: Path) -> None:
    done = run_in_pipe(streamable, "-o", "-")
    assert done.returncode == 0 and done.stderr == b""
    path = tmp_path / "out.mp4"
    path.write_bytes(done.stdout)
    times = read(path)[1]
    assert times == pytest.approx(np.arange(12) / 25, abs=0.002)
    with av.open(str(path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(audio=0)) > 20
    assert b"moof" in done.stdout and done.stdout.index(b"moov") < done.stdout.index(b"mdat")
    assert sorted(file.name for file in streamable.parent.iterdir()) == ["in.mkv"]
    if shutil.which("ffmpeg"):
        assert warnings(path) == ""


def test_json_lines_and_a_file_at_once(streamable: Path, tmp_path: Path) -> None:
    done = run_in_pipe(streamable, "--json", "-", "-o", str(tmp_path / "out.mp4"))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(12)) and done.returncode == 0
    assert {file.name for file in tmp_path.iterdir()} == {"out.mp4", "out.mp4.poses.jsonl"}


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="closes the other end of a pipe")
@pytest.mark.parametrize("option", ["-o", "--json"])
def test_closed_pipe_is_no_traceback(streamable: Path, option: str) -> None:
    command = [*TPOSE, "video", str(streamable), "--detector", "full-frame", "-q", option, "-"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr.decode()


def trickle(listener: socket.socket, data: bytes, ended: threading.Event) -> None:
    """Send a film little by little to whoever connects, until told to end."""
    with contextlib.suppress(OSError), listener.accept()[0] as connection:
        for start in itertools.count(0, 1880):
            connection.sendall(data[start : start + 1880] or bytes([0xFF] * 188))
            if ended.wait(0.005):
                return


def test_interrupted_live_source_is_complete(tmp_path: Path) -> None:
    film = Film(pts=range(600), size=SIZE, options={"bf": "0", "g": "10"}).write(tmp_path / "in.ts")
    out, ended = tmp_path / "out.mp4", threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=trickle, args=(listener, film.read_bytes(), ended))
        thread.start()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        command = [*TPOSE, "video", address, "--detector", "full-frame", "-q", "-o", str(out)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "TPOSE_OFFLINE": "0"})
        journal, deadline = tmp_path / "out.mp4.poses.jsonl", time.monotonic() + 60
        while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 17):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        ended.set()
        thread.join()
    assert process.returncode == 130 and b"Traceback" not in error, error.decode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.ts", "out.mp4", "out.mp4.poses.jsonl"]
    numbers, _ = read(out)
    assert len(numbers) >= 8 and numbers == [number % 256 for number in range(len(numbers))]
    assert read_journal(journal).header["source_sha256"] is None


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="made with the ffmpeg command")
@pytest.mark.parametrize(
    ("name", "codec", "out"),
    [("in.mkv", "srt", "out.mkv"), ("in.mkv", "srt", "out.mp4"), ("in.mp4", "mov_text", "out.mov")],
)
@pytest.mark.parametrize(("start", "end"), [(0, 0.8), (0.8, 2.2), (2.2, None)])
def test_captions_are_cut_with_the_video(
    tmp_path: Path, name: str, codec: str, out: str, start: float, end: float | None
) -> None:
    film = with_subtitles(tmp_path / name, codec)
    copy(open_video(film, start, end), tmp_path / out)
    spans = {"One thing": (0.5, 1.0), "Two\nlines": (2.0, 2.4)}
    last = 3.0 if end is None else end
    expected = {text: max(a, start) - start for text, (a, b) in spans.items() if b > start and a < last}
    found = {re.sub("<[^>]*>", "", text): time for time, text in captions(tmp_path / out)}
    assert found == pytest.approx(expected, abs=0.03)  # AAC priming delays the whole of a Matroska by 21 ms.
    with av.open(str(tmp_path / out)) as container:
        assert container.duration / 1e6 == pytest.approx(last - start, abs=0.05)


def test_a_refused_packet_costs_only_its_stream(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = Film(sound=("aac",)).write(tmp_path / "in.mkv")
    source = open_video(path)
    out = open_output(tmp_path / "out.mp4", source, VideoOptions())
    copier = out._copier  # type: ignore[attr-defined]
    (stream,) = copier._streams.values()

    def refuse(packet: object, zero_s: Fraction) -> list[object]:
        raise av.ArgumentError(22, "Invalid argument")

    stream.convert = refuse
    with caplog.at_level(logging.WARNING, "tposecli"):
        for frame in source:
            out.write(frame.image, frame.pts, frame.time_s)
        out.close()
    assert len(list(open_video(tmp_path / "out.mp4"))) == 20
    assert "ends early" in caplog.text and len(copier.lost) == 1
