"""A window that shows the annotated frames during the run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final, Protocol

import cv2

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.annotated import draw_result
from tposecli.types import Result
from tposecli.utils.errors import UsageError

QUIT: Final = (ord("q"), 27)
"""Keys that end the run: q and Escape."""

_TITLE = "tpose"


class Display(Protocol):
    """The functions of OpenCV's windows that are used."""

    def imshow(self, title: str, image: Any, /) -> None:
        """Show (H, W, 3) uint8 BGR."""
        ...

    def waitKey(self, delay: int, /) -> int:  # noqa: N802 (OpenCV's name)
        """Process window events and return the pressed key, or -1."""
        ...

    def destroyAllWindows(self) -> None:  # noqa: N802 (OpenCV's name)
        """Close the window."""
        ...


def check_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> None:
    """Check that there is a display to open a window on.

    Raises:
        UsageError: There is none.
    """
    has_display = platform.startswith(("win", "darwin"))
    if not has_display and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        raise UsageError("--show: no display found (neither DISPLAY nor WAYLAND_DISPLAY is set); leave the option out")


class LiveWindow:
    """Shows every frame with its people; q or Escape stops the run like Ctrl-C."""

    def __init__(self, draw: SkeletonDrawer, side_by_side: bool = False, display: Display | None = None) -> None:
        self._draw, self._side_by_side = draw, side_by_side
        self._display: Any = display or cv2

    def write(self, result: Result) -> None:
        """Draw and show one frame.

        Raises:
            UsageError: OpenCV was built without window support.
            KeyboardInterrupt: The user pressed q or Escape.
        """
        image = draw_result(result, self._draw, self._side_by_side)
        try:
            self._display.imshow(_TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            key = self._display.waitKey(1)
        except cv2.error as error:
            raise UsageError(f"--show: OpenCV cannot open a window ({error.err}); leave the option out") from error
        if key in QUIT:
            raise KeyboardInterrupt

    def close(self, complete: bool) -> None:
        """Close the window."""
        try:
            self._display.destroyAllWindows()
        except cv2.error:
            return
