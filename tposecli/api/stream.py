"""The pipeline for programs: one call from a source to its results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from tposecli.detection.factory import DetectorOptions, open_detector, weak_score
from tposecli.formats.journal.provenance import describe_model
from tposecli.inference.estimator import PoseEstimator
from tposecli.pipeline.postprocess import STILLS, PostOptions, PostProcessor
from tposecli.pipeline.stream import Stages
from tposecli.pipeline.stream import run as run_stages
from tposecli.smoothing.options import AS_MEASURED, SmoothOptions
from tposecli.tracking.options import TrackOptions
from tposecli.types import Frame, Result


def run(
    frames: Iterable[Frame],
    estimator: PoseEstimator | None = None,
    detector: DetectorOptions | str = "auto",
    track: TrackOptions | bool = True,
    smooth: SmoothOptions | bool = True,
    progress: bool = False,
) -> Iterator[Result]:
    """Yield the poses of every frame, in order; reading and inference run ahead in threads of their own.

    Args:
        frames: ``open_video(...)``, or any frames of your own.
        estimator: The net; the default one if None.
        detector: A name as for ``--detector``, or all options of the detector.
        track: Give people ids that last from frame to frame; options, or True for the defaults. False for stills.
        smooth: Also return smoothed poses; options, or True for those of ``--smooth auto``. Needs ``track``.
        progress: Show a progress bar, in a terminal or a notebook.
    """
    estimator = estimator or PoseEstimator()
    options = DetectorOptions(detector) if isinstance(detector, str) else detector
    post = STILLS
    if track:
        smoothing = SmoothOptions() if smooth is True else smooth or AS_MEASURED
        post = PostOptions(TrackOptions() if track is True else track, smoothing)
    people, options = open_detector(options, estimator.runtime, tracked=bool(track))
    header = {**describe_model(estimator), "detector": options.name}
    stages = Stages(
        people,
        estimator,
        PostProcessor.build(post, getattr(frames, "live", False), estimator.layout, weak_score(options), header),
        options.every,
    )
    with closing(run_stages(frames, stages)) as results:
        if not progress:
            yield from results
            return
        from tqdm.auto import tqdm

        yield from tqdm(results, total=getattr(frames, "expected", None), unit="frame")
