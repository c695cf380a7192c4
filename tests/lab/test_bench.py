"""The benchmark measures what it claims, against a baseline that computes the same poses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tposecli.cli.main import cli
from tposecli.geometry import heatmaps
from tposecli.hub.checkpoints.resolve import Checkpoint, resolve
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.lab.bench import overhead
from tposecli.lab.bench.authors import AuthorsBaseline, decode
from tposecli.lab.bench.clock import LapTimes, Spread, alternate, ratio
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.nets import checkpoint_of, flops
from tposecli.lab.bench.plot import plot
from tposecli.lab.bench.report import BenchReport, Table, markdown, save
from tposecli.lab.bench.scene import crowd, rendered_clip
from tposecli.lab.bench.whole import Run, run_once
from tposecli.sources import open_video
from tposecli.utils.errors import TposeError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bundled() -> Checkpoint:
    return resolve("transpose-r18-a3")


def test_the_baseline_finds_the_same_keypoints(bundled: Checkpoint) -> None:
    frame, boxes = crowd(3)
    xy, score = AuthorsBaseline(bundled, CPU).estimate(frame, boxes)
    (result,) = PoseEstimator(bundled, None, Runtime(CPU)).estimate([frame], [boxes])
    assert abs(xy - result.poses.xy).max() < 0.05
    assert abs(score - result.poses.score).max() < 1e-3


def test_the_baseline_decodes_like_the_authors_code(golden: Path) -> None:
    expected = np.load(golden / "decode.npz")
    for maps, xy in zip(expected["heatmaps"], expected["heatmap_coords"], strict=True):
        assert abs(decode(maps)[0] - xy).max() < 1e-3


def test_batched_decoding_equals_one_by_one_with_negative_values_around_the_peak(rng: np.random.Generator) -> None:
    maps = rng.standard_normal((4, 17, 24, 18)).astype(np.float32)
    maps += 4 * np.exp(-((np.mgrid[:24, :18] - 9) ** 2).sum(axis=0) / 4).astype(np.float32)
    xy = heatmaps.decode(torch.from_numpy(maps))[0].numpy()
    plain = np.stack([decode(each)[0] for each in maps])
    assert np.median(abs(xy - plain)) < 1e-4
    assert (abs(xy - plain).max(axis=2) < 0.01).mean() > 0.95  # a nearly singular step magnifies rounding


def test_workloads_alternate_and_warm_up_rounds_are_not_recorded() -> None:
    order: list[str] = []
    workloads = {name: (lambda name=name: order.append(name)) for name in "ab"}
    laps = alternate(workloads, rounds=3, device=CPU, warm_up=1)
    assert "".join(order) == "ab" * 4
    assert [len(laps[name].wall) for name in "ab"] == [3, 3]


def test_ratios_are_computed_per_round() -> None:
    first, second = LapTimes(wall=[1.0, 10.0, 4.0]), LapTimes(wall=[0.5, 5.0, 2.0])
    assert ratio(first, second) == Spread(2.0, 2.0, 2.0, 3)
    assert LapTimes(wall=[0.5, 0.25]).rate(1.0).median == 3.0


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel counts only on Linux")
def test_peak_memory_is_that_of_the_block_only() -> None:
    """In a process of its own: the allocator of this one may keep memory that other tests have freed."""
    script = (
        "import numpy as np, torch; from tposecli.lab.bench.clock import PeakMemory\n"
        "np.ones(40 << 20, np.uint8); cpu = torch.device('cpu')\n"
        "with PeakMemory(cpu) as small: pass\n"
        "with PeakMemory(cpu) as large: np.ones(64 << 20, np.uint8)\n"
        "print(large.mib - small.mib)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert 50 < float(done.stdout) < 90


def test_counted_operations_match_the_catalogue(bundled: Checkpoint) -> None:
    assert flops(bundled) / 2e9 == pytest.approx(bundled.spec.macs_g, rel=0.05)


def test_random_weights_replace_missing_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "none"))
    checkpoint = checkpoint_of("transpose-r-a3", tmp_path)
    assert checkpoint.path.parent == tmp_path
    assert PoseEstimator(checkpoint, None, Runtime(CPU)).spec.name == "transpose-r-a3"


def test_tables_are_written_as_markdown_and_json(tmp_path: Path) -> None:
    table = Table("t", "Title", ("what", "how much"), [("a", Spread(12.0, 11.0, 13.5, 5)), ("b", None)], ["Note."])
    report = BenchReport({"command": "tpose bench", "device": "cpu", "versions": "x"}, [table])
    text = markdown(table)
    assert "| a | 12.0 (11.0-13.5) |" in text
    assert "| b | not measured |" in text
    save(tmp_path / "b.json", report)
    (first, second) = json.loads((tmp_path / "b.json").read_text())["tables"]["t"]["rows"]
    assert first["how much"] == {"median": 12.0, "low": 11.0, "high": 13.5, "count": 5}
    assert second["how much"] is None


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    rendered_clip(path, 1, 4)
    return path


def test_the_rendered_clip_has_the_requested_length(clip: Path) -> None:
    with open_video(clip) as video:
        assert [frame.size_wh for frame in video] == [(1280, 720)] * 4


def test_a_whole_run_is_measured_from_the_start_of_its_process(clip: Path, tmp_path: Path, bundled: Checkpoint) -> None:
    run = run_once(clip, BenchJob(device="cpu"), bundled, tmp_path)
    assert run.frames == 4
    assert 0 < run.ready_s < run.first_s < run.wall_s
    assert 0 < run.lower_bound_s < run.wall_s
    assert (tmp_path / "whole.mp4").exists()


def test_a_failed_run_reports_the_reason(tmp_path: Path, bundled: Checkpoint) -> None:
    (tmp_path / "no.mp4").write_text("no video")
    with pytest.raises(TposeError, match=re.escape("no.mp4")):
        run_once(tmp_path / "no.mp4", BenchJob(device="cpu"), bundled, tmp_path)


def test_the_lower_bound_is_the_slowest_stage_or_the_processor_time() -> None:
    facts = {"frames": 1, "people": 1, "wall_s": 9.0, "ready_s": 1.0, "first_s": 2.0, "others_s": 4.0, "failed": []}
    run = Run(**facts, cpu_s=0.1, stages={"net": 6.0, "read": 1.0}, peak_mib=None)  # type: ignore[arg-type]
    assert (run.running_s, run.lower_bound_s, run.other_cores) == (8.0, 6.0, 0.5)


def test_the_command_writes_table_json_and_plot(tmp_path: Path) -> None:
    outputs = ["--json", str(tmp_path / "b.json"), "--plot", str(tmp_path / "b.png")]
    chosen = ["--only", "nets", "--models", "transpose-r18-a3", "--batches", "1,2", "--backends", "torch"]
    done = CliRunner().invoke(cli, ["bench", "--rounds", "1", *chosen, *outputs], catch_exceptions=False)
    assert done.exit_code == 0
    rows = json.loads((tmp_path / "b.json").read_text())["tables"]["nets"]["rows"]
    assert [(row["backend"], row["batch"]) for row in rows] == [("authors' way", 1), ("torch", 1), ("torch", 2)]
    assert all(row["people/s"]["median"] > 0 for row in rows)
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    again = CliRunner().invoke(cli, ["bench", "--rounds", "1", *chosen, *outputs])
    assert again.exit_code != 0


@pytest.mark.parametrize(
    "arguments",
    [["--synthetic", __file__], ["--batches", "0"], ["--batches", ","], ["--rounds", "0"], ["--only", "nothing"]],
)
def test_invalid_arguments_are_usage_errors(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, ["bench", *arguments]).exit_code == 2


def test_nets_that_cost_nothing_see_everybody_and_threads_are_told_apart(bundled: Checkpoint, tmp_path: Path) -> None:
    boxes = rendered_clip(tmp_path / "clip.mp4", 2, 96)
    overhead.write_detections(tmp_path / "boxes.json", boxes)
    job = BenchJob(device="cpu")
    run = overhead.run_once(tmp_path / "clip.mp4", tmp_path / "boxes.json", True, job, bundled, tmp_path)
    assert (run.frames, run.people) == (96, sum(map(len, boxes)))
    assert {"MainThread", "net", "read"} <= set(run.threads) and 0 < sum(run.threads.values()) <= run.cpu_s
    (person,) = json.loads((tmp_path / "whole.json").read_text())["annotations"][:1]
    _, top, _, height = person["bbox"]
    nose, ankle = (np.array(person["keypoints"]).reshape(17, 3)[joint, 1] for joint in (0, 15))
    assert top < nose < top + height / 4 and top + height * 3 / 4 < ankle < top + height


def test_threads_of_the_overhead_are_plotted(tmp_path: Path) -> None:
    cells = [Spread(value, value, value, 2) for value in (4.0, 6.0)]
    rows = [("frames/s", *cells), ("in thread read", *cells), ("in threads of libraries", *cells)]
    table = Table("overhead", "Whole runs", overhead.COLUMNS, rows)
    plot(tmp_path / "b.svg", BenchReport({}, [table]))
    drawn = (tmp_path / "b.svg").read_text()
    assert "<!-- thread read -->" in drawn and "<!--  12 -->" in drawn and "<!-- thread frames/s -->" not in drawn
