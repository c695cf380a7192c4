"""Everything that can be wrong with an input, and what the user is told; each message names the file and the remedy."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests import REPOSITORY
from tests.support.media import Film, damage, number_of, numbered, orient, write_image, write_tone
from tposecli.detection.boxes_file import BoxesFile
from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import load_set
from tposecli.evaluation.coco.problems import Problems
from tposecli.formats.journal.journal import JournalWriter, read_journal
from tposecli.lab.training.dataset import AnnotationFile, read_people
from tposecli.sources import ImageSource, VideoSource, find_images, open_video
from tposecli.sources.images import read_image
from tposecli.sources.webp import AnimationSource
from tposecli.types import Boxes, Frame, Poses
from tposecli.utils.errors import InputError, TposeError, UsageError

TPOSE = [sys.executable, "-c", "from tposecli.cli.main import main; main()"]


# ---- the whole command: many faults at once


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w", format="ipod") as container:
        write_tone(container, container.add_stream("aac", rate=48_000, layout="stereo"), 0.2)


def _no_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def _no_index(path: Path) -> None:
    data = Film().write(path).read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])


def _all_damaged(path: Path) -> None:
    Film(pts=range(5)).write(path)
    damage(path, range(5))


def _huge(path: Path) -> None:
    """A frame header of MJPEG that claims 65,500 x 65,500 pixels in a file of a few kilobytes."""
    Film(pts=(0, 1), codec="mjpeg", pix_fmt="yuvj420p", options={}).write(path)
    size = struct.pack(">HH", 64, 128)
    path.write_bytes(path.read_bytes().replace(size, struct.pack(">HH", 65_500, 65_500)))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.mp4": (lambda path: None, "no such file; check the name"),
    "folder.mp4": (lambda path: path.mkdir(), "a folder without videos"),
    "empty.mp4": (lambda path: path.touch(), "the file is empty; copy or download it again"),
    "text.mp4": (lambda path: path.write_text("no film at all\n" * 200), "cannot be opened as a video"),
    "cut.mp4": (lambda path: path.write_bytes(Film().write(path).read_bytes()[:3000]), "may be truncated"),
    "no_index.mp4": (_no_index, "cannot be opened as a video"),
    "sound.m4a": (_sound_only, "no video stream found (only audio); name a file that contains video"),
    "no_frames.mp4": (_no_frames, "no video stream found (no streams at all)"),
    "damaged.mp4": (_all_damaged, "no frame can be decoded"),
    "huge.mov": (_huge, "no frame can be decoded"),
    "list.m3u8": (lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nok.mp4\n"), "a playlist of other files"),
    "photo.webp": (lambda path: path.write_bytes(b"RIFF....WEBPVP8 "), "may be damaged or in another format"),
    "shots.zip": (lambda path: path.write_bytes(b"PK\3\4 and no more"), "cannot be read as a zip file"),
    "line\nbreak.mp4": (lambda path: path.touch(), "the file is empty"),
    "имя 映画.mp4": (lambda path: path.touch(), "the file is empty"),
    f"{'n' * 196}.mp4": (lambda path: path.touch(), "the file is empty"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, str], set[str]]:
    """One run over all the faults and one good film: exit status, what was said of each, files that were made."""
    folder = tmp_path_factory.mktemp("faults")
    for name, (make, _) in FAULTS.items():
        make(folder / name)
    Film(pts=range(2)).write(folder / "ok.mp4")
    out = folder / "out"
    names = [str(folder / name) for name in (*FAULTS, "ok.mp4")]
    command = [*TPOSE, "video", *names, "-o", str(out), "--model", "transpose-r18-a3", "--offline", "--log-json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert "Traceback" not in done.stderr, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    failed = [entry for event in events if event["event"] == "end" for entry in event["failed"]]
    return done.returncode, {Path(entry["input"]).name: entry["reason"] for entry in failed}, set(os.listdir(out))


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_told(told: tuple[int, dict[str, str], set[str]], name: str) -> None:
    reason = told[1][name]
    assert FAULTS[name][1] in reason
    assert name in reason or Path(name).suffix == ".webp"


def test_the_good_one_goes_on_and_the_status_says_that_some_failed(told: tuple[int, dict[str, str], set[str]]) -> None:
    status, reasons, made = told
    assert status == 1 and reasons.keys() == FAULTS.keys()
    assert made == {"ok.mp4", "ok.mp4.poses.jsonl"}


# ---- videos that are odd but can be read


def test_one_frame(tmp_path: Path) -> None:
    frames = list(VideoSource(Film(pts=(0,)).write(tmp_path / "film.mp4")))
    assert [number_of(frame.image) for frame in frames] == [0]


def test_a_thousand_frames_a_second(tmp_path: Path) -> None:
    film = Film(pts=range(30), time_base=Fraction(1, 1000), options={"bf": "0"})
    times = [frame.time_s for frame in VideoSource(film.write(tmp_path / "film.mkv"))]
    assert times == pytest.approx([n / 1000 for n in range(30)])


def _with_frame_count(path: Path, count: int) -> Path:
    """An AVI whose header claims another number of frames, in both places."""
    data = bytearray(Film(options={"bf": "0"}).write(path).read_bytes())
    header, stream = data.index(b"avih"), data.index(b"strh")
    data[header + 8 + 16 : header + 8 + 20] = struct.pack("<I", count)
    data[stream + 8 + 32 : stream + 8 + 36] = struct.pack("<I", count)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("count", [0, 3, 2**31 - 1])
def test_the_number_of_frames_in_the_header_is_not_believed(tmp_path: Path, count: int) -> None:
    video = VideoSource(_with_frame_count(tmp_path / "film.avi", count))
    assert [number_of(frame.image) for frame in video] == list(range(20))


@pytest.mark.parametrize("jump", [[0, 1, 2, 500, 501, 502], [0, 1, 1000, 1001, 1002, 1003]])
def test_timestamps_that_jump_or_repeat(tmp_path: Path, jump: list[int]) -> None:
    """Every frame comes, in the order of the file; what sinks make of the times is theirs."""
    path = tmp_path / "film.nut"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "bgr0"
        for number, pts in enumerate(jump):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in stream.encode(frame):
                packet.pts = packet.dts = pts
                packet.time_base = Fraction(1, 25)
                try:
                    container.mux_one(packet)
                except av.FFmpegError:
                    pytest.skip("this FFmpeg refuses to write such a file")
    frames = list(VideoSource(path))
    assert [number_of(frame.image) for frame in frames] == list(range(len(jump)))


def test_corrupt_packets_in_the_middle_are_counted_and_timed(tmp_path: Path) -> None:
    path = Film(options={"bf": "0", "g": "1"}).write(tmp_path / "film.mp4")
    damage(path, [7, 8, 9])
    video = VideoSource(path)
    assert [number_of(frame.image) for frame in video] == [*range(7), *range(10, 20)]
    assert video.corrupt == 3 and video.corrupt_at == pytest.approx([0.28, 0.32, 0.36])


@pytest.mark.parametrize("size", [(2, 2), (16, 2)])
def test_tiny_frames(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = list(VideoSource(Film(pts=(0, 1), size=size).write(tmp_path / "film.mp4")))
    assert [frame.size_wh for frame in frames] == [size, size]


# ---- size


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")


@contextmanager
def address_space(more: int) -> Iterator[None]:
    """Allow so many bytes beyond what is in use."""
    resource = pytest.importorskip("resource")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (2**20, 2**20)])
def test_decompression_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(*size))
    with address_space(1 << 28), pytest.raises(InputError, match=r"bomb\.png: \d+x\d+ pixels .* --max-pixels"):
        read_image(path)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".gif", ".ppm", ".jp2", ".avif"])
def test_max_pixels_holds_for_every_kind_of_picture(tmp_path: Path, ending: str) -> None:
    path = write_image(tmp_path / f"still{ending}", numbered(5))
    assert read_image(path, max_pixels=128 * 64).shape == (64, 128, 3)
    with pytest.raises(InputError, match="--max-pixels 8192"):
        read_image(path, max_pixels=128 * 64 - 1)


def test_max_pixels_holds_for_frames_of_every_source(tmp_path: Path) -> None:
    film = Film(pts=range(3)).write(tmp_path / "film.mp4")
    assert len(list(VideoSource(film, max_pixels=128 * 64))) == 3
    with pytest.raises(InputError, match="128x64 pixels"):
        VideoSource(film, max_pixels=128 * 64 - 1)
    wide = Film(pts=range(3), tags={"sample_aspect_ratio": Fraction(4)}).write(tmp_path / "wide.mkv")
    with pytest.raises(InputError, match="512x64 pixels"):
        VideoSource(wide, max_pixels=128 * 64)
    still = write_image(tmp_path / "still.webp", numbered(1))
    with pytest.raises(InputError, match="128x64 pixels"):
        AnimationSource(still, max_pixels=128 * 64 - 1)


def test_frames_that_grow_on_the_way_are_not_unpacked(tmp_path: Path) -> None:
    sizes = ((128, 64), (1024, 1024))
    parts = [Film(pts=range(4), size=size, options={"bf": "0"}).write(tmp_path / f"{size[0]}.h264") for size in sizes]
    path = tmp_path / "joined.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(InputError, match="1024x1024 pixels"):
        VideoSource(path, max_pixels=128 * 64)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_smallest_pictures(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = write_image(tmp_path / "still.png", np.full((*shape, 3), 77, np.uint8))
    assert (read_image(path) == np.full((*shape, 3), 77)).all()


@pytest.mark.slow
def test_largest_pictures(tmp_path: Path) -> None:
    path = write_image(tmp_path / "still.png", np.zeros((16_384, 16_384), np.uint8))
    assert read_image(path).shape == (16_384, 16_384, 3)


# ---- pictures


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_senseless_orientations_are_none(tmp_path: Path, orientation: int) -> None:
    path = write_image(tmp_path / "still.jpg", numbered(5))
    orient(path, orientation)
    assert number_of(read_image(path)) == 5


@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*" + b"\xff" * 40])
def test_broken_exif_does_not_matter(tmp_path: Path, block: bytes) -> None:
    path = write_image(tmp_path / "still.jpg", numbered(5))
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
    assert number_of(read_image(path)) == 5


@pytest.mark.parametrize(
    "name", ["line\nbreak.png", "tab\t.png", "quote'\".png", "-o.png", "$(touch x).png", "\u202ergb.png"]
)
def test_awkward_names(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, numbered(3))
    (frame,) = ImageSource(find_images([tmp_path]))
    assert frame.name == name and number_of(frame.image) == 3
    writer = JournalWriter(tmp_path / "o.poses.jsonl", {})
    writer.write(frame, Poses.empty())
    writer.close()
    assert [entry.name for entry in read_journal(tmp_path / "o.poses.jsonl")] == [name]


# ---- rights


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of the superuser, whom no rights of files hold back."""
    if not hasattr(os, "geteuid"):
        pytest.skip("no POSIX rights here")
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    film, still = Film(pts=(0,)).write(tmp_path / "film.mp4"), write_image(tmp_path / "still.png", numbered(1))
    boxes = tmp_path / "boxes.json"
    boxes.write_text("[]")
    for path in (film, still, boxes):
        path.chmod(0)
    with as_nobody():
        with pytest.raises(InputError, match=r"film\.mp4: .*[Pp]ermission denied"):
            open_video(film)
        with pytest.raises(InputError, match=r"still\.png: .*Permission denied"):
            read_image(still)
        with pytest.raises(InputError, match=r"boxes\.json: .*Permission denied"):
            BoxesFile(boxes)


