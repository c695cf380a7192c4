"""Image names for the frames of a video: annotation tools identify images by name, so each frame needs its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tposecli.sources import IMAGE_SUFFIXES
from tposecli.utils.errors import UsageError

DEFAULT_PATTERN: Final = "{stem}_{index:06d}.jpg"
"""Names of a video's frames: ``walk_000012.jpg`` is frame 12 of ``walk.mp4``."""

MAX_STEM: Final = 180
"""Characters of the video's name that are kept; file systems accept names of 255 bytes."""

_FIELD: Final = re.compile(r"\{(index|stem)(?::(0?)(\d{0,2})d?)?\}|%(0?)(\d{0,2})d")
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%]+')


def check_pattern(pattern: str) -> str:
    """Return a pattern of frame names such as ``frame_{index:06d}.png`` or ``frame_%06d.png`` if it is valid.

    Raises:
        UsageError: It has no place for the frame's index, unknown fields, or no image's extension.
    """
    fields = [match[0] for match in _FIELD.finditer(pattern) if match[1] != "stem"]
    rest = _FIELD.sub("", pattern)
    ending = PurePosixPath(_FIELD.sub("0", pattern)).suffix.lower()
    if len(fields) != 1 or set("{}%\\") & set(rest) or ending not in IMAGE_SUFFIXES:
        raise UsageError(
            f"--frame-names {pattern!r}: expected a file name with the frame's index, as 'frame_{{index:06d}}.png' or "
            "'{stem}_{index:06d}.jpg'"
        )
    return pattern


def frame_name(pattern: str, source: str, index: int) -> str:
    """Return the name of a frame.

    Args:
        pattern: From :func:`check_pattern`.
        source: Name of the video; its stem replaces ``{stem}``.
        index: Index of the frame.
    """

    def fill(match: re.Match[str]) -> str:
        if match[1] == "stem":
            return _stem(source)
        zero, width = (match[2] or "", match[3] or "") if match[1] else (match[4], match[5])
        return f"{index:{zero}{width}d}" if width else str(index)

    return _FIELD.sub(fill, pattern)


def _stem(source: str) -> str:
    """Return the name of a video without its extension and without characters that file names may not have."""
    name = source.rstrip("/").rpartition("/")[2]
    return _UNSAFE.sub("_", PurePosixPath(name).stem)[:MAX_STEM].strip(" .") or "frame"


@dataclass(frozen=True, slots=True)
class FrameNames:
    """The image names of a video's frames.

    Attributes:
        source: Name of the video.
        pattern: Pattern that the user asked for; empty for none.
        written: Name pattern (``%06d.png``) of the images that this run writes, numbered from 0; empty for none.
    """

    source: str
    pattern: str = ""
    written: str = ""

    def name(self, own: str, index: int, position: int) -> str:
        """Return the name of a frame.

        It is the requested one, else that of the written image, else the frame's own name if it was read from an image
        file, else the default.

        Args:
            own: Name of the frame: that of its image, or of the video.
            index: Index of the frame in the video.
            position: Number of frames before it in the output.
        """
        if self.pattern:
            return frame_name(self.pattern, self.source, index)
        if self.written:
            return frame_name(self.written, self.source, position)
        if own != self.source and PurePosixPath(own).suffix.lower() in IMAGE_SUFFIXES:
            return own
        return default_name(own or self.source, index)


def default_name(source: str, index: int) -> str:
    """Return the name of a frame of a video whose frames have no names of their own."""
    return frame_name(DEFAULT_PATTERN, source, index)
