"""The annotated frames in a window, as they come."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final, Protocol

import cv2

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.annotated import painted
from tposecli.types import Result
from tposecli.utils.errors import UsageError

QUIT: Final = (ord("q"), 27)
"""Keys that end the run: q and Escape."""

_TITLE = "tpose"


class Display(Protocol):
    """What is used of OpenCV's windows."""

    def imshow(self, title: str, image: Any, /) -> None:
        """Show (H, W, 3) uint8 BGR."""
        ...

    def waitKey(self, delay: int, /) -> int:
        """Let the window live, and return the key that was pressed, or -1."""
        ...

    def destroyAllWindows(self) -> None:
        """Close."""
        ...


def check_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> None:
    """Refuse to show anything where there is no display.

    Raises:
        UsageError: There is none.
    """
    has_own = platform.startswith(("win", "darwin"))
    if not has_own and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        raise UsageError("--show: there is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set); leave it out")


class LiveWindow:
    """Shows every frame with its people; q or Escape ends the run as Ctrl-C does."""

    def __init__(self, draw: SkeletonDrawer, side_by_side: bool = False, display: Display | None = None) -> None:
        self._draw, self._side_by_side = draw, side_by_side
        self._display: Any = display or cv2

    def write(self, result: Result) -> None:
        """Draw and show one frame.

        Raises:
            UsageError: This OpenCV was built without windows.
            KeyboardInterrupt: The user pressed q or Escape.
        """
        image = painted(result, self._draw, self._side_by_side)
        try:
            self._display.imshow(_TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            key = self._display.waitKey(1)
        except cv2.error as error:
            raise UsageError(f"--show: OpenCV cannot open a window here ({error.err}); leave it out") from error
        if key in QUIT:
            raise KeyboardInterrupt

    def close(self, complete: bool) -> None:
        """Close the window."""
        try:
            self._display.destroyAllWindows()
        except cv2.error:
            return
