"""YOLO in a fresh process with the installed ultralytics, and what ``--detector auto`` takes."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import tposecli.detection.factory as factory
import tposecli.detection.yolo as yolo
from tests import REPOSITORY
from tests.support.media import Film
from tests.support.yolo import save_yolo
from tposecli.detection.base import BoxFilter
from tposecli.detection.factory import AUTO_SIZES, DetectorOptions, build_detector, digest_of_argument, open_detector
from tposecli.detection.full_frame import FullFrame
from tposecli.detection.yolo_openvino import OpenVinoYolo, keep_best, letterbox, to_frame
from tposecli.geometry.similarity import box_nms
from tposecli.hub.download.options import Downloads
from tposecli.inference.runtime import Runtime
from tposecli.types import Frame
from tposecli.utils.errors import WeightsError
from tposecli.utils.files import sha256_of

pytest.importorskip("ultralytics")
CPU = Runtime(torch.device("cpu"))
OFFLINE = Downloads(offline=True)


def frames(*sizes: tuple[int, int]) -> list[Frame]:
    rng = np.random.default_rng(5)
    return [
        Frame(rng.integers(0, 255, (height, width, 3), np.uint8), index)
        for index, (width, height) in enumerate(sizes or ((160, 90),) * 3)
    ]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("yolo")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TPOSE_HOME", str(folder / "home"))
        return save_yolo(folder / "random.pt")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("TPOSE_HOME", str(folder))
    return folder


# ---- the library's own predict

OWN = """
import json, sys
import numpy as np
from pathlib import Path
path, library_first = Path(sys.argv[1]), sys.argv[2] == "library"
rng = np.random.default_rng(5)
images = [rng.integers(0, 255, (height, width, 3), np.uint8) for width, height in ((320, 180), (320, 180), (90, 160))]

def own():
    from ultralytics import YOLO
    found = [YOLO(path).predict(image[..., ::-1], imgsz=160, classes=[0], verbose=False)[0].boxes for image in images]
    return [np.column_stack([boxes.xyxy.numpy(), boxes.conf.numpy()]) for boxes in found]

def ours():
    from tposecli.inference.runtime import Runtime
    from tposecli.detection.factory import DetectorOptions, build_detector
    from tposecli.types import Frame
    import torch
    detector = build_detector(DetectorOptions(f"yolo:{path}", image_size=160), Runtime(torch.device("cpu")))
    frames = [Frame(image, index) for index, image in enumerate(images)]
    def table(found):
        return [np.column_stack([boxes.xyxy, boxes.score]) for boxes in found]
    return table(detector.detect(frames)), [table(detector.detect([frame]))[0] for frame in frames]

if library_first:
    expected = own()
    batched, single = ours()
else:
    batched, single = ours()
    expected = own()
for image, wanted, *both in zip(images, expected, batched, single):
    limit = np.array([image.shape[1], image.shape[0]] * 2) - 1  # Ours end with the last pixel.
    wanted[:, :4] = np.minimum(wanted[:, :4], limit)
    wanted = wanted[(wanted[:, 2] > wanted[:, 0]) & (wanted[:, 3] > wanted[:, 1])]
    assert len(wanted), "nobody was found"
    for found in both:
        assert found.shape == wanted.shape, (found.shape, wanted.shape)
        assert abs(found - wanted).max() < 1e-2, abs(found - wanted).max()
