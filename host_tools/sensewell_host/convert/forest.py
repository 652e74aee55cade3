"""A scikit-learn forest -> the binary forest of device/sensewell/model/trees.py, proven equal on every row given.

Knows the binary form (its table stands in trees.py) and how trees are made small; knows no bundle and no board.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert import emlearn_trees
from sensewell_host.convert.emlearn_trees import LEAF, PlainTree
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

MAX_FEATURES = 64
MAX_JUMP = 255
MAX_WINDOW = 256  # leaf ids of one tree
MAX_SCORE = 10_737_418  # trees * row_total: a percentage of it stays a small int on a 32-bit board
DEVICE_ROWS = 400  # rows that the device code predicts itself; all rows go through the vectorised reading of the blob

_HEADER = struct.Struct("<4sBBBBHHHHHH")
TRIES = {1: 4, 2: 16}  # row totals tried for each kind of leaf: near-ties of two classes fall otherwise with each
_MODELS = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ParityReport:
    """What was compared, and with what: `mismatches` is 0, or the conversion would have been refused."""

    rows: int
    device_rows: int  # of these, predicted by the device code itself (the rest by the same blob in numpy)
    mismatches: int
    reference: str


@dataclass(frozen=True)
class ConvertedForest:
    blob: bytes
    n_classes: int
    leaf_kind: str  # "class" (hard vote), "packed" or "wide" (soft vote)
    nodes: int
    bytes: int
    parity: ParityReport


@dataclass(frozen=True)
class _Image:
    """A blob, read: nodes and trees as arrays. Only of blobs that the device code has accepted."""

    kind: int
    n_features: int
    n_outputs: int
    row_total: int
    share_bits: int
    trees: list[tuple[int, int, int]]  # first node, nodes, leaf_base
    nodes: Ints
    slots: Ints
    words: Ints

    @property
    def leaf_kind(self) -> str:
        return "class" if self.row_total == 1 else "packed" if self.kind == 1 else "wide"


def convert_forest(model: Any, vote: str, x_check: npt.NDArray[Any], leaf_kind: str = "auto") -> ConvertedForest:
    """`model`, a fitted RandomForest-, ExtraTrees- or DecisionTreeClassifier, as a device forest.

    vote: "hard" (each tree one vote; reference: every scikit-learn tree's own class, ties to the lowest class) or
    "soft" (mean of shares; reference: model.predict). x_check: all rows to be proven, (n, n_features) int16 counts.
    leaf_kind for the soft vote: "packed" (2 bytes a class that a leaf has a share of: 11 bits of share with 9 to 16
    classes, one bit more for each halving), "wide" (4 bytes, 16 bits of share), or "auto": the smaller one that agrees
    with scikit-learn on every row.
    SensewellError names the rows that differ, or says what the form cannot hold.

    scikit-learn casts features to float32: int16 counts are exact in it, so are the halves between them that are its
    thresholds, and `x <= t` equals `x <= floor(t)` for them.
    """
    n_classes = _check_model(model)
    x = check_features(x_check, model.n_features_in_)
    kinds = {"auto": (1, 2), "packed": (1,), "wide": (2,)}.get(leaf_kind)
    if kinds is None:
        raise SensewellError(f"leaf_kind {leaf_kind!r} is not known: auto, packed or wide")
    if vote == "hard":
        expected = hard_vote(model, x)
        trees = emlearn_trees.hard_trees(model)
        blob = encode(trees, model.n_features_in_, 1, np.eye(n_classes, dtype=np.int64))
        reference = "each tree of scikit-learn, majority, ties to the lowest class"
    elif vote == "soft":
        expected = np.asarray(model.predict(x)).astype(np.int64)
        blob = _soft_blob(model, x, expected, kinds)
        reference = "scikit-learn predict"
    else:
        raise SensewellError(f"vote {vote!r} is not known: hard or soft")
    device_rows = prove(blob, x, expected)
    image = _read(blob, model.n_features_in_, n_classes)
    return ConvertedForest(
        blob=blob,
        n_classes=n_classes,
        leaf_kind=image.leaf_kind,
        nodes=len(image.nodes),
        bytes=len(blob),
        parity=ParityReport(len(x), device_rows, 0, reference),
    )


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


def hard_vote(model: Any, x: npt.NDArray[np.int16]) -> Ints:
    """The reference of the hard vote, by scikit-learn's own trees: (n,) class indices."""
    votes = np.zeros((len(x), model.n_classes_), dtype=np.int64)
    x32 = x.astype(np.float32)
    for tree in emlearn_trees.trees_of(model):
        votes[np.arange(len(x)), tree.predict(x32).astype(np.int64)] += 1
    result: Ints = votes.argmax(axis=1)
    return result


def _check_model(model: Any) -> int:
    name = type(model).__name__
    if name not in _MODELS:
        raise SensewellError(f"{name} cannot be converted: {', '.join(_MODELS)} can")
    if not hasattr(model, "classes_"):
        raise SensewellError(f"this {name} is not trained yet: call fit first")
    if model.n_outputs_ != 1:
        raise SensewellError(f"this {name} decides {model.n_outputs_} things at once: train one forest for each")
    n_classes = len(model.classes_)
    if not np.array_equal(model.classes_, np.arange(n_classes)):
        shown = ", ".join(map(repr, np.asarray(model.classes_).tolist()[:5]))
        raise SensewellError(f"class labels must be 0..{n_classes - 1}, they are {shown}...: number them before fit")
    if n_classes > 255:
        raise SensewellError(f"a device forest has at most 255 classes, this one has {n_classes}")
    if model.n_features_in_ > MAX_FEATURES:
        raise SensewellError(
            f"a device forest takes at most {MAX_FEATURES} features, this one was trained on "
            f"{model.n_features_in_}: keep the best {MAX_FEATURES} and train again"
        )
    return n_classes


# ---- the soft vote: shares as integers ----


def quantise(shares: npt.NDArray[np.float64], total: int) -> Ints:
    """Rows of shares as integers that sum to `total` exactly (largest remainders; ties to the lowest class)."""
    exact = shares * total
    floor = np.floor(exact + 1e-9).astype(np.int64)  # 0.1 * 250 is not allowed to be 24
    missing = total - floor.sum(axis=1)
    order = np.argsort(-(exact - floor), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(shares.shape[1])[None, :], axis=1)
    result: Ints = floor + (rank < missing[:, None])
    return result


def _soft_blob(model: Any, x: npt.NDArray[np.int16], expected: Ints, kinds: tuple[int, ...]) -> bytes:
    """The smallest soft forest that agrees with `expected` everywhere, or a SensewellError about the best one."""
    trees, shares = emlearn_trees.soft_trees(model)
    cap = MAX_SCORE // len(trees)
    reached = _leaf_rows(model, x)
    best: tuple[int, Ints] | None = None
    for kind in kinds:
        top = min(cap, (1 << _share_bits(shares.shape[1])) - 1 if kind == 1 else 65535)
        for total in range(top, max(top - TRIES[kind], 0), -1):
            rows = quantise(shares, total)
            got = rows[reached[:, 0]].copy()
            for column in reached.T[1:]:
                got += rows[column]
            chosen = got.argmax(axis=1)
            wrong = int((chosen != expected).sum())
            if not wrong:
                unique, number = np.unique(rows, axis=0, return_inverse=True)
                return encode(
                    [_renumbered(tree, number.reshape(-1)) for tree in trees],
                    model.n_features_in_,
                    kind,
                    unique,
                )
            if best is None or wrong < best[0]:
                best = wrong, chosen
    assert best is not None
    hint = "use leaf_kind auto" if kinds == (1,) else "near-ties that only floats decide: use the hard vote"
    raise SensewellError(_named(expected, best[1], f"soft vote in integers, {hint}"))


def _leaf_rows(model: Any, x: npt.NDArray[np.int16]) -> Ints:
    """For every row of x and every tree the number of its row of shares, as soft_trees numbers them."""
    columns, before = [], 0
    x32 = x.astype(np.float32)
    for estimator in emlearn_trees.trees_of(model):
        is_leaf = estimator.tree_.children_left < 0
        columns.append((np.cumsum(is_leaf) - 1 + before)[estimator.apply(x32)])
        before += int(is_leaf.sum())
    return np.stack(columns, axis=1)


def _renumbered(tree: PlainTree, number: Ints) -> PlainTree:
    """`tree` with leaf value v become number[v]."""

    def child(c: int) -> int:
        return c if c >= 0 else LEAF - int(number[LEAF - c])

    left, right = list(map(child, tree.left)), list(map(child, tree.right))
    return PlainTree(tree.feature, tree.threshold, left, right, child(tree.root))


# ---- plain trees to bytes ----


def simplified(tree: PlainTree) -> PlainTree:
    """The same function of int16 features, without branches that no int16 takes and choices between equal leaves."""
    n = len(tree.feature)
    bounds: list[dict[int, tuple[int, int]]] = [{} for _ in range(n)]  # feature -> what it can still be at this node
    always: list[int] = [0] * n  # -1: left, 1: right
    for i in range(n):  # parents first
        feature, threshold = tree.feature[i], tree.threshold[i]
        low, high = bounds[i].get(feature, (-32768, 32767))
        always[i] = -1 if high <= threshold else 1 if low > threshold else 0
        if tree.left[i] >= 0:
            bounds[tree.left[i]] = {**bounds[i], feature: (low, min(high, threshold))}
        if tree.right[i] >= 0:
            bounds[tree.right[i]] = {**bounds[i], feature: (max(low, threshold + 1), high)}
    left, right, stands_for = list(tree.left), list(tree.right), list(range(n))
    for i in reversed(range(n)):
        left[i], right[i] = (stands_for[c] if c >= 0 else c for c in (left[i], right[i]))
        if always[i] or (left[i] == right[i] and left[i] < 0):
            stands_for[i] = right[i] if always[i] > 0 else left[i]
    root = stands_for[tree.root] if tree.root >= 0 else tree.root
    return PlainTree(tree.feature, tree.threshold, left, right, root)


def encode(trees: Sequence[PlainTree], n_features: int, kind: int, rows: Ints) -> bytes:
    """The blob of `trees`, whose leaf values are numbers of `rows`: (n, n_outputs) shares, all summing to the same."""
    row_total = int(rows[0].sum())
    small = [simplified(tree) for tree in trees]
    used = sorted({LEAF - leaf for tree in small for _, _, leaf in _leaves(tree)})
    offsets = np.zeros(len(rows), dtype=np.int64)
    bits = _share_bits(rows.shape[1]) if kind == 1 else 0
    words: list[int] = []
    for row in used:  # rows that only removed branches used are not carried
        offsets[row] = len(words) // kind
        classes = np.flatnonzero(rows[row]).tolist()
        for k in classes:
            share = int(rows[row, k])
            head = k << bits | (k == classes[-1]) << 15
            words += [head | share] if kind == 1 else [head, share]
    slots, bases, ids = _lay_slots(small)
    nodes: list[int] = []
    records = []
    for which, (tree, base) in enumerate(zip(small, bases, strict=True)):
        encoded = _encode_tree(tree, ids[which], f"tree {which}")
        nodes += encoded
        alone = ids[which][LEAF - tree.root, _ALONE] if tree.root < 0 else 0  # no node there to say which leaf it is
        records += [len(encoded), base + alone]
    counts = {"trees": len(trees), "nodes": len(nodes), "leaves": len(slots), "words of leaf shares": len(words)}
    for what, count in counts.items():
        if count > 65535:
            raise SensewellError(f"the forest has {count} {what}, at most 65535 fit: use fewer trees or max_leaf_nodes")
    if len(trees) * row_total > MAX_SCORE:
        raise SensewellError(f"{len(trees)} trees are too many for one forest: use fewer")
    header = _HEADER.pack(b"SWTF", 1, kind, n_features, rows.shape[1], *counts.values(), row_total, bits)
    table = offsets[slots].tolist()
    return header + np.array(nodes, dtype="<u4").tobytes() + np.array(records + table + words, dtype="<u2").tobytes()


def _share_bits(n_classes: int) -> int:
    """What a packed entry of 16 bits leaves for the share, beside the class and the mark of the last entry."""
    return 15 - max(1, (n_classes - 1).bit_length())


def _leaves(tree: PlainTree) -> Iterable[tuple[int, int, int]]:
    """(node, side, leaf) of every leaf that a walk can reach; node -1 for a tree that is one leaf."""
    if tree.root < 0:
        yield -1, 0, tree.root
        return
    stack = [tree.root]
    while stack:
        i = stack.pop()
        for side, child in enumerate((tree.left[i], tree.right[i])):
            if child >= 0:
                stack.append(child)
            else:
                yield i, side, child


Places = dict[tuple[int, int], int]  # (leaf value, leaf value beside it or _ALONE) -> leaf id
_ALONE = -1


def _lay_slots(trees: Sequence[PlainTree]) -> tuple[list[int], list[int], list[Places]]:
    """One table of leaf values for all trees, in windows of at most 256 that as many trees as possible share.

    Returns the table, every tree's window start, and for every tree where in its window a value stands, or where two
    stand side by side, as the children of a node with two leaves must.
    """
    table: list[int] = []
    start = 0
    windows = []
    for which, tree in enumerate(trees):
        pairs, singles = set(), set()
        if tree.root < 0:
            singles.add(LEAF - tree.root)
        for i in {node for node, _, _ in _leaves(tree) if node >= 0}:
            left, right = LEAF - tree.left[i], LEAF - tree.right[i]
            if left >= 0 and right >= 0:
                pairs.add((left, right))
            else:
                singles.add(max(left, right))
        window = _extended(table[start:], pairs, singles)
        if len(window) > MAX_WINDOW:
            start = len(table)
            window = _extended([], pairs, singles)
        if len(window) > MAX_WINDOW:
            raise SensewellError(
                f"tree {which} needs {len(window)} leaves, {MAX_WINDOW} fit a device tree: "
                "train with max_leaf_nodes=256 or less"
            )
        table[start:] = window
        windows.append((start, len(window)))
    finders = []
    for base, size in windows:
        places: Places = {}
        for k in reversed(range(size)):
            places[table[base + k], _ALONE] = k
            if k + 1 < size:
                places[table[base + k], table[base + k + 1]] = k
        finders.append(places)
    return table, [base for base, _ in windows], finders


def _extended(window: list[int], pairs: set[tuple[int, int]], singles: set[int]) -> list[int]:
    """`window` with every pair side by side and every single somewhere, as few additions as a greedy trail needs."""
    window = list(window)
    missing = pairs - set(pairwise(window))
    follow: dict[int, list[int]] = {}
    surplus: dict[int, int] = {}
    for a, b in sorted(missing, reverse=True):
        follow.setdefault(a, []).append(b)
        surplus[a] = surplus.get(a, 0) + 1
        surplus[b] = surplus.get(b, 0) - 1
    while follow:
        if not window or window[-1] not in follow:  # start a new trail where more pairs begin than end
            window.append(max(follow, key=lambda a: (surplus[a], -a)))
        a = window[-1]
        b = follow[a].pop()
        if not follow[a]:
            del follow[a]
        surplus[a] -= 1
        surplus[b] += 1
        window.append(b)
    window += sorted(singles - set(window))
    return window


def _encode_tree(tree: PlainTree, places: Places, name: str) -> list[int]:
    """The tree's nodes in preorder, as 32-bit words."""
    order: list[int] = []
    stack = [tree.root] if tree.root >= 0 else []
    while stack:
        i = stack.pop()
        order.append(i)
        stack += [child for child in (tree.right[i], tree.left[i]) if child >= 0]
    place = {node: k for k, node in enumerate(order)}
    words = []
    for i in order:
        left, right = tree.left[i], tree.right[i]
        if left >= 0 and right >= 0:
            argument = place[right] - place[i]
            if argument > MAX_JUMP:
                raise SensewellError(
                    f"{name} is too large: a left branch of {argument - 1} nodes, at most {MAX_JUMP - 1} fit "
                    "a device tree: train with max_leaf_nodes=256 or less"
                )
        elif left < 0 and right < 0:
            argument = places[LEAF - left, LEAF - right]
        else:
            argument = places[LEAF - min(left, right), _ALONE]
        # simplified() leaves only thresholds that some int16 is above and some not: -32768..32766
        flags = (left < 0) << 6 | (right < 0) << 7
        words.append(tree.feature[i] | flags | argument << 8 | (tree.threshold[i] + 32768) << 16)
    return words


# ---- reading, proving, describing ----


def device_forest(blob: bytes, n_features: int, n_classes: int) -> Any:
    """The device's own Forest over `blob`; SensewellError if the device would refuse it."""
    use_device_path()
    from sensewell.model.trees import Forest
    from sensewell.refusal import Refused

    try:
        return Forest(blob, n_features, n_classes)
    except Refused as refused:
        raise SensewellError(f"the board would refuse this forest: {refused}") from refused


def _read(blob: bytes, n_features: int | None = None, n_classes: int | None = None) -> _Image:
    if len(blob) < _HEADER.size or blob[:4] != b"SWTF":
        raise SensewellError("this is not a Sensewell forest (no magic SWTF at its start)")
    _, _, kind, features, outputs, n_trees, n_nodes, n_slots, _, total, bits = _HEADER.unpack_from(blob)
    device_forest(blob, features if n_features is None else n_features, outputs if n_classes is None else n_classes)
    nodes = np.frombuffer(blob, "<u4", n_nodes, _HEADER.size).astype(np.int64)
    rest = np.frombuffer(blob, "<u2", -1, _HEADER.size + 4 * n_nodes).astype(np.int64)
    records, slots, words = np.split(rest, [2 * n_trees, 2 * n_trees + n_slots])
    trees, first = [], 0
    for count, base in records.reshape(-1, 2).tolist():
        trees.append((first, count, base))
        first += count
    return _Image(kind, features, outputs, total, bits, trees, nodes, slots, words)


def _shares(image: _Image) -> tuple[Ints, Ints]:
    """All rows as (n_rows, n_outputs), and for every slot the number of its row."""
    heads = image.words[:: image.kind]
    last = heads >> 15
    row = np.cumsum(last) - last  # of every entry
    shares = np.zeros((int(last.sum()), image.n_outputs), dtype=np.int64)
    what = image.words[1::2] if image.kind == 2 else heads & ((1 << image.share_bits) - 1)
    np.add.at(shares, (row, (heads & 0x7FFF) >> image.share_bits), what)
    return shares, row[image.slots]


def predict(blob: bytes, x: npt.NDArray[np.int16]) -> tuple[Ints, Ints]:
    """Classes (n,) and scores (n, n_outputs) of `blob` for int16 rows, in numpy: what the device computes, in bulk."""
    image = _read(blob)
    nodes = image.nodes
    shares, row_of = _shares(image)
    feature, flags, argument = nodes & 63, nodes >> 6 & 3, nodes >> 8 & 255
    threshold = (nodes >> 16) - 32768
    every = np.arange(len(x))
    x = x.astype(np.int64)
    scores = np.zeros((len(x), image.n_outputs), dtype=np.int64)
    for first, count, base in image.trees:
        leaf = np.zeros(len(x), dtype=np.int64)
        walking = every if count else every[:0]
        at = np.full(len(x), first, dtype=np.int64)
        while len(walking):
            i = at[walking]
            left = x[walking, feature[i]] <= threshold[i]
            f, a = flags[i], argument[i]
            done = np.where(left, f & 1, f >> 1) == 1
            leaf[walking[done]] = (a + (~left & (f == 3)))[done]
            at[walking] = i + np.where(left | (f & 1 == 1), 1, a)
            walking = walking[~done]
        scores += shares[row_of[base + leaf]]
    return scores.argmax(axis=1), scores


def prove(blob: bytes, x: npt.NDArray[np.int16], expected: Ints) -> int:
    """SensewellError unless `blob` predicts `expected` on every row; returns how many the device code ran itself."""
    from array import array

    got, scores = predict(blob, x)
    if not np.array_equal(got, expected):
        raise SensewellError(_named(expected, got, "the converted forest"))
    forest = device_forest(blob, x.shape[1], scores.shape[1])
    sample = np.unique(np.linspace(0, len(x) - 1, min(DEVICE_ROWS, len(x))).astype(np.int64))
    row_scores = array("i", bytes(4 * scores.shape[1]))
    device = np.array([forest.predict(array("h", x[k].tobytes()), row_scores) for k in sample])
    if not np.array_equal(device, expected[sample]):
        full = got.copy()
        full[sample] = device
        raise SensewellError(_named(expected, full, "the device code"))
    return len(sample)


def _named(expected: Ints, got: Ints, what: str) -> str:
    wrong = np.flatnonzero(expected != got)
    rows = ", ".join(f"row {k} expected {expected[k]} got {got[k]}" for k in wrong[:10])
    more = ", ..." if len(wrong) > 10 else ""
    return f"{what}: {len(wrong)} of {len(expected)} rows differ from scikit-learn: {rows}{more}"


def describe(blob: bytes) -> dict[str, Any]:
    """What `sensewell inspect` says of a forest: sizes, depth (comparisons of the longest walk), leaf kind."""
    image = _read(blob)
    depth = 0
    nodes = image.nodes.tolist()
    for first, count, _ in image.trees:
        levels = [1] * count
        for k in range(count):
            word = nodes[first + k]
            flags, argument = word >> 6 & 3, word >> 8 & 255
            for child in {0: (k + 1, k + argument), 1: (k + 1,), 2: (k + 1,), 3: ()}[flags]:
                levels[child] = max(levels[child], levels[k] + 1)
        depth = max(depth, *levels) if levels else depth
    return {
        "trees": len(image.trees),
        "nodes": len(nodes),
        "leaves": len(image.slots),
        "rows": len(_shares(image)[0]),
        "depth": depth,
        "bytes": len(blob),
        "leaf_kind": image.leaf_kind,
        "n_features": image.n_features,
        "n_classes": image.n_outputs,
        "score_total": len(image.trees) * image.row_total,
    }
