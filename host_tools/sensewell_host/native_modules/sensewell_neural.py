"""`sensewell_neural` for CPython: the C engine under the name and with the functions that a board's module has.

Whoever wants it puts this folder on sys.path, or calls c_kernels.use_neural(); device/native/neural/module.c says what
the functions take.
"""

from __future__ import annotations

from typing import Any

from sensewell_host.c_kernels import address, neural_library

engine = neural_library()
if engine is None:
    raise ImportError("there is no C compiler")
_c = engine


def _file(model: Any) -> tuple[int, int]:
    size = memoryview(model).nbytes
    return (address(model) if size else 0), size


def measure(model: Any, facts: Any) -> int:
    """0: sound, else the number of the refusal as in sw_neural.h."""
    number: int = _c.sw_neural_measure(*_file(model), address(facts))
    return number


def prepare(model: Any, net: Any, work: Any, facts: Any) -> int:
    """The same; fills `net`."""
    if len(net) < facts[0] or len(work) < facts[1]:
        raise ValueError("too short")
    number: int = _c.sw_neural_prepare(*_file(model), address(net), address(work), address(facts))
    return number


def describe(model: Any, net: Any, number: int, port: Any) -> int:
    """Input or output `number` to `port`; -1: there is none."""
    found: int = _c.sw_neural_describe(*_file(model), address(net), number, address(port))
    return found


def op(net: Any, k: int) -> int:
    """Which operator is number k; -1: there is none."""
    code: int = _c.sw_neural_op(address(net), k)
    return code


def reset(_model: Any, net: Any, arena: Any) -> None:
    """Forget the states."""
    _c.sw_neural_reset(address(net), address(arena))


def bind(net: Any, number: int, buffer: Any) -> int:
    """0, or what sw_neural_bind() says."""
    view = memoryview(buffer)
    if view.readonly and number >= int.from_bytes(net[28:30], "little"):  # n_inputs of sw_head, as module.c asks it
        raise TypeError("an output that may only be read")
    form = 1 if isinstance(buffer, (bytes, bytearray)) else ord(view.format[-1])
    wrong: int = _c.sw_neural_bind(address(net), number, address(buffer) if view.nbytes else 0, view.nbytes, form)
    return wrong


def predict(model: Any, net: Any, arena: Any) -> int:
    """0, or what sw_neural_predict() says."""
    wrong: int = _c.sw_neural_predict(address(model), address(net), address(arena))
    return wrong
