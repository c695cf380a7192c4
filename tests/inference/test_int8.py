"""int8 nets: what they are made from, when they are refused, and that they find what the plain net finds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.inference.test_estimator import boxes, frames
from tposecli.detection.examples import own_examples
from tposecli.formats.journal.provenance import describe_model, header_differences
from tposecli.hub.download.options import Downloads
from tposecli.inference.backends import int8 as int8_module
from tposecli.inference.backends.examples import Examples, rendered_examples
from tposecli.inference.backends.export_job import ExportJob, ExportOptions, run_export
from tposecli.inference.backends.factory import ExportCache
from tposecli.inference.backends.int8 import COUNT, check_given, notes_of, write_int8
from tposecli.inference.backends.openvino import save_openvino
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.options import ModelChoice
from tposecli.inference.runtime import Runtime, _check_int8, runtime_for
from tposecli.utils.errors import InputError, OutputError, UsageError, WeightsError

BUNDLED = "transpose-r18-a3"
FEW = 4


@pytest.fixture(scope="module")
def few() -> Examples:
    """Return a few rendered people, since quantising with all of them takes a minute."""
    rendered = rendered_examples()
    pictures = [picture for picture, _ in zip(rendered.pictures(), range(FEW), strict=False)]
    return Examples(rendered.name, rendered.sha256, lambda: pictures)


def test_the_rendered_people_are_enough_and_inside_their_images() -> None:
    count = 0
    for image, xyxy in rendered_examples().pictures():
        assert image.ndim == 3 and (xyxy[:, :2] >= 0).all() and (xyxy[:, 2:] <= [image.shape[1], image.shape[0]]).all()
        count += len(xyxy)
    assert count >= COUNT
    assert rendered_examples().crops((64, 48), 7).shape == (7, 64, 48, 3)


def test_own_people_come_first(media: Path) -> None:
    found = own_examples(media / "stills" / "still_01.jpg")
    assert len(found.sha256) == 64 and found.name == "still_01.jpg"
    crops = found.crops((256, 192), 1)
    both = found.and_then(rendered_examples())
    assert np.array_equal(both.crops((256, 192), 1), crops)
    assert both.sha256.split("+") == [found.sha256, rendered_examples().sha256]


def test_nobody_in_the_images_is_an_error(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64, 3), 128, np.uint8))
    with pytest.raises(InputError, match="no people"):
        own_examples(tmp_path)


def test_int8_is_openvino_on_a_cpu() -> None:
    assert Runtime.resolve("cpu", "int8").backend == "openvino"
    for backend in ("torch", "onnx", "compile"):
        with pytest.raises(UsageError, match="--backend openvino"):
            Runtime.resolve("cpu", "int8", backend=backend)
    with pytest.raises(UsageError, match="for CPUs"):
        _check_int8("auto", torch.device("cuda"))


def test_an_int8_model_needs_no_precision_and_allows_no_other(tmp_path: Path) -> None:
    choice = ModelChoice(device="cpu", int8_model=tmp_path / "net.xml")
    assert runtime_for(choice, exact=True).precision == "int8"
    with pytest.raises(UsageError, match="--int8-model"):
        runtime_for(replace(choice, precision="bf16"), exact=False)


def test_without_nncf_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_module, "find_module", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'tposecli\[int8\]'"):
        PoseEstimator(BUNDLED, runtime=Runtime.resolve("cpu", "int8"))


def test_auto_never_is_int8() -> None:
    assert Runtime.resolve("cpu").precision in ("fp32", "bf16")


@pytest.mark.parametrize(
    "job", [ExportJob("onnx", None, int8=True), ExportJob("openvino", None, options=ExportOptions(batch=2), int8=True)]
)
def test_what_cannot_be_quantised_is_refused(job: ExportJob) -> None:
    with pytest.raises(UsageError):
        run_export(job, Downloads(offline=True))


class Tiny(nn.Module):
    """Two convolutions, of which the second is kept."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.ModuleDict({"first": nn.Conv2d(3, 8, 3), "last": nn.Conv2d(8, 2, 1)})

    def forward(self, images: Tensor) -> tuple[Tensor]:
        hidden = self.net["first"](images.permute(0, 3, 1, 2).float() / 255).relu()
        return (self.net["last"](hidden),)


