"""Other libraries' usage reports: switched off before they are imported."""

from __future__ import annotations

import os
import sys
from typing import Final

OPT_OUT: Final = {"YOLO_OFFLINE": "1", "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""Environment variables that libraries take for a refusal."""


def block_telemetry() -> None:
    """Keep the libraries that we import from reporting home; call it before each import of one that would.

    ``import openvino`` sends an event through the package ``openvino_telemetry``, whatever ``--offline`` says. Without
    that package it uses a stub of its own, so the package is made unimportable in this process.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    for name, value in OPT_OUT.items():
        os.environ.setdefault(name, value)
