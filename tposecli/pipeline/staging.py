"""Staging: what a job reads from a store or a web server is fetched to this machine, and what it makes is stored.

The rest of the program sees local files only. Each job has a folder of its own in the scratch of the process. In it
lie, under the names of their addresses, its input, its outputs, and stand-ins of the outputs that are in the store
already: empty files of their sizes, so that what exists is refused, resumed or skipped by the same rules as everywhere.
Its journal is stored every 30 s, so that the same command resumes a run whose machine is gone.
"""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from tposecli.formats.journal.journal import SUFFIX, journal_path, relocate
from tposecli.hub import remote
from tposecli.hub.download.download import free_bytes
from tposecli.hub.download.options import Downloads
from tposecli.hub.remote import Found, address_of, is_stored, is_web, stored_path
from tposecli.pipeline.job import ImagesJob, Outputs, VideoJob
from tposecli.pipeline.summary import Summary
from tposecli.sources import ImageList, find_images
from tposecli.sources.image_sequence import is_numbered
from tposecli.sources.image_store import is_archive
from tposecli.sources.locations import PLAYLISTS, InputLocation, is_url, redacted, short_name
from tposecli.utils.errors import InputError, OutputError, TposeError, UsageError
from tposecli.utils.locks import TEMPORARY, try_lock
from tposecli.utils.threads import repeatedly

log = logging.getLogger("tposecli")

JOURNAL_S: Final = 30.0
"""Seconds between two copies of a journal in the store; more where copying takes longer than a tenth of it."""

ROOM: Final = 2
"""An input is fetched if this many times its size is free: its outputs take room, too."""

BEGINNING: Final = 1 << 18
"""Bytes of an earlier journal that tell whether it may be resumed."""

YOUNG_S: Final = 60.0
"""Seconds that a folder in the scratch is left alone, as its process may not have locked it yet."""

SCRATCH: Final = "tposecli-scratch"

AnyJob = TypeVar("AnyJob", VideoJob, ImagesJob)


@dataclass(eq=False)
class Staged:
    """A job as this machine runs it.

    Attributes:
        job: The job with local files; its input lies where it will be fetched to.
        origin: The job as it was asked for.
        folder: Where its files lie; None if nothing of it is remote.
        known: Files that are not to be stored, with size and time: stand-ins, journals and inputs as they were fetched.
        journals: Journals of the store that were fetched only in part.
        found: What the server says of the input of a video; None if it is not remote, or is read once.
    """

    job: VideoJob | ImagesJob
    origin: VideoJob | ImagesJob
    folder: Path | None = None
    known: dict[Path, tuple[int, int]] = field(default_factory=dict)
    journals: dict[Path, tuple[Path, Found]] = field(default_factory=dict)
    found: Found | None = None

    @property
    def version(self) -> str:
        """What the input is known again by, without reading it; empty for local ones."""
        return "" if self.found is None else self.found.version

    def knows(self, path: Path) -> None:
        """Note that a file is as it is in the store."""
        found = path.stat()
        self.known[path] = found.st_size, found.st_mtime_ns


