"""One table for many videos: each writes a part of its own beside its journal, and the parts are joined at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tposecli.formats.tables import csv_header
from tposecli.hub.download.options import Downloads
from tposecli.pipeline.job import RunFlags
from tposecli.pipeline.staging import Staging
from tposecli.utils.files import check_output, new_file

PARTS: Final = ".parts"
"""Added to the name of the table: the folder of its parts, which an interrupted run goes on from."""


@dataclass(frozen=True, slots=True)
class SharedTable:
    """A CSV file whose first column names the video.

    Attributes:
        path: The file.
    """

    path: Path

    def part(self, name: str) -> Path:
        """Return the file of one video."""
        return self.path.with_name(self.path.name + PARTS) / f"{name}.csv"

    def check(self, flags: RunFlags, downloads: Downloads) -> None:
        """Check, before any work is done, that the table can be written.

        Raises:
            UsageError: It exists; the run that made it may be resumed.
            OutputError: The folder cannot be created or written.
        """
        with self._local(downloads) as local:
            check_output(local.path, local._may_replace(flags))

    def join(self, names: Iterable[str], flags: RunFlags, downloads: Downloads) -> int:
        """Write the table from the parts that exist, in the order of the names, and return their number.

        Raises:
            OutputError: It cannot be written.
        """
        with self._local(downloads) as local:
            return local._join(names, flags)

    @contextmanager
    def _local(self, downloads: Downloads) -> Iterator[SharedTable]:
        """Yield the table as it lies on this machine; one in a store is fetched with its parts, and stored."""
        with Staging(downloads) as staging, staging.files([self.path, self.part("").parent]) as (path, _):
            yield SharedTable(path)

    def _join(self, names: Iterable[str], flags: RunFlags) -> int:
        parts = [part for name in names if (part := self.part(name)).is_file()]
        if not parts:
            return 0
        with new_file(self.path, replace=self._may_replace(flags)) as temporary, temporary.open("wb") as table:
            table.write(csv_header(label=True).encode())
            for part in parts:
                with part.open("rb") as rows:
                    rows.readline()
                    shutil.copyfileobj(rows, table)
        return len(parts)

    def _may_replace(self, flags: RunFlags) -> bool:
        """Return whether a table that exists may be replaced: it is one of ours, and the run is resumed."""
        return flags.overwrite or (flags.resume and self._is_ours())

    def _is_ours(self) -> bool:
        if not (self.path.is_file() and self.path.with_name(self.path.name + PARTS).is_dir()):
            return False
        with self.path.open("rb") as table:
            return table.readline() == csv_header(label=True).encode()
