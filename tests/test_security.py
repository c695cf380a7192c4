"""Untrusted input: no code from files, no paths out of folders, no unrequested connections."""

from __future__ import annotations

import ast
import json
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
import torch

from tests import REPOSITORY
from tests.support import server
from tests.support.media import Film, number_of, numbered, write_image
from tests.test_architecture import MODULES
from tposecli.cli.options import common as cli_options
from tposecli.detection.base import BoxFilter
from tposecli.detection.factory import DetectorOptions
from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import load_set
from tposecli.evaluation.coco.problems import Problems
from tposecli.lab.training.dataset import AnnotationFile, read_people
from tposecli.lab.training.detector.dataset import read_photos
from tposecli.sources import VideoSource, find_images, open_video
from tposecli.sources.container import VERIFIES_SEGMENTS
from tposecli.sources.locations import SCHEMES, open_params, short_name
from tposecli.utils.errors import InputError, UsageError, WeightsError
from tposecli.utils.files import safe_relative_name

# ---- code


FORBIDDEN = {
    *("os.system", "os.popen", "os.execv", "eval", "exec", "compile", "__import__", "tempfile.mktemp"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"),
    *("pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "torch.hub.load", "torch.jit.load"),
    *("ssl._create_unverified_context", "shutil.unpack_archive", "tarfile.open", "yaml.load", "joblib.load"),
}


def calls(module: str) -> Iterator[ast.Call]:
    """Return every call that a module spells out."""
    return (node for node in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(node, ast.Call))


def test_no_shell_no_code_from_files_no_tls_switched_off() -> None:
    for module in MODULES:
        for call in calls(module):
            check_call(module, call)
        source = MODULES[module].read_text()
        assert "CERT_NONE" not in source and "check_hostname" not in source, module


def check_call(module: str, call: ast.Call) -> None:
    """Check that a call is not one of the forbidden ones."""
    name = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    assert name not in FORBIDDEN and not name.endswith((".extract", ".extractall")), f"{module}: {name}"
    assert keywords.get("shell", "False") == "False" and keywords.get("verify") != "False", f"{module}: {name}"
    assert keywords.get("allow_pickle", "False") == "False", f"{module}: {name}"
    if name == "torch.load":
        assert keywords.get("weights_only") == "True", f"{module}: a checkpoint is unpickled"


class _Payload:
    """Runs code when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._file,)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A detector file that creates a file called ``proof`` when it is unpickled."""
    pytest.importorskip("ultralytics")
    torch.save({"model": _Payload(tmp_path / "proof")}, tmp_path / "hostile.pt")
    return tmp_path / "hostile.pt"


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_detector_runs_no_code_unless_it_is_trusted(
    hostile: Path, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.nn import tasks

    from tposecli.detection.yolo import YoloDetector

    monkeypatch.setattr(tasks, "SAFE_LOAD", elsewhere)  # Depends on which code imported the library first.
    with pytest.raises(WeightsError, match=r"hostile\.pt.*--trust"):
        YoloDetector(str(hostile), BoxFilter())
    assert not (hostile.parent / "proof").exists()
    with pytest.raises(WeightsError, match=r"hostile\.pt"):  # It is not a model, but it was read.
        YoloDetector(str(hostile), BoxFilter(), trust=True)
    assert (hostile.parent / "proof").exists()
    assert tasks.SAFE_LOAD is elsewhere


@pytest.mark.parametrize("name", ["net.yaml", "net.onnx", "net.torchscript", "net.engine", "net.PT", "net_saved_model"])
def test_models_that_cannot_be_read_without_running_code_need_trust(tmp_path: Path, name: str) -> None:
    pytest.importorskip("ultralytics")
    from tposecli.detection.yolo import YoloDetector

    path = tmp_path / name
    path.mkdir() if name.endswith("_model") else path.write_text("activation: __import__('os').abort()\n")
    with pytest.raises(UsageError, match="--trust"):
        YoloDetector(str(path))


def test_old_ultralytics_needs_trust(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tposecli.detection.yolo import YoloDetector

    monkeypatch.delattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    with pytest.raises(UsageError, match=r"update both, or add --trust"):
        YoloDetector(str(hostile))


def test_trust_is_off_unless_asked_for() -> None:
    assert DetectorOptions("yolo:x.pt").trust is False


# ---- folders


BAD_NAMES = (
    "../secret.jpg",
    "a/../../secret.jpg",
    "/etc/secret.jpg",
    "..\\secret.jpg",
    "C:\\secret.jpg",
    "C:s",
    "",
    "a\0",
)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_outside_their_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a file name inside"):
        safe_relative_name(name)


@pytest.mark.parametrize("name", ["a.jpg", "a/b.jpg", "..a.jpg", "a..b/c.jpg", "aa:b.jpg", "ü\n.jpg"])
def test_names_inside_their_folder_are_accepted(name: str) -> None:
    assert safe_relative_name(name) == name


def annotations(folder: Path, names: tuple[str, ...]) -> Path:
    """Return a COCO file that names these images, with one person in each."""
    pose = {"keypoints": [5, 5, 2] * 17, "num_keypoints": 17, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}
    people = [{"id": n, "image_id": n, "category_id": 1, **pose} for n in range(len(names))]
    images = [{"id": n, "file_name": name, "width": 128, "height": 64} for n, name in enumerate(names)]
    path = folder / "set.json"
    path.write_text(json.dumps({"images": images, "annotations": people}))
    return path


def test_images_outside_their_folder_are_skipped(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in (tmp_path / "secret.jpg", folder / "good.jpg"):
        write_image(path, numbered(1))
    names = ("good.jpg", "../secret.jpg", str(tmp_path / "secret.jpg"))
    path = annotations(tmp_path, names)
    found = load_set(DataChoice(None, annotations=path, images=folder), Problems())
    assert [image.name for image in found.images] == ["good.jpg"]
    assert {person.path for person in read_people(AnnotationFile(path, folder), Problems())[1]} == {folder / "good.jpg"}
    with pytest.raises(InputError, match="not a file name inside"):
        read_photos(path, folder)


def test_zip_members_outside_are_ignored(tmp_path: Path) -> None:
    picture = write_image(tmp_path / "good.jpg", numbered(1)).read_bytes()
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as writer:
        for name in ("in/good.jpg", *filter(None, BAD_NAMES)):
            writer.writestr(zipfile.ZipInfo(name), picture)
    assert set(find_images([tmp_path / "shots.zip"]).names) <= {"in/good.jpg", "a"}


# ---- playlists in the place of a video


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.8,\n{}\n#EXT-X-ENDLIST\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"


@pytest.mark.parametrize("name", ["list.m3u8", "film.mp4"])
@pytest.mark.parametrize(
    "text", [HLS.format("{}"), "ffconcat version 1.0\nfile '{}'\n", SDP], ids=["hls", "concat", "sdp"]
)
def test_playlist_files_are_refused(tmp_path: Path, name: str, text: str) -> None:
    secret = Film(pts=range(20), options={"bf": "0"}).write(tmp_path / "secret.ts")
    (tmp_path / name).write_text(text.replace("{}", secret.name))
    with pytest.raises(InputError, match=name):
        VideoSource(tmp_path / name)


def test_playlists_on_stdin_are_refused(tmp_path: Path) -> None:
    secret = Film(pts=range(20), options={"bf": "0"}).write(tmp_path / "secret.ts")
    (tmp_path / "list.m3u8").write_text(HLS.format(secret))
    script = "from tposecli.sources import open_video; open_video('-')"
    with (tmp_path / "list.m3u8").open("rb") as file:
        done = subprocess.run([sys.executable, "-c", script], stdin=file, capture_output=True, text=True)
    assert "InputError: stdin" in done.stderr


def test_protocols_are_restricted_by_scheme() -> None:
    for scheme, protocols in SCHEMES.items():
        assert not {"file", "concat", "subfile", "pipe", "fd", "unix"} & set(protocols.split(",")), scheme
    assert "http" not in SCHEMES["https"].split(",")
    assert open_params("https://h/x").options["tls_verify"] == "1" == open_params("rtsps://h/x").options["tls_verify"]


def test_certificates_of_video_servers_are_verified(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    film = Film(pts=range(4), options={"bf": "0"}).write(tmp_path / "film.ts")
    with server.running(certificate) as web:
        web.files["film.ts"] = film.read_bytes()
        with pytest.raises(InputError, match="certificate"):
            open_video(f"{web.url}/film.ts")
        assert not web.requests
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with open_video(f"{web.url}/film.ts") as video:
            assert [number_of(frame.image) for frame in video] == [0, 1, 2, 3]
        assert not caplog.text


def test_segment_certificates_are_verified_or_a_warning_is_logged(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    film = Film(pts=range(4), options={"bf": "0"}).write(tmp_path / "film.ts")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with server.running(certificate) as web, caplog.at_level(logging.WARNING, "tposecli"):
        web.files |= {"film.ts": film.read_bytes(), "list.m3u8": HLS.format("film.ts").encode()}
        if VERIFIES_SEGMENTS:
            with pytest.raises(InputError, match="certificate"):
                open_video(f"{web.url}/list.m3u8")
            assert {path for path, _ in web.requests} == {"/list.m3u8"}
        else:
            with open_video(f"{web.url}/list.m3u8") as video:
                assert len(list(video)) == 4
            assert "does not check the certificates" in caplog.text


# ---- secrets


def test_provenance_contains_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["rtsp://me:secret@host/cam?key=secret#secret", "--x=http://me:secret@host/y?secret", "-o", "me@home.mp4"]
    monkeypatch.setattr(sys, "argv", ["tpose", "video", *words])
    assert cli_options.command_line() == "tpose video rtsp://host/cam --x=http://host/y -o me@home.mp4"


@pytest.mark.parametrize("address", ["http://me:sec/ret@host/x", "http://me:se#cret@h/x", "http://[secret/x"])
def test_invalid_url_is_not_repeated(address: str) -> None:
    for use in (short_name, open_params, open_video):
        with pytest.raises(UsageError, match="not a valid URL") as raised:
            use(address)  # type: ignore[operator]
        assert "ret" not in str(raised.value) and "me" not in str(raised.value).split()[0]


def test_read_errors_contain_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tposecli.cli.watchers import QuietWatcher
    from tposecli.hub.download.options import Downloads
    from tposecli.pipeline import session
    from tposecli.pipeline.job import Outputs, VideoJob
    from tposecli.pipeline.staging import Staging

    address = "http://me:secret@host/film.mp4"

    def broken(*_: object) -> None:
        raise av.error.OSError(5, "Input/output error", address)

    context = SimpleNamespace(settings=SimpleNamespace(inference=SimpleNamespace(max_pixels=1)))
    job = VideoJob(address, Outputs(tmp_path / "o.mp4"))

    monkeypatch.setattr(session, "open_video_input", broken)
    monkeypatch.setattr("tposecli.hub.remote.inspect", lambda *_: None)
    with Staging(Downloads(offline=False)) as staging:
        summary = session._run_video(staging.of_video(job), context, QuietWatcher(), staging)  # type: ignore[arg-type]
    assert summary.failed == [("http://host/film.mp4", "Input/output error")]


# ---- no telemetry

RECORDED = """
import sys
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"):
        seen.append((event, repr(arguments)))
        raise OSError("no network here")
sys.addaudithook(watch)
from tposecli.cli.main import cli
for command in %r:
    cli(command, standalone_mode=False)
print("seen:", seen)
"""


def test_no_connection_is_opened(tmp_path: Path, media: Path) -> None:
    out = [str(tmp_path / name) for name in ("out.mp4", "out.json", "images.json")]
    model, detector = ["--model", "transpose-r18-a3", "-q"], ["--detector", "bundled"]
    commands = [
        ["video", str(media / "walk.mp4"), "-o", out[0], "--json", out[1], "--end", "0.1", *model, *detector],
        ["convert", f"{out[0]}.poses.jsonl", "--csv", f"{out[0]}.csv", "-q"],
        *(["validate", out[1]], ["models"], ["weights", "list"]),
    ]
    environment = {key: value for key, value in os.environ.items() if key != "TPOSE_OFFLINE"}
    environment |= {"TPOSE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", RECORDED % commands],
        capture_output=True,
        text=True,
        env=environment,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "seen: []"


LIBRARIES = {
    "openvino": "from tposecli.inference.backends.openvino import load_openvino as f; f().Core()",
    "openvino, after ultralytics": "import tposecli.detection.yolo as y; y.load_ultralytics(); import openvino",
    "nncf": "from tposecli.inference.backends.int8 import load_nncf as f; f()",
    "onnxruntime": "import onnxruntime, tposecli.inference.backends.onnx as o, sys; f = o.OnnxSession",
    "ultralytics": "import tposecli.detection.yolo as y; y.load_ultralytics().YOLO",
    "torchvision": "from tposecli.detection.torchvision import load_torchvision as f; f()",
    "trackers": "import trackers",
    "faster_coco_eval": "import faster_coco_eval",
    "pyarrow": "import pyarrow.parquet",
    "onnxscript": "import onnxscript",
}
"""How each library that might report home is imported here."""

WATCHED = """
import os, sys
seen = []
def watch(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.sendto", "socket.sendmsg",
                         "http.client", "urllib")):
        seen.append((event, repr(arguments)[:200]))
        raise OSError("no network here")
sys.addaudithook(watch)
%s
import threading, time
time.sleep(0.2)
assert not sys.modules.get("openvino_telemetry"), "openvino_telemetry was imported"
print("seen:", seen)
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_library_reports_home(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library.partition(",")[0])
    left_out = ("CI", "TPOSE_OFFLINE", "YOLO_OFFLINE", "DO_NOT_TRACK", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment |= {"TPOSE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED % LIBRARIES[library]],
        capture_output=True,
        text=True,
        env=environment,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "seen: []"


def test_openvino_is_imported_in_one_place() -> None:
    """Elsewhere it would be imported before its reports are switched off."""
    for module, path in MODULES.items():
        if module != "tposecli.inference.backends.openvino":
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not [name for name in names if name.split(".")[0] == "openvino"], module


def test_temporary_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files outside the output folder are created by ``tempfile``, readable only by their owner."""
    used = {ast.unparse(call.func) for module in MODULES for call in calls(module)}
    assert {name for name in used if name.startswith("tempfile.")} <= {
        "tempfile.TemporaryDirectory",
        "tempfile.NamedTemporaryFile",
        "tempfile.TemporaryFile",
        "tempfile.gettempdir",
    }
    assert not {name for name in used if name.endswith((".mktemp", ".tempnam"))}
    for module in MODULES:
        assert "/tmp" not in MODULES[module].read_text(), module


def test_zip_members_over_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SECURITY.md promises a limit; here it is one byte under the image's size."""
    from tposecli.sources import image_store

    picture = write_image(tmp_path / "good.jpg", numbered(1)).read_bytes()
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as writer:
        writer.writestr("good.jpg", picture)
    assert image_store.MAX_BYTES == 1 << 30
    with image_store.ZipReader() as reader:
        assert reader.read(tmp_path / "shots.zip" / "good.jpg").tobytes() == picture
        monkeypatch.setattr(image_store, "MAX_BYTES", len(picture) - 1)
        with pytest.raises(InputError, match=r"good\.jpg.*too many"):
            reader.read(tmp_path / "shots.zip" / "good.jpg")
