"""What only looks like a person is dropped by what its scores are worth; a dip in the scores drops nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.support.fakes import grey
from tposecli.cli.main import cli
from tposecli.formats.base import WriteOptions
from tposecli.formats.catalog import written_formats
from tposecli.hub.checkpoints.calibration import Calibration
from tposecli.pipeline.keep import Keep
from tposecli.pipeline.keep_options import KeepOptions
from tposecli.pipeline.postprocess import STILLS, PostOptions, PostProcessor
from tposecli.smoothing.options import AS_MEASURED
from tposecli.types import Boxes, Poses, Result

KNOWN = Calibration("bundled", (1.0, 1.0, 0.0), (0.0, 1.0, 1.0), (0.0, 1.0))
"""The probability of a keypoint is its score; that of a person grows with both scores."""
HEADER: dict[str, Any] = {"detector": "bundled", "calibration": KNOWN.to_dict()}


def people(*scores: tuple[float, float, int]) -> Poses:
    """Return people by box score, keypoint score, and number of joints that have it."""
    boxes = Boxes([[100 * n, 0, 100 * n + 60, 120] for n in range(len(scores))], [box for box, _, _ in scores])
    score = np.array([[high if k < count else 0.05 for k in range(17)] for _, high, count in scores])
    at = np.linspace(10, 50, 17)
    xy = np.stack([np.stack((at + 100 * n, 2 * at), axis=1) for n in range(len(scores))])
    return Poses(boxes, xy, score)


WOMAN, TOMATO, HAND = (0.55, 0.75, 17), (0.8, 0.08, 17), (0.99, 0.99, 1)


def kept(options: KeepOptions, header: dict[str, Any]) -> list[bool]:
    return list(Keep.build(options, header).mask(people(WOMAN, TOMATO, HAND)))


def test_defaults_keep_the_woman_and_drop_the_tomato() -> None:
    assert kept(KeepOptions(), HEADER) == [True, False, False]
    assert kept(KeepOptions(min_joints=0), HEADER) == [True, False, True]
    assert kept(KeepOptions(min_person_score=0.0, min_joints=0), HEADER) == [True, True, True]
    assert kept(KeepOptions(min_person_score=0.9), HEADER) == [False, False, False]


def test_nobody_is_dropped_unasked_where_scores_are_not_calibrated() -> None:
    for header in ({"detector": "bundled"}, {**HEADER, "detector": "yolo:x.pt"}, {"calibration": {"a": 1}}, {}):
        assert Keep.build(KeepOptions(), header).everybody
    assert kept(KeepOptions(min_person_score=0.3), {}) == [True, False, True], "raw scores count"
    assert kept(KeepOptions(min_joints=3), {}) == [True, False, False]
    other = {**HEADER, "detector": "full-frame"}
    assert kept(KeepOptions(min_person_score=0.5), other) == [True, False, False], "the pose alone is judged"


def test_who_dips_below_keeps_the_track_and_what_never_was_likely_gets_none() -> None:
    post = PostProcessor.build(PostOptions(smooth=AS_MEASURED), header=HEADER)
    frames = [people(WOMAN if n != 5 else (0.5, 0.45, 17), TOMATO) for n in range(10)]
    results = list(post.process(Result(grey(n), poses) for n, poses in enumerate(frames)))
    assert [result.poses.track_id.tolist() for result in results] == [[1]] * 10


def test_stills_lose_unlikely_people_and_keep_their_raw_scores() -> None:
    post = PostProcessor.build(PostOptions().of_stills(), header=HEADER)
    (result,) = post.process([Result(grey(0), people(TOMATO, WOMAN))])
    assert result.poses.score.max() == pytest.approx(0.75) and len(result.poses) == 1
    (whole,) = PostProcessor.build(STILLS, header={}).process([Result(grey(0), people(TOMATO, WOMAN))])
    assert len(whole.poses) == 2


def test_json_has_raw_scores_and_probabilities(tmp_path: Path) -> None:
    row = next(row for row in written_formats() if row.option == "--json")
    for name, header in (("with", HEADER), ("without", {"detector": "bundled"})):
        sink = row.open_sink(tmp_path / f"{name}.json", WriteOptions(header, image_ids=[1]))
        sink.write(Result(replace(grey(0), name="a.jpg"), people(WOMAN)))
        sink.close(complete=True)
    found, plain = (
        json.loads((tmp_path / f"{name}.json").read_text())["annotations"][0] for name in ("with", "without")
    )
    assert found["keypoint_scores"] == plain["keypoint_scores"] and found["score"] == plain["score"]
    assert found["keypoint_probabilities"] == pytest.approx([0.75] * 17, abs=0.001)
    assert found["probability"] == pytest.approx(0.786, abs=0.01) and "probability" not in plain


def test_images_drops_by_default_and_on_request(tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "home"))
    still = media / "stills" / "still_01.jpg"
    counts = {}
    for name, words in (("none", ["--min-person-score", "0", "--min-joints", "0"]), ("all", ["--min-joints", "18"])):
        out = tmp_path / f"{name}.json"
        given = ["images", still, "--json", out, "--detector", "bundled", "-q", *words]
        assert CliRunner().invoke(cli, [str(word) for word in given]).exit_code == 0
        counts[name] = len(json.loads(out.read_text())["annotations"])
    assert counts["none"] > 0 == counts["all"]
    again = CliRunner().invoke(
        cli, ["convert", str(tmp_path / "all.json.poses.jsonl"), "--json", str(tmp_path / "again.json"), "-q"]
    )
    assert again.exit_code == 0, again.output
    assert len(json.loads((tmp_path / "again.json").read_text())["annotations"]) > 0, "the journal holds everybody"