def test_folders_that_may_not_be_entered_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    write_image(folder / "still.png", numbered(1))
    folder.chmod(0)
    try:
        with as_nobody():
            for use in (lambda: open_video(folder / "film.mp4"), lambda: find_images([folder / "still.png"])):
                with pytest.raises(InputError, match=r"closed.*Permission denied"):
                    use()
            with pytest.raises(InputError, match=r"closed.*Permission denied"):
                find_images([folder])
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("use", [open_video, lambda path: find_images([path])])
def test_names_that_are_too_long(tmp_path: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match="File name too long"):
        use(tmp_path / ("n" * 300 + ".png"))


# ---- annotations


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ("{", "not a JSON file"),
        ("[]", "expected a COCO keypoint file"),
        ('{"images": {}}', "expected a COCO keypoint file"),
        ('{"images": [], "annotations": 3}', "expected a COCO keypoint file"),
        ('{"images": [], "annotations": []}', "lists no images|nothing"),
        ('{"images": [{"id": 1}], "annotations": []}', "lists no images|nothing"),
        ('{"images": [{"id": 1e999, "file_name": "a"}], "annotations": []}', "lists no images|nothing"),
    ],
)
def test_files_of_annotations(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "set.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said) as raised:
        load_set(DataChoice(None, annotations=path, images=tmp_path), Problems())
    assert "set.json" in str(raised.value)
    try:
        assert read_people(AnnotationFile(path, tmp_path), Problems())[1] == ()
    except TposeError as error:
        assert "set.json" in str(error)


def test_annotations_that_make_no_sense_are_counted(tmp_path: Path) -> None:
    good = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 1, 2] * 17, "area": 81}
    bad = [{"bbox": [0, 0, 9]}, {"bbox": None}, {"keypoints": ["a"]}, {"area": "x"}, {"bbox": [0, 0, 10**400, 9]}]
    people = [good, *({**good, **wrong} for wrong in bad), 3, None, []]
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": people}))
    problems = Problems()
    found = load_set(DataChoice(None, annotations=path, images=tmp_path), problems)
    assert len(found.people[1]) == 1
    assert "8" in " ".join(problems.lines())


