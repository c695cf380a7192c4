"""int8 nets for OpenVINO, quantised after training by NNCF; both packages are imported when they are needed.

Quantising needs examples of what the net will see, from which the range of each layer's values is measured. Layers that
need more digits than int8 has stay in floating point, see ``KEPT``. What a file was made from is noted in it.
"""

from __future__ import annotations

import io
import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib import metadata
from importlib.util import find_spec as find_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from tposecli.inference.backends.examples import Examples
from tposecli.inference.backends.export import Exportable, ExportOptions, write_checked
from tposecli.inference.backends.openvino import OpenVinoModel, folded, load_openvino, save_openvino
from tposecli.models.pose_net import PoseNet
from tposecli.types import Image
from tposecli.utils.errors import UsageError, WeightsError

PACKAGE: Final = "nncf"
COUNT: Final = 160
"""Number of examples, at most."""
CHECK_EVERY: Final = 16
"""The ranges are not measured on every n-th of them; with those, the file is checked."""
KEPT: Final = ("backbone.stem", "conv1", "reduce", "global_encoder", "deconv_layers", "final_layer")
"""Modules of pose nets that stay in floating point: the first convolution; the one that joins maps of different ranges,
for all of which int8 has one scale; attention; and what makes heatmaps."""
TOLERANCE: Final = 0.02
"""Maximum mean difference of a file's outputs from torch's, relative to their largest value."""
SECTION: Final = "tposecli"
"""Section of a file in which it is noted what it was made from."""

Notes = dict[str, str]


def require_nncf() -> str:
    """Return the version of NNCF.

    Raises:
        UsageError: It is not installed.
    """
    if find_module(PACKAGE) is None:
        raise UsageError("--precision int8 needs nncf, which makes the model: pip install 'tposecli[int8]'")
    return metadata.version(PACKAGE)


def load_nncf() -> Any:
    """Import the library without its usage reports, its log lines, and what it does to everybody's logging."""
    require_nncf()
    load_openvino()
    loggers = logging.getLoggerClass()
    try:
        import nncf
    finally:
        logging.setLoggerClass(loggers)
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)  # Its own function silences handlers of everybody.
    return nncf


def quantise(plain: Path, path: Path, examples: Image, kept: Sequence[str], notes: Notes) -> None:
    """Write an int8 copy of an OpenVINO file.

    Args:
        plain: The ``.xml`` file of a net with one input.
        path: Path of the ``.xml`` file to write.
        examples: (N, H, W, 3) uint8, what ranges are measured on.
        kept: Names of modules, within the attribute ``net``, that are not quantised.
        notes: What is noted in the file.
    """
    nncf, openvino = load_nncf(), load_openvino()
    with redirect_stdout(io.StringIO()):  # Progress bars.
        model = nncf.quantize(
            folded(plain),
            nncf.Dataset([example[None] for example in examples]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(examples),
            ignored_scope=nncf.IgnoredScope(
                patterns=[rf"__module\.net\.{re.escape(name)}[./].*" for name in kept], validate=False
            ),
        )
    for key, value in notes.items():
        model.set_rt_info(value, [SECTION, key])
    openvino.save_model(model, path, compress_to_fp16=False)


def write_int8(
    module: nn.Module,
    path: Path,
    examples: Image,
    kept: Sequence[str],
    notes: Notes,
    write_plain: Callable[[Path], None],
) -> float:
    """Quantise a net with most of the examples, and check it against torch with the others.

    Args:
        module: From (B, H, W, 3) uint8 images to several float32 outputs.
        path: Path of the ``.xml`` file; a ``.bin`` is written beside it.
        examples: (N, H, W, 3) uint8.
        kept: Names of modules that are not quantised.
        notes: What is noted in the file.
        write_plain: Writes the net as it is, for OpenVINO.

    Returns:
        The largest mean difference of an output from torch's, relative to its largest value.

    Raises:
        UsageError: NNCF is not installed.
        OutputError: The file cannot be written, or differs too much.
    """
    require_nncf()
    for_check = np.arange(len(examples)) % CHECK_EVERY == 0

    def write(file: Path) -> float:
        with tempfile.TemporaryDirectory(prefix="tpose-") as folder:
            plain = Path(folder) / "plain.xml"
            write_plain(plain)
            quantise(plain, file, examples[~for_check], kept, notes)
        seen = torch.from_numpy(examples[for_check])
        expected, found = module(seen), OpenVinoModel(file, "int8", input_hw=examples.shape[1:3])(seen)
        return max(float((a - b).abs().mean() / a.abs().max()) for a, b in zip(expected, found, strict=True))

    return write_checked(path, "openvino", write, TOLERANCE)


def export_int8(net: PoseNet, path: Path, options: ExportOptions, examples: Examples, notes: Notes) -> float:
    """Quantise a pose net, and return its difference from torch, see :func:`write_int8`.

    Args:
        net: For prediction, in float32 on the CPU.
        path: Path of the ``.xml`` file.
        options: Options of the export, with any batch size.
        examples: What ranges are measured on.
        notes: See :func:`notes_for`.
    """
    module = Exportable(net, options.attention).eval()
    names = options.names(len(net.global_encoder.layers))

    def write_plain(file: Path) -> None:
        crops = torch.zeros(2, *net.input_hw, 3, dtype=torch.uint8)
        save_openvino(module, crops, file, (-1, *crops.shape[1:]), ("crops", names))

    return write_int8(module, path, examples.crops(net.input_hw, COUNT), KEPT, notes, write_plain)


def notes_for(model: str, weights_sha256: str, attention: bool, examples: Examples) -> Notes:
    """Return what is noted in the int8 file of a pose net.

    Raises:
        UsageError: NNCF is not installed.
    """
    return {
        "model": model,
        "weights_sha256": weights_sha256,
        "attention": "yes" if attention else "no",
        "examples": examples.name,
        "examples_sha256": examples.sha256,
        "nncf": require_nncf(),
        "kept": ",".join(KEPT),
    }


def notes_of(path: Path) -> Notes:
    """Return what is noted in a file; nothing if it is not an int8 net of ours.

    Raises:
        WeightsError: It cannot be read.
    """
    openvino = load_openvino()
    try:
        model = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise WeightsError(f"{path}: cannot be read as an OpenVINO file; write it again with tpose export") from error
    if not model.has_rt_info([SECTION]):
        return {}
    return {key: str(model.get_rt_info([SECTION, key]).value) for key in model.get_rt_info([SECTION]).value}


def check_given(path: Path, weights_sha256: str, attention: bool) -> Notes:
    """Check that an int8 file belongs to the weights, and return what is noted in it.

    Raises:
        WeightsError: It cannot be read, or is of another kind.
        UsageError: It was made from other weights, or has no attention and it is needed.
    """
    notes = notes_of(path)
    if "weights_sha256" not in notes:
        raise WeightsError(f"{path}: not an int8 model; make one with tpose export --format openvino --precision int8")
    if notes["weights_sha256"] != weights_sha256:
        raise UsageError(f"{path}: made from other weights, of {notes['model']}; choose those, or export it again")
    if attention and notes["attention"] != "yes":
        raise UsageError(f"{path}: exported without attention; export it again and add --with-attention")
    return notes
