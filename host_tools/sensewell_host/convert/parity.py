"""The proof that a converted forest says what its library says, row by row, and the report of it.

Knows blobs and expected answers; knows no library.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.c_kernels import predict_rows
from sensewell_host.convert.image import device_forest, predict, read
from sensewell_host.convert.plain import Floats, Ints
from sensewell_host.errors import SensewellError

# All rows go through the device's C kernel where there is a C compiler, and through numpy's reading of the blob.
# So many go through the device's Python text as well: it is slow on a PC
DEVICE_ROWS = 400
DEVICE_TREES = 60_000  # walks of trees, at most


@dataclass(frozen=True)
class ParityReport:
    """What was compared, and with what: `mismatches` is 0, or the conversion would have been refused.

    Sums also state what integers cost: no row may differ by more than `error_bound`, none did by more than
    `max_error`. Both are in units of `error_of`: "value" (of a regressor, its own unit), "probability" (of a class,
    0..1) or "anomaly score" (0..1); "" for votes, which are compared as classes only.
    """

    rows: int
    device_rows: int  # of these, predicted by the device code itself: all where its C kernels can be built here
    mismatches: int
    reference: str
    error_of: str = ""
    error_bound: float = 0.0
    max_error: float = 0.0


def check_features(x: npt.NDArray[Any], n_features: int) -> npt.NDArray[np.int16]:
    """`x` as int16 (n, n_features), or a SensewellError that says what is wrong with it."""
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != n_features or len(x) == 0:
        raise SensewellError(f"the rows to check must be (n, {n_features}) with n > 0, they are {x.shape}")
    if x.dtype.kind not in "iu":
        raise SensewellError(
            f"a device forest takes int16 features, these are {x.dtype}: scale them to counts first, "
            "for example np.round(x * 100).astype(np.int16), and train on the scaled ones"
        )
    if x.min() < -32768 or x.max() > 32767:
        raise SensewellError(f"features must fit int16, these reach from {x.min()} to {x.max()}: scale them down")
    return x.astype(np.int16)


def prove(blob: bytes, x: npt.NDArray[np.int16], expected: Ints) -> tuple[int, Ints]:
    """SensewellError unless `blob` predicts `expected` on every row.

    Returns how many rows the device code ran itself, and the scores (n, n_outputs) of all.
    """
    got, scores = predict(blob, x)
    if not np.array_equal(got, expected):
        raise SensewellError(named(expected, got, "the converted forest"))
    native = predict_rows(blob, x, scores.shape[1])
    if native is not None:
        compare("C kernel", np.arange(len(x)), native[0], native[1], expected, scores)
    forest = device_forest(blob, x.shape[1], scores.shape[1])
    n = min(len(x), DEVICE_ROWS, max(50, DEVICE_TREES // len(read(blob).trees)))
    sample = np.unique(np.linspace(0, len(x) - 1, n).astype(np.int64))
    row_scores = array("i", bytes(4 * scores.shape[1]))
    classes, sums = [], []
    for k in sample:
        classes.append(forest.predict(array("h", x[k].tobytes()), row_scores))
        sums.append(row_scores.tolist())
    compare("device code", sample, np.array(classes), np.array(sums), expected, scores)
    return len(sample) if native is None else len(x), scores


def compare(what: str, rows: Ints, classes: Any, sums: Any, expected: Ints, scores: Ints) -> None:
    """SensewellError unless what predicted `rows` found the classes expected, and numpy's scores."""
    if not np.array_equal(classes, expected[rows]):
        got = expected.copy()
        got[rows] = classes
        raise SensewellError(named(expected, got, f"the {what}"))
    wrong = np.flatnonzero((sums != scores[rows]).any(axis=1))
    if len(wrong):
        k = wrong[0]
        raise SensewellError(
            f"the {what} and numpy read this model differently: row {rows[k]} scores {sums[k].tolist()} and "
            f"{scores[rows[k]].tolist()}"
        )


def prove_error(error: Floats, bound: float, what: str) -> float:
    """The greatest of `error` (one a row), or a SensewellError that names the rows above `bound`."""
    wrong = np.flatnonzero(~(error <= bound))
    if len(wrong):
        rows = ", ".join(f"row {k} by {error[k]:.4g}" for k in wrong[:10])
        more = ", ..." if len(wrong) > 10 else ""
        raise SensewellError(f"{what}: {len(wrong)} of {len(error)} rows differ by more than {bound:.4g}: {rows}{more}")
    return float(error.max())


def named(expected: Ints, got: Ints, what: str, library: str = "scikit-learn") -> str:
    """The sentence that names the rows where `got` is not `expected`: the first ten, and how many."""
    wrong = np.flatnonzero(expected != got)
    rows = ", ".join(f"row {k} expected {expected[k]} got {got[k]}" for k in wrong[:10])
    more = ", ..." if len(wrong) > 10 else ""
    return f"{what}: {len(wrong)} of {len(expected)} rows differ from {library}: {rows}{more}"
