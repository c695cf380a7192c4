"""Ids persist in rendered crossings; the ten clips are those of ``tests/studies/tracking_study.py``."""

from __future__ import annotations

import numpy as np
import pytest

from tests.studies import tracking_study as study


def test_true_poses_of_a_crossing_keep_their_ids() -> None:
    pytest.importorskip("trackers")
    clip = list(study.moments(104, rendered=False, frames=45))
    found = study.noisy(clip, 104)
    figures = study.scored(clip, found, study.ours(found))
    assert figures.idf1 > 0.95
    assert figures.switches == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ids_from_noisy_true_poses_beat_iou_and_byte_track_on_ten_crossings() -> None:
    pytest.importorskip("trackers")
    ours, others = [], []
    for seed in study.SEEDS:
        clip = list(study.moments(seed, rendered=False))
        found = study.noisy(clip, seed)
        ours.append(study.scored(clip, found, study.ours(found)).idf1)
        rest = (study.plain_iou, study.byte_track)
        others.append([study.scored(clip, found, follow(found)).idf1 for follow in rest])
    assert np.mean(ours) >= 0.95
    assert (np.mean(ours) > np.mean(others, axis=0)).all()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ids_from_the_bundled_nets_beat_iou_and_byte_track() -> None:
    pytest.importorskip("trackers")
    figures = []
    for seed in (101, 104):
        clip = list(study.moments(seed, rendered=True))
        found = study.measured(clip)
        figures.append([study.scored(clip, found, follow(found)).idf1 for follow in study.TRACKERS.values()])
    mine, iou, byte = np.mean(figures, axis=0)
    assert mine > iou
    assert mine > byte