print("equal")
"""


@pytest.mark.parametrize("first", ["ours", "library"])
def test_boxes_are_those_of_predict_in_a_fresh_process(first: str, weights: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "YOLO"))}
    environment |= {"TPOSE_HOME": str(tmp_path), "YOLO_CONFIG_DIR": str(tmp_path), "YOLO_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", OWN, str(weights), first],
        env=environment,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert done.stdout.splitlines()[-1:] == ["equal"], done.stderr


def test_the_command_detects_in_a_fresh_process(weights: Path, tmp_path: Path) -> None:
    film = Film(pts=range(2), options={"bf": "0"}).write(tmp_path / "film.mp4")
    command = [sys.executable, "-m", "tposecli.cli.main", "video", film, "--json", tmp_path / "o.json", "--offline"]
    command = [sys.executable, "-c", "from tposecli.cli.main import main; main()", *map(str, command[3:])]
    done = subprocess.run(
        [*command, "--model", "transpose-r18-a3", "--detector", f"yolo:{weights}", "--det-size", "64"],
        env=os.environ | {"TPOSE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    journal = json.loads((tmp_path / "o.json").read_text())["info"]
    assert "yolo" in json.dumps(journal)


# ---- through OpenVINO


@pytest.mark.slow
@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_the_exported_net_finds_what_predict_finds(weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = BoxFilter(0.25, 0.7)
    shown = frames((160, 90), (160, 90), (90, 160), (96, 96), (320, 180))
    expected = yolo.YoloDetector(str(weights), chosen, 160).detect(shown)
    detector = OpenVinoYolo(weights, lambda: yolo.load_net(weights), chosen, 160)
    assert sum(map(len, expected)) > 5
    for wanted, found, shown_alone in zip(expected, detector.detect(shown), shown, strict=True):
        (alone,) = detector.detect([shown_alone])
        assert len(found) == len(wanted) == len(alone)
        for boxes in (found, alone):
            np.testing.assert_allclose(boxes.xyxy, wanted.xyxy, atol=0.2)
            np.testing.assert_allclose(boxes.score, wanted.score, atol=1e-3)

    def refuse() -> None:
        raise AssertionError("exported twice")

    again = OpenVinoYolo(weights, refuse, chosen, 160)  # type: ignore[arg-type]
    assert len(again.detect(shown)[0]) == len(expected[0])
    # A published file with a known digest goes this way by itself, and ultralytics is not asked.
    monkeypatch.setitem(yolo.DIGESTS, "random.pt", sha256_of(weights))
    monkeypatch.setattr(yolo, "load_ultralytics", refuse)
    assert isinstance(build_detector(DetectorOptions(f"yolo:{weights}"), CPU), OpenVinoYolo)


def test_suppression_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 100, (400, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 60, (400, 2))], axis=1).astype(np.float32)
    scores = np.sort(rng.uniform(size=400).astype(np.float32))[::-1]
    for threshold in (0.0, 0.3, 0.7, 1.0):
        assert keep_best(boxes, threshold, 300) == list(box_nms(boxes, scores, threshold))[:300]
    assert keep_best(boxes[:0], 0.5, 300) == []


@pytest.mark.parametrize("size_wh", [(1280, 720), (720, 1280), (333, 77), (1, 500), (416, 416), (31, 32)])
@pytest.mark.parametrize("size", [416, 512, 640])
def test_letterbox_is_the_librarys(size_wh: tuple[int, int], size: int) -> None:
    with yolo.contained():
        yolo.load_ultralytics()
        from ultralytics.data.augment import LetterBox
        from ultralytics.utils.ops import scale_boxes
    image = np.random.default_rng(1).integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
    expected = LetterBox((size, size), auto=True, stride=32)(image=image)
    found = letterbox(image, size)
    assert np.array_equal(found, expected)
    boxes = np.array([[10, 20, 30, 50], [0, 0, size, size]], np.float32)
    wanted = scale_boxes(expected.shape[:2], torch.from_numpy(boxes.copy()), (size_wh[1], size_wh[0])).numpy()
    limit = [*size_wh, *size_wh]
    np.testing.assert_allclose(np.clip(to_frame(boxes, found.shape[:2], size_wh), 0, limit), wanted, atol=0.01)


# ---- what auto stands for


@pytest.fixture
def published(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The random weights, as if they were the published ones."""
    monkeypatch.setitem(yolo.DIGESTS, "yolo11n.pt", sha256_of(weights))
    return weights


def test_auto_is_the_yolo_in_the_cache(
    published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []
    shutil.copy(published, cache / "yolo11n.pt")
    monkeypatch.setattr(factory, "find_module", lambda name: None if name == "openvino" else find_spec(name))
    monkeypatch.setattr(yolo, "YoloDetector", lambda path, *_, **__: made.append(path) or FullFrame(BoxFilter()))
    monkeypatch.chdir(cache.parent)
    (cache.parent / "yolo11n.pt").write_bytes(b"not this one")
    with caplog.at_level(logging.INFO, "tposecli"):
        _, chosen = open_detector(DetectorOptions(), CPU, OFFLINE)
    assert chosen.name == "yolo:yolo11n" and chosen.image_size == AUTO_SIZES["fp32"]
    assert made == [str(cache / "yolo11n.pt")]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1 and all(word in lines[0] for word in ("YOLO11n", "AGPL-3.0", "--detector bundled"))
    (cache.parent / "yolo11n.pt").unlink()
    assert digest_of_argument(chosen.name) == sha256_of(published)
    assert open_detector(DetectorOptions(image_size=320), CPU, OFFLINE)[1].image_size == 320


@pytest.mark.parametrize("state", ["absent", "changed", "not installed", "broken"])
def test_auto_is_bundled_where_the_yolo_cannot_be_used(
    state: str, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise WeightsError("cannot be read")

    if state != "absent":
        shutil.copy(published, cache / "yolo11n.pt")
    if state == "changed":
        (cache / "yolo11n.pt").write_bytes(published.read_bytes()[:-1])
    if state == "not installed":
        monkeypatch.setattr(factory, "find_module", lambda name: None)
    monkeypatch.setattr(yolo, "YoloDetector", broken)
    monkeypatch.setattr("tposecli.detection.yolo_openvino.OpenVinoYolo", broken)
    with caplog.at_level(logging.INFO, "tposecli"):
        _, chosen = open_detector(DetectorOptions(), CPU, OFFLINE)
    assert chosen.name == "bundled" and chosen.image_size is None
    assert "detector: bundled" in caplog.text
    said = {"absent": "offline", "changed": "not the published file", "not installed": "installed", "broken": "read"}
    assert said[state] in caplog.text


def test_the_pinned_file_is_the_librarys_release() -> None:
    remote = yolo.published_weights("yolo11n")
    assert remote.url.startswith("https://github.com/ultralytics/assets/releases/download/")
    assert len(remote.sha256) == 64
