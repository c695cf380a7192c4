"""The chain of smoothing: swap repair, outliers, gaps, then the chosen filter."""

from __future__ import annotations

from typing import Final

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.smoothing.base import Chain, Smoother
from tposecli.smoothing.gaps import FillGaps
from tposecli.smoothing.lookahead import LookaheadSmoother, Reach
from tposecli.smoothing.options import FILTERS, SmoothOptions
from tposecli.smoothing.outliers import FindOutliers
from tposecli.smoothing.swap_repair import SwapRepair
from tposecli.smoothing.track_window import Step

AHEAD_S: Final = 0.5
"""Look-ahead, seconds: a little more than the longest swap of left and right that is undone."""

BLOCK_S: Final = 0.8
"""Seconds of frames that are processed together."""

LIVE_BLOCK_S: Final = 0.1
"""The same for a live source, which somebody watches."""


def build_smoother(options: SmoothOptions, live: bool = False, layout: KeypointLayout = COCO) -> Smoother | None:
    """Build the chain that the options ask for; None if they ask for nothing.

    Args:
        options: Method, strength, repair and gaps.
        live: Whether the source is watched while it runs: frames then wait only if they must, and not for long.
        layout: The keypoints; swaps of left and right are repaired for COCO's only.
    """
    chosen = options.resolved(live)
    spec, fill_s = FILTERS.get(chosen.method), chosen.fill_gaps_s or 0.0
    step = None if spec is None or spec.step is None else spec.step(chosen.strength)
    causal = None if spec is None or spec.causal is None else spec.causal(chosen.strength)
    # A causal filter of a live source waits for nothing, hence neither tests nor fills unless it is asked to.
    waits = step is not None or (causal is not None and not live)
    repairs: list[Step] = [SwapRepair()] if chosen.repair and layout.is_coco else []
    repairs += [FindOutliers()] if waits else []
    repairs += [FillGaps(fill_s)] if waits or fill_s else []
    if not repairs:
        return causal
    reach = Reach(max(AHEAD_S, fill_s), LIVE_BLOCK_S if live else BLOCK_S)
    lookahead = LookaheadSmoother(repairs, step, reach)
    return lookahead if causal is None else Chain(lookahead, causal)
