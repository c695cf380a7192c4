"""Jobs: what a command asks for, as frozen values, and what it reports back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from tposecli.attention.style import AttentionStyle
from tposecli.detection.factory import DetectorOptions
from tposecli.drawing.style import DrawStyle
from tposecli.formats.catalog import PoseFormat, find_format, written_formats
from tposecli.formats.exchange.options import ExchangeOptions
from tposecli.geometry.motion_options import Facing, ScaleOptions
from tposecli.inference.options import ModelChoice
from tposecli.pipeline.postprocess import PostOptions
from tposecli.pipeline.summary import Summary
from tposecli.sinks.destination import STDOUT
from tposecli.sinks.video import VideoOptions
from tposecli.sources import MAX_PIXELS, ImageList, InputLocation, View, Window
from tposecli.sources.locations import redacted, short_name
from tposecli.types import Result, SourceInfo


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """How poses are measured.

    Attributes:
        model: The net.
        detector: How people are found.
        max_pixels: Images and frames of more pixels are refused.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True, slots=True)
class DrawingSettings:
    """How everything with pixels looks.

    Attributes:
        style: How people are drawn.
        attention: How attention is shown.
        attention_every: Write attention images and arrays of every N-th frame only.
        blur_heads: Blur every head in all images and videos.
        show: Show the annotated frames in a window while the run goes on.
        side_by_side: Put the original frames beside the annotated ones.
    """

    style: DrawStyle = field(default_factory=DrawStyle)
    attention: AttentionStyle = field(default_factory=AttentionStyle)
    attention_every: int = 1
    blur_heads: bool = False
    show: bool = False
    side_by_side: bool = False


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What pose files hold.

    Attributes:
        variants: The variant of a format by its name, where it is not the default.
        attention_stats: Add to the dataset how concentrated each keypoint's attention is, and what it depends on.
        frame_names: Pattern of the image names of a video's frames; empty for the default.
        facing: Where everybody faces, for the sign of angles.
        scale: What says how many pixels a metre is.
        exchange: Options of formats of other programs.
    """

    variants: Mapping[str, str] = field(default_factory=dict)
    attention_stats: bool = False
    frame_names: str = ""
    facing: Facing = "auto"
    scale: ScaleOptions = field(default_factory=ScaleOptions)
    exchange: ExchangeOptions = field(default_factory=ExchangeOptions)


@dataclass(frozen=True, slots=True)
class RunFlags:
    """How a run treats what is there already.

    Attributes:
        overwrite: Replace outputs that exist.
        resume: Continue an interrupted run, if there is one.
        command: The command line, for provenance.
    """

    overwrite: bool = False
    resume: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all inputs of a run have in common; each part goes to the code that uses it."""

    inference: InferenceSettings = field(default_factory=InferenceSettings)
    post: PostOptions = field(default_factory=PostOptions)
    drawing: DrawingSettings = field(default_factory=DrawingSettings)
    files: FileSettings = field(default_factory=FileSettings)
    flags: RunFlags = field(default_factory=RunFlags)


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output files of one input; None for those not wanted.

    Attributes:
        picture: The annotated video, or the folder for annotated images.
        poses: Pose files by the name of their format, see :data:`tposecli.formats.catalog.POSE_FORMATS`.
        attention: Attention maps: an ``.npz``, a video, or a folder for images.
        attention_matrix: Which joint depends on which, averaged, as CSV; a plot is written beside it.
        crops: Folder for an image of each person in each frame.
        journal: The journal, if it is to be elsewhere or nothing else is wanted; it is always written, else beside the
            first of the others.

    Raises:
        ValueError: A format does not exist or cannot be written.
    """

    picture: Path | None = None
    poses: Mapping[str, Path] = field(default_factory=dict)
    attention: Path | None = None
    attention_matrix: Path | None = None
    crops: Path | None = None
    journal: Path | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.poses if not _is_written(find_format(name))]
        if unknown:
            raise ValueError(f"unknown pose file formats: {', '.join(sorted(unknown))}")

    @property
    def pose_files(self) -> list[tuple[PoseFormat, Path]]:
        """The pose files with their formats, in the order of the table."""
        names = [row.name for row in written_formats()]
        order = sorted(self.poses, key=lambda name: names.index(name) if name in names else len(names))
        return [(row, self.poses[name]) for name in order if (row := find_format(name)) is not None]

    @property
    def wanted(self) -> list[Path]:
        """The outputs that are asked for, the main one first."""
        poses = [path for _, path in self.pose_files]
        files = (self.journal, self.picture, *poses, self.attention, self.attention_matrix, self.crops)
        return [path for path in files if path is not None]

    @property
    def files(self) -> list[Path]:
        """Those that are files or folders; the journal is written beside the first of them."""
        return [path for path in self.wanted if path != STDOUT]

    def placed(self, place: Callable[[Path], Path]) -> Outputs:
        """Return the same outputs elsewhere: ``place`` is called with each of their paths."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        paths = {name: place(path) for name, path in found.items() if isinstance(path, Path) and path != STDOUT}
        poses = {name: path if path == STDOUT else place(path) for name, path in self.poses.items()}
        return replace(self, **paths, poses=poses)

    @property
    def need_frames(self) -> bool:
        """Whether something is made of the pixels of the frames, and not of the poses alone."""
        return any(path is not None for path in (self.picture, self.attention, self.attention_matrix, self.crops))


