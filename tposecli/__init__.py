"""Human poses from videos and pictures with TransPose, and the attention that explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tposecli.utils.version import __version__

__all__ = ["PoseEstimator", "__version__", "open_video", "run"]

if TYPE_CHECKING:
    from tposecli.api import run
    from tposecli.inference.estimator import PoseEstimator
    from tposecli.sources import open_video


def __dir__() -> list[str]:
    """Return the public names, also those that are not imported yet."""
    return sorted({*__all__, "__doc__", "__file__", "__name__", "__path__"})


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: torch takes seconds, ``tpose --help`` must not wait for it."""
    if name == "PoseEstimator":
        from tposecli.inference.estimator import PoseEstimator

        return PoseEstimator
    if name == "open_video":
        from tposecli.sources import open_video

        return open_video
    if name == "run":
        from tposecli.api import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
