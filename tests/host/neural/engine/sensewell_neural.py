"""The native module `sensewell_neural` for CPython: the same C files behind ctypes, function by function.

library() says which shared object to load; a test builds it. Stands in for device/native/neural/module.c.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

_c: Any = None


def library(path: str) -> None:
    """Load the shared object with the C core."""
    global _c
    _c = ctypes.CDLL(path)


def _at(buffer: Any) -> Any:
    """The address of a buffer, read-only ones too. The caller holds on to the buffer."""
    view = memoryview(buffer).cast("B") if memoryview(buffer).nbytes else memoryview(bytearray(1))
    return ctypes.c_void_p(np.frombuffer(view, np.uint8).ctypes.data)


def _size(buffer: Any) -> Any:
    return ctypes.c_size_t(memoryview(buffer).nbytes)


def measure(model: Any, facts: Any) -> int:
    return _c.sw_neural_measure(_at(model), _size(model), _at(facts))


def prepare(model: Any, net: Any, work: Any, facts: Any) -> int:
    if len(net) < facts[0] or len(work) < facts[1]:
        raise ValueError("too short")
    return _c.sw_neural_prepare(_at(model), _size(model), _at(net), _at(work), _at(facts))


def describe(model: Any, net: Any, number: int, port: Any) -> int:
    return _c.sw_neural_describe(_at(model), _size(model), _at(net), number, _at(port))


def op(net: Any, k: int) -> int:
    return _c.sw_neural_op(_at(net), k)


def reset(model: Any, net: Any, arena: Any) -> None:
    _c.sw_neural_reset(_at(net), _at(arena))


def bind(net: Any, number: int, buffer: Any) -> int:
    if memoryview(buffer).readonly and number >= int.from_bytes(net[28:30], "little"):  # n_inputs of sw_head
        raise TypeError("an output that may only be read")
    form = 1 if isinstance(buffer, bytearray) else ord(memoryview(buffer).format[-1])
    return _c.sw_neural_bind(_at(net), number, _at(buffer), _size(buffer), form)


def predict(model: Any, net: Any, arena: Any) -> int:
    return _c.sw_neural_predict(_at(model), _at(net), _at(arena))