class Staging:
    """The scratch of a session, which exists while the session runs jobs with remote files.

    As a context manager it names addresses in log lines and errors instead of the files in the scratch.
    """

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads
        self._stack = ExitStack()
        self._root: Path | None = None
        self._count = 0
        self._folders: dict[Path, dict[str, Found]] = {}
        self._writable: set[Path] = set()

    def __enter__(self) -> Self:
        log.addFilter(self._name_addresses)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        log.removeFilter(self._name_addresses)
        self._stack.close()
        if isinstance(error, TposeError) and (named := self.named(str(error))) != str(error):
            raise type(error)(named) from error

    def named(self, text: str) -> str:
        """Return a text with addresses in place of files in the scratch."""
        if self._root is None:
            return text
        return re.sub(rf"{re.escape(str(self._root))}/\d+/(\w+)/", r"\1://", text)

    def of_video(self, job: VideoJob) -> Staged:
        """Return a job as this machine runs it, with what is known of its outputs; nothing is fetched yet.

        Raises:
            UsageError: The network is off, or the outputs cannot be stored.
        """
        staged = self._of_outputs(job)
        if is_url(job.input) and self._downloads.offline:
            raise _offline(redacted(job.input))
        if staged.folder is not None and _is_remote(job.input):
            path = staged.folder / _place(job.input)
            staged.job = replace(staged.job, input=path)  # type: ignore[arg-type]
        return staged

    def inspected(self, staged: Staged) -> Staged:
        """Ask the server for the input of a video; if it may be fetched or read by ranges, ``found`` says so.

        Raises:
            InputError: It cannot be read.
        """
        location = staged.origin.input  # type: ignore[union-attr]
        if staged.found is None and _is_remote(location):
            staged.found = remote.inspect(location, self._downloads)
        return staged

    @contextmanager
    def outputs(self, staged: Staged) -> Iterator[None]:
        """Store what the job makes at the end of the block; its journal is stored while it runs, too.

        If the block raises, the journal alone is stored.

        Raises:
            OutputError: The outputs cannot be stored.
        """
        if staged.folder is None:
            yield
            return
        self._complete_journals(staged)
        keeper = _JournalKeeper(staged, staged.folder / "journal.copy")
        try:
            try:
                with repeatedly(keeper.keep, JOURNAL_S, "journal"):
                    yield
            except BaseException:
                keeper.keep()
                raise
            self._store(staged, keeper)
        finally:
            shutil.rmtree(staged.folder, ignore_errors=True)

    def input(self, staged: Staged) -> InputLocation:
        """Return where the input of a video can be read: fetched if it fits, else by ranges, else as it was given.

        Raises:
            InputError: It cannot be read.
        """
        job, origin = staged.job, staged.origin
        assert isinstance(job, VideoJob) and isinstance(origin, VideoJob)
        found = self.inspected(staged).found
        if found is None or staged.folder is None:
            return origin.input
        if found.is_folder:
            raise InputError(f"{address_of(str(origin.input))}: a folder; end its name with a slash to read all of it")
        path = Path(job.input)
        ends_early = is_web(origin.input) and origin.window.end_s is not None
        if ends_early or found.size * ROOM > free_bytes(staged.folder):
            if not ends_early:
                log.info("%s: read by ranges, as it does not fit on the disk", short_name(origin.input))
            return remote.signed_address(origin.input)
        remote.fetch(origin.input, path, found, self._downloads)
        staged.knows(path)
        return path

    def of_images(self, job: ImagesJob) -> Staged:
        """Return a job over images as this machine runs it, with all of them fetched.

        Raises:
            InputError: There are none, or they cannot be read.
            UsageError: The network is off, the outputs cannot be stored, or the images do not fit on the disk.
        """
        staged = self._of_outputs(job)
        if staged.folder is None or job.measured:
            return staged
        wanted: dict[Path, tuple[Path | str, Found]] = {}
        inputs: list[str] = []
        for text in job.inputs if job.images is None else ():
            inputs += self._of_images(text, job.recursive, staged.folder, wanted)
        folder, images = staged.folder, job.images
        for path in images.paths if images is not None else ():
            if is_stored(path):
                wanted[folder / _place(path)] = path, remote.inspect(path, self._downloads) or Found(0, "")
        needed = ROOM * remote.total_size([found for _, found in wanted.values()])
        free = free_bytes(staged.folder)
        if needed > free:
            raise UsageError(
                f"the images need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; set TMPDIR to a folder of a "
                "larger disk, or name fewer images"
            )
        for path, (location, found) in wanted.items():
            remote.fetch(location, path, found, self._downloads)
            staged.knows(path)
        if images is not None:
            paths = (folder / _place(path) if is_stored(path) else path for path in images.paths)
            images = replace(images, paths=tuple(paths))
        staged.job = replace(staged.job, inputs=tuple(inputs), images=images)  # type: ignore[arg-type]
        return staged

    def found_images(self, job: ImagesJob) -> ImageList | None:
        """Return all images of a job in their order, those of a store with their addresses; nothing is fetched.

        Those of web servers, and in zip files of stores, are known only when they are fetched: None.

        Raises:
            InputError: There are none, or the store cannot be read.
        """
        folder = self._new_folder()
        wanted: dict[Path, tuple[Path | str, Found]] = {}
        if any(map(is_web, job.inputs)):
            return None
        inputs = [each for text in job.inputs for each in self._of_images(text, job.recursive, folder, wanted)]
        if any(map(is_archive, wanted)):
            return None
        for path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        images = find_images(inputs, job.recursive)
        paths = (Path(wanted[path][0]) if path in wanted else Path(os.path.abspath(path)) for path in images.paths)
        return replace(images, paths=tuple(paths))

    def report(self, staged: Staged, summary: Summary) -> None:
        """Name addresses in a summary."""
        summary.failed = [(self.named(name), self.named(reason)) for name, reason in summary.failed]
        if staged.folder is not None:
            summary.outputs = [_remote_of(Path(path), staged.folder) or path for path in summary.outputs]

    @contextmanager
    def files(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        """Yield local copies of stored files and folders; those that the block changes are stored again."""
        outputs = [path for path in paths if is_stored(path)]
        if not outputs:
            yield list(paths)
            return
        staged = Staged(ImagesJob((), Outputs()), ImagesJob((), Outputs()), self._new_folder())
        assert staged.folder is not None
        for path in outputs:
            self._check_store(path)
            for each, found in remote.list_below(path).items():
                local = staged.folder / _place(each)
                remote.fetch(each, local, found, self._downloads)
                staged.knows(local)
        yield [staged.folder / _place(path) if is_stored(path) else path for path in paths]
        self._store(staged, None)

    def _of_outputs(self, job: AnyJob) -> Staged:
        """Return a job with local outputs, and make stand-ins for those that are in the store."""
        staged = Staged(job, job)
        inputs: Sequence[InputLocation] = job.inputs if isinstance(job, ImagesJob) else (job.input,)
        stored: list[Path] = [path for path in job.outputs.files if is_stored(path)]
        if not (stored or any(_is_remote(each) for each in inputs)):
            return staged
        if self._downloads.offline:
            raise _offline(address_of(stored[0]) if stored else redacted(next(filter(_is_remote, inputs))))
        for each in (*stored, *(each for each in inputs if is_stored(each))):
            remote.check_package(each)
        if len(stored) not in (0, len(job.outputs.files)):
            raise UsageError(
                f"{address_of(stored[0])}: stored, but other outputs of the run are not; name a store for all of them"
            )
        staged.folder = self._new_folder()
        folder = staged.folder
        outputs = job.outputs.placed(lambda path: folder / _place(path) if is_stored(path) else path)
        staged.job = replace(job, outputs=outputs)
        for path in stored:
            self._stand_in(path, staged)
        return staged

    def _of_images(
        self, text: str, recursive: bool, folder: Path, wanted: dict[Path, tuple[Path | str, Found]]
    ) -> list[str]:
        """Return what an input of images is on this machine, and add what has to be fetched for it."""
        if is_web(text):
            found = remote.inspect(text, self._downloads) or Found(0, "")
            wanted[folder / _place(text)] = text, found
            return [str(folder / _place(text))]
        if not is_stored(text):
            return [text]
        files = remote.find(text, recursive)
        wanted |= {folder / _place(path): (path, found) for path, found in files.items()}
        if any(mark in text for mark in "*?[") or len(files) == 1:
            return [str(folder / _place(path)) for path in files]
        return [str(folder / _place(text))]

    def _stand_in(self, path: Path, staged: Staged) -> None:
        """Make stand-ins for an output that is in the store, and what lies beside it under its name."""
        self._check_store(path)
        parent, numbered = path.parent, is_numbered(path)
        if parent not in self._folders:
            self._folders[parent] = remote.list_folder(parent)
        for name, found in self._folders[parent].items():
            if numbered or name == path.name or name.startswith(f"{path.stem}."):
                files = remote.list_below(parent / name) if found.is_folder else {parent / name: found}
                for each, of_file in files.items():
                    self._stand_in_file(each, of_file, staged)

    def _stand_in_file(self, path: Path, found: Found, staged: Staged) -> None:
        assert staged.folder is not None
        local = staged.folder / _place(path)
        if local in staged.known:
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        if path.name.endswith(SUFFIX):
            self._put_journal(local, io.BytesIO(remote.read_beginning(path, min(found.size, BEGINNING))), staged)
            if found.size > BEGINNING:
                staged.journals[local] = path, found
        else:
            with local.open("wb") as file:
                file.truncate(found.size)
        staged.knows(local)

    def _complete_journals(self, staged: Staged) -> None:
        """Fetch the rest of the earlier journals, which a resumed run continues."""
        assert staged.folder is not None
        whole = staged.folder / "journal.whole"
        for local, (path, found) in staged.journals.items():
            remote.fetch(path, whole, found, self._downloads)
            with whole.open("rb") as content:
                self._put_journal(local, content, staged)
            whole.unlink()
            staged.knows(local)

    def _put_journal(self, local: Path, content: BinaryIO, staged: Staged) -> None:
        """Write a journal of the store as one of this machine: its header names the local outputs."""
        folder = staged.folder
        assert folder is not None
        with local.open("wb") as file:
            relocate(content, file, lambda name: str(folder / _place(name)) if is_stored(name) else name)

    def _store(self, staged: Staged, keeper: _JournalKeeper | None) -> None:
        """Store everything that the job has made, the journal, which says that it is complete, at the end."""
        folder = staged.folder
        assert folder is not None
        replaced: dict[Path, Path] = {}
        added: dict[Path, Path] = {}
        for path in _made(folder):
            target = _remote_of(path, folder)
            if target is None or path.name.endswith(SUFFIX) or staged.known.get(path) == _stamp(path):
                continue
            (replaced if path in staged.known else added)[path] = stored_path(target)
        remote.store(replaced, new=False)
        remote.store(added, new=True)
        if keeper is not None:
            keeper.keep(finally_=True)

    def _check_store(self, path: Path) -> None:
        if path.parent not in self._writable:
            remote.check_writable(path.parent)
            self._writable.add(path.parent)

    def _new_folder(self) -> Path:
        """Return a new folder in the scratch."""
        if self._root is None:
            self._root = self._stack.enter_context(_scratch())
        self._count += 1
        folder = self._root / str(self._count)
        folder.mkdir()
        return folder

    def _name_addresses(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.named(record.getMessage()), ()
        return True


class _JournalKeeper:
    """Copies the journal of a job to the store, if the job's outputs are there."""

    def __init__(self, staged: Staged, copy: Path) -> None:
        files = staged.job.outputs.files
        assert staged.folder is not None
        self._staged, self._copy = staged, copy
        self._journal = journal_path(files[0]) if files else None
        target = _remote_of(self._journal, staged.folder) if self._journal is not None else None
        self._target = stored_path(target) if target is not None else None
        self._new = self._journal not in staged.known
        self._stamp = staged.known.get(self._journal) if self._journal is not None else None

    def keep(self, finally_: bool = False) -> None:
        """Store the journal as it is now.

        Args:
            finally_: It is complete; what goes wrong is raised. Otherwise it is logged: the next copy may succeed.

        Raises:
            OutputError: It cannot be stored.
        """
        if self._journal is None or self._target is None or not self._journal.is_file():
            return
        stamp, folder = _stamp(self._journal), self._staged.folder
        assert folder is not None
        if stamp == self._stamp:
            return
        try:
            with self._journal.open("rb") as journal, self._copy.open("wb") as copy:
                relocate(journal, copy, lambda name: _remote_of(Path(name), folder) or name)
            remote.store({self._copy: self._target}, self._new)
        except (TposeError, OSError) as error:
            if finally_:
                raise
            log.warning("%s", error)
            return
        self._stamp, self._new = stamp, False


def _is_remote(location: InputLocation) -> bool:
    """Return whether an input may be fetched: it is stored, or on a web server and not a playlist."""
    if is_web(location):
        return Path(urlsplit(str(location)).path).suffix.lower() not in PLAYLISTS
    return is_stored(location)


def _place(location: Path | str) -> Path:
    """Return where something remote lies in the folder of its job: ``s3/bucket/key``, ``https/host/path``."""
    if is_web(location):
        scheme, _, rest = short_name(location).partition("://")
    else:
        scheme, _, rest = address_of(location).partition("://")
    parts = [part for part in unquote(rest).split("/") if part not in ("", ".", "..")]
    return Path(scheme, *parts)


def _remote_of(path: Path, folder: Path) -> str | None:
    """Return the address of a file in the folder of a job; None for a file elsewhere, or one of no store."""
    if not path.is_relative_to(folder):
        return None
    scheme, *rest = path.relative_to(folder).parts
    return f"{scheme}://{'/'.join(rest)}" if scheme in remote.PACKAGES and rest else None


def _made(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that are finished outputs."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not TEMPORARY.fullmatch(path.name) and not path.name.endswith(".lock"):
            yield path


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _offline(name: str) -> UsageError:
    return UsageError(f"{name}: an address, and the network is off; run without --offline and TPOSE_OFFLINE")


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a folder for this process in the folder of temporary files; those of processes that died are removed."""
    above = Path(tempfile.gettempdir(), f"{SCRATCH}-{getattr(os, 'getuid', lambda: 0)()}")
    above.mkdir(mode=0o700, exist_ok=True)
    if above.is_symlink() or (hasattr(os, "getuid") and above.stat().st_uid != os.getuid()):
        raise OutputError(f"{above}: belongs to another user; set TMPDIR to a folder of your own")
    for other in above.iterdir():
        with suppress(OSError):
            if time.time() - other.stat().st_mtime > YOUNG_S:
                with (other / "lock").open("ab") as lock:
                    if try_lock(lock.fileno()):
                        shutil.rmtree(other, ignore_errors=True)
    folder = tempfile.TemporaryDirectory(dir=above, ignore_cleanup_errors=True)
    with folder as root, Path(root, "lock").open("ab") as lock:
        try_lock(lock.fileno())
        yield Path(root)
