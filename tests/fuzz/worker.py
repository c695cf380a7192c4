"""Reads damaged files until its time is up; dies of what it cannot survive, and leaves behind what it was reading."""

from __future__ import annotations

import faulthandler
import logging
import random
import resource
import sys
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests import REPOSITORY
from tests.fuzz.mutate import damaged
from tests.fuzz.targets import Target, target

PACKAGE = str(REPOSITORY / "tposecli")
HANG_S = 30
MOST_MORE_BYTES = 1 << 30
"""Memory that one file may need beyond what the readers take anyway."""
LARGEST_POOL = 400


class Coverage:
    """The lines of the package that were run so far."""

    def __init__(self) -> None:
        self._seen: set[tuple[CodeType, int]] = set()
        self.news = 0

    def __enter__(self) -> Coverage:
        self.news = 0
        sys.settrace(self._called)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        place = frame.f_code, frame.f_lineno
        if place not in self._seen:
            self._seen.add(place)
            self.news += 1
        return self._line


def work(name: str, seconds: float, seed: int, folder: Path) -> int:
    """Damage and read; returns how many files were read."""
    from tposecli.utils.errors import TposeError

    logging.getLogger("tposecli").addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    reader, chance = target(name), random.Random(seed)
    seeds = folder / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    pool = [*reader.examples(seeds).items()]
    first = folder / pool[0][0]
    first.write_bytes(pool[0][1])
    with suppress(TposeError):
        reader.read(first)  # What it imports takes a while on a busy machine, and says nothing of the files.
    for file, data in pool:
        with suppress(TposeError):  # not every file is of this reader's kind
            attempt(reader, folder / file, data, Coverage())
    _limit_memory()
    coverage, runs, end = Coverage(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        file, data = chance.choice(pool)
        changed = damaged(data, [other for _, other in chance.sample(pool, min(3, len(pool)))], chance, reader.is_json)
        runs += 1
        try:
            attempt(reader, folder / file, changed, coverage)
        except TposeError:
            pass
        except Exception as error:  # noqa: BLE001 - finding these is the purpose
            keep(folder, file, changed, error)
        if coverage.news and len(pool) < LARGEST_POOL:
            pool.append((file, changed))
    return runs


def attempt(reader: Target, path: Path, data: bytes, coverage: Coverage) -> None:
    """Read one file; what it was stays behind if this process dies of it."""
    path.write_bytes(data)
    (path.parent / "current").write_text(path.name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    try:
        with coverage:
            reader.read(path)
    finally:
        faulthandler.cancel_dump_traceback_later()
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        path.unlink(missing_ok=True)
    if more > MOST_MORE_BYTES:
        raise MemoryError(f"{more >> 20} MiB more")


def keep(folder: Path, file: str, data: bytes, error: BaseException) -> None:
    """Save an input and why it is kept, one for each place in the code."""
    steps = traceback.extract_tb(error.__traceback__)
    ours = [step for step in steps if step.filename.startswith(PACKAGE)] or steps
    place = f"{type(error).__name__}-{Path(ours[-1].filename).stem}-{ours[-1].lineno}"
    finds = folder.parent / "finds"
    finds.mkdir(exist_ok=True)
    path = finds / f"{folder.name}-{place}-{file}"
    if not list(finds.glob(f"{folder.name}-{place}-*")):
        path.write_bytes(data)
        path.with_name(path.name + ".txt").write_text("".join(traceback.format_exception(error)))


def _limit_memory() -> None:
    """Leave so much address space as the readers need, and some: what wants more fails at once."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 3 * MOST_MORE_BYTES,) * 2)
