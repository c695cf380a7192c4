"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tposecli.models.backends.altstack import same_signal_stack

PRECISIONS: Final = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoModel:
    """An exported file, compiled for this machine."""

    def __init__(self, path: Path, precision: str = "fp32", batch: int | None = 1) -> None:
        """Compile.

        Args:
            path: The ``.xml`` file.
            precision: ``fp32``, which the runtime would lower by itself where it is not told, or ``bf16``.
            batch: Crops in one forward: a fixed number runs faster; None: as many as come.
        """
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        if batch is not None:
            model.reshape([batch, *list(model.inputs[0].partial_shape)[1:]])
        hints = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        with same_signal_stack():
            self._request = core.compile_model(model, "CPU", hints).create_infer_request()
        self._batch = batch

    def __call__(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 to the file's outputs."""
        array = crops.numpy()
        step = self._batch or len(array)
        parts = [self._run(array[start : start + step]) for start in range(0, len(array), step)]
        return parts[0] if len(parts) == 1 else tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))

    def _run(self, array: Any) -> tuple[Tensor, ...]:
        """One forward; the runtime's outputs are overwritten by the next one."""
        outputs = self._request.infer({0: array}, share_inputs=True).to_tuple()
        return tuple(torch.from_numpy(output.copy()) for output in outputs)
