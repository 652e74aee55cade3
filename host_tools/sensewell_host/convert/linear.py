"""A fitted logistic regression -> the linear model of device/sensewell/model/linear.py, proven on every row given.

Knows scikit-learn's LogisticRegression, alone or behind a StandardScaler, and the binary form.

Rounding. A weight w is kept as W = round(w * 2**(q + shift)), with the greatest shift that int16 leaves the feature;
q is the greatest with which no int16 features can carry a sum out of its range. The base makes up for what the weights
lost at the feature's mean, c, and for the half of a step that every shift loses on average. What is left of the error
of a margin, for features no further from c than those of the rows proven, is at most
    sum over the features of (|W / 2**(q + shift) - w| * greatest |x - c|  +  half a step of 2**-q)  +  half a step
computed from the very weights. What that may do to a probability, sums.py says.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert.encode import LOGISTIC, MAX_SUM, SOFTMAX
from sensewell_host.convert.image import ONE, pow2
from sensewell_host.convert.parity import DEVICE_ROWS, ParityReport, check_features, compare, named, prove_error
from sensewell_host.convert.plain import Floats, Ints
from sensewell_host.convert.sums import DOUBLE, LOG2_E, MAX_BITS, probability_bound
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

MAX_FEATURES, MAX_CLASSES, MAX_SHIFT = 96, 255, 30
HEADER = struct.Struct("<4sBBBB")


@dataclass(frozen=True)
class ConvertedLinear:
    """A linear device model and what a manifest or a reader of reports asks about it.

    parity.mismatches: rows whose two greatest probabilities lie so near to each other that the bound lets the board
    take the other one, and it did.
    """

    blob: bytes
    n_classes: int
    n_features: int
    bytes: int
    value_bits: int  # q
    parity: ParityReport
    family: str = "linear"

    @property
    def said(self) -> str:
        """One sentence for the command line."""
        parity = self.parity
        return (
            f"model.bin: {self.bytes:,} bytes, {self.n_features} features; {parity.rows:,} rows compared with "
            f"{parity.reference}: {parity.mismatches} differ, {parity.error_of} by {parity.max_error:.2g} at most "
            f"(the bound is {parity.error_bound:.2g})"
        )


@dataclass(frozen=True)
class _Grid:
    """Everything in integers. error: of any margin, in log2 units."""

    bits: int
    base: Ints  # (margins,)
    shifts: Ints  # (n_features,)
    weights: Ints  # (n_features, margins)
    error: float

    def blob(self, n_classes: int) -> bytes:
        head = HEADER.pack(b"SWLN", 1, self.bits, len(self.shifts), n_classes)
        body = np.concatenate([self.shifts[:, None], self.weights], axis=1)
        return head + self.base.astype("<i4").tobytes() + body.astype("<i2").tobytes()


def is_linear(model: Any) -> bool:
    """Whether convert_linear is for this model."""
    return type(_parts(model)[1]).__name__ == "LogisticRegression"


def convert_linear(model: Any, x_check: npt.NDArray[Any]) -> ConvertedLinear:
    """`model`, fitted, as a linear device model.

    x_check: all rows to be proven, (n, n_features) int16 counts. Each has scikit-learn's class, but for those whose two
    greatest probabilities are nearer than the stated bound can tell apart, and its probabilities within that bound.
    SensewellError names the rows that differ, or says what the form cannot hold.
    """
    weights, base, centre = _weights(model)
    x = check_features(x_check, len(weights))
    if centre is None:
        centre = x.mean(axis=0)
    n_classes = len(model.classes_)
    low, high = x.min(axis=0).astype(float), x.max(axis=0).astype(float)
    grid = _finest(weights, base, centre, np.maximum(high - centre, centre - low))
    blob = grid.blob(n_classes)
    got, scores = predict(blob, x)
    sample = np.unique(np.linspace(0, len(x) - 1, min(len(x), DEVICE_ROWS)).astype(np.int64))
    device = device_linear(blob, len(weights), n_classes)
    row_scores = array("i", bytes(4 * n_classes))
    classes, sums = [], []
    for k in sample:
        classes.append(device.predict(array("h", x[k].tobytes()), row_scores))
        sums.append(row_scores.tolist())
    compare("device code", sample, np.array(classes), np.array(sums), got, scores)

    said = np.asarray(model.predict_proba(x), dtype=np.float64)
    expected = np.asarray(model.predict(x)).astype(np.int64)
    noise = 2 * DOUBLE * (len(weights) + 4) * (np.abs(x).astype(float) @ np.abs(weights)).max()
    bound = probability_bound(grid.error + float(noise), LOGISTIC if n_classes == 2 else SOFTMAX, n_classes)
    worst = prove_error(np.abs(scores / ONE - said).max(axis=1), bound, "probability of the converted linear model")
    ordered = np.sort(said, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 2 * bound
    if (clear & (got != expected)).any():
        raise SensewellError(named(expected, np.where(clear, got, expected), "the converted linear model"))
    parity = ParityReport(
        len(x), len(sample), int((got != expected).sum()), "scikit-learn predict", "probability", bound, worst
    )
    return ConvertedLinear(blob, n_classes, len(weights), len(blob), grid.bits, parity)


def device_linear(blob: bytes, n_features: int, n_classes: int) -> Any:
    """The device's own Linear over `blob`; SensewellError if the device would refuse it."""
    use_device_path()
    from sensewell.model.linear import Linear
    from sensewell.refusal import Refused

    try:
        return Linear(blob, n_features, n_classes)
    except Refused as refused:
        raise SensewellError(f"the board would refuse this linear model: {refused}") from refused