# ---- journals


def journal(folder: Path, **header: object) -> Path:
    """One of a single frame."""
    path = folder / "o.poses.jsonl"
    writer = JournalWriter(path, header)
    boxes = Boxes(np.array([[1, 2, 30, 40]], np.float32), np.ones(1, np.float32))
    frame = Frame(np.zeros((48, 64, 3), np.uint8), 0, 0.0, "in.mp4", 0)
    writer.write(frame, Poses(boxes, np.zeros((1, 17, 2)), np.zeros((1, 17))))
    writer.close()
    return path


@pytest.mark.parametrize(
    "invalid",
    [
        {"keypoint_names": 17},
        {"fps": "1/0"},
        {"time_base": "9" * 99},
        {"rate": 25},
        {"options": []},
        {"stream": "first"},
        {"window": {"a": 1}},
        {"window": {"start_s": -1}},
    ],
)
def test_invalid_headers_are_refused(tmp_path: Path, invalid: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"invalid {next(iter(invalid))}"):
        read_journal(journal(tmp_path, **invalid))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"frame":0', '"frame":-1'),
        ('"frame":0', '"frame":1e5'),
        ('"width":64', '"width":0'),
        ('"width":64', '"width":4611686018427387904'),
        ('"time_s":0.0', '"time_s":1e999'),
        ('"pts":0', '"pts":"0"'),
        ('"score":1.0', '"score":1e39'),
        ('"box":[1.0', '"box":[1e999'),
        ('"people":[', '"people":[[[' + "[" * 100_000),
    ],
)
def test_frames_that_make_no_sense(tmp_path: Path, old: str, new: str) -> None:
    path = journal(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) + text.splitlines(keepends=True)[1])
    with pytest.raises(InputError, match="line 2: damaged"):
        list(read_journal(path))


