"""YOLO models through ultralytics, on request only: its licence is the AGPL.

The library sends analytics, asks name servers whether it is online, installs packages, downloads weights, unpickles
whatever a checkpoint holds and changes settings of the whole process. :func:`load_ultralytics` and :func:`contained`
keep it from all of that; published models are downloaded by our own code.
"""

from __future__ import annotations

import os
import pickle
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import _tensor_str

from tposecli.detection.base import BoxFilter, same_size_batches
from tposecli.detection.yolo_openvino import without_nms
from tposecli.hub.checkpoints.resolve import cache_dir, fetch, verify_file
from tposecli.hub.download.download import RemoteFile
from tposecli.hub.download.options import Downloads
from tposecli.types import Boxes, Frame
from tposecli.utils.errors import TposeError, UsageError, WeightsError
from tposecli.utils.telemetry import block_telemetry

ASSETS_URL: Final = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
PUBLISHED: Final = re.compile(
    r"yolo(?:(?:v8|11|26)[nsmlx](?:-seg|-pose)?|12[nsmlx]|v10[nsmblx]|v9[tsmce]|v9[ce]-seg|v5[nsmlx]6?u"
    r"|v3(?:-spp|-tiny)?u)"
)
"""Names of the library's models that find boxes."""
SIZE: Final = 640
"""Default for the longer side, in pixels, to which a frame is scaled."""
MIN_SCORE: Final = 0.25
"""The library's own threshold for boxes."""
NMS: Final = 0.7
"""IoU above which the library itself discards a box."""
DIGESTS: Final = {"yolo11n.pt": "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1"}
"""SHA-256 of published files, as far as known."""
PERSON: Final = 0
SAFE_LOADABLE_SUFFIX: Final = ".pt"
"""Suffix of the only kind of model file that can be loaded without executing code from it."""
BOX_TASKS: Final = ("detect", "segment", "pose")
MAX_BOXES: Final = 300
MAX_BATCH: Final = 16
QUIET: Final = {
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "false",
    "ULTRALYTICS_SAFE_LOAD": "1",
    "YOLO_VERBOSE": "false",
}
"""Environment variables set while the library is imported, along with ``YOLO_CONFIG_DIR``."""

UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What loading a damaged file may raise."""


class YoloDetector:
    """Finds people with a YOLO model; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(
        self,
        model: str,
        box_filter: BoxFilter | None = None,
        image_size: int | None = None,
        device: torch.device | str = "cpu",
        downloads: Downloads | None = None,
        *,
        trust: bool = False,
    ) -> None:
        """Load the model and run it once.

        Args:
            model: Path of a model file, or its name, see :func:`find_model`.
            box_filter: Which boxes are kept.
            image_size: Longer side of the scaled frame, in pixels; None for ``SIZE``.
            device: Where it runs.
            downloads: How a published model may be downloaded.
            trust: Load it even if that may execute code from it.

        Raises:
            UsageError: ultralytics, or a package for this kind of file, is not installed; or the file is not trusted.
            WeightsError: There is no such file, or it is not a model that detects boxes.
        """
        path = find_model(model, downloads)
        chosen = box_filter or BoxFilter(MIN_SCORE, NMS)
        self._filter = without_nms(chosen)
        self._options = {
            "conf": chosen.min_score,
            "iou": chosen.nms,
            "imgsz": image_size or SIZE,
            "device": str(device),
            "classes": [PERSON],
            "max_det": MAX_BOXES,
            "save": False,
            "verbose": False,
        }
        with loaded(path, trust) as self._model:
            self._predict([np.zeros((32, 32, 3), np.uint8)])

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of every frame, best first; frames of the same size share a batch."""
        found = [Boxes.empty()] * len(frames)
        for batch in same_size_batches(frames, MAX_BATCH):
            bgr = [np.ascontiguousarray(frames[position].image[..., ::-1]) for position in batch]
            for position, boxes in zip(batch, self._predict(bgr), strict=True):
                found[position] = self._filter(boxes, frames[position].size_wh)
        return found

    def _predict(self, bgr: list[Any]) -> list[Boxes]:
        """Return the unfiltered boxes of images that are all of one size."""
        results = self._model.predict(bgr, **self._options)
        return [Boxes(result.boxes.xyxy.cpu().numpy(), result.boxes.conf.cpu().numpy()) for result in results]


@contextmanager
def loaded(path: Path, trust: bool = False) -> Iterator[Any]:
    """Load a model with the library, which stays contained for the block; its errors are converted into ours.

    Raises:
        UsageError: ultralytics, or a package for this kind of file, is not installed; or the file is not trusted.
        WeightsError: It is not a model that detects boxes.
    """
    library = load_ultralytics()
    if not trust:
        check_safe_to_load(path, library)
    with contained(), _strictly(library, trust), _explained(path, trust):
        model = library.YOLO(str(path))
        if model.task not in BOX_TASKS:
            raise WeightsError(f"{path}: a model for {model.task}; expected one for {', '.join(BOX_TASKS)}")
        yield model


def load_net(path: Path) -> Any:
    """Return the fused net of a model file, without executing code from it; for raises see :func:`loaded`."""
    with loaded(path) as model:
        return model.model.float().eval().fuse(verbose=False)


def published_file(name: str) -> RemoteFile | None:
    """Return the library's own weights of that file name; None if it publishes none that detect people."""
    stem = name.removesuffix(".pt")
    if not name.endswith(".pt") or not PUBLISHED.fullmatch(stem):
        return None
    return RemoteFile(f"yolo:{stem}", name, ASSETS_URL + name, DIGESTS.get(name, ""))


