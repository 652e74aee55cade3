"""Models that add values up, one leaf of every tree: boosting, regression, isolation forests. Floats become integers.

Knows what a sum means (the links in device/sensewell/model/trees.py) and how far rounding can carry it; knows no
library: the readers in sums_*.py bring every model to the form of SumModel.

Rounding. A leaf value v is kept as round(v * 2**q). The error of a margin is at most the sum over its trees of the
greatest |round(v * 2**q) / 2**q - v| among the tree's leaves, and that of its base: computed from the very values, not
estimated. q is as large as the bounds of the form allow. All leaves are moved by one constant first, so that they lie
evenly about 0, and the base takes what they lost (see _centre). Trees of one leaf go into the base altogether.

Probabilities: where no margin is wrong by more than e (in natural logits), the logit of one class is wrong by at most
2 e of several margins and e of a single one, and a probability by a quarter of that. An anomaly score 2**-r is wrong by
at most ln 2 * e * 2**e. The device's own pow2 adds POW2_ERROR for every class but the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert.encode import ANOMALY, LOGISTIC, MAX_SUM, SOFTMAX, VALUE, encode_sums
from sensewell_host.convert.image import ONE, POW2_ERROR
from sensewell_host.convert.parity import ParityReport, named, prove, prove_error
from sensewell_host.convert.plain import Floats, Ints, PlainTree, leaves_of, reached, simplified
from sensewell_host.errors import SensewellError

LOG2_E = float(np.log2(np.e))
MAX_BITS = 30
TRIES = 4  # values of q tried for each kind of leaf: near-ties of two classes fall otherwise with each
DOUBLE, SINGLE = 2.0**-53, 2.0**-24  # rounding of the library's own sums
SHARE_OF_RANGE, SHARE_OF_VALUE = 1e-3, 1e-6  # what integers may cost a regressor by default, of what it says


@dataclass
class SumModel:
    """A fitted model as trees, and what its library says of the rows to be proven.

    margin m of a row = base[m] + the sum over trees[m] of values[the leaf reached]
    """

    said_by: str  # the reference, for people: "scikit-learn predict"
    library: str
    n_features: int
    n_outputs: int  # of the device: classes, 2 for anomaly, 1 for a value
    link: int
    trees: list[list[PlainTree]]  # of every margin
    values: Floats
    base: Floats  # (margins,)
    margins: Floats  # (n, margins): what the library says, by its own arithmetic
    expected: Ints  # (n,): the class it decides; zeros for a value
    unit: float = 1.0  # of a margin, in the device's: log2 e for natural logits
    precision: float = DOUBLE
    limit: float | None = None  # ANOMALY: anomalous below this margin
    inclusive: bool = False  # LOGISTIC: class 1 at a margin of 0 already

    @property
    def noise(self) -> Floats:
        """How far the library's own rounding may carry each margin."""
        size = np.abs(self.base)
        for m, trees in enumerate(self.trees):
            size[m] += sum(float(np.abs(self.values[_numbers(tree)]).max()) for tree in trees)
        result: Floats = 2 * self.precision * (np.array([len(trees) for trees in self.trees]) + 4) * size
        return result


@dataclass
class Gathered:
    """Trees and leaf values as a reader collects them."""

    trees: list[list[PlainTree]]
    values: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, margins: int) -> Gathered:
        return cls([[] for _ in range(margins)])

    def add(self, margin: int, tree: PlainTree, values: Sequence[float]) -> None:
        """`tree`, numbered from len(self.values) on, whose leaves are worth `values`."""
        self.trees[margin].append(tree)
        self.values += values


@dataclass
class _Prepared:
    """A SumModel in the device's unit, small: no trees of one leaf, values about 0, as many trees in every margin."""

    trees: list[PlainTree]  # tree t adds to margin t % margins
    values: Floats
    base: Floats
    limit: float | None


@dataclass
class _Grid:
    """The same in integers."""

    bits: int
    wide: bool
    values: Ints
    base: Ints
    limit: int | None
    error: float  # of any margin, in the device's unit
    raw: Ints  # (n, margins)

    @property
    def kind(self) -> str:
        return "int32" if self.wide else "int16"