def predict(blob: bytes, x: npt.NDArray[np.int16]) -> tuple[Ints, Ints]:
    """Classes (n,) and scores (n, n_classes) of a sound `blob` for int16 rows: what the device computes, in numpy."""
    _, _, bits, n_features, n_classes = HEADER.unpack_from(blob)
    margins = 1 if n_classes == 2 else n_classes
    base = np.frombuffer(blob, "<i4", margins, HEADER.size).astype(np.int64)
    table = np.frombuffer(blob, "<i2", -1, HEADER.size + 4 * margins).astype(np.int64).reshape(n_features, 1 + margins)
    raw = np.repeat(base[None, :], len(x), axis=0)
    for k, (shift, *weights) in enumerate(table.tolist()):
        raw += x[:, k, None].astype(np.int64) * np.array(weights) >> shift
    if margins == 1:
        raw = np.concatenate([np.zeros_like(raw), raw], axis=1)
    powers = pow2(raw.max(axis=1, keepdims=True) - raw, bits)
    return raw.argmax(axis=1), (powers << 14) // powers.sum(axis=1, keepdims=True)


def _parts(model: Any) -> tuple[Any, Any]:
    """(scaler or None, what is behind it) of a model."""
    steps = [step for _, step in getattr(model, "steps", [("", model)])]
    if len(steps) == 2 and type(steps[0]).__name__ == "StandardScaler":
        return steps[0], steps[1]
    return None, steps[0] if len(steps) == 1 else None


def _weights(model: Any) -> tuple[Floats, Floats, Floats | None]:
    """Weights (n_features, margins) of counts, bases (margins,), in log2 units; and the mean of every feature where a
    scaler knows it."""
    scaler, last = _parts(model)
    if not hasattr(last, "coef_"):
        raise SensewellError(f"{type(model).__name__} is no fitted logistic regression")
    n_classes = len(last.classes_)
    if not np.array_equal(last.classes_, np.arange(n_classes)):
        raise SensewellError(f"class labels must be 0..{n_classes - 1}: number them before fit")
    coef = np.asarray(last.coef_, dtype=np.float64)
    if not (len(coef) == (1 if n_classes == 2 else n_classes) and n_classes <= MAX_CLASSES):
        raise SensewellError(f"a linear device model has 2 to {MAX_CLASSES} classes, this one has {n_classes}")
    if coef.shape[1] > MAX_FEATURES:
        raise SensewellError(f"a linear device model takes at most {MAX_FEATURES} features, not {coef.shape[1]}")
    centre = None
    weights, base = coef.T * LOG2_E, np.asarray(last.intercept_, dtype=np.float64) * LOG2_E
    if scaler is not None:
        centre = np.asarray(scaler.mean_, dtype=np.float64)
        weights = weights / np.asarray(scaler.scale_, dtype=np.float64)[:, None]
        base = base - centre @ weights
    if not (np.isfinite(weights).all() and np.isfinite(base).all()):
        raise SensewellError("this logistic regression has weights that are no numbers: train again with a smaller C")
    if len(coef) > 1:  # only differences of margins count
        middle = (weights.max(axis=1) + weights.min(axis=1)) / 2
        weights = weights - middle[:, None]
        base = base - (base.max() + base.min()) / 2
    return weights, base, centre


def _finest(weights: Floats, base: Floats, centre: Floats, far: Floats) -> _Grid:
    """The greatest q that the bounds of the form allow; far: how far each feature may be from its mean."""
    greatest = np.abs(weights).max(axis=1)
    for bits in range(MAX_BITS, -1, -1):
        if np.abs(base).max() * 2.0**bits >= MAX_SUM or greatest.max() * 2.0**bits > 32767:
            continue
        room = np.floor(np.log2(32767 / np.maximum(greatest * 2.0**bits, 1e-300)))
        shifts = np.where(greatest > 0, np.clip(room, 0, MAX_SHIFT), 0).astype(np.int64)
        step = 2.0 ** (bits + shifts)[:, None]
        kept = np.rint(weights * step).astype(np.int64)
        lost = weights - kept / step
        floor = np.where((kept != 0) & (shifts[:, None] > 0), (1 - 2.0 ** -shifts[:, None]) / 2, 0.0)
        whole = np.rint((base + centre @ lost) * 2.0**bits + floor.sum(axis=0)).astype(np.int64)
        reach = np.abs(whole).max() + ((np.abs(kept).max(axis=1) << 15 >> shifts) + 1).sum()
        if reach >= MAX_SUM:
            continue
        error = (np.abs(lost) * far[:, None]).sum(axis=0) + (floor.sum(axis=0) + 0.5) / 2.0**bits
        return _Grid(bits, whole, shifts, kept, float(error.max()))
    raise SensewellError(
        f"the weights of this logistic regression do not fit (the greatest is {greatest.max():.4g} a count, in log2 "
        "units): scale its features up, or train with a smaller C"
    )
