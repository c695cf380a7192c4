"""Tables, files and images of results."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tposecli.api.results import PoseResult, Results
from tposecli.attention.overlay import AttentionPainter
from tposecli.attention.style import AttentionStyle
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.drawing.style import DrawStyle
from tposecli.formats.catalog import written_formats
from tposecli.formats.coco.write import image_ids
from tposecli.formats.tables import COLUMNS, NAME_COLUMN, table_rows
from tposecli.pipeline.job import DrawingSettings, FileSettings, Outputs, RunFlags
from tposecli.pipeline.outputs import SinkFactory, check_outputs, is_video
from tposecli.sinks.annotated import draw_result
from tposecli.sinks.base import Sink, opened
from tposecli.sinks.images import is_image_file
from tposecli.sinks.open_video import check_video_output, open_output
from tposecli.sinks.video import VideoOptions, VideoOut
from tposecli.sources.image_sequence import is_numbered
from tposecli.types import Image
from tposecli.utils.errors import UsageError

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

SomeResults: TypeAlias = PoseResult | Iterable[PoseResult]


def to_dataframe(results: SomeResults) -> pandas.DataFrame:
    """Return results as a long table with one row per frame, person and keypoint.

    Columns are those of ``--csv``: ``frame``, ``time_s`` (seconds), ``track`` (Int64, missing without track), ``joint``
    (category), ``x``, ``y`` (pixels, smoothed if smoothing ran), ``score``, ``raw_x``, ``raw_y`` (pixels as measured,
    missing for people who were filled in), ``flag`` (bits of :class:`tposecli.Flag`) and ``person`` (from 0 in each
    frame). Images have their ``name`` in a last column. A frame without people has one row with its number and time.

    Args:
        results: One result, a list of them, or what a :class:`tposecli.Pose` returns, which is then used up.

    Raises:
        UsageError: pandas is not installed.
        ValueError: A number is not finite.
    """
    try:
        import pandas
    except ImportError as error:
        raise UsageError("to_dataframe needs pandas: pip install 'tposecli[pandas]'") from error
    rows: list[tuple[Any, ...]] = []
    still, names = False, None
    for result in _each(results):
        still, names = still or result.is_still, result.layout.names
        rows += [(*row, result.frame.name) for row in table_rows(result, names)]
    table = pandas.DataFrame(rows, columns=[*COLUMNS, NAME_COLUMN])
    types: dict[str, Any] = {"frame": "int64", "time_s": "float64", "track": "Int64", "flag": "UInt8"}
    types |= dict.fromkeys(("x", "y", "score", "raw_x", "raw_y"), "float32") | {"person": "Int64"}
    table = table.astype(types)
    table["joint"] = pandas.Categorical(table["joint"], categories=names)
    return table if still else table.drop(columns=NAME_COLUMN)


def save(
    results: SomeResults,
    *paths: str | PathLike[str],
    overwrite: bool = False,
    style: DrawStyle | None = None,
    encoding: VideoOptions | None = None,
) -> None:
    """Write results to files, as the command line does; several files are written in one pass.

    The ending says what is written: ``.json`` (COCO), ``.csv``, ``.parquet``, ``.npz``, ``.mmpose.json``; formats of
    other programs (``.slp``, ``.dlc.csv``, ``.trc``, ``.xlsx``, ...; see ``tpose convert --to``); a video with the
    people drawn (``.mp4``, ``.mkv``, ``.webm``, ...) and the sound of the source; an image (``.jpg``, ``.png``);
    any other name is a folder for images. Nothing appears under its name before it is complete.

    Args:
        results: One result, a list of them, or what a :class:`tposecli.Pose` returns, which is then used up. A video is
            written of the latter only, as results do not say what comes between them.
        paths: The files.
        overwrite: Replace files that exist.
        style: How people are drawn.
        encoding: How a video is written: codec, quality, size.

    Raises:
        UsageError: A file exists, two have the same format, or an ending does not fit the results.
        OutputError: A file cannot be written.
        ValueError: There are no results.
    """
    outputs, encoding = _outputs(paths), encoding or VideoOptions()
    image = outputs.picture
    moving = image is not None and (is_video(image) or is_numbered(image))
    if moving and (not isinstance(results, Results) or results.is_still):
        raise UsageError(
            f"{image}: a video is written from what pose(...) returns for a video; save a list as .json or .csv"
        )
    every, names = _each(results), None
    if isinstance(results, Results):
        head, stride, is_still, names = results.header, results.stride, results.is_still, results.names
    else:
        first = next(every, None)
        if first is None:
            raise ValueError("save: there are no results")
        head, stride, is_still = first.header, first.stride, first.is_still
        every = itertools.chain([first], every)
    if is_still and names is None:
        every, names = _numbered(every)
    check_outputs(outputs, names if is_still else None, RunFlags(overwrite), journal=False)
    if moving and image is not None:
        check_video_output(image, encoding, overwrite)

    def video(path: Path) -> VideoOut:
        assert isinstance(results, Results)
        return open_output(path, results.source, encoding)

    factory = SinkFactory(
        *(outputs, DrawingSettings(style or DrawStyle()), FileSettings(), AttentionStyle(), stride),
        video if moving else None,
        ids=image_ids(names) if is_still and names is not None else None,
    )
    with ExitStack() as stack:  # The sound is found before the first frame is read.
        sinks = [stack.enter_context(opened(sink)) for sink in factory.open(dict(head))]
        _deliver(_copies(every) if image is not None else every, sinks)


def _deliver(results: Iterator[PoseResult], sinks: Sequence[Sink]) -> None:
    """Hand every result to all sinks.

    Raises:
        ValueError: There is none.
    """
    count = 0
    for count, result in enumerate(results, 1):  # noqa: B007
        for sink in sinks:
            sink.write(result)
    if not count:
        raise ValueError("save: there are no results")


def draw(result: PoseResult, style: DrawStyle | None = None) -> Image:
    """Return a copy of the image with the people drawn: (H, W, 3) uint8 RGB.

    Args:
        result: The people of one image.
        style: How they are drawn.
    """
    return draw_result(result, SkeletonDrawer(style, result.layout))


def plot(
    result: PoseResult, ax: Axes | None = None, *, attention: int | str | None = None, style: DrawStyle | None = None
) -> Axes:
    """Show the image with its people in Matplotlib, in pixels of the image, and return the axes.

    Args:
        result: The people of one image.
        ax: Where; None for a new figure.
        attention: Show the attention map of this keypoint (number or name) of everybody instead of the skeletons.
        style: How people are drawn.

    Raises:
        ValueError: There is no such keypoint, or the result has no attention.
    """
    image = draw(result, style) if attention is None else _explained(result, attention)
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.figure(layout="constrained").add_subplot()
    ax.imshow(image)
    ax.set_axis_off()
    ax.set_title(result.frame.name if result.is_still else f"{result.frame.name} {result.frame.time_s:.2f} s")
    return ax


def _explained(result: PoseResult, keypoint: int | str) -> Image:
    if result.attention is None:
        raise ValueError("plot: this result has no attention; ask for it with Pose(attention=True)")
    if not result.layout.is_coco:
        raise ValueError("plot: attention is drawn for COCO's 17 keypoints only; use attention_map for others")
    chosen = AttentionStyle(keypoints=(result.keypoint_number(keypoint),), layers=(-1,))
    return AttentionPainter(chosen, result.stride).paint(result)


def _each(results: SomeResults) -> Iterator[PoseResult]:
    """Return an iterator over one result or many.

    Raises:
        TypeError: These are no results of a :class:`tposecli.Pose`.
    """
    every = [results] if isinstance(results, PoseResult) else results
    for result in every:
        if not isinstance(result, PoseResult):
            raise TypeError(f"expected results of tposecli.Pose, got {type(result).__name__}")
        yield result


def _outputs(paths: Sequence[str | PathLike[str]]) -> Outputs:
    """Return the outputs that the names of files stand for.

    Raises:
        UsageError: There are none, or two of one kind.
    """
    poses: dict[str, Path] = {}
    images: list[Path] = []
    formats = sorted((row for row in written_formats() if row.suffix), key=lambda row: -len(row.suffix))
    for path in map(Path, paths):
        row = next((row for row in formats if path.name.lower().endswith(row.suffix)), None)
        if row is None:
            if path.suffix and not (is_video(path) or is_image_file(path) or is_numbered(path) or path.is_dir()):
                known = ", ".join(row.suffix for row in formats)
                raise UsageError(f"{path}: no format has this ending; use {known}, a video, an image, or a folder")
            images.append(path)
        elif row.name in poses:
            raise UsageError(f"{path}: {poses[row.name]} has the same format; save one of them")
        else:
            poses[row.name] = path
    if len(images) > 1:
        raise UsageError(f"{images[1]}: {images[0]} shows the people already; save one of them")
    return Outputs(images[0] if images else None, poses)


def _numbered(results: Iterator[PoseResult]) -> tuple[Iterator[PoseResult], Sequence[str]]:
    """Return images numbered by their place among those that are written, as sinks expect them, and their names."""
    listed = [replace(result, frame=replace(result.frame, index=number)) for number, result in enumerate(results)]
    return iter(listed), [result.frame.name for result in listed]


def _copies(results: Iterator[PoseResult]) -> Iterator[PoseResult]:
    """Yield the results with pixels of their own: the last sink draws on them."""
    for result in results:
        yield replace(result, frame=replace(result.frame, image=result.frame.image.copy()))