def sum_blob(
    model: SumModel, x: npt.NDArray[np.int16], leaf_kind: str, max_error: float | None
) -> tuple[bytes, ParityReport]:
    """The smallest forest that says what `model` says on every row of x, and its report.

    leaf_kind: "int16", "int32" or "auto". Classes and anomalies must be equal on every row. A value may differ by the
    stated bound, of which rounding to integers may take max_error (None: a thousandth of the range of what the model
    says on x, or a millionth of the greatest, if that is more).
    SensewellError names the rows that differ.
    """
    kinds = {"auto": (False, True), "int16": (False,), "int32": (True,)}.get(leaf_kind)
    if kinds is None:
        raise SensewellError(f"leaf_kind {leaf_kind!r} is not known: auto, int16 or int32")
    small = _prepared(model)
    grids = [grid for wide in kinds for grid in _grids(model, small, wide)]
    if not grids:
        largest = max(float(np.abs(small.values).max()), float(np.abs(small.base).max()))
        raise SensewellError(
            f"the sums of these {len(small.trees)} trees do not fit {kinds[-1] * 16 + 16}-bit leaves and 2**29 "
            f"(the largest leaf value or base is {largest:.4g}): scale the target down, or use fewer trees"
        )
    _sum_up(model, small, grids, x)
    grid = _fine_enough(model, grids, max_error) if model.link == VALUE else _agreeing(model, small, grids)
    first = grid.base if grid.limit is None else np.append(grid.base, grid.limit)
    blob = encode_sums(
        small.trees, model.n_features, model.n_outputs, model.link, grid.bits, grid.values, first, grid.wide
    )
    device_rows, scores = prove(blob, x, model.expected)
    said, bound, what = _error_bound(model, grid)
    got = scores / (2.0**grid.bits if model.link == VALUE else ONE)
    worst = prove_error(np.abs(got - said).max(axis=1), bound, f"{what} of the converted forest")
    return blob, ParityReport(len(x), device_rows, 0, model.said_by, what, bound, worst)


def _numbers(tree: PlainTree) -> list[int]:
    return [-1 - leaf for _, _, leaf in leaves_of(tree)]


def _prepared(model: SumModel) -> _Prepared:
    base = model.base.astype(np.float64) * model.unit
    values = model.values * model.unit
    kept: list[list[PlainTree]] = []
    for m, trees in enumerate(model.trees):
        kept.append([])
        for tree in map(simplified, trees):
            if tree.root >= 0:
                kept[m].append(tree)
            else:
                base[m] += values[-1 - tree.root]
    _centre(kept, values, base)
    if model.link == SOFTMAX:  # only differences of margins count
        base -= (base.min() + base.max()) / 2
    nothing = PlainTree([], [], [], [], -1 - len(values))
    rounds = max(1, *map(len, kept))
    filled = [trees + [nothing] * (rounds - len(trees)) for trees in kept]
    in_turn = [filled[m][t] for t in range(rounds) for m in range(len(filled))]
    return _Prepared(in_turn, np.append(values, 0.0), base, model.limit)


def _centre(trees: list[list[PlainTree]], values: Floats, base: Floats) -> None:
    """Move leaf values towards 0, and the bases as much the other way; values that no tree uses become 0.

    All trees are moved by one constant, so that equal leaves stay equal and share a slot. Only trees that would still
    need a bit more than the widest one around its own middle are moved on their own, like a first tree that carries
    the mean of the target.
    """
    numbers = [(m, np.array(_numbers(tree))) for m, some in enumerate(trees) for tree in some]
    moved = np.zeros_like(values)
    if numbers:
        low = np.array([values[leaves].min() for _, leaves in numbers])
        high = np.array([values[leaves].max() for _, leaves in numbers])
        middle = (low + high) / 2
        common = float(np.median(middle)) if np.ptp(middle) > (high - low).max() else float(low.min() + high.max()) / 2
        widest = 2.0 ** np.ceil(np.log2(max(float((high - low).max()) / 2, 1e-300)))
        for k, (m, leaves) in enumerate(numbers):
            by = common if max(high[k] - common, common - low[k]) <= widest else middle[k]
            base[m] += by
            moved[leaves] = values[leaves] - by
    values[:] = moved


def _grids(model: SumModel, small: _Prepared, wide: bool) -> list[_Grid]:
    """The finest grids that the bounds of the form allow, the finest first."""
    rounds = len(small.trees) // len(small.base)
    grids: list[_Grid] = []
    for bits in range(MAX_BITS, -1, -1):
        step = 2.0**bits
        most = np.rint(np.abs(small.values).max() * step)
        slack = rounds + 8.0  # what moving the base or the limit may take
        reach = rounds * most + np.abs(small.base).max() * step + slack
        limit = 0.0 if small.limit is None else abs(small.limit) * step + slack
        if max(reach, limit) >= MAX_SUM or (not wide and most > 32767):
            continue
        values = np.rint(small.values * step).astype(np.int64)
        base = np.rint(small.base * step).astype(np.int64)
        wrong = np.abs(values / step - small.values)
        error = np.abs(base / step - small.base)
        for which, tree in enumerate(small.trees):
            error[which % len(base)] += wrong[_numbers(tree)].max()
        at = None if small.limit is None else round(small.limit * step)
        grids.append(_Grid(bits, wide, values, base, at, float(error.max()), np.empty((0, 0), dtype=np.int64)))
        if len(grids) == TRIES:
            break
    return grids


