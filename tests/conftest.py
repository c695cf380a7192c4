"""What several tests share."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests import REPOSITORY

# No test reaches out but those of the downloads, which have a server of their own.
os.environ["TPOSE_OFFLINE"] = "1"

# The weights of the smallest model, which are good enough for tests only, do not come with the program.
os.environ["TPOSE_WEIGHTS"] = str(REPOSITORY / "tests" / "data" / "weights")

# Where there is no device for them, kernels are interpreted; Triton reads this when it is imported.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Who starts the tests in the background, or with nohup, has signals ignored that the commands under test must get.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """The log as a library finds it: commands that run in this process set it up for theirs."""
    log = logging.getLogger("tposecli")
    handlers, level = log.handlers[:], log.level
    log.disabled, log.propagate = False, True
    logging.disable(logging.NOTSET)
    yield
    log.handlers[:] = handlers
    log.setLevel(level)


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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path
