"""A sink that gathers a whole run, and writes it in one or more formats once it is complete."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.formats.base import WriteOptions
from tposecli.formats.catalog import PoseFormat
from tposecli.formats.exchange.recording import Person, Recording
from tposecli.types import UNTRACKED, Boxes, Poses, Result
from tposecli.utils.errors import UsageError
from tposecli.utils.files import TemporaryFolder, may_replace, move, refuse_existing, unwritable

_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%\s]+')


BLOCK: Final = 4096
"""Arrays of single frames that are kept before they are joined."""


class WholeFiles:
    """Files of formats that need all poses at once; about 0.3 kB per person and frame stay in memory.

    All are written under temporary names first. If a format cannot hold the poses, none appears.

    Args:
        outputs: Formats with an exporter, and the file or folder of each.
        options: What they hold.
    """

    def __init__(self, outputs: Sequence[tuple[PoseFormat, Path]], options: WriteOptions) -> None:
        for row, _ in outputs:
            row.check_keypoints(options)
            if row.timed and options.stills:
                raise UsageError(f"{row.title}: for videos, and these are images; use --csv or --json")
        self._outputs, self._options = outputs, options
        self._index, self._time_s = array("q"), array("d")
        self._sizes_wh: list[tuple[int, int]] = []
        self._names: list[str] = []
        self._people = array("q")
        self._poses: list[Poses] = []

    def write(self, result: Result) -> None:
        """Keep the poses of a frame."""
        frame = result.frame
        self._index.append(frame.index)
        self._time_s.append(frame.time_s)
        self._sizes_wh.append(frame.size_wh)
        self._names.append(frame.name)
        self._people.append(len(result.final))
        self._poses.append(result.final)
        if len(self._poses) >= BLOCK:
            self._poses = [self._joined()]

    def close(self, complete: bool) -> None:
        """Write all files, or none; closing twice is harmless.

        Raises:
            UsageError: A format cannot hold the poses.
            OutputError: A file cannot be written.
        """
        if not complete or not self._outputs:
            return
        outputs, self._outputs = self._outputs, ()
        recording = self.recording
        with ExitStack() as stack:
            each = [_written(row, path, recording, self._options.exchange.per_person, stack) for row, path in outputs]
            written = list(chain.from_iterable(each))
            for temporary, path in written:
                _publish(temporary, path)

    @property
    def recording(self) -> Recording:
        """What was gathered so far."""
        poses, counts = self._joined(), np.array(self._people, np.int64)
        return Recording(
            self._options.info,
            np.array(self._index, np.int64),
            np.array(self._time_s, np.float64),
            np.array(self._sizes_wh, np.int64).reshape(-1, 2),
            self._names,
            self._options.stills,
            np.repeat(np.arange(len(counts)), counts),
            poses.track_id,
            poses.boxes.xyxy,
            poses.person_score,
            poses.xy,
            poses.score,
            poses.flags,
            self._options.min_score,
            self._options.px_per_m,
            self._options.angles,
        )

    def _joined(self) -> Poses:
        """Return all people in one, which takes less memory than many small arrays."""
        # Frames without people have COCO's 17 keypoints, whatever the others have.
        found = [poses for poses in self._poses if len(poses)] or [Poses.empty(len(self._options.layout))]
        boxes = Boxes(
            np.concatenate([poses.boxes.xyxy for poses in found]),
            np.concatenate([poses.boxes.score for poses in found]),
        )
        columns = ([getattr(poses, name) for poses in found] for name in ("xy", "score", "track_id", "flags"))
        return Poses(boxes, *map(np.concatenate, columns))


def _written(
    row: PoseFormat, path: Path, recording: Recording, per_person: bool, stack: ExitStack
) -> Iterator[tuple[Path, Path]]:
    """Write the files of a format under temporary names; yield these and their own."""
    people = recording.people
    if row.timed or per_person:
        if len(recording.track) and not people:
            raise UsageError(f"{row.title}: needs the ids of people, and these have none; leave out --no-track")
        recording = recording.select(recording.track != UNTRACKED)
    if row.one_person and len(people) > 1 and not per_person:
        names = ", ".join(person.name for person in people)
        raise UsageError(
            f"{row.title}: a file holds one person, and here are {len(people)} ({names}); add --per-person to write "
            "a file for each"
        )
    parts = [(path, recording)]
    if per_person and people:
        files = [path.with_name(_of_person(path.name, name, row.suffix)) for name in _file_names(people)]
        refuse_existing(files, may_replace(path))
        each = [recording.select(recording.track == person.track) for person in people]
        parts = list(zip(files, each, strict=True))
    for file, part in parts:
        try:
            folder = TemporaryFolder(file)
            stack.callback(folder.remove)
            temporary = folder.path / file.name
            if row.folder_pattern:
                temporary.mkdir()
            row.export(part, temporary)
        except OSError as error:
            raise unwritable(file, error) from error
        yield temporary, file


def _file_names(people: Sequence[Person]) -> list[str]:
    """Return a name for the file of each person; those that differ only in what file names may not have get the id."""
    names = [_UNSAFE.sub("_", person.name) for person in people]
    shared = Counter(map(str.casefold, names))
    both = zip(names, people, strict=True)
    return [name if shared[name.casefold()] == 1 else f"{name}_{person.track}" for name, person in both]


def _of_person(name: str, person: str, suffix: str) -> str:
    """Return the name of a person's file: ``walk_Ana.trc`` for ``walk.trc``."""
    stem = name.removesuffix(suffix) if suffix and name.endswith(suffix) else Path(name).stem
    return f"{stem}_{person}{name.removeprefix(stem)}"


def _publish(temporary: Path, path: Path) -> None:
    """Give a file, or the files of a folder, their own names."""
    if temporary.is_dir():
        publish_folder(temporary, path)
        return
    try:
        move(temporary, path, may_replace(path))
    except OSError as error:
        raise unwritable(path, error) from error


def publish_folder(temporary: Path, path: Path, old_patterns: Iterable[str] = ()) -> None:
    """Move the files of a folder to their own names; those of an earlier run go.

    Args:
        temporary: Where they are.
        path: Where they shall be.
        old_patterns: Glob patterns of those of an earlier run.

    Raises:
        OutputError: A file cannot be moved.
    """
    try:
        replace = may_replace(path)
        for old in [file for pattern in old_patterns for file in path.glob(pattern) if replace]:
            old.unlink()
        files = [file for file in temporary.rglob("*") if file.is_file()]
        # The file that describes the others is in no subfolder: it comes last.
        for new in sorted(files, key=lambda file: (-len(file.parts), file)):
            target = path / new.relative_to(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            move(new, target, replace, durable=False)
    except OSError as error:
        raise unwritable(path, error) from error
