"""``tpose score`` on poses with known, deliberately introduced errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.interpolate import CubicSpline

from tposecli.cli.main import cli
from tposecli.evaluation.clips import tracking_metrics as identities
from tposecli.evaluation.clips.run import Comparison, Score, ScoreJob, compare
from tposecli.formats.align import PoseInput
from tposecli.geometry.keypoints import KEYPOINTS, MIRROR
from tposecli.pipeline.postprocess import PostOptions
from tposecli.smoothing.options import AS_MEASURED, SmoothOptions
from tposecli.utils.errors import InputError

pytest.importorskip("trackers")

PLAIN = PostOptions(smooth=AS_MEASURED)
Change = Callable[[list[dict[str, Any]]], None]


def changed(folder: Path, truth: Path, change: Change) -> Path:
    """The ground truth with annotations modified by ``change``; keypoints are (17, 3) arrays."""
    content = json.loads(truth.read_text())
    for annotation in content["annotations"]:
        annotation["keypoints"] = np.array(annotation["keypoints"], float).reshape(17, 3)
    change(content["annotations"])
    for annotation in content["annotations"]:
        annotation["keypoints"] = annotation["keypoints"].ravel().tolist()
    path = folder / "found.json"
    path.write_text(json.dumps(content))
    return path


def scored(found: Path, truth: Path, options: PostOptions = PLAIN) -> Comparison:
    return compare(ScoreJob(PoseInput(found), truth), options)


def one(folder: Path, truth: Path, change: Change) -> Score:
    (score,) = scored(changed(folder, truth, change), truth).scores
    return score


def times_of(truth: Path) -> np.ndarray:
    return np.array([image["time_s"] for image in json.loads(truth.read_text())["images"]])


@pytest.mark.parametrize("name", ["walk", "crossing", "portrait"])
def test_ground_truth_scores_perfectly(media: Path, name: str) -> None:
    (score,) = scored(media / f"{name}.json", media / f"{name}.json").scores
    assert score.found == score.people == score.poses
    assert (score.accuracy.pck_torso, score.accuracy.pck_box, score.oks.figures[0]) == (1, 1, pytest.approx(1))
    assert score.accuracy.error_px == score.motion.acceleration_px == 0
    assert score.motion.jitter == score.motion.true_jitter
    assert score.motion.lag_ms == pytest.approx(0, abs=0.05)
    assert score.identity is not None
    assert (score.identity.hota, score.identity.idf1, score.identity.id_switches) == (pytest.approx(1), 1, 0)
    assert (score.swaps.arms, score.swaps.legs, score.swaps.all) == (0, 0, 0)


def test_errors_in_pixels_and_relative_to_the_height(tmp_path: Path, media: Path) -> None:
    def shift(people: list[dict[str, Any]]) -> None:
        for person in people:
            person["keypoints"][:, :2] += (3, 4)

    score = one(tmp_path, media / "walk.json", shift)
    assert score.accuracy.error_px == pytest.approx(5)
    heights = [a["bbox"][3] for a in json.loads((media / "walk.json").read_text())["annotations"]]
    assert score.accuracy.error_height == pytest.approx(500 * np.mean(1 / np.array(heights)))
    assert score.motion.acceleration_px == pytest.approx(0, abs=1e-3)
    assert all(part.accuracy.error_px == pytest.approx(5) for part in (*score.keypoints, *score.tracks))


def test_pck_counts_undetected_joints_as_misses(tmp_path: Path, media: Path) -> None:
    def lose(people: list[dict[str, Any]]) -> None:
        for person in people[::2]:
            person["keypoints"][9] = 0
        for person in people[1::2]:
            person["keypoints"][10, :2] += 500

    score = one(tmp_path, media / "walk.json", lose)
    assert score.keypoints[9].accuracy.pck_torso == pytest.approx(67 / 135)
    assert score.keypoints[9].accuracy.error_px == pytest.approx(0)
    assert score.keypoints[10].accuracy.pck_box == pytest.approx(68 / 135)
    assert score.accuracy.pck_torso == pytest.approx(1 - 135 / (17 * 135))


@pytest.mark.parametrize("name", ["walk", "portrait"])
@pytest.mark.parametrize("delay_s", [0.012, 0.07, -0.05])
def test_lag_is_measured_to_less_than_a_frame(tmp_path: Path, media: Path, name: str, delay_s: float) -> None:
    """Includes variable frame times (portrait); noise does not bias the lag."""
    truth = media / f"{name}.json"
    times, rng = times_of(truth), np.random.default_rng(0)

    def late(people: list[dict[str, Any]]) -> None:
        course = CubicSpline(times, np.array([person["keypoints"][:, :2] for person in people]))
        for person, time_s in zip(people, times, strict=True):
            person["keypoints"][:, :2] = course(np.clip(time_s - delay_s, 0, times[-1])) + rng.normal(0, 1, (17, 2))

    assert one(tmp_path, truth, late).motion.lag_ms == pytest.approx(1000 * delay_s, abs=2)


def test_noise_shows_as_acceleration_error_and_jitter(tmp_path: Path, media: Path) -> None:
    """White noise: second differences have 6 times its variance, third ones 20 times; norms are Rayleigh."""
    rng = np.random.default_rng(0)
    sigma, step = 1.5, 1001 / 30000

    def shake(people: list[dict[str, Any]]) -> None:
        for person in people:
            person["keypoints"][:, :2] += rng.normal(0, sigma, (17, 2))

    motion = one(tmp_path, media / "walk.json", shake).motion
    assert motion.acceleration_px == pytest.approx(np.sqrt(6 * np.pi / 2) * sigma / step**2, rel=0.05)
    assert motion.jitter is not None
    assert motion.true_jitter is not None
    height = np.median([a["bbox"][3] for a in json.loads((media / "walk.json").read_text())["annotations"]])
    assert motion.jitter == pytest.approx(100 * np.sqrt(20 * np.pi / 2) * sigma / step**3 / height, rel=0.1)
    assert motion.jitter > 5 * motion.true_jitter


@pytest.mark.parametrize(
    ("group", "ends"),
    [("arms", ("elbow", "wrist")), ("legs", ("knee", "ankle")), ("all", tuple(k.partition("_")[2] for k in KEYPOINTS))],
)
def test_swaps_are_counted(tmp_path: Path, media: Path, group: str, ends: tuple[str, ...]) -> None:
    joints = [index for index, name in enumerate(KEYPOINTS) if name.endswith(ends)]

    def swap(people: list[dict[str, Any]]) -> None:
        for person in people[20:30]:
            person["keypoints"][joints] = person["keypoints"][[MIRROR[joint] for joint in joints]]

    swaps = one(tmp_path, media / "portrait.json", swap).swaps
    assert {name: getattr(swaps, name) for name in ("arms", "legs", "all")} == {
        **dict.fromkeys(("arms", "legs", "all"), 0),
        group: 10,
    }


def test_swapped_ids(tmp_path: Path, media: Path) -> None:
    def exchange(people: list[dict[str, Any]]) -> None:
        for person in people:
            if person["image_id"] > 70 and person["track_id"] in (1, 2):
                person["track_id"] = 3 - person["track_id"]

    score = one(tmp_path, media / "crossing.json", exchange)
    assert score.identity is not None
    assert score.identity.id_switches == 2
    assert score.identity.det_a == pytest.approx(1)
    assert score.identity.idf1 < 0.95
    assert score.identity.hota < 0.95
    assert [part.ids for part in score.tracks] == [2, 2, 1, 1, 1]


def test_missed_people_and_unmatched_poses(tmp_path: Path, media: Path) -> None:
    def drop_and_invent(people: list[dict[str, Any]]) -> None:
        people[5]["keypoints"][:, :2] += 400
        del people[50:60]

    score = one(tmp_path, media / "walk.json", drop_and_invent)
    assert (score.people, score.found, score.poses) == (135, 124, 125)
    assert score.accuracy.pck_torso == pytest.approx(124 / 135)
    assert score.tracks[0].found == 124


def test_report_without_the_trackers_package(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "installed", lambda: False)
    monkeypatch.setattr("tposecli.evaluation.clips.report.installed", lambda: False)
    ran = CliRunner().invoke(cli, ["score", str(media / "walk.json"), str(media / "walk.json"), "--smooth", "none"])
    assert ran.exit_code == 0
    assert "tposecli[score]" in ran.output
    assert "HOTA  " not in ran.output


def test_results_without_ids_are_tracked(tmp_path: Path, media: Path) -> None:
    truth = json.loads((media / "crossing.json").read_text())
    rows = [{**{k: a[k] for k in ("image_id", "category_id", "keypoints")}, "score": 1} for a in truth["annotations"]]
    path = tmp_path / "results.json"
    path.write_text(json.dumps([row for row in rows if any(row["keypoints"])]))
    found = scored(path, media / "crossing.json", PostOptions(smooth=SmoothOptions("one-euro")))
    assert [score.label for score in found.scores] == ["as in the file", "smoothed (one-euro)"]
    assert found.scores[0].identity is not None
    assert found.scores[0].accuracy.pck_torso == 1
    lag = found.scores[1].motion.lag_ms
    assert lag is not None
    assert lag > 0


def test_stills_have_no_motion_and_are_matched_by_name(media: Path) -> None:
    (score,) = scored(media / "stills.json", media / "stills.json").scores
    assert score.accuracy.pck_torso == 1
    assert score.oks.figures[0] == pytest.approx(1)
    assert score.identity is None
    assert score.motion.lag_ms is None
    assert not score.tracks


@pytest.mark.parametrize("suffix", [".json", ".md"])
def test_reports(tmp_path: Path, media: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    truth = str(media / "portrait.json")
    ran = CliRunner().invoke(cli, ["score", truth, truth, "--report", str(path), "-q", "--smooth", "one-euro"])
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    assert not ran.output
    text = path.read_text()
    if suffix == ".md":
        assert "| PCK@0.2 of the torso | 100.0% | " in text
        assert "| left_wrist |" in text
        assert "| person 1 |" in text
    else:
        content = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
        assert content["scores"][0]["accuracy"]["pck_torso"] == 1
        assert [part["name"] for part in content["scores"][1]["keypoints"]] == list(KEYPOINTS)
    again = CliRunner().invoke(cli, ["score", truth, truth, "--report", str(path)])
    assert "--overwrite" in str(again.exception)


def test_mismatched_inputs_raise(tmp_path: Path, media: Path) -> None:
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(InputError, match="not a ground truth"):
        scored(media / "walk.json", tmp_path / "empty.json")
    with pytest.raises(InputError, match=r"stills.json.*none of its people"):
        scored(media / "stills.json", changed_names(tmp_path, media / "stills.json"))


def changed_names(folder: Path, truth: Path) -> Path:
    content = json.loads(truth.read_text())
    for image in content["images"]:
        image["file_name"] = f"other_{image['id']}.jpg"
    path = folder / "others.json"
    path.write_text(json.dumps(content))
    return path
