"""The one object that most programs need."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from tposecli.api.inputs import Input, open_input
from tposecli.api.results import PoseResult, Results
from tposecli.attention.style import AttentionStyle
from tposecli.detection.base import Detector
from tposecli.detection.custom import BoxesLike, CustomDetector, GivenBoxes, as_boxes
from tposecli.detection.factory import DetectorOptions
from tposecli.formats.journal.provenance import header
from tposecli.inference.options import ModelChoice
from tposecli.pipeline.job import DrawingSettings, InferenceSettings, Settings
from tposecli.pipeline.keep_options import KeepOptions
from tposecli.pipeline.postprocess import PostOptions, PostProcessor
from tposecli.pipeline.run import Nets
from tposecli.pipeline.stream import Stages
from tposecli.pipeline.stream import run as run_stages
from tposecli.smoothing.base import Smoother
from tposecli.smoothing.custom import CustomSmoother
from tposecli.smoothing.options import AS_MEASURED, SmoothOptions
from tposecli.tracking.custom import CustomTracker, PoseTracker
from tposecli.tracking.options import TrackOptions
from tposecli.types import Result

OWN: Final = "own"
"""What the header says of a detector, tracker or smoother of the caller's own."""

CHECKPOINTS: Final = (".safetensors", ".pth", ".pt")


class Pose:
    """Finds the people in images and videos and estimates their keypoints.

    The nets are loaded once, here. Three lines give the keypoints of a photo, two those of every frame of a video::

        from tposecli import Pose
        result = Pose().image("photo.jpg")
        print(result.poses.xy)  # (N, 17, 2) pixels

        for result in Pose()("clip.mp4"):
            print(result.frame.time_s, result.final.track_id)

    Args:
        model: A name of ``tpose models``, ``auto``, the path of a checkpoint, or a :class:`ModelChoice` for everything
            else: precision, batch size, flip test, backend.
        detector: A name as for ``--detector``, :class:`DetectorOptions`, or a :class:`Detector` of your own: an object
            with ``detect(frames)``.
        tracker: Gives the people of a video ids: True, False, :class:`TrackOptions`, or your own :class:`PoseTracker`.
        smoother: Smooths the keypoints of a video: True, False, the name of a method (``"savgol"``),
            :class:`SmoothOptions`, or your own :class:`Smoother`. Needs a tracker, as paths are those of ids.
        attention: Return attention maps, too: True for those of the last layer, or an :class:`AttentionStyle` that
            names layers and mode.
        keep: Who is left out as hardly a person; ``KeepOptions(0, 0)`` keeps everybody.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None for what ``model`` says.

    Trackers and smoothers remember what they saw. Pass a class, or a function that makes one, to have a new one for
    each video; an object itself is used for all of them.

    Raises:
        UsageError: There is no such model, detector or device.
        WeightsError: A checkpoint is missing, damaged, or belongs to another model.
        TypeError: An object of yours lacks a method; the message says which.
        ValueError: An option is out of range.
    """

    def __init__(  # noqa: PLR0913
        self,
        model: str | Path | ModelChoice = "auto",
        *,
        detector: str | DetectorOptions | Detector = "auto",
        tracker: bool | TrackOptions | PoseTracker | Callable[[], PoseTracker] = True,
        smoother: bool | str | SmoothOptions | Smoother | Callable[[], Smoother] = True,
        attention: bool | AttentionStyle = False,
        keep: KeepOptions | None = None,
        device: str | None = None,
    ) -> None:
        choice = _model_choice(model)
        choice = choice if device is None else replace(choice, device=device)
        own = None if isinstance(detector, str | DetectorOptions) else CustomDetector(detector)
        options = detector if isinstance(detector, DetectorOptions) else DetectorOptions()
        options = DetectorOptions(detector) if isinstance(detector, str) else options
        self._tracker, self._smoother = _custom(tracker, TrackOptions), _custom(smoother, SmoothOptions, str)
        if self._tracker is not None:
            CustomTracker(self._tracker)
        if self._smoother is not None:
            CustomSmoother(self._smoother)
        track = tracker if isinstance(tracker, TrackOptions) else TrackOptions() if tracker is True else None
        post = PostOptions(track, _smooth_options(smoother, bool(tracker)), keep or KeepOptions())
        style = attention if isinstance(attention, AttentionStyle) else AttentionStyle()
        self._settings = Settings(InferenceSettings(choice, options), post, DrawingSettings(attention=style))
        self._nets = Nets(self._settings, bool(attention), own)
        self._detector = OWN if own is not None else self._nets.detector_options.name

    def __repr__(self) -> str:
        estimator = self._nets.estimator
        device = estimator.runtime.device_names
        return f"Pose(model={estimator.spec.name!r}, detector={self._detector!r}, device={device!r})"

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Names of the K keypoints, in the order of all arrays."""
        return self._nets.estimator.layout.names

    @property
    def limbs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of keypoints that are joined by a line."""
        return self._nets.estimator.layout.limbs

    def __call__(
        self,
        source: Any,
        *,
        boxes: BoxesLike | Sequence[BoxesLike] | Mapping[Any, BoxesLike] | None = None,
        fps: float | None = None,
        recursive: bool = False,
        progress: bool = False,
    ) -> Results:
        """Return the results of an image, of several, or of a video, in order; they are made while they are taken.

        Args:
            source: One of

                - a path or address: of an image, a folder, a zip file or a pattern of images, a video, a stream, a
                  camera (0), an image sequence (``%06d.png``);
                - an array, (H, W, 3) uint8 in **RGB** order, or several as (B, H, W, 3). OpenCV gives BGR: pass
                  ``image[:, :, ::-1]``;
                - a PIL image;
                - a list or generator of these, each an image of its own; or of :class:`Frame`, such as
                  ``open_video("clip.mp4", start_s=3)``, which follow one another in time.
            boxes: The people, instead of detecting them: (N, 4) left, top, right, bottom in pixels, or (N, 5) with
                scores, for one image; for several and for videos a sequence with one such array a frame, or a mapping
                from the frame's index or the image's name. Every box gives one pose, in the same order.
            fps: Frames per second: the images are the frames of a video, to be tracked and smoothed.
            recursive: Look into subfolders of a folder, too.
            progress: Show a progress bar, in a terminal or a notebook.

        Raises:
            InputError: A path does not exist or cannot be read. Of several images, those that cannot be decoded are
                left out with a warning, and listed in ``Results.failed``.
            TypeError: The source is of another type.
            ValueError: An array is not an (H, W, 3) uint8 image (grey, RGBA and floats are refused, with the conversion
                in the message), or boxes are wrong.
        """
        opened = open_input(source, fps, recursive)
        given = None if boxes is None else _given(boxes, opened)
        head = self._header(opened, given is not None)
        results = run_stages(opened, self._stages(opened, given, head))
        if progress:
            results = _with_progress(results, opened)
        return Results(opened, results, head, self._nets.estimator.spec.stride)

    def image(self, image: Any, boxes: BoxesLike | None = None) -> PoseResult:
        """Return the people of one image.

        Args:
            image: A path, an (H, W, 3) uint8 **RGB** array, or a PIL image.
            boxes: The people, instead of detecting them: (N, 4) left, top, right, bottom in pixels.

        Raises:
            InputError: The file does not exist or cannot be read.
            TypeError: This is no image.
            ValueError: An array is not an (H, W, 3) uint8 image, this is a video or several images, or boxes are wrong.
        """
        results = self(image, boxes=boxes)
        with results:
            if not results.is_still or results.source.expected != 1:
                raise ValueError(f"{results.info.name}: expected one image; for more use: for result in pose(...)")
            return next(results)

    def _stages(self, opened: Input, given: GivenBoxes | None, head: Mapping[str, Any]) -> Stages:
        """Return what the frames pass through; tracker and smoother are new."""
        nets, options = self._nets, self._settings.post
        weak, detector = nets.weak_score, nets.detector
        if given is not None:
            weak, detector, options = 0.0, given, replace(options, keep=KeepOptions(0, 0))
        if opened.is_still:
            options = options.of_stills()
        post = PostProcessor.build(options, opened.live, nets.estimator.layout, weak, head)
        if not opened.is_still:
            if self._tracker is not None:
                post = replace(post, tracker=CustomTracker(_new(self._tracker)))
            if self._smoother is not None:
                post = replace(post, smoother=CustomSmoother(_new(self._smoother)))
        every = 1 if given is not None else self._settings.inference.detector.every
        return Stages(detector, nets.estimator, post, every)

    def _header(self, opened: Input, given: bool) -> dict[str, Any]:
        """Return what the poses depend on, as a journal's header does."""
        options = self._nets.detector_options
        entries = {
            "detector": "given" if given else self._detector,
            "options": {
                "detector": asdict(options),
                **self._settings.post.to_dict(not opened.is_still, opened.live),
                **({"track": OWN} if self._tracker is not None else {}),
                **({"smooth": OWN} if self._smoother is not None else {}),
            },
        }
        return header(opened.info, None, self._nets.estimator, entries)


