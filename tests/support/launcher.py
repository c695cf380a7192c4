"""Starts ``tpose`` repeatedly without importing torch each time, for tests that kill or interrupt it.

As a script: imports everything once, then forks a child for each line of JSON on standard input.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACKEND = {"TPOSE_VIDEO_BACKEND": "torch", "TPOSE_IMAGES_BACKEND": "torch"}
"""What is imported already; every run would have to load OpenVINO."""
TIME_LIMIT_S = 240.0
"""For one run, on a busy machine."""


@dataclass
class Run:
    """One run of ``tpose``.

    Attributes:
        pid: Process id.
        stderr: File with its standard error.
        stdout: File with its standard output.
    """

    launcher: Launcher
    pid: int
    stdout: Path
    stderr: Path

    def send(self, number: int) -> float:
        """Send a signal and return the time."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return time.monotonic()

    def wait(self) -> int:
        """Return the exit status; minus the signal number if it was killed."""
        return self.launcher.end()

    def said(self) -> str:
        """Return its standard error; empty if it was killed before it had one."""
        return self.stderr.read_text() if self.stderr.exists() else ""


class Launcher:
    """The parent process of all runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.waited_for: int | None = None
        command = [sys.executable, __file__]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **BACKEND}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, **pipes, text=True, env=environment, start_new_session=True)

    def start(
        self,
        *words: Any,
        stdin: str = os.devnull,
        stdout: str | None = None,
        limit: int = 0,
        constants: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
    ) -> Run:
        """Start ``tpose words...``.

        Args:
            words: The command.
            stdin: File for standard input.
            stdout: File for standard output; None for one of its own.
            limit: Maximum size of a file in bytes.
            constants: Other values of constants, by ``module.NAME``.
            environment: Variables to set.
        """
        self.abandon()
        self.count += 1
        out, err = (self.folder / f"{self.count}.{name}" for name in ("out", "err"))
        order = {
            "words": [str(word) for word in words],
            "stdin": stdin,
            "stdout": stdout or str(out),
            "stderr": str(err),
        }
        assert self.process.stdin is not None
        more = {"limit": limit, "most_s": TIME_LIMIT_S, "constants": constants or {}, "environment": environment or {}}
        self.process.stdin.write(json.dumps({**order, **more}) + "\n")
        self.process.stdin.flush()
        self.waited_for = int(self.answer()["pid"])
        return Run(self, self.waited_for, out, err)

    def abandon(self) -> None:
        """End a run that nobody has waited for, since its test has failed."""
        if self.waited_for is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.waited_for, signal.SIGKILL)
            self.end()

    def end(self) -> int:
        """Wait for the end of the present run, and return its exit status."""
        status = int(self.answer()["status"])
        self.waited_for = None
        return status

    def run(self, *words: Any, **how: Any) -> Run:
        """Run to the end, and check that it succeeded."""
        run = self.start(*words, **how)
        status = run.wait()
        assert status == 0, (status, run.said())
        return run

    def kill(self, journal: Path, lines: int, *words: Any) -> None:
        """Run until the journal has this many lines, then send SIGKILL."""
        run = self.start(*words)
        wait_for(journal, lines)
        run.send(signal.SIGKILL)
        run.wait()

    def answer(self) -> dict[str, Any]:
        """Return the next line from the parent."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the launcher is gone"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the parent."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.abandon()
        self.process.stdin.close()
        self.process.wait(timeout=TIME_LIMIT_S)
        self.process.stdout.close()


@contextlib.contextmanager
def launching(folder: Path) -> Iterator[Launcher]:
    """Provide a launcher for the ``with`` block."""
    launcher = Launcher(folder)
    try:
        yield launcher
    finally:
        launcher.close()


def lines_of(journal: Path) -> int:
    """Return the complete lines of a journal so far."""
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def wait_for(journal: Path, lines: int, limit_s: float = TIME_LIMIT_S) -> None:
    """Wait until a journal has this many lines, or for a limited time."""
    deadline = time.monotonic() + limit_s
    while lines_of(journal) < lines and time.monotonic() < deadline:
        time.sleep(0.005)
    assert lines_of(journal) >= lines, f"{journal}: {lines_of(journal)} lines, and it gets no longer"


def _child(order: dict[str, Any]) -> None:
    """Turn this process into ``tpose``."""
    import resource

    from tposecli.cli.main import main

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
        os.dup2(os.open(order[name], flags, 0o644), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if order["limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"], order["limit"]))
    os.environ.update(order["environment"])
    for name, value in order["constants"].items():
        module, _, constant = name.rpartition(".")
        if module == "sys.modules":
            sys.modules[constant] = value
        else:
            setattr(importlib.import_module(module), constant, value)
    sys.argv = ["tpose", *order["words"]]
    main()


def _serve() -> None:
    """Fork for each request; report the child's process id, then how it ended."""
    import scipy.optimize  # noqa: F401

    import tposecli.cli.main
    import tposecli.cli.watchers
    import tposecli.pipeline.session  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _child(order)
        print(json.dumps({"pid": pid}), flush=True)  # noqa: T201
        print(json.dumps({"status": _status_of(pid, order["most_s"])}), flush=True)  # noqa: T201


def _status_of(pid: int, most_s: float) -> int:
    """Return the child's exit status; a hanging child is killed."""
    deadline = time.monotonic() + most_s
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return 999
        time.sleep(0.002)


if __name__ == "__main__":
    _serve()
