"""What a command asks for, as one frozen value, and what it reports back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

from tposecli.attention.overlay import AttentionStyle
from tposecli.detection.factory import DetectorOptions
from tposecli.drawing.skeleton_drawer import DrawStyle
from tposecli.formats.openpose_writer import OpenposeFormat
from tposecli.hub.download.download import Downloads
from tposecli.inference.backends.cpu import tune
from tposecli.inference.runtime import Runtime
from tposecli.sinks.destination import STDOUT
from tposecli.sinks.video import VideoOptions
from tposecli.smoothing.options import SmoothOptions
from tposecli.sources import MAX_PIXELS, InputLocation, Window
from tposecli.tracking.options import TrackOptions
from tposecli.types import Result, SourceInfo

JsonFormat = Literal["dataset", "results"]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which net, and how to run it, in the words of the command line.

    Attributes:
        downloads: How the files of the net and of the detector may be fetched.
        threads: Of the net on a CPU; None: as many as make it faster.
    """

    model: str = "auto"
    weights: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    flip_test: bool = False
    downloads: Downloads = field(default_factory=Downloads)
    backend: str = "auto"
    threads: int | None = None

    def runtime(self, exact: bool) -> Runtime:
        """How to run the net; the process's threads and memory are set up for it.

        Args:
            exact: What is left to the program is as the authors have it, not as fast as can be.

        Raises:
            UsageError: It cannot be run so on this machine.
        """
        precision = "fp32" if exact and self.precision == "auto" else self.precision
        backend = "torch" if exact and self.backend == "auto" else self.backend
        runtime = Runtime.resolve(self.device, precision, self.batch_size, backend)
        if runtime.device.type == "cpu":
            return replace(runtime, threads=tune(self.threads))
        return runtime


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """Ways to look at the annotated frames.

    Attributes:
        show: In a window, as they come.
        side_by_side: Next to the frames as they were.
    """

    show: bool = False
    side_by_side: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What every input of a run has in common.

    Attributes:
        blur_heads: Blur every head in all pictures and videos that are made.
        attention_stats: Say in the dataset JSON how sharp each keypoint's attention is, and what it leans on.
        attention_every: Pictures and arrays of the attention only for every so many frames.
        resume: Go on with the run that was interrupted, if there is one.
        command: The command line, for provenance.
        max_pixels: Pictures and frames of more are refused.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    track: TrackOptions | None = field(default_factory=TrackOptions)
    smooth: SmoothOptions = field(default_factory=SmoothOptions)
    style: DrawStyle = field(default_factory=DrawStyle)
    attention: AttentionStyle = field(default_factory=AttentionStyle)
    attention_every: int = 1
    attention_stats: bool = False
    blur_heads: bool = False
    json_format: JsonFormat = "dataset"
    openpose_format: OpenposeFormat = "coco18"
    view: ViewOptions = field(default_factory=ViewOptions)
    overwrite: bool = False
    resume: bool = False
    command: str = ""
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files to make of one input; None for those not wanted.

    Attributes:
        picture: The annotated video, or the folder for annotated pictures.
        json: Poses as COCO JSON.
        attention: An ``.npz``, a video, or a folder for pictures of the attention.
        csv: Poses as a long table.
        parquet: The same as Parquet.
        openpose: Folder for a file a frame, as OpenPose writes them.
        mmpose: Poses as mmpose's JSON.
        npz: Poses as NumPy arrays.
        attention_matrix: Which joint leans on which, averaged, as CSV; a plot of it lies beside.
        crops: Folder for a picture of each person and frame.
    """

    picture: Path | None = None
    json: Path | None = None
    attention: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    openpose: Path | None = None
    mmpose: Path | None = None
    npz: Path | None = None
    attention_matrix: Path | None = None
    crops: Path | None = None

    @property
    def wanted(self) -> list[Path]:
        """Those that are to be made, the main one first: the journal lies beside it."""
        poses = (self.json, self.csv, self.parquet, self.openpose, self.mmpose, self.npz)
        files = (self.picture, *poses, self.attention, self.attention_matrix, self.crops)
        return [path for path in files if path is not None]

    @property
    def files(self) -> list[Path]:
        """Those that are no standard output: the journal lies beside the first of them, if there is one."""
        return [path for path in self.wanted if path != STDOUT]


@dataclass(frozen=True, slots=True)
class VideoJob:
    """One video and what to make of it.

    Attributes:
        stream: Which of several video streams, from 0; None: the one that players choose.
        rate: Pictures a second of stills that are read as a video; None: 25.
    """

    input: InputLocation
    outputs: Outputs
    window: Window = field(default_factory=Window)
    encoding: VideoOptions = field(default_factory=VideoOptions)
    stream: int | None = None
    rate: Fraction | None = None


@dataclass(frozen=True, slots=True)
class ImagesJob:
    """Pictures, folders and patterns, and what to make of them."""

    inputs: tuple[str, ...]
    outputs: Outputs
    recursive: bool = False


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes:
        skipped: Files that are no pictures.
        corrupt: Frames lost to damage.
        failed: Inputs that could not be read, and why.
        seconds: Wall time by stage.
        outputs: The files that were made.
    """

    name: str
    frames: int = 0
    people: int = 0
    skipped: int = 0
    corrupt: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    outputs: list[Path] = field(default_factory=list)


class Watcher(Protocol):
    """Is told how a run goes."""

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """An input was opened; it has about so many frames, if anybody knows."""
        ...

    def seen(self, result: Result) -> None:
        """A frame is finished."""
        ...

    def end(self, summary: Summary) -> None:
        """An input is finished, or could not be read at all."""
        ...
