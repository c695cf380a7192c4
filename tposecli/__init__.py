"""Human poses from videos and images with TransPose, and the attention that explains them.

One photo, three lines::

    from tposecli import Pose
    result = Pose().image("photo.jpg")
    print(result.poses.xy)  # (N, 17, 2) pixels

A video, frame by frame::

    for result in Pose()("clip.mp4"):
        print(result.frame.time_s, result.final.track_id, result.final.xy)

Images are (H, W, 3) uint8 arrays in RGB order; coordinates are pixels, x to the right and y down.

- Estimate: :class:`Pose`, and the parts it is made of: :class:`PoseEstimator`, :func:`open_video`, :func:`run`.
- Results: :class:`PoseResult`, :class:`Poses`, :class:`Boxes`, :class:`Frame`.
- Show and keep them: :func:`to_dataframe`, :func:`save`, :func:`draw`, :func:`plot`.
- Bring your own: :class:`Detector`, :class:`PoseTracker`, :class:`Smoother`.
- Run jobs as the command line does: :class:`Session`, :class:`Settings`, :class:`VideoJob`, :class:`ImagesJob`.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from tposecli.utils.version import __version__

if TYPE_CHECKING:
    from tposecli.api import Pose, PoseResult, Results, draw, plot, run, save, to_dataframe
    from tposecli.attention.style import AttentionStyle
    from tposecli.detection.base import Detector
    from tposecli.detection.factory import DetectorOptions
    from tposecli.drawing.style import DrawStyle
    from tposecli.inference.estimator import PoseEstimator
    from tposecli.inference.options import ModelChoice
    from tposecli.models.attention_readout import Attention
    from tposecli.pipeline.job import (
        DrawingSettings,
        FileSettings,
        ImagesJob,
        InferenceSettings,
        Outputs,
        RunFlags,
        Settings,
        VideoJob,
        Watcher,
    )
    from tposecli.pipeline.keep_options import KeepOptions
    from tposecli.pipeline.postprocess import PostOptions
    from tposecli.pipeline.session import Session
    from tposecli.pipeline.summary import Summary
    from tposecli.sinks.encoding import VideoOptions
    from tposecli.smoothing.base import Smoother
    from tposecli.smoothing.options import SmoothOptions
    from tposecli.sources import Window, open_video
    from tposecli.tracking.custom import PoseTracker
    from tposecli.tracking.options import TrackOptions
    from tposecli.types import Boxes, Flag, Frame, Poses, Result
    from tposecli.utils.errors import InputError, OutputError, TposeError, UsageError, WeightsError

_WHERE: Final = {
    "api": ("Pose", "PoseResult", "Results", "draw", "plot", "run", "save", "to_dataframe"),
    "attention.style": ("AttentionStyle",),
    "detection.base": ("Detector",),
    "detection.factory": ("DetectorOptions",),
    "drawing.style": ("DrawStyle",),
    "inference.estimator": ("PoseEstimator",),
    "inference.options": ("ModelChoice",),
    "models.attention_readout": ("Attention",),
    "pipeline.job": (
        *("DrawingSettings", "FileSettings", "ImagesJob", "InferenceSettings", "Outputs", "RunFlags"),
        *("Settings", "VideoJob", "Watcher"),
    ),
    "pipeline.keep_options": ("KeepOptions",),
    "pipeline.postprocess": ("PostOptions",),
    "pipeline.session": ("Session",),
    "pipeline.summary": ("Summary",),
    "sinks.encoding": ("VideoOptions",),
    "smoothing.base": ("Smoother",),
    "smoothing.options": ("SmoothOptions",),
    "sources": ("Window", "open_video"),
    "tracking.custom": ("PoseTracker",),
    "tracking.options": ("TrackOptions",),
    "types": ("Boxes", "Flag", "Frame", "Poses", "Result"),
    "utils.errors": ("InputError", "OutputError", "TposeError", "UsageError", "WeightsError"),
}
"""The public names by their modules, which are imported when a name is first used."""

_MODULES: Final = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Attention",
    "AttentionStyle",
    "Boxes",
    "Detector",
    "DetectorOptions",
    "DrawStyle",
    "DrawingSettings",
    "FileSettings",
    "Flag",
    "Frame",
    "ImagesJob",
    "InferenceSettings",
    "InputError",
    "KeepOptions",
    "ModelChoice",
    "OutputError",
    "Outputs",
    "Pose",
    "PoseEstimator",
    "PoseResult",
    "PoseTracker",
    "Poses",
    "PostOptions",
    "Result",
    "Results",
    "RunFlags",
    "Session",
    "Settings",
    "SmoothOptions",
    "Smoother",
    "Summary",
    "TposeError",
    "TrackOptions",
    "UsageError",
    "VideoJob",
    "VideoOptions",
    "Watcher",
    "WeightsError",
    "Window",
    "__version__",
    "draw",
    "open_video",
    "plot",
    "run",
    "save",
    "to_dataframe",
]


def __dir__() -> list[str]:
    """Return the public names, also those that are not imported yet."""
    return sorted({*__all__, "__doc__", "__file__", "__name__", "__path__"})


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: torch takes seconds, ``tpose --help`` must not wait for it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
