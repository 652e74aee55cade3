"""`sensewell_features` for CPython: the C kernels under the name and with the functions that a board's module has.

Whoever wants it puts this folder on sys.path; device/native/features/module.c says what the functions take.
"""

from __future__ import annotations

import ctypes
from array import array
from typing import Any

from sensewell_host.c_kernels import Program, Window, address, library

kernels = library()
if kernels is None:
    raise ImportError("there is no C compiler")
_plan, _compute = kernels.sw_features_plan, kernels.sw_features_compute


class Work:
    """The work space and what it was made for."""

    def __init__(self, program: Program, n_bytes: int, vector: Any) -> None:
        self.program = program
        self.space = ctypes.create_string_buffer(n_bytes)
        self.items = len(vector)


def prepare(run: Any, derived: Any, vector: Any, n_channels: int, length: int) -> Work | None:
    """The work space, or None if `run` is not sound."""
    program = Program(address(run), address(derived) if len(derived) else None, n_channels, length)
    n_bytes = _plan(ctypes.byref(program), len(run), len(derived) // 4, len(vector))
    return Work(program, n_bytes, vector) if n_bytes else None


def compute(run: Any, derived: Any, vector: Any, work: Work, window: Any, row: Any) -> None:
    """Fill `vector` from `window.read(channel, row)`."""
    if len(row) != work.program.length or len(vector) != work.items:
        raise ValueError("features")
    failed: list[BaseException] = []

    def read(_context: Any, channel: int, x: Any, length: int) -> None:
        try:
            window.read(channel, row)
            ctypes.memmove(x, address(row), 2 * length)
        except BaseException as error:
            failed.append(error)

    asked = Window(None, 0, Window.READ(read), None)
    block = getattr(window, "_s", None)
    rows = getattr(window, "rows", None)
    n, length = work.program.n_channels, work.program.length
    if isinstance(rows, array) and block is not None and (block[0], block[1], block[4]) == (n, length, length):
        asked.rows, asked.oldest = address(rows), block[3]  # a full ring is used as it lies
    work.program.run = address(run)
    work.program.derived = address(derived) if len(derived) else None
    _compute(ctypes.byref(work.program), ctypes.byref(asked), ctypes.addressof(work.space), address(vector))
    if failed:
        raise failed[0]
