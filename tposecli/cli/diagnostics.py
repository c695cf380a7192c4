"""What this machine offers and what the program would choose on it, for bug reports and troubleshooting.

Nothing here may fail because something is missing: anything that cannot be determined is reported as such.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from typing import Any, Final, Literal

from tposecli.utils.errors import TposeError
from tposecli.utils.system import cores, processor
from tposecli.utils.telemetry import block_telemetry
from tposecli.utils.version import __version__

PACKAGES: Final = {
    "torch": "runs the nets",
    "numpy": "",
    "opencv-python": "images and drawing",
    "av": "video",
    "click": "",
    "rich": "",
    "scipy": "tracking",
    "safetensors": "",
    "faster-coco-eval": "tpose eval",
    "torchvision": "only for --detector torchvision:NAME",
    "ultralytics": "only for --detector yolo:NAME (AGPL-3.0)",
    "openvino": "only for --backend openvino, which auto is on a CPU",
    "onnxruntime": "only for --backend onnx",
    "pyarrow": "only for --parquet",
    "jsonschema": "only for tpose validate",
    "matplotlib": "only for figures",
}
"""Packages to report, and what each is for."""
OPENCV_PARTS: Final = ("python", "python-headless", "contrib-python", "contrib-python-headless")
MODULES: Final = {"opencv-python": "cv2", "faster-coco-eval": "faster_coco_eval"}
"""Modules of packages that are not called like them."""
OPENCV_BUILDS: Final = tuple(f"opencv-{part}" for part in OPENCV_PARTS)

ENCODERS: Final = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "aac", "libopus")
DECODERS: Final = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the report.

    Attributes:
        section: The heading that it belongs to.
        name: What was examined.
        value: What was found.
        note: What it means.
        good: False if something that most runs need is missing or wrong.
    """

    section: str
    name: str
    value: str
    note: str = ""
    good: bool = True


def examine() -> list[Diagnosis]:
    """Examine everything, in the order in which it is shown."""
    return [*_versions(), *_devices(), *_codecs(), *_places(), *_weights(), *_choices()]


def as_json(findings: list[Diagnosis]) -> dict[str, Any]:
    """Return the report by section and name, and whether all is good."""
    sections: dict[str, Any] = {}
    for finding in findings:
        fields = asdict(finding)
        sections.setdefault(fields.pop("section"), {})[fields.pop("name")] = fields
    return {"good": all(finding.good for finding in findings), **sections}


def _versions() -> list[Diagnosis]:
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    found = [
        Diagnosis("versions", "tposecli", __version__),
        Diagnosis("versions", "python", sys.version.split()[0], system),
    ]
    for name, purpose in PACKAGES.items():
        found.append(_package(name, purpose))
    builds = _opencv_builds()
    if len(builds) > 1:
        note = f"they overwrite each other: pip uninstall {' '.join(builds)}, then install one of them"
        found.append(Diagnosis("versions", "OpenCV", f"{len(builds)} builds", note, good=False))
    return found


def _package(name: str, purpose: str) -> Diagnosis:
    """Return the version of a package if it can be imported, and why it cannot otherwise."""
    optional = purpose.startswith("only")
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        builds = _opencv_builds() if name == "opencv-python" else []
        if not builds:
            return Diagnosis("versions", name, "not installed", purpose, good=optional)
        version, purpose = builds[0], "another build of OpenCV"
    try:
        _import(MODULES.get(name, name.replace("-", "_")))
    except Exception as error:  # noqa: BLE001 - whatever a broken package raises is what is to be reported
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Diagnosis("versions", name, f"{version}, cannot be imported", reason, good=optional)
    return Diagnosis("versions", name, version, purpose)


def _import(module: str) -> None:
    """Import a package in the way that the program does."""
    block_telemetry()
    if module == "ultralytics":
        from tposecli.detection.yolo import load_ultralytics

        load_ultralytics()
    else:
        import_module(module)


def _opencv_builds() -> list[str]:
    """Return the installed packages that provide OpenCV, all of which write to the same folder."""
    found = []
    for name in OPENCV_BUILDS:
        with suppress(metadata.PackageNotFoundError):
            metadata.version(name)
            found.append(name)
    return found


def _devices() -> list[Diagnosis]:
    found = [Diagnosis("devices", "cpu", f"{cores()} cores", processor())]
    try:
        import torch

        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            memory = f"{facts.total_memory / 2**30:.0f} GiB, compute capability {facts.major}.{facts.minor}"
            found.append(Diagnosis("devices", f"cuda:{index}", facts.name, memory))
        if not torch.cuda.is_available():
            built = (
                f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without it"
            )
            found.append(Diagnosis("devices", "cuda", "none", built))
        if torch.backends.mps.is_available():
            found.append(Diagnosis("devices", "mps", "Metal"))
    except (ImportError, OSError, RuntimeError) as error:
        found.append(Diagnosis("devices", "torch", "does not work", str(error), good=False))
    return found


def _codecs() -> list[Diagnosis]:
    try:
        import av
    except (ImportError, OSError) as error:
        return [Diagnosis("codecs", "av", "does not work", str(error), good=False)]
    library = ".".join(map(str, av.library_versions.get("libavcodec", ("?",))))
    found = [Diagnosis("codecs", "libavcodec", library)]
    modes: tuple[tuple[str, Literal["r", "w"], tuple[str, ...]], ...]
    modes = ("encoder", "w", ENCODERS), ("decoder", "r", DECODERS)
    for kind, mode, names in modes:
        for name in names:
            needed = name in ("libx264", "h264")
            try:
                av.Codec(name, mode)
                found.append(Diagnosis("codecs", f"{kind} {name}", "yes"))
            except (av.FFmpegError, ValueError):
                found.append(Diagnosis("codecs", f"{kind} {name}", "no", good=not needed))
    return found


