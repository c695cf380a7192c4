"""The table of pose file formats, from which the command line, the outputs of a run and the readers are derived.

To add a format, write its module and add a row to ``POSE_FORMATS``. Other packages add theirs as entry points of the
group ``tposecli.formats``, each of which is a ``PoseFormat``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tposecli.utils.errors import UsageError
from tposecli.utils.files import check_folder, check_output, forbid_replacing

if TYPE_CHECKING:
    from tposecli.formats.base import PoseFile, PoseSource, WriteOptions
    from tposecli.formats.exchange.recording import Recording
    from tposecli.formats.journal.journal import Journal
    from tposecli.formats.json_stream import Member
    from tposecli.sinks.base import Sink

log = logging.getLogger("tposecli")

ENTRY_POINTS: Final = "tposecli.formats"
"""Group of the entry points by which other packages add formats."""

_WHOLE: Final = "tposecli.formats.exchange.whole_files:WholeFiles"
"""What gathers a run for formats with an exporter."""


@dataclass(frozen=True, slots=True)
class PoseFormat:
    """A pose file format.

    Functions are given as ``module:function`` and imported on first use, because the command line is built from the
    table and must not wait for numpy.

    Attributes:
        name: Key of the format in ``Outputs.poses``, and its name for ``--from`` and ``--to``.
        option: Option that writes the format, such as ``--csv``; empty if only ``--to`` does.
        help: Help text of that option, or what the format is, for a list of them.
        suffix: Suffix of its files in a folder that several inputs share.
        folder_pattern: Glob pattern of the files in an output folder; empty if the output is a single file.
        to_stdout: The output ``-`` is standard output.
        coco_only: The format holds COCO's 17 keypoints and no others.
        package: Optional package that writing needs, also the name of its module; empty if none.
        extra: Extra of tposecli that installs the package.
        variants: Choices of the option ``OPTION-format``, the default first; empty if there is one variant only.
        writer: ``(path, WriteOptions) -> Sink``, for formats that are written frame by frame.
        exporter: ``(Recording, path) -> None``, for those that are written as a whole, into a file that does not exist
            or a folder that is empty.
        one_person: A file holds one person; several are refused unless each gets a file.
        timed: The format is for people who move: it needs a video, and their ids.
        pixels: The format holds pictures, and needs the video or the images.
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
    exporter: str = ""
    one_person: bool = False
    timed: bool = False
    pixels: bool = False
    reader: str = ""
    head_sniffer: str = ""
    json_sniffer: str = ""

    @property
    def title(self) -> str:
        """What the user writes to get the format, for messages."""
        return self.option or f"--to {self.name}"

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
        self.check_keypoints(options)
        sink: Sink = _load(self.writer)(path, options) if self.writer else _load(_WHOLE)([(self, path)], options)
        return sink

    def export(self, recording: Recording, path: Path) -> None:
        """Write a whole recording.

        Raises:
            UsageError: The format cannot hold it.
            OSError: The file cannot be written.
        """
        _load(self.exporter)(recording, path)

    def check_keypoints(self, options: WriteOptions) -> None:
        """Check that the format can hold the keypoints.

        Raises:
            UsageError: It needs COCO's, and the poses have others.
        """
        if self.coco_only and not options.layout.is_coco:
            raise UsageError(f"{self.title}: for COCO's 17 keypoints only, and these poses have others; leave it out")

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
                f"{self.title} needs {self.package}; install it with pip install 'tposecli[{self.extra}]', "
                "or leave the option out"
            )
        if not self.folder_pattern:
            check_output(path, overwrite)
            return
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; name a folder for {self.title}")
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
        writer="tposecli.formats.coco.write:open_coco",
        reader="tposecli.formats.coco.read:read_coco",
        json_sniffer="tposecli.formats.coco.read:is_coco",
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
        "angles",
        "--angles",
        "Write joint and segment angles as CSV, one row per person and frame.",
        ".angles.csv",
        coco_only=True,
        writer="tposecli.formats.angles:open_angles",
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
    PoseFormat(
        "wide-csv",
        help="CSV with one row per person and frame",
        suffix=".wide.csv",
        exporter="tposecli.formats.exchange.wide:export_wide_csv",
        reader="tposecli.formats.exchange.wide:read_wide_csv",
        head_sniffer="tposecli.formats.exchange.wide:is_wide_csv",
    ),
    PoseFormat(
        "xlsx",
        help="Excel workbook with the table of wide-csv",
        suffix=".xlsx",
        package="openpyxl",
        extra="xlsx",
        exporter="tposecli.formats.exchange.wide:export_xlsx",
    ),
    PoseFormat(
        "dlc-csv",
        help="DeepLabCut's CSV",
        suffix=".dlc.csv",
        timed=True,
        exporter="tposecli.formats.exchange.dlc:export_dlc_csv",
        reader="tposecli.formats.exchange.dlc:read_dlc_csv",
        head_sniffer="tposecli.formats.exchange.dlc:is_dlc_csv",
    ),
    PoseFormat(
        "dlc-h5",
        help="DeepLabCut's HDF5",
        suffix=".h5",
        package="tables",
        extra="dlc",
        timed=True,
        exporter="tposecli.formats.exchange.dlc:export_dlc_h5",
    ),
    PoseFormat(
        "slp",
        help="SLEAP",
        suffix=".slp",
        package="sleap_io",
        extra="sleap",
        timed=True,
        exporter="tposecli.formats.exchange.sleap:export_slp",
        reader="tposecli.formats.exchange.sleap:read_slp",
        head_sniffer="tposecli.formats.exchange.sleap:is_hdf5",
    ),
    PoseFormat(
        "nwb",
        help="Neurodata Without Borders (ndx-pose)",
        suffix=".nwb",
        package="ndx_pose",
        extra="nwb",
        one_person=True,
        timed=True,
        exporter="tposecli.formats.exchange.nwb:export_nwb",
    ),
    PoseFormat(
        "trc",
        help="OpenSim's trajectories of joints",
        suffix=".trc",
        one_person=True,
        timed=True,
        exporter="tposecli.formats.exchange.opensim:export_trc",
    ),
    PoseFormat(
        "mot",
        help="OpenSim's joint angles",
        suffix=".mot",
        coco_only=True,
        one_person=True,
        timed=True,
        exporter="tposecli.formats.exchange.opensim:export_mot",
    ),
    PoseFormat(
        "c3d",
        help="C3D of motion capture",
        suffix=".c3d",
        package="ezc3d",
        extra="c3d",
        one_person=True,
        timed=True,
        exporter="tposecli.formats.exchange.c3d:export_c3d",
    ),
    PoseFormat(
        "coco-train",
        help="folder with COCO annotations and images, for tpose train",
        folder_pattern="images/*.jpg",
        pixels=True,
        writer="tposecli.formats.exchange.training_set:CocoTrainingSet",
    ),
    PoseFormat(
        "yolo-pose",
        help="folder with YOLO's pose labels, images and data.yaml",
        folder_pattern="images/*.jpg",
        pixels=True,
        writer="tposecli.formats.exchange.training_set:YoloTrainingSet",
    ),
)
"""All formats, in the order of the options; the journal of a run is written beside the first output in this order.
Where the sniffers of several formats accept a file, the row whose suffix it has wins, else the first."""