def _sum_up(model: SumModel, small: _Prepared, grids: list[_Grid], x: npt.NDArray[np.int16]) -> None:
    """Fill in every grid's raw sums; SensewellError if the trees, in floats, are not what the library computes."""
    margins = len(small.base)
    tables = np.array([grid.values for grid in grids])
    raw = np.repeat(np.array([grid.base for grid in grids])[:, None, :], len(x), axis=1)
    exact = np.repeat(small.base[None, :], len(x), axis=0)
    for which, tree in enumerate(small.trees):
        leaf = reached(tree, x)
        raw[:, :, which % margins] += tables[:, leaf]
        exact[:, which % margins] += small.values[leaf]
    for grid, sums in zip(grids, raw, strict=True):
        grid.raw = sums
    said = model.margins * model.unit
    if model.link == SOFTMAX:
        said = said - said[:, :1]
        exact = exact - exact[:, :1]
    wrong = np.flatnonzero(~(np.abs(exact - said) <= 2 * model.noise.max() * model.unit).all(axis=1))
    if len(wrong):
        k = wrong[0]
        raise SensewellError(
            f"the trees of this model, as read, do not add up to what {model.library} says of {len(wrong)} of {len(x)} "
            f"rows (row {k}: {exact[k].tolist()[:3]}, not {said[k].tolist()[:3]}): this version of the library stores "
            "models in a way that is not known here"
        )


def _fine_enough(model: SumModel, grids: list[_Grid], max_error: float | None) -> _Grid:
    """The smaller kind of leaf whose rounding is within max_error."""
    if max_error is None:
        said = model.margins
        max_error = max(SHARE_OF_RANGE * float(np.ptp(said)), SHARE_OF_VALUE * float(np.abs(said).max()))
    for grid in grids:
        if grid.error <= max_error:
            return grid
    best = min(grids, key=lambda grid: grid.error)
    advice = "fewer trees"
    if best.bits == MAX_BITS:
        advice = "a target scaled up"
    elif not best.wide:
        advice = "leaf_kind auto"
    raise SensewellError(
        f"{best.kind} leaves with {best.bits} fraction bits may be wrong by {best.error:.4g} in sum, "
        f"{max_error:.4g} is allowed: use {advice}, or allow more with max_error"
    )


def _agreeing(model: SumModel, small: _Prepared, grids: list[_Grid]) -> _Grid:
    """The first grid that decides as the library does on every row, or a SensewellError about the best one."""
    best: tuple[int, Ints] | None = None
    for grid in grids:
        if model.link == SOFTMAX:
            chosen = grid.raw.argmax(axis=1)
        else:
            chosen = _settled(model, grid)
        wrong = int((chosen != model.expected).sum())
        if not wrong:
            return grid
        if best is None or wrong < best[0]:
            best = wrong, chosen
    assert best is not None
    hint = "near-ties that only floats decide"
    if not any(grid.wide for grid in grids):
        hint = "use leaf_kind auto"
    raise SensewellError(named(model.expected, best[1], f"sums in integers, {hint}", model.library))


def _settled(model: SumModel, grid: _Grid) -> Ints:
    """The classes of `grid`, once its base or limit stands where every row is right, if there is such a place.

    It is moved no further than rounding may have carried the sums.
    """
    raw = grid.raw[:, 0]
    one = model.expected == 1
    far = int(np.ceil(grid.error * 2.0**grid.bits)) + 1
    if grid.limit is not None:  # 1 where raw < limit
        low = int(raw[one].max()) + 1 if one.any() else grid.limit
        high = int(raw[~one].min()) if not one.all() else grid.limit
        place = int(np.clip(grid.limit, low, max(low, high)))
        if low <= high and abs(place - grid.limit) <= far:
            grid.limit = place
        return (raw < grid.limit).astype(np.int64)
    nominal = int(model.inclusive)  # 1 where raw + moved > 0
    low = 1 - int(raw[one].min()) if one.any() else nominal
    high = -int(raw[~one].max()) if not one.all() else nominal
    moved = int(np.clip(nominal, low, max(low, high)))
    if low > high or abs(moved - nominal) > far:
        moved = nominal
    grid.base = grid.base + moved
    grid.error += abs(moved) / 2.0**grid.bits
    return (raw + moved > 0).astype(np.int64)


def _error_bound(model: SumModel, grid: _Grid) -> tuple[Any, float, str]:
    """What the scores should be (n, n_outputs), how far off they may be, and what they are."""
    said = model.margins * model.unit
    error = grid.error + float(model.noise.max()) * model.unit
    if model.link == VALUE:
        return said, error, "value"
    if model.link == ANOMALY:
        score = np.exp2(-said)
        bound = np.log(2) * error * 2.0**error + POW2_ERROR + 1 / ONE
        return np.concatenate([1 - score, score], axis=1), float(bound), "anomaly score"
    if model.link == LOGISTIC:
        said = np.concatenate([np.zeros_like(said), said], axis=1)
    power = np.exp2(said - said.max(axis=1, keepdims=True))
    shares = power / power.sum(axis=1, keepdims=True)
    return shares, probability_bound(error, model.link, model.n_outputs), "probability"


def probability_bound(error: float, link: int, n_outputs: int) -> float:
    """How far off a probability may be where no margin is wrong by more than `error`, in log2 units."""
    logit = float(np.log(2)) * error * (1 if link == LOGISTIC else 2)
    return logit / 4 + (n_outputs - 1) * POW2_ERROR + 1 / ONE
