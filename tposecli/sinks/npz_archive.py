"""NumPy archives (``.npz``) whose arrays grow row by row, without holding them in memory."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tposecli.utils.files import NewFile, TemporaryFolder, unwritable


class NpzArchive:
    """Writes arrays that grow along their first axis, and complete arrays, to one ``.npz`` for ``numpy.load``.

    Rows are stored in one temporary file per array beside the archive and assembled at the end.
    """

    def __init__(self, path: Path) -> None:
        """Begin the archive.

        Args:
            path: The file to write; it appears once ``close`` marks the run as complete.

        Raises:
            OutputError: The folder cannot be written.
        """
        self._path = path
        self._rows: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]] = {}
        self._complete_arrays: dict[str, NDArray[Any]] = {}
        self._closed = False
        try:
            self._rows_folder = TemporaryFolder(path)
            self._file = NewFile(path)
        except OSError as error:
            raise unwritable(path, error) from error

    def put(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add complete arrays, which are kept in memory until the end."""
        self._complete_arrays.update(arrays)

    def append(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Append rows to growing arrays; all calls must agree on the dtype and the shape of a row.

        Raises:
            ValueError: An array changed its dtype or the shape of its rows.
            OutputError: They cannot be written.
        """
        for name, rows in columns.items():
            dtype, shape, count = self._rows.get(name, (rows.dtype, rows.shape[1:], 0))
            if rows.dtype != dtype or rows.shape[1:] != shape:
                raise ValueError(f"{name}: expected rows of {shape} {dtype}, got {rows.shape[1:]} {rows.dtype}")
            try:
                with (self._rows_folder.path / name).open("ab") as file:
                    file.write(np.ascontiguousarray(rows).tobytes())
            except OSError as error:
                raise unwritable(self._path, error) from error
            self._rows[name] = (dtype, shape, count + len(rows))

    def close(self, complete: bool) -> None:
        """Assemble and publish the archive, or remove everything; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        try:
            if complete:
                self._assemble()
                self._file.publish()
        except OSError as error:
            raise unwritable(self._path, error) from error
        finally:
            self._file.discard()
            self._rows_folder.remove()

    def _assemble(self) -> None:
        with zipfile.ZipFile(self._file.temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in self._complete_arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as target:
                    npy.write_array(target, array, allow_pickle=False)
            for name, (dtype, shape, count) in self._rows.items():
                header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (count, *shape)}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as target:
                    npy.write_array_header_2_0(target, header)
                    with (self._rows_folder.path / name).open("rb") as source:
                        shutil.copyfileobj(source, target, 1 << 20)