def option_formats() -> list[PoseFormat]:
    """Return the formats that have an option of their own."""
    return [row for row in POSE_FORMATS if row.option]


def written_formats() -> list[PoseFormat]:
    """Return the formats that can be written, without those of other packages."""
    return [row for row in POSE_FORMATS if row.writer or row.exporter]


def readable_formats() -> list[PoseFormat]:
    """Return the formats that can be read, without those of other packages."""
    return [row for row in POSE_FORMATS if row.reader]


@cache
def added_formats() -> tuple[PoseFormat, ...]:
    """Return the formats that other packages add; one that fails or whose name is taken is left out, with a warning."""
    rows: dict[str, PoseFormat] = {}
    own = {row.name for row in POSE_FORMATS}
    for point in entry_points(group=ENTRY_POINTS):
        package = point.dist.name if point.dist else point.value
        try:
            row = point.load()
        except Exception as error:  # noqa: BLE001 - another package may raise anything.
            log.warning("%s: its pose file format %s cannot be loaded (%s); left out", package, point.name, error)
            continue
        if not isinstance(row, PoseFormat):
            log.warning("%s: %s is not a PoseFormat; left out", package, point.value)
        elif row.name in own or row.name in rows:
            log.warning("%s: there is a pose file format %s already; left out", package, row.name)
        else:
            rows[row.name] = row
    return tuple(rows.values())


def find_format(name: str) -> PoseFormat | None:
    """Return the format of that name, also one of another package; None if there is none."""
    found = next((row for row in POSE_FORMATS if row.name == name), None)
    return found or next((row for row in added_formats() if row.name == name), None)
