"""The nets against the authors' arrays, and the loading of checkpoints."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.hub.checkpoints.load import load, read_state
from tposecli.hub.checkpoints.resolve import Checkpoint, locate, resolve
from tposecli.models import CATALOG, ModelSpec, build, find_spec
from tposecli.models.attention_readout import Attention
from tposecli.models.catalog import AUTO_BUNDLED, AUTO_EXPLAINING
from tposecli.models.pose_net import PoseNet
from tposecli.utils.errors import UsageError, WeightsError

SEED = 7
NAMES = [spec.name for spec in CATALOG]
OF_THE_AUTHORS = [spec for spec in CATALOG if "mobilenet" not in spec.backbone.name]
"""Nets that the authors' implementation can build."""
BUNDLED = "transpose-r18-a3"
HEATMAP_TOLERANCE = 1e-4
ATTENTION_TOLERANCE = 5e-5


def draw_weights(net: PoseNet) -> None:
    """Fill the net by the rule of ``golden/README.md``."""
    state = net.state_dict()
    for index, key in enumerate(sorted(state)):
        if key == "pos_embedding" or key.endswith("num_batches_tracked"):
            continue
        shape = tuple(state[key].shape)
        noise = np.random.default_rng([SEED, index]).standard_normal(shape, dtype=np.float32)
        if key.endswith("running_var"):
            noise = 0.5 + abs(noise)
        elif key.endswith(("running_mean", "bias")):
            noise = 0.1 * noise
        elif len(shape) == 1:
            noise = 1 + 0.1 * noise
        else:
            noise = noise * np.sqrt(2 / np.prod(shape[1:])).astype(np.float32)
        state[key] = torch.from_numpy(np.asarray(noise, np.float32))
    net.load_state_dict(state)


def reference_net(spec: ModelSpec) -> PoseNet:
    """The net that the golden arrays were computed with."""
    if spec.name == BUNDLED:
        return load(resolve(BUNDLED))
    net = build(spec.name)
    draw_weights(net)
    return net


def reference_input(spec: ModelSpec) -> torch.Tensor:
    noise = np.random.default_rng([SEED, 777]).standard_normal((2, 3, *spec.input_hw), dtype=np.float32)
    return torch.from_numpy(noise)


@pytest.mark.parametrize("spec", OF_THE_AUTHORS, ids=lambda spec: spec.name)
def test_keys_and_shapes_are_those_of_the_checkpoints(spec: ModelSpec, golden: Path) -> None:
    with gzip.open(golden / "state_dicts.json.gz") as file:
        expected = json.load(file)[spec.name]
    assert {key: list(value.shape) for key, value in build(spec.name).state_dict().items()} == expected


@pytest.mark.parametrize("spec", OF_THE_AUTHORS, ids=lambda spec: spec.name)
def test_heatmaps_and_attention_equal_the_authors(spec: ModelSpec, golden: Path) -> None:
    expected = np.load(golden / f"{spec.name}.npz")
    net = reference_net(spec)
    query = expected["query_yx"]
    cells = torch.from_numpy(query[:, 0] * net.grid_hw[1] + query[:, 1]).long()
    with torch.inference_mode():
        heatmaps, stages = net.encode(reference_input(spec))
        rows, columns = (
            net.attention(stages, cells.expand(2, -1), Attention(tuple(range(spec.layers)), mode=mode))
            for mode in ("dependency", "influence")
        )
    error = abs(heatmaps[:, :, ::4, ::4].numpy() - expected["heatmaps"]).max()
    assert heatmaps.shape == (2, 17, *spec.heatmap_hw)
    assert error <= HEATMAP_TOLERANCE * expected["largest"]
    assert abs(rows[0].flatten(2)[:, :, ::5].numpy() - expected["attention_rows"]).max() <= ATTENTION_TOLERANCE
    assert abs(columns[0].flatten(2)[:, :, ::5].numpy() - expected["attention_cols"]).max() <= ATTENTION_TOLERANCE
    assert torch.allclose(rows.sum((3, 4)), torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("spec", OF_THE_AUTHORS[1:], ids=lambda spec: spec.name)
def test_position_embedding_equals_the_authors(spec: ModelSpec, golden: Path) -> None:
    expected = np.load(golden / f"{spec.name}.npz")["pos_embedding"]
    assert abs(build(spec.name).pos_embedding[::37, 0].numpy() - expected).max() < 1e-6


@pytest.mark.parametrize("name", [BUNDLED, AUTO_BUNDLED, "transpose-h-s"])
def test_batch_of_n_equals_n_batches_of_one(name: str) -> None:
    spec = find_spec(name)
    net = reference_net(spec)
    x = reference_input(spec)
    with torch.inference_mode():
        together, alone = net(x), torch.cat([net(x[:1]), net(x[1:])])
    assert abs(together - alone).max() <= HEATMAP_TOLERANCE * abs(together).max()


@pytest.mark.parametrize("spec", CATALOG, ids=NAMES)
def test_catalogue_states_the_true_size(spec: ModelSpec) -> None:
    net = build(spec.name)
    # Fused attention is counted on some processors only.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(torch.zeros(1, 3, *spec.input_hw))
    parameters = sum(parameter.numel() for parameter in net.parameters())
    assert counter.get_total_flops() / 2e9 == pytest.approx(spec.macs_g, rel=0.02)
    assert parameters / 1e6 == pytest.approx(spec.parameters_m, rel=0.02)


def test_normalize_takes_rgb_bytes() -> None:
    net = build(BUNDLED)
    pixels = torch.tensor([[[[255, 0, 128]]]], dtype=torch.uint8)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (128 / 255 - 0.406) / 0.225]
    assert net.normalize(pixels).flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_another_crop_size_gets_its_own_embedding(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "tposecli"):
        net = load(resolve(BUNDLED), (256, 192))
    assert "position embedding" in caplog.text
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 256, 192)).shape == (1, 17, 64, 48)


