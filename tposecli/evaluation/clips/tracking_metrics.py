"""Who is who: HOTA, IDF1 and id switches, by the package ``trackers``, whose figures are those of TrackEval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tposecli.evaluation.clips.matching import Truth
from tposecli.types import UNTRACKED, Poses

EXTRA = "pip install 'tposecli[score]'"


@dataclass(frozen=True, slots=True)
class TrackingMetrics:
    """Similarity of a person and a pose is their OKS.

    Attributes:
        hota: Higher order tracking accuracy (Luiten et al., IJCV 2021), mean over the thresholds 0.05 to 0.95; 0..1.
        det_a: Its share of finding people.
        ass_a: Its share of knowing them again.
        idf1: F1 of identities (Ristani et al., ECCV 2016) at an OKS of 0.5; 0..1.
        mota: CLEAR's accuracy (Bernardin & Stiefelhagen 2008) at an OKS of 0.5; 1 at best.
        id_switches: How often a person's id becomes another one, at an OKS of 0.5.
        ids: How many ids were given away.
        people: How many there are.
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
    """Whether the package is there."""
    from importlib.util import find_spec

    return find_spec("trackers") is not None


def identity(truth: Sequence[Truth], found: Sequence[Poses]) -> TrackingMetrics | None:
    """Of all frames; poses without an id are nobody's and are left out.

    None where the package is missing, no pose has an id, or somebody in the truth has none.
    """
    found = [poses[poses.track_id != UNTRACKED] for poses in found]
    true = [frame.people.track_id for frame in truth]
    given = [poses.track_id for poses in found]
    everybody, all_given = (np.concatenate(ids) if ids else np.zeros(0, np.int64) for ids in (true, given))
    if not installed() or not len(everybody) or UNTRACKED in everybody or not len(all_given):
        return None
    from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    alike = [np.asarray(frame.alike(poses)) for frame, poses in zip(truth, found, strict=True)]
    hota = compute_hota_metrics(true, given, alike)
    clear = compute_clear_metrics(true, given, alike)
    return TrackingMetrics(
        float(hota["HOTA"]),
        float(hota["DetA"]),
        float(hota["AssA"]),
        float(compute_identity_metrics(true, given, alike)["IDF1"]),
        float(clear["MOTA"]),
        int(clear["IDSW"]),
        len(np.unique(all_given)),
        len(np.unique(everybody)),
    )
