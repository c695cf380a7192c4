"""OpenVINO on the CPU."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from tposecli.utils.telemetry import block_telemetry

PRECISIONS: Final = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""The runtime's name of each precision; of an int8 net, it is that of the layers which are not quantised."""

Outputs = tuple[Tensor, ...]


def load_openvino() -> Any:
    """Import the library, the only way in which this package does: by itself it reports each import to its makers."""
    block_telemetry()
    import openvino

    return openvino


def save_openvino(
    module: nn.Module, example: Tensor, path: Path, shape: Sequence[int], names: tuple[str, Sequence[str]]
) -> None:
    """Convert a module with one input, and save it as ``.xml`` and ``.bin``.

    It is traced, in a second where ``torch.export`` takes ten. A trace can hold lengths of the example fast, so
    callers must compare the file with the module on an input of other lengths.

    Args:
        module: From one tensor to a tuple of tensors.
        example: An input.
        path: Path of the ``.xml`` file.
        shape: Shape of the input, -1 for lengths that are left open.
        names: Name of the input, and of each output.
    """
    openvino = load_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    # openvino.convert_model does the same, but also sends usage data over the network.
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # It has to live until the end of the conversion.
    model = frontend.convert(frontend.load(decoder))
    for output, name in zip(model.outputs, names[1], strict=True):
        output.get_tensor().set_names({name})
    model.inputs[0].get_tensor().set_names({names[0]})
    model.reshape(list(shape))
    openvino.save_model(model, path, compress_to_fp16=False)


def folded(path: Path) -> Any:
    """Read a file, and fold what is constant in it: biases that are computed from shapes, and depthwise kernels.

    The runtime does so by itself when it compiles a net; quantising needs it before.
    """
    openvino = load_openvino()
    from openvino._offline_transformations import apply_moc_transformations

    model = openvino.Core().read_model(path)
    apply_moc_transformations(model, cf=True)
    return model


class OpenVinoModel:
    """An OpenVINO file, compiled for this machine; several forward passes run at once, on threads of their own.

    Threads that share a crop wait for each other after every layer; threads with one crop each do not.
    """

    def __init__(
        self,
        path: Path,
        precision: str = "fp32",
        batch: int | None = 1,
        at_once: int = 1,
        input_hw: tuple[int, int] | None = None,
    ) -> None:
        """Load and compile the file.

        Args:
            path: The ``.xml`` file.
            precision: ``fp32`` or ``bf16``, set explicitly, because the runtime would choose bf16 by itself; ``int8``
                for a file that is quantised.
            batch: Crops per forward pass, fixed because that is faster; None for any number.
            at_once: Maximum number of concurrent forward passes; each takes memory of its own.
            input_hw: Height and width of the input, if the file leaves them open.
        """
        openvino = load_openvino()
        core = openvino.Core()
        model = core.read_model(path)
        if batch is not None:
            shape = list(model.inputs[0].partial_shape)
            model.reshape([batch, *(input_hw or shape[1:3]), *shape[3:]])
        threads = torch.get_num_threads()
        streams = min(at_once, threads)
        hints = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # Other threads and processes need the same cores.
        }
        with same_signal_stack():
            self._queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", hints), streams)
        self._queue.set_callback(_keep)
        self._batch = batch

    def __call__(self, crops: Tensor) -> Outputs:
        """Return the outputs of the file for (B, H, W, 3) uint8 crops."""
        array = crops.numpy()
        step = self._batch or len(array)
        done: dict[int, Outputs] = {}
        for start in range(0, len(array), step):
            self._queue.start_async({0: array[start : start + step]}, (done, start), share_inputs=True)
        self._queue.wait_all()
        parts = [done[start] for start in sorted(done)]
        return parts[0] if len(parts) == 1 else tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))


def _keep(request: Any, place: tuple[dict[int, Outputs], int]) -> None:
    """Store a copy of the outputs of a forward pass, which the next one overwrites."""
    done, start = place
    done[start] = tuple(torch.from_numpy(output.data.copy()) for output in request.output_tensors)


class _Stack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_: ClassVar = [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextmanager
def same_signal_stack() -> Iterator[None]:
    """Restore this thread's alternate signal stack after the block; on Linux only.

    OpenVINO installs a stack of its own in the thread that compiles a net, and frees it with the net: the next Ctrl-C,
    whose handler runs on that stack, would crash Python.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
