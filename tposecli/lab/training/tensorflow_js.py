"""Read the weights of nets published as TensorFlow.js graphs: ``NAME.json`` lists the arrays in ``NAME.bin``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from tposecli.utils.errors import WeightsError

Arrays = Mapping[str, Tensor]

TYPES: Final = {"float16": "<f2", "float32": "<f4", "int32": "<i4"}
PREFIX: Final = "StatefulPartitionedCall/"


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution in PyTorch's layout: weight (O, I, h, w) and bias (O,)."""

    weight: Tensor
    bias: Tensor


@contextmanager
def graph_arrays(path: Path, what: str) -> Iterator[dict[str, Tensor]]:
    """Provide the arrays of a graph as float32, by name, while they are loaded into a net.

    Args:
        path: The ``.json`` file, with its ``.bin`` file beside it.
        what: What the graph should be, for the message.

    Raises:
        WeightsError: The arrays are missing, or the code under ``with`` does not find what it expects in them.
    """
    try:
        yield _arrays(path)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"{path}: not {what} with its .bin file beside it ({error}); download both again") from error


def graph_nodes(path: Path) -> dict[str, Any]:
    """Return the operations of a graph by name, in the graph's order."""
    return {node["name"]: node for node in json.loads(path.read_bytes())["modelTopology"]["node"]}


def load_conv(conv: nn.Module, values: Conv) -> None:
    """Load the values into a convolution of the same shape."""
    conv.load_state_dict({"weight": values.weight, "bias": values.bias})


def _arrays(path: Path) -> dict[str, Tensor]:
    found = {}
    for group in json.loads(path.read_bytes())["weightsManifest"]:
        data = b"".join((path.parent / Path(name).name).read_bytes() for name in group["paths"])
        start = 0
        for entry in group["weights"]:
            kind = np.dtype(TYPES[entry.get("quantization", entry)["dtype"]])
            values = np.frombuffer(data, kind, math.prod(entry["shape"]), start)
            start += values.nbytes
            name = entry["name"].removeprefix(PREFIX)
            found[name] = torch.from_numpy(values.astype(np.float32).reshape(entry["shape"]))
    return found