def _places() -> list[Diagnosis]:
    from tposecli.hub.checkpoints.resolve import cache_dir
    from tposecli.hub.download.options import offline_by_environment

    cache = cache_dir()
    origin = "TPOSE_HOME" if os.environ.get("TPOSE_HOME") else "the platform's own; TPOSE_HOME sets another"
    there = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    free = f"{shutil.disk_usage(there).free / 1e9:.0f} GB free"
    writable = os.access(there, os.W_OK) and there.is_dir()
    state = ("can be written" if cache.exists() else "will be created") if writable else "cannot be written"
    offline = offline_by_environment()
    return [
        Diagnosis("places", "cache", str(cache), f"{origin}; {state}, {free}", good=writable),
        Diagnosis(
            "places", "network", "off" if offline else "allowed", "TPOSE_OFFLINE" if offline else "--offline forbids it"
        ),
    ]


def _weights() -> list[Diagnosis]:
    from tposecli.detection.factory import BUNDLED_WEIGHTS
    from tposecli.hub.checkpoints.inventory import inventory
    from tposecli.hub.checkpoints.resolve import bundled_file

    found = []
    detector = bundled_file(BUNDLED_WEIGHTS)
    where = str(detector) if detector else "missing"
    found.append(Diagnosis("weights", "person detector", where, "comes with the program", good=detector is not None))
    try:
        items = inventory()
    except (OSError, TposeError) as error:
        return [*found, Diagnosis("weights", "cache", "cannot be read", str(error), good=False)]
    for item in items:
        name = item.model if item.model != "-" else item.file
        if item.path is not None:
            found.append(Diagnosis("weights", name, str(item.path), f"{item.path.stat().st_size / 1e6:.1f} MB"))
        elif item.url:
            found.append(Diagnosis("weights", name, "not here", f"tpose weights pull {name}"))
        else:
            found.append(Diagnosis("weights", name, "missing", "install the package again", good=False))
    return found


def _choices() -> list[Diagnosis]:
    """Report what ``auto`` resolves to."""
    found = []
    try:
        from tposecli.inference.backends.factory import choose
        from tposecli.inference.runtime import Runtime

        runtime = Runtime.resolve()
        runtime = runtime.settled(choose(runtime))
        why = {"cpu": "no CUDA and no Metal device", "cuda": "the first CUDA device", "mps": "there is a Metal device"}
        found += [
            Diagnosis("choices", "--device", str(runtime.device), why[runtime.device.type]),
            Diagnosis("choices", "--precision", runtime.precision, _why_precision(runtime.precision)),
            Diagnosis("choices", "--backend", runtime.backend, _why_backend(runtime.backend)),
            Diagnosis(
                "choices", "--batch-size", str(runtime.batch_size), f"suits {runtime.backend} on {runtime.device.type}"
            ),
        ]
        if runtime.device.type == "cpu":
            from tposecli.inference.backends.autotune import FILE, tuning

            found.append(Diagnosis("choices", "--threads", str(tuning().threads), f"measured once; kept in {FILE}"))
    except (ImportError, OSError, RuntimeError, TposeError) as error:
        found.append(Diagnosis("choices", "--device", "none", str(error), good=False))
    return [*found, _model_choice(), _detector_choice()]


def _why_precision(precision: str) -> str:
    if precision == "fp32":
        return "as exact as the authors' own"
    return f"this device multiplies {precision} faster; tpose eval and attention stay in fp32"


def _why_backend(backend: str) -> str:
    if backend == "openvino":
        return "installed, and faster on a CPU; each net is converted once; tpose eval and attention stay in torch"
    return "OpenVINO is for CPUs, where it is installed"


def _model_choice() -> Diagnosis:
    from tposecli.hub.checkpoints.resolve import locate
    from tposecli.hub.download.options import offline_by_environment
    from tposecli.models.catalog import AUTO_BUNDLED, AUTO_OFFICIAL, find_spec

    if locate(find_spec(AUTO_OFFICIAL)) is not None:
        return Diagnosis("choices", "--model", AUTO_OFFICIAL, "its official weights are in the cache")
    why = "the network is off" if offline_by_environment() else "unless they can be downloaded when a run starts"
    note = f"the weights of {AUTO_OFFICIAL} are not here, {why}"
    return Diagnosis("choices", "--model", AUTO_BUNDLED, note, good=locate(find_spec(AUTO_BUNDLED)) is not None)


def _detector_choice() -> Diagnosis:
    from tposecli.detection.factory import AUTO_YOLO, BUNDLED_WEIGHTS
    from tposecli.detection.remote_models import find_published
    from tposecli.hub.checkpoints.resolve import bundled_file, cache_dir
    from tposecli.hub.download.options import offline_by_environment

    if bundled_file(BUNDLED_WEIGHTS) is None:
        return Diagnosis("choices", "--detector", "none", f"{BUNDLED_WEIGHTS} is missing; install again", good=False)
    if (cache_dir() / find_published(AUTO_YOLO).file).is_file():
        return Diagnosis(
            "choices", "--detector", AUTO_YOLO, "in the cache; licence AGPL-3.0; --detector bundled does not need it"
        )
    why = "the network is off" if offline_by_environment() else "unless it can be downloaded when a run starts"
    return Diagnosis("choices", "--detector", "bundled", f"{AUTO_YOLO} (AGPL-3.0) is not here, {why}")
