"""The chain of smoothing: swap repair, outliers, gaps, then the chosen filter."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Final

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.smoothing.base import Chain, EachFrame, Smoother
from tposecli.smoothing.gaps import FillGaps
from tposecli.smoothing.lookahead import Lookahead, LookaheadSmoother
from tposecli.smoothing.options import FILTERS, SmoothOptions
from tposecli.smoothing.outliers import FindOutliers
from tposecli.smoothing.swap_repair import SwapRepair
from tposecli.smoothing.track_window import Step
from tposecli.tracking.corrections import Corrections

AHEAD_S: Final = 0.5
"""Look-ahead, seconds: slightly more than the longest left-right swap that is repaired."""

BLOCK_S: Final = 0.8
"""Seconds of frames that are processed together."""

LIVE_BLOCK_S: Final = 0.1
"""Likewise for a live source, whose viewer should not have to wait."""


def build_smoother(options: SmoothOptions, live: bool = False, layout: KeypointLayout = COCO) -> Smoother | None:
    """Build the smoother that the options describe; None if they leave the poses as they are.

    Args:
        options: Method, strength, repair and gaps.
        live: Whether the source is live: frames are then delayed as little as possible.
        layout: The keypoints; left-right swaps are only repaired for COCO keypoints.
    """
    chosen = options.resolved(live)
    spec, fill_s = FILTERS.get(chosen.method), chosen.fill_gaps_s or 0.0
    step = None if spec is None or spec.step is None else spec.step(chosen.strength)
    causal = None if spec is None or spec.causal is None else spec.causal(chosen.strength)
    # With a live source, a causal filter must not delay frames, so nothing else runs unless explicitly requested.
    waits = step is not None or (causal is not None and not live)
    repairs: list[Step] = [SwapRepair()] if chosen.repair and layout.is_coco else []
    repairs += [FindOutliers()] if waits else []
    repairs += [FillGaps(fill_s)] if waits or fill_s else []
    if not repairs:
        return causal
    timing = Lookahead(max(AHEAD_S, fill_s), LIVE_BLOCK_S if live else BLOCK_S)
    lookahead = LookaheadSmoother(repairs, step, timing)
    return lookahead if causal is None else Chain(lookahead, causal)


def build_corrected_smoother(
    options: SmoothOptions, corrections: Corrections, live: bool = False, layout: KeypointLayout = COCO
) -> Smoother | None:
    """Build the smoother for poses whose joints were corrected by hand.

    Swaps are repaired before the corrections, which say how that is wrong, and never after them. Everything else sees
    the corrected joints; those that were set by hand are put back where they were set.
    """
    if not corrections.changes_joints:
        return build_smoother(options, live, layout)
    chosen = options.resolved(live)
    repair = build_smoother(SmoothOptions("none", fill_gaps_s=0, repair=chosen.repair), live, layout)
    rest = build_smoother(replace(chosen, repair=False), live, layout)
    steps = repair, EachFrame(corrections.joints), rest, EachFrame(corrections.pinned)
    return reduce(Chain, [step for step in steps if step is not None])
