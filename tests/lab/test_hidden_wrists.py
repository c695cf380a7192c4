"""The study of hidden wrists: a box hides a wrist that is visible without it, and shares are what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from tests.studies.hidden_wrist_study import SIZE_WH, Pair, interval, lines, pairs, region_shares
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime, resolve_device
from tposecli.models.attention_readout import Attention


@pytest.fixture(scope="module")
def found() -> list[Pair]:
    return list(pairs(2, 7))


def test_a_box_hides_the_wrist_and_nothing_else_has_changed(found: list[Pair]) -> None:
    for pair in found:
        (row,) = np.flatnonzero(pair.alone.track_id == 1)
        x, y = np.rint(pair.alone.keypoints[row, pair.wrist, :2]).astype(int)
        assert pair.occluder[y, x] and not pair.body[y, x]
        assert not (pair.occluder & pair.body).any()
        assert pair.body.shape == SIZE_WH[::-1] and pair.body.mean() > 0.02
        changed = (abs(pair.alone.image.astype(int) - pair.hidden.image) > 30).any(axis=2)
        assert changed[pair.occluder].mean() > 0.5 > changed[pair.body].mean()


def test_shares_are_of_the_whole_map_and_chance_is_the_area(found: list[Pair]) -> None:
    runtime = Runtime(resolve_device("cpu"))
    estimator = PoseEstimator("transpose-s-a4", runtime=runtime, attention=Attention((0, -1)))
    table = np.stack([region_shares(pair, estimator) for pair in found])
    assert table.shape == (2, 3, 2, 2)
    assert (table >= 0).all() and (table.sum(axis=3) <= 1 + 1e-6).all()
    assert (table[:, 2, 0] == table[:, 2, 1]).all() and (table[:, 2] > 0).all()
    assert table[:, 0, :, 0].mean() > table[:, 2, :, 0].mean()
    assert len(list(lines(table))) == 2
    low, high = interval(table[:, 0, 0, 0])
    assert low <= table[:, 0, 0, 0].mean() <= high
