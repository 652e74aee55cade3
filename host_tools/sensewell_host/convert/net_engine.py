"""int8 nets on this PC, for judging and for the proof: our own engine, and the interpreter it is held against.

Both give, for int8 inputs (n, n_in), outputs (n, n_out) of the one output's dtype, each window from a fresh state.
Knows .tflite files; must not know Keras, classes or manifests.
"""

from __future__ import annotations

import importlib
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.c_kernels import use_neural
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError
from sensewell_host.quiet import quiet

DTYPES = {"b": np.int8, "h": np.int16}


def open_net(data: bytes) -> Any:
    """The device's own Net on the C engine built for this PC; SensewellError where there is no C compiler."""
    if not use_neural():
        raise SensewellError("converting a network needs a C compiler on this PC (cc or gcc), to prove it: install one")
    use_device_path()
    from sensewell.model import neural

    return neural.open(bytearray(data))


def ours(net: Any, q: NDArray[np.int8]) -> NDArray[Any]:
    """Outputs by our engine."""
    port = net.outputs[0]
    kind = DTYPES[port.dtype]
    found = np.empty((len(q), port.n), kind)
    row, out = array("b", bytes(net.inputs[0].n)), array(port.dtype, bytes(port.n * np.dtype(kind).itemsize))
    for k, one in enumerate(np.ascontiguousarray(q)):
        row[:] = array("b", one.tobytes())
        net.reset()
        net.predict(row, out)
        found[k] = np.frombuffer(out, kind)
    return found


def reference(data: bytes, q: NDArray[np.int8]) -> NDArray[Any]:
    """Outputs by TensorFlow Lite Micro; SensewellError where it is not installed or refuses the file."""
    try:
        runtime: Any = importlib.import_module("tflite_micro.python.tflite_micro.runtime")
    except ImportError as error:
        raise SensewellError(
            f"converting a network needs the interpreter it is held against: `make neural`; Python says: {error}"
        ) from error
    try:
        with quiet():  # it prints from C when it refuses
            net = runtime.Interpreter.from_bytes(data, arena_size=10 * len(data) + 400_000)
    except RuntimeError as error:
        raise SensewellError(f"TensorFlow Lite Micro refuses this network: {error}") from error
    shape = net.get_input_details(0)["shape"]
    found = []
    for one in q:
        net.reset()
        net.set_input(one.reshape(shape), 0)
        net.invoke()
        found.append(np.asarray(net.get_output(0)).reshape(-1).copy())
    return np.array(found)