def write_tiny(path: Path) -> float:
    net = Tiny().eval()

    def write_plain(plain: Path) -> None:
        save_openvino(net, torch.zeros(2, 16, 16, 3, dtype=torch.uint8), plain, (-1, 16, 16, 3), ("images", ["out"]))

    images = np.random.default_rng(0).integers(0, 256, (18, 16, 16, 3), dtype=np.uint8)
    return write_int8(net, path, images, ["last"], {"model": "tiny", "attention": "no"}, write_plain)


def test_what_is_kept_is_not_quantised_and_the_file_names_its_origin(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    path = tmp_path / "tiny.xml"
    assert 0 < write_tiny(path) < int8_module.TOLERANCE
    assert {file.name for file in tmp_path.iterdir()} == {"tiny.xml", "tiny.bin"}
    kernels = re.findall(r'element_type="(\w+)" shape="(8, 3, 3, 3|2, 8, 1, 1)"', path.read_text())
    assert sorted(kernels) == [("f32", "2, 8, 1, 1"), ("i8", "8, 3, 3, 3")]
    assert notes_of(path) == {"model": "tiny", "attention": "no"}
    with pytest.raises(WeightsError, match="not an int8 model"):
        check_given(path, "0" * 64, attention=False)


def test_what_differs_from_torch_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nncf")
    monkeypatch.setattr(int8_module, "TOLERANCE", 0.0)
    with pytest.raises(OutputError, match="off by"):
        write_tiny(tmp_path / "tiny.xml")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def file(few: Examples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("nncf")
    path = tmp_path_factory.mktemp("int8") / "net.xml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tposecli.inference.backends.export_job.rendered_examples", lambda: few)
        job = ExportJob("openvino", path, BUNDLED, options=ExportOptions(attention=True), int8=True)
        written, error = run_export(job, Downloads(offline=True))
    assert written == path and 0 < error <= int8_module.TOLERANCE
    return path


@pytest.mark.slow
def test_it_names_what_it_was_made_from(file: Path) -> None:
    notes = notes_of(file)
    assert notes["model"] == BUNDLED and notes["examples"] == "rendered people" and notes["attention"] == "yes"


@pytest.mark.slow
def test_it_finds_what_torch_finds(file: Path, rng: np.random.Generator) -> None:
    plain = PoseEstimator(BUNDLED, runtime=Runtime.resolve("cpu", "fp32", backend="torch"))
    other = PoseEstimator(BUNDLED, runtime=replace(Runtime.resolve("cpu", "int8"), int8_model=file))
    pictures, found = frames(rng, 2), [boxes(rng, 2), boxes(rng, 1)]
    for a, b in zip(plain.estimate(pictures, found), other.estimate(pictures, found), strict=True):
        assert abs(a.poses.score - b.poses.score).max() < 0.1
        assert np.median(abs(a.poses.xy - b.poses.xy)) < 2


@pytest.mark.slow
def test_the_journal_names_it(file: Path) -> None:
    runtime = replace(Runtime.resolve("cpu", "int8"), int8_model=file)
    head = describe_model(PoseEstimator(BUNDLED, runtime=runtime))
    assert head["precision"] == "int8" and head["int8"]["examples"] == "rendered people"
    other = {**head, "int8": {**head["int8"], "examples_sha256": "0"}}
    (difference,) = header_differences(head, other)
    assert "examples_sha256" in difference


@pytest.mark.slow
def test_other_weights_and_other_files_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="other weights"):
        check_given(file, "0" * 64, attention=False)
    (tmp_path / "text.xml").write_text("text")
    with pytest.raises(WeightsError, match="cannot be read"):
        check_given(tmp_path / "text.xml", "0" * 64, attention=False)


@pytest.mark.slow
def test_it_is_quantised_once(
    few: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path))
    monkeypatch.setattr("tposecli.inference.backends.factory.rendered_examples", lambda: few)
    runtime = Runtime.resolve("cpu", "int8")
    with caplog.at_level("INFO"):
        first, second = (PoseEstimator(BUNDLED, runtime=runtime) for _ in range(2))
    assert caplog.text.count("quantising") == 1
    assert first.int8 == second.int8 and first.runtime.precision == "int8"
    cache = ExportCache(BUNDLED, first.sha256, first.spec.input_hw, attention=False)
    assert cache.cached_int8().is_intact() and cache.cached_int8().path != cache.cached("openvino").path
