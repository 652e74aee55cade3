"""`sensewell_trees` for CPython: the C kernels under the name and with the functions that a board's module has.

Whoever wants it puts this folder on sys.path; device/native/trees/module.c says what the functions take.
"""

from __future__ import annotations

from typing import Any

from sensewell_host.c_kernels import address, library

kernels = library()
if kernels is None:
    raise ImportError("there is no C compiler")
_predict, _verify = kernels.sw_trees_predict, kernels.sw_trees_verify


def verify(forest: Any, n_features: int, n_outputs: int) -> int:
    """0: sound, else the number of the refusal as in sw_trees.h."""
    if len(forest) and address(forest) & 3:
        forest = bytes(forest)  # where a PC keeps it says nothing about a board
    number: int = _verify(address(forest) if len(forest) else None, len(forest), n_features, n_outputs)
    return number


def predict(forest: Any, features: Any, scores: Any) -> int:
    """The class, -1 where a length is wrong."""
    sizes = memoryview(features).nbytes, memoryview(scores).nbytes
    if len(forest) < 20 or sizes != (2 * forest[6], 4 * forest[7]):
        return -1
    best: int = _predict(address(forest), address(features), address(scores))
    return best