def _is_written(row: PoseFormat | None) -> bool:
    return row is not None and bool(row.writer or row.exporter)


@dataclass(frozen=True, slots=True)
class VideoJob:
    """One video and what to make of it.

    Attributes:
        input: The video.
        outputs: What to make.
        window: The part of it to process.
        encoding: How videos are written.
        stream: Which of several video streams, from 0; None for the one that players choose.
        rate: Frame rate of an image sequence or a stream without timestamps; None for its own, else 25.
        label: Its name, unique in the run, in outputs that several inputs share; empty where each has its own.
        view: How its frames are turned and cut, and their true rate.
        parts: Parts of the annotated video that are drawn and encoded already, all of it; it is made of them.
    """

    input: InputLocation
    outputs: Outputs
    window: Window = field(default_factory=Window)
    encoding: VideoOptions = field(default_factory=VideoOptions)
    stream: int | None = None
    rate: Fraction | None = None
    label: str = ""
    view: View = field(default_factory=View)
    parts: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """A short name for lists."""
        return self.label or short_name(self.input)

    @property
    def title(self) -> str:
        """The input as it was given, without credentials."""
        return redacted(self.input)


@dataclass(frozen=True, slots=True)
class ImagesJob:
    """Images, folders and patterns, and what to make of them.

    Attributes:
        inputs: The images.
        outputs: What to make.
        recursive: Look into subfolders, too.
        images: Only these, which were found among the inputs before; None for all.
        measured: All were measured before, and what has pixels was made: the journal has all that is needed.
    """

    inputs: tuple[str, ...]
    outputs: Outputs
    recursive: bool = False
    images: ImageList | None = None
    measured: bool = False

    @property
    def name(self) -> str:
        """A short name for lists."""
        return self.title

    @property
    def title(self) -> str:
        """The first input, without credentials, and how many more there are; of some images, the first and last one."""
        if self.images is not None:
            return f"{self.images.names[0]} to {self.images.names[-1]}"
        more = len(self.inputs) - 1
        return redacted(self.inputs[0]) + (f" and {more} more" if more else "")


AnyJob = VideoJob | ImagesJob


class Watcher(Protocol):
    """Receives the progress of a run."""

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Note that an input was opened; ``expected`` frames is a hint, None if unknown."""
        ...

    def seen(self, result: Result) -> None:
        """Note a finished frame."""
        ...

    def end(self, summary: Summary) -> None:
        """Note that an input is finished, or could not be read at all."""
        ...


class Unwatched:
    """A watcher of runs that nobody watches."""

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Do nothing."""

    def seen(self, result: Result) -> None:
        """Do nothing."""

    def end(self, summary: Summary) -> None:
        """Do nothing."""
