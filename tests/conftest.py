"""What several tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

# No test reaches out but those of the downloads, which have a server of their own.
os.environ["TPOSE_OFFLINE"] = "1"

# A shell that starts the tests in the background has SIGINT ignored; the commands under test must get it all the same.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def golden() -> Path:
    """Folder of the arrays computed with the authors' implementation."""
    return REPOSITORY / "tests" / "golden"


@pytest.fixture
def media() -> Path:
    """Folder of the sample clips."""
    return REPOSITORY / "sample_media"


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20211010)