def _model_choice(model: str | Path | ModelChoice) -> ModelChoice:
    if isinstance(model, ModelChoice):
        return model
    if isinstance(model, Path) or model.lower().endswith(CHECKPOINTS):
        return ModelChoice(weights=Path(model))
    return ModelChoice(model)


def _smooth_options(smoother: Any, tracked: bool) -> SmoothOptions:
    """Return the options of smoothing.

    Raises:
        ValueError: There is no such method.
    """
    if isinstance(smoother, SmoothOptions):
        return smoother
    if isinstance(smoother, str):
        return SmoothOptions(smoother)
    return SmoothOptions() if smoother is True and tracked else AS_MEASURED


def _custom(thing: Any, *options: type) -> Any:
    """Return the caller's own object, or what makes it; None if the argument is a switch or options."""
    return None if isinstance(thing, (bool, *options)) else thing


def _new(thing: Any) -> Any:
    """Return the object, made anew if a class or a function was given."""
    return thing() if isinstance(thing, type) or _makes(thing) else thing


def _makes(thing: Any) -> bool:
    return callable(thing) and not any(hasattr(thing, name) for name in ("update", "push"))


def _given(boxes: Any, opened: Input) -> GivenBoxes:
    """Return the boxes that the caller gives instead of a detector.

    Raises:
        ValueError: They do not fit the images.
    """
    if isinstance(boxes, Mapping):
        return GivenBoxes(boxes)
    if opened.is_still and opened.expected == 1:
        listed = isinstance(boxes, list) and len(boxes) == 1 and getattr(boxes[0], "ndim", 0) == 2
        return GivenBoxes(boxes if listed else [as_boxes(boxes)])
    if not isinstance(boxes, Sequence):
        raise ValueError("boxes: expected a list with an array per frame, or a mapping from frames to arrays")
    if opened.is_still and opened.expected not in (None, len(boxes)):
        raise ValueError(f"boxes: expected a list of {opened.expected}, one array per image, got {len(boxes)}")
    return GivenBoxes(boxes)


def _with_progress(results: Generator[Result], opened: Input) -> Generator[Result]:
    from tqdm.auto import tqdm

    with closing(results):
        yield from tqdm(results, total=opened.expected, unit="image" if opened.is_still else "frame")
