"""Signals on a stack of their own: what a library sets up is undone, lest a signal lands on memory that it freed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class _Stack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_: ClassVar = [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextmanager
def same_signal_stack() -> Iterator[None]:
    """Leave this thread's alternate signal stack as it was before the block; nothing to do but on Linux.

    OpenVINO gives the thread that compiles a net one of its own and frees it with the net, from any thread: the next
    Ctrl-C of Python, which runs on that stack, would crash.
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
