"""ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor


class OnnxSession:
    """An ONNX file, loaded and ready to run."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        if hasattr(onnxruntime, "disable_telemetry_events"):  # Reported on Windows only.
            onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        # Spinning threads would take CPU time from decoding and drawing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of the file for (B, H, W, 3) uint8 crops."""
        return tuple(torch.from_numpy(array) for array in self._session.run(None, {"crops": crops.numpy()}))