def published_weights(name: str) -> RemoteFile:
    """Return the library's own weights of that name, with or without ``.pt``.

    Raises:
        UsageError: It publishes none of that name that detect people.
    """
    found = published_file(name.removesuffix(".pt") + ".pt")
    if found is None:
        raise UsageError(f"yolo:{name}: no published model of that name detects people; try yolo:yolo26n")
    return found


def find_model(model: str, downloads: Downloads | None = None) -> Path:
    """Return the file, or the folder of an exported model, that ``yolo:MODEL`` means.

    A path is used as it is. A bare name is looked up in the current folder and in the cache, with ``.pt`` added if it
    has no suffix; a published model that is in neither is downloaded to the cache.

    Raises:
        WeightsError: It is not found and cannot be downloaded, or it has changed since its first use.
    """
    given = Path(model).expanduser()
    name = given.name if given.suffix else given.name + ".pt"
    bare = given.name == model
    places = [given, given.with_name(name)] + [cache_dir() / name] * bare
    for path in places:
        if path.exists() and (path.is_file() or path.suffix or path.name.endswith("_model")):
            if path.is_file():
                in_cache = path.parent.resolve() == cache_dir().resolve()
                verify_file(path, DIGESTS.get(path.name, "") if in_cache else "")
            return path.resolve()
    if not bare:
        raise WeightsError(f"{given}: no such model file; check the name")
    remote = published_file(name)
    if remote is None:
        raise WeightsError(
            f"yolo:{model}: there is no {name} in the current folder or the cache, and it is not a published model; "
            f"put it at {cache_dir() / name}, or name the file with its path"
        )
    return fetch(remote, downloads).resolve()


def load_ultralytics() -> ModuleType:
    """Import the library with its side effects disabled.

    Raises:
        UsageError: It is not installed.
    """
    try:
        with contained():
            import ultralytics

            # The library imports its parts lazily; these two are changed while a model is loaded.
            import ultralytics.nn.tasks
            import ultralytics.utils.downloads
    except ImportError as error:
        raise UsageError(
            f"yolo needs ultralytics, which cannot be imported ({error}): pip install ultralytics (its licence is the "
            "AGPL-3.0), or choose --detector auto"
        ) from error
    return ultralytics


@contextmanager
def contained() -> Iterator[None]:
    """Keep ultralytics quiet while it is imported or loads a model, and undo its changes to the process.

    These are the environment, the threads of OpenCV and torch, the print options of numpy and torch, the warning
    filters, and ``torch.save``, which it replaces.
    """
    block_telemetry()  # Some models make the library import OpenVINO.
    environment = dict(os.environ)
    threads, opencv_threads = torch.get_num_threads(), cv2.getNumThreads()
    save = torch.save
    os.environ.update(QUIET, YOLO_CONFIG_DIR=str(cache_dir()))
    try:
        with np.printoptions(), _tensor_str.printoptions(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        torch.set_num_threads(threads)
        cv2.setNumThreads(opencv_threads)
        torch.save = save


def check_safe_to_load(path: Path, library: ModuleType) -> None:
    """Check that a model can be loaded without executing code: only ``.pt`` files can.

    Raises:
        UsageError: It cannot, or the library or torch is too old to tell.
    """
    if path.suffix != SAFE_LOADABLE_SUFFIX or not path.is_file():
        raise UsageError(
            f"{path}: this kind of model can execute code when it is loaded; use a .pt file, or add --trust if you "
            "trust its author"
        )
    if not (
        hasattr(library.nn.tasks, "SAFE_LOAD") and hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    ):
        raise UsageError(
            f"{path}: this version of ultralytics or torch executes code when it loads models; update both, or add "
            "--trust if you trust its author"
        )


@contextmanager
def _strictly(library: ModuleType, trust: bool) -> Iterator[None]:
    """Let the library unpickle only what it knows, and load exactly the path that it is given.

    By default it renames some files (``yolov5s.pt``) and downloads the renamed one.
    """
    downloads, tasks = library.utils.downloads, library.nn.tasks
    fetch, safe = downloads.attempt_download_asset, getattr(tasks, "SAFE_LOAD", False)
    downloads.attempt_download_asset = lambda file, *_, **__: str(file)
    tasks.SAFE_LOAD = not trust
    try:
        yield
    finally:
        downloads.attempt_download_asset, tasks.SAFE_LOAD = fetch, safe


@contextmanager
def _explained(path: Path, trust: bool) -> Iterator[None]:
    """Convert the library's errors about a model into ours."""
    try:
        yield
    except TposeError:
        raise
    except ImportError as error:
        raise UsageError(
            f"{path}: this kind of model needs a package that is not installed ({error}); install it, or use a .pt file"
        ) from error
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "download it again" + (
            "" if trust else ", or add --trust if it has custom classes and you trust its author"
        )
        raise WeightsError(f"{path}: not a YOLO model that ultralytics reads ({reason}); {advice}") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: it contains more than a model, and loading it could execute code; "
            "use weights from a source you trust"
        ) from error