@pytest.mark.parametrize(("name", "size"), [("transpose-r-a3", (250, 192)), ("transpose-h-s", (264, 192))])
def test_size_that_does_not_divide_is_refused(name: str, size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="expected multiples of"):
        build(name, size)


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean transpose-r-a4"):
        find_spec("transpose-ra4")


def test_auto_takes_the_official_model_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path))
    assert resolve("auto").spec.name == AUTO_BUNDLED
    assert resolve("auto", explaining=True).spec.name == AUTO_EXPLAINING
    (tmp_path / find_spec("transpose-r-a4").file).touch()
    assert resolve("auto").spec.name == resolve("auto", explaining=True).spec.name == "transpose-r-a4"


def test_absent_weights_tell_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"https://.*put it at") as caught:
        resolve("transpose-h-a6")
    assert str(tmp_path) in str(caught.value)


def test_what_explains_offline_explains() -> None:
    assert find_spec(AUTO_EXPLAINING).bundled and find_spec(AUTO_EXPLAINING).explains


def test_bundled_weights_have_the_digest_of_the_catalogue() -> None:
    for name in (BUNDLED, AUTO_BUNDLED, AUTO_EXPLAINING):
        assert resolve(name).verify() == find_spec(name).sha256


def test_damaged_bundled_weights_are_refused(tmp_path: Path) -> None:
    spec = find_spec(BUNDLED)
    (tmp_path / spec.file).write_bytes(b"no")
    with pytest.raises(WeightsError, match="damaged"):
        Checkpoint(spec, tmp_path / spec.file).verify()


class Bomb:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pth"
    torch.save({"x": Bomb(tmp_path / "boom")}, file)
    with pytest.raises(WeightsError, match="could execute code"):
        read_state(file)
    file.write_bytes(pickle.dumps(Bomb(tmp_path / "boom"), protocol=2))
    with pytest.raises(WeightsError):
        read_state(file)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_checkpoint_is_named(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"cut{suffix}"
    file.write_bytes(b"\x00" * 100)
    with pytest.raises(WeightsError, match="cut"):
        read_state(file)


def test_training_checkpoints_are_understood(tmp_path: Path) -> None:
    state = build(BUNDLED).state_dict()
    file = tmp_path / "training.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}, file)
    assert read_state(file).keys() == state.keys()


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, file)
    with pytest.raises(WeightsError, match="not the weights of transpose-r-a3"):
        load(Checkpoint(find_spec("transpose-r-a3"), file))


def test_weights_need_a_model(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(b"weights")
    with pytest.raises(UsageError, match="--model"):
        resolve("auto", tmp_path / "mine.pth")


def test_weights_of_our_own_say_what_they_are(tmp_path: Path) -> None:
    pets = KeypointLayout(("nose", "left_paw", "right_paw"), ((0, 1), (0, 2)), (0, 2, 1), (0.03, 0.06, 0.06))
    facts = {"model": "transpose-r18-a3", "input_hw": (64, 48), **pets.to_dict()}
    texts = {key: json.dumps(value) for key, value in facts.items()}
    save_file(build("transpose-r18-a3", (64, 48), 3).state_dict(), tmp_path / "pets.safetensors", texts)
    checkpoint = resolve("auto", tmp_path / "pets.safetensors")
    assert checkpoint.layout == pets and checkpoint.spec.name == "transpose-r18-a3"
    net = load(checkpoint)
    assert net.input_hw == (64, 48) and net(torch.zeros(1, 3, 64, 48)).shape == (1, 3, 16, 12)
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", texts | {"mirror": "[0, 0, 0]"})
    with pytest.raises(WeightsError, match=r"odd\.safetensors"):
        resolve("auto", tmp_path / "odd.safetensors")


@pytest.mark.parametrize("spec", OF_THE_AUTHORS[1:], ids=lambda spec: spec.name)
def test_official_checkpoint_loads(spec: ModelSpec) -> None:
    path = locate(spec)
    if path is None:
        pytest.skip(f"the official checkpoint {spec.file} is not in the cache")
    load(resolve(spec.name))
