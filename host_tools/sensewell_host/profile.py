"""What features and models cost before they ship: instructions, counted on a virtual board with an instruction clock.

Knows the device's Features, Window, Forest and Linear by name; nothing of training, bundles or real boards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host import runtime
from sensewell_host.board import Board, connect, virtual
from sensewell_host.errors import SensewellError

BOARD = "virt_c3"

_SCRIPT = """
import gc, virt
from array import array
virt.mark()
nothing = virt.since()
def read(path):
    with open(path, "rb") as file:
        return file.read()
def window_cost(specs, n_channels, length, derived):
    from sensewell.features import Features
    from sensewell.window import Window
    gc.collect()
    window = Window(n_channels, length, length)
    rows = array("h", read("/rows"))
    for at in range(0, len(rows), n_channels):
        window.push(rows[at : at + n_channels], 1)
    features = Features(specs, n_channels, length, derived)
    features.compute(window)
    virt.mark()
    features.compute(window)
    print(virt.since() - nothing, features.engine)
def predict_cost(n_features, n_classes):
    gc.collect()
    blob = memoryview(read("/model"))
    if bytes(blob[:4]) == b"SWLN":
        from sensewell.model.linear import Linear as Model
    else:
        from sensewell.model.trees import Forest as Model
    model = Model(blob, n_features, n_classes)
    rows = array("h", read("/rows"))
    scores = array("i", [0] * n_classes)
    total = 0
    for at in range(0, len(rows), n_features):
        row = rows[at : at + n_features]
        virt.mark()
        model.predict(row, scores)
        total += virt.since() - nothing
    print(total * n_features // len(rows), model.engine)
"""


class Meter:
    """Counts on `board`, a virtual one that has the runtime and was started with an instruction clock."""

    def __init__(self, board: Board) -> None:
        self._board = board
        board.soft_reset()
        board.exec(_SCRIPT)

    def window(
        self, specs: Sequence[Mapping[str, Any]], derived: Sequence[Mapping[str, Any]], rows: NDArray[np.int16]
    ) -> int:
        """Instructions for the features of one window; rows: int16 counts (length, channels)."""
        length, n_channels = rows.shape
        self._put("/rows", np.ascontiguousarray(rows, "<i2").tobytes())
        return self._ask(f"window_cost({[*map(dict, specs)]!r}, {n_channels}, {length}, {[*map(dict, derived)]!r})")

    def predict(self, blob: bytes, n_classes: int, rows: NDArray[np.int16]) -> int:
        """Mean instructions of a prediction by a forest or linear model; rows: feature vectors int16 (n, features)."""
        self._put("/model", blob)
        self._put("/rows", np.ascontiguousarray(rows, "<i2").tobytes())
        return self._ask(f"predict_cost({rows.shape[1]}, {n_classes})")

    def _put(self, path: str, content: bytes) -> None:
        self._board.put(path, content)

    def _ask(self, call: str) -> int:
        said = self._board.exec(call, timeout_s=60).split()
        if len(said) != 2:
            raise SensewellError(f"the board did not answer {call.partition('(')[0]} with a count: {' '.join(said)}")
        return int(said[0])


@contextlib.contextmanager
def meter(native: bool = True) -> Iterator[Meter]:
    """A virt_c3 that counts, with the runtime for forests and linear models; native: with the native modules that are
    built."""
    if not virtual.is_built(BOARD):
        raise SensewellError(f"instructions are counted on {BOARD}, which is not built: make board-{BOARD}")
    with virtual.session(BOARD, icount=True) as running, connect(running.address) as board:
        files, _ = runtime.files_for(board.info().mpy_arch, ("trees", "linear"), native=None if native else {})
        for path, content in files.items():
            board.mkdirs(path.rpartition("/")[0])
            board.put(path, content)
        yield Meter(board)
