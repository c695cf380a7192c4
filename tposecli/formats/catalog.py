"""The table of pose file formats, from which the command line, the outputs of a run and the readers are derived.

To add a format, write its module and add a row to ``POSE_FORMATS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tposecli.utils.errors import UsageError
from tposecli.utils.files import check_folder, check_output, forbid_replacing

if TYPE_CHECKING:
    from tposecli.formats.base import PoseFile, PoseSource, WriteOptions
    from tposecli.formats.journal.journal import Journal
    from tposecli.formats.json_stream import Member
    from tposecli.sinks.base import Sink


@dataclass(frozen=True, slots=True)
class PoseFormat:
    """A pose file format.

    Functions are given as ``module:function`` and imported on first use, because the command line is built from the
    table and must not wait for numpy.

    Attributes:
        name: Key of the format in ``Outputs.poses``, and its name for ``--from``.
        option: Option that writes the format, such as ``--csv``; empty if it cannot be written.
        help: Help text of that option.
        suffix: Suffix of its files in a folder that several inputs share.
        folder_pattern: Glob pattern of the files in an output folder; empty if the output is a single file.
        to_stdout: The output ``-`` is standard output.
        coco_only: The format holds COCO's 17 keypoints and no others.
        package: Optional package that writing needs, also the name of its module; empty if none.
        extra: Extra of tposecli that installs the package.
        variants: Choices of the option ``OPTION-format``, the default first; empty if there is one variant only.
        writer: ``(path, WriteOptions) -> Sink``.
        reader: ``(PoseSource) -> PoseFile | Journal``; empty if the format cannot be read.
        head_sniffer: ``(bytes) -> bool``, True if a file that begins with these bytes has this format.
        json_sniffer: ``(Member) -> bool``, True if a JSON file with this member has this format.
    """

    name: str
    option: str = ""
    help: str = ""
    suffix: str = ""
    folder_pattern: str = ""
    to_stdout: bool = False
    coco_only: bool = False
    package: str = ""
    extra: str = ""
    variants: tuple[str, ...] = ()
    writer: str = ""
    reader: str = ""
    head_sniffer: str = ""
    json_sniffer: str = ""

    @property
    def parameter(self) -> str:
        """Name of the option's value in Python: ``csv`` for ``--csv``."""
        return self.option.removeprefix("--").replace("-", "_")

    def open_sink(self, path: Path, options: WriteOptions) -> Sink:
        """Open a sink that writes poses to ``path``.

        Raises:
            UsageError: The format needs COCO's keypoints, and the poses have others.
            OutputError: The file cannot be written.
        """
        if self.coco_only and not options.layout.is_coco:
            raise UsageError(f"{self.option}: for COCO's 17 keypoints only, and these poses have others; leave it out")
        sink: Sink = _load(self.writer)(path, options)
        return sink

    def read(self, source: PoseSource) -> PoseFile | Journal:
        """Read a file or folder.

        Raises:
            InputError: It cannot be read, or is damaged.
        """
        found: PoseFile | Journal = _load(self.reader)(source)
        return found

    def recognizes_head(self, head: bytes) -> bool:
        """Check whether a file that begins with these bytes has this format."""
        return bool(self.head_sniffer) and bool(_load(self.head_sniffer)(head))

    def recognizes_json(self, member: Member) -> bool:
        """Check whether a JSON file with this member has this format."""
        return bool(self.json_sniffer) and bool(_load(self.json_sniffer)(member))

    def check_output(self, path: Path, overwrite: bool) -> None:
        """Check, before any work is done, that the format can be written to ``path``.

        Raises:
            UsageError: The path exists and ``overwrite`` is off, it is a file where a folder is needed or the other way
                round, or a package is not installed.
            OutputError: A folder cannot be created or written.
        """
        if self.package and find_spec(self.package) is None:
            raise UsageError(
                f"{self.option} needs {self.package}; install it with pip install 'tposecli[{self.extra}]', "
                "or leave the option out"
            )
        if not self.folder_pattern:
            check_output(path, overwrite)
            return
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; name a folder for {self.option}")
        if not overwrite and path.is_dir() and next(path.glob(self.folder_pattern), None) is not None:
            raise UsageError(f"{path} holds {self.folder_pattern} files already; add --overwrite to replace them all")
        check_folder(path.parent)
        if path.is_dir():
            check_folder(path)
        forbid_replacing(path, not overwrite)


def _load(reference: str) -> Any:
    """Import ``module:attribute``."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


POSE_FORMATS: Final = (
    PoseFormat(
        "journal",
        reader="tposecli.formats.journal.journal:read_journal_source",
        head_sniffer="tposecli.formats.journal.journal:is_journal",
    ),
    PoseFormat(
        "coco",
        "--json",
        "Write poses as COCO JSON, or as JSON lines to standard output (-).",
        ".json",
        to_stdout=True,
        variants=("dataset", "results"),
        writer="tposecli.formats.coco:open_coco",
        reader="tposecli.formats.coco:read_coco",
        json_sniffer="tposecli.formats.coco:is_coco",
    ),
    PoseFormat(
        "csv",
        "--csv",
        "Write poses as CSV, one row per keypoint, or to standard output (-).",
        ".csv",
        to_stdout=True,
        writer="tposecli.formats.tables:open_csv",
    ),
    PoseFormat(
        "parquet",
        "--parquet",
        "Write the table of --csv as Parquet (needs pyarrow).",
        ".parquet",
        package="pyarrow",
        extra="parquet",
        writer="tposecli.formats.tables:open_parquet",
    ),
    PoseFormat(
        "openpose",
        "--openpose",
        "Write OpenPose JSON into this folder, one file per frame.",
        folder_pattern="*_keypoints.json",
        coco_only=True,
        variants=("coco18", "coco17"),
        writer="tposecli.formats.openpose:open_openpose",
        reader="tposecli.formats.openpose:read_openpose",
        json_sniffer="tposecli.formats.openpose:is_openpose",
    ),
    PoseFormat(
        "mmpose",
        "--mmpose",
        "Write poses as MMPose JSON.",
        ".mmpose.json",
        writer="tposecli.formats.mmpose:open_mmpose",
        reader="tposecli.formats.mmpose:read_mmpose",
        json_sniffer="tposecli.formats.mmpose:is_mmpose",
    ),
    PoseFormat(
        "npz",
        "--npz",
        "Write poses as NumPy arrays.",
        ".npz",
        writer="tposecli.formats.npz:open_npz",
    ),
)
"""All formats, in the order of the options; the journal of a run is written beside the first output in this order.
Where the sniffers of several formats accept a file, the first row wins."""


def written_formats() -> list[PoseFormat]:
    """Return the formats that an option writes."""
    return [row for row in POSE_FORMATS if row.option]


def readable_formats() -> list[PoseFormat]:
    """Return the formats that can be read."""
    return [row for row in POSE_FORMATS if row.reader]
