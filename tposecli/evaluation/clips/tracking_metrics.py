"""Tracking accuracy: HOTA, IDF1 and id switches, by the package ``trackers``, whose figures equal TrackEval's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tposecli.evaluation.clips.matching import Truth
from tposecli.types import UNTRACKED, Poses

INSTALL_COMMAND = "pip install 'tposecli[score]'"


@dataclass(frozen=True, slots=True)
class TrackingMetrics:
    """Tracking metrics, with OKS as the similarity of a person and a pose.

    Attributes:
        hota: Higher order tracking accuracy (Luiten et al., IJCV 2021), mean over the thresholds 0.05 to 0.95; 0..1.
        det_a: Its detection accuracy.
        ass_a: Its association accuracy.
        idf1: F1 of identities (Ristani et al., ECCV 2016) at an OKS of 0.5; 0..1.
        mota: CLEAR MOT accuracy (Bernardin & Stiefelhagen 2008) at an OKS of 0.5; 1 at best.
        id_switches: How often the id of a person changes, at an OKS of 0.5.
        ids: Number of ids that were assigned.
        people: Number of people in the ground truth.
    """

    hota: float
    det_a: float
    ass_a: float
    idf1: float
    mota: float
    id_switches: int
    ids: int
    people: int


def installed() -> bool:
    """Return whether the package ``trackers`` is installed."""
    from importlib.util import find_spec

    return find_spec("trackers") is not None


def tracking_metrics(truth: Sequence[Truth], found: Sequence[Poses]) -> TrackingMetrics | None:
    """Return the tracking metrics over all frames; poses without an id are ignored.

    None if the package is missing, no pose has an id, or a person in the ground truth has none.
    """
    found = [poses[poses.track_id != UNTRACKED] for poses in found]
    true = [frame.people.track_id for frame in truth]
    given = [poses.track_id for poses in found]
    all_true, all_given = (np.concatenate(ids) if ids else np.zeros(0, np.int64) for ids in (true, given))
    if not installed() or not len(all_true) or UNTRACKED in all_true or not len(all_given):
        return None
    from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    similarity = [np.asarray(frame.oks(poses)) for frame, poses in zip(truth, found, strict=True)]
    hota = compute_hota_metrics(true, given, similarity)
    clear = compute_clear_metrics(true, given, similarity)
    return TrackingMetrics(
        float(hota["HOTA"]),
        float(hota["DetA"]),
        float(hota["AssA"]),
        float(compute_identity_metrics(true, given, similarity)["IDF1"]),
        float(clear["MOTA"]),
        int(clear["IDSW"]),
        len(np.unique(all_given)),
        len(np.unique(all_true)),
    )
