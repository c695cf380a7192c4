"""Ways to run a net give what torch gives; what is exported is checked and kept."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from importlib.util import find_spec as find_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.inference.test_estimator import boxes, frames
from tests.models.test_models import HEATMAP_TOLERANCE, reference_input, reference_net
from tests.support.fakes import fake_capture
from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.hub.download.options import Downloads
from tposecli.inference.backends import export as export_module
from tposecli.inference.backends.cpu_rewrites import for_prediction
from tposecli.inference.backends.cuda_graphs import CudaGraphRunner
from tposecli.inference.backends.eager import Compiled, Eager
from tposecli.inference.backends.export import SUFFIXES, ExportFormat, ExportOptions, export
from tposecli.inference.backends.export_job import ExportJob, run_export
from tposecli.inference.backends.factory import ExportCache, choose
from tposecli.inference.backends.matmul_precision import exact_float32_matmul
from tposecli.inference.backends.openvino import _Stack, same_signal_stack
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.models import find_spec
from tposecli.models.attention_readout import Attention
from tposecli.models.pose_net import PoseNet
from tposecli.utils.errors import OutputError, UsageError

BUNDLED = "transpose-r18-a3"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net() -> PoseNet:
    return for_prediction(load(resolve(BUNDLED)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def crops(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 192, 144, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", [BUNDLED, "transpose-r-a3", pytest.param("transpose-h-s", marks=pytest.mark.slow)])
def test_folded_nets_equal_the_authors(name: str, golden: Path) -> None:
    expected = np.load(golden / f"{name}.npz")
    net = for_prediction(reference_net(find_spec(name)))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    with torch.inference_mode():
        heatmaps = net(reference_input(find_spec(name)))
    error = abs(heatmaps[:, :, ::4, ::4].numpy() - expected["heatmaps"]).max()
    assert error <= HEATMAP_TOLERANCE * expected["largest"]


def test_folding_leaves_the_net_as_it_was() -> None:
    net = load(resolve(BUNDLED))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    for_prediction(net)
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_recordings_serve_batches_of_every_size() -> None:
    sizes: list[int] = []
    replay = CudaGraphRunner(lambda x: [x * 2.0, x.sum(1)], 24, fake_capture(sizes))
    kept = []
    for count in (3, 24, 5, 1, 4, 65, 60):
        x = torch.randn(count, 3)
        kept.append((x, replay(x)))
    for x, (double, total) in kept:
        assert torch.equal(double, x * 2)
        assert torch.allclose(total, x.sum(1))
    assert sizes == [3, 24]
    assert len(CudaGraphRunner(lambda x: [x], 6, fake_capture([]))(torch.ones(5, 1))[0]) == 5


def test_precision_of_products_is_given_back() -> None:
    before = torch.get_float32_matmul_precision()
    x = torch.randn(64, 64)
    with exact_float32_matmul(CPU):
        product = x @ x
    assert torch.get_float32_matmul_precision() == before
    assert (product.double() - x.double() @ x.double()).abs().max() < 1e-4


def test_float32_is_not_rounded_on_cuda() -> None:
    before = torch.backends.cudnn.allow_tf32
    with exact_float32_matmul(torch.device("cuda")):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are counted on Linux")
def test_kept_memory_is_not_asked_for_again() -> None:
    script = (
        "import resource, torch\n"
        "from tposecli.inference.backends.cpu import keep_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(8): torch.ones(4 << 20).add_(1)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "torch.set_num_threads(1); faults(); usual = faults()\n"
        "kept = keep_memory(); faults(); print(kept, usual, faults())"
    )
    kept, usual, after = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    if kept == "True":
        assert int(after) * 4 < int(usual) + 100


def missing(form: str) -> bool:
    return any(find_module(name) is None for name in export_module.NEEDED[form])  # type: ignore[index]


@pytest.mark.parametrize(
    "form", ["torch-export", *(pytest.param(f, marks=pytest.mark.slow) for f in ("onnx", "openvino"))]
)
def test_exported_files_take_any_batch(form: ExportFormat, net: PoseNet, tmp_path: Path) -> None:
    if missing(form):
        pytest.skip(f"{form} is not installed")
    path = tmp_path / f"net{SUFFIXES[form]}"
    assert export(net, form, path, ExportOptions()) <= export_module.TOLERANCE
    x = crops(3)
    with torch.inference_mode():
        (found,) = export_module._READERS[form](path)(x)
        expected = Eager(net)(x).heatmaps
    assert (found - expected).abs().max() <= HEATMAP_TOLERANCE * expected.abs().max()
    assert {file.stem for file in tmp_path.iterdir()} == {"net"}


def test_a_file_that_differs_is_not_kept(net: PoseNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "difference", lambda *_: 0.5)
    with pytest.raises(OutputError, match=r"off by 5\.0e-01"):
        export(net, "torch-export", tmp_path / "net.pt2", ExportOptions(batch=1))
    assert not list(tmp_path.iterdir())


def test_export_has_its_suffix_and_replaces_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.pt2"):
        run_export(ExportJob("torch-export", tmp_path / "net.onnx", BUNDLED), Downloads(offline=True))
    (tmp_path / "net.pt2").touch()
    with pytest.raises(UsageError, match="--overwrite"):
        run_export(ExportJob("torch-export", tmp_path / "net.pt2", BUNDLED), Downloads(offline=True))


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_backends_give_poses_and_attention_of_torch(
    backend: str, cache: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing(backend):
        pytest.skip(f"{backend} is not installed")
    monkeypatch.setenv("TPOSE_HOME", str(cache))
    request = Attention((0, -1))
    plain = PoseEstimator(BUNDLED, runtime=Runtime(CPU), attention=request)
    other = PoseEstimator(BUNDLED, runtime=Runtime(CPU, backend=backend), attention=request)
    pictures, found = frames(rng, 2), [boxes(rng, 2), boxes(rng, 1)]
    for a, b in zip(plain.estimate(pictures, found), other.estimate(pictures, found), strict=True):
        assert abs(a.poses.xy - b.poses.xy).max() < 0.05
        assert a.attention is not None and b.attention is not None
        assert abs(a.attention - b.attention).max() < 1e-4
    monkeypatch.setattr(export_module, "_WRITERS", {})  # It is in the cache.
    again = PoseEstimator(BUNDLED, runtime=Runtime(CPU, backend=backend), attention=request)
    assert again.runtime.backend == backend


def test_auto_is_openvino_on_a_cpu_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = Runtime(CPU, backend="auto")
    for installed, chosen in ((True, "openvino"), (False, "torch")):
        monkeypatch.setattr("tposecli.inference.runtime.find_module", lambda _, found=installed: found or None)
        assert choose(auto) == chosen
        assert choose(Runtime(torch.device("cuda"), backend="auto")) == "torch"
        assert choose(Runtime(CPU, backend="compile")) == "compile"


def test_where_openvino_fails_auto_is_torch(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such instruction\n  at some line")

    monkeypatch.setenv("TPOSE_HOME", str(tmp_path))
    monkeypatch.setattr("tposecli.inference.runtime.find_module", lambda _: True)
    monkeypatch.setattr("tposecli.inference.backends.factory.ExportCache.get", fail)
    found = PoseEstimator(BUNDLED, runtime=Runtime(CPU, backend="auto"))
    assert found.runtime == Runtime(CPU).settled("torch")
    assert caplog.text.count("because OpenVINO cannot run it: no such instruction") == 1
    pictures, people = frames(rng, 1), [boxes(rng, 2)]
    (expected,) = PoseEstimator(BUNDLED, runtime=Runtime(CPU)).estimate(pictures, people)
    np.testing.assert_array_equal(found.estimate(pictures, people)[0].poses.xy, expected.poses.xy)
    with pytest.raises(RuntimeError, match="no such instruction"):
        PoseEstimator(BUNDLED, runtime=Runtime(CPU, backend="openvino"))


def test_exports_belong_to_weights_and_attention() -> None:
    if missing("onnx"):
        pytest.skip("onnx is not installed")
    variants = [
        ExportCache("m", digest, (192, 144), attention).path("onnx") for digest in "ab" for attention in (True, False)
    ]
    assert len(set(variants)) == 4


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_missing_package_says_what_to_install(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tposecli.inference.runtime.find_module", lambda name: None)
    with pytest.raises(UsageError, match=rf"pip install 'tposecli\[{backend}\]'"):
        Runtime.resolve("cpu", "fp32", backend=backend)


@pytest.mark.parametrize(("precision", "backend"), [("bf16", "onnx"), ("fp32", "tensorrt")])
def test_impossible_backends_are_refused(precision: str, backend: str) -> None:
    with pytest.raises(UsageError):
        Runtime.resolve("cpu", precision, backend=backend)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_compiled_net_equals_torch(net: PoseNet) -> None:
    x = crops(3)
    with torch.inference_mode():
        expected, found = Eager(net)(x), Compiled(net, 2)(x)
    assert (found.heatmaps - expected.heatmaps).abs().max() <= HEATMAP_TOLERANCE * expected.heatmaps.abs().max()
    assert [stage.shape for stage in found.inputs] == [stage.shape for stage in expected.inputs]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signal stacks of Linux")
def test_a_signal_stack_that_a_library_sets_up_is_undone() -> None:
    libc, size = ctypes.CDLL(None), 1 << 16
    memory = ctypes.create_string_buffer(size)
    before, theirs, after = _Stack(), _Stack(ctypes.addressof(memory), 0, size), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    with same_signal_stack():
        assert libc.sigaltstack(ctypes.byref(theirs), None) == 0
    libc.sigaltstack(None, ctypes.byref(after))
    assert (after.pointer, after.flags, after.size) == (before.pointer, before.flags, before.size)