def test_addresses_and_names_on_the_command_line_do_not_crash() -> None:
    for medium in ("http://[::1", "gopher://x/y", "://", "file://", "http://"):
        with pytest.raises((InputError, UsageError)):
            open_video(medium)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless device")
@pytest.mark.parametrize(
    "words",
    [
        ["images", "{media}/stills", "--detector", "boxes:/dev/zero", "--csv", "{out}", "--model", "transpose-r18-a3"],
        ["convert", "/dev/zero", "--csv", "{out}"],
        ["convert", "/dev/zero", "--from", "coco", "--csv", "{out}"],
        ["validate", "/dev/zero"],
        ["eval", "--annotations", "/dev/zero", "--results", "/dev/zero"],
        ["images", "/dev/zero", "--csv", "{out}", "--model", "transpose-r18-a3"],
        ["video", "{media}/walk.mp4", "--weights", "/dev/zero", "--csv", "{out}"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_endless_devices_are_not_read(tmp_path: Path, media: Path, words: list[str]) -> None:
    """In a process of its own that may take 8 GB: a reader that does not end dies of it."""
    command = [word.format(media=media, out=tmp_path / "o.csv") for word in words]
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)); "
    code = f"{limit}import sys; sys.argv = ['tpose', *{command!r}]; from tposecli.cli.main import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert ran.returncode in (1, 2) and "/dev/zero" in ran.stderr and "Traceback" not in ran.stderr, ran.stderr
