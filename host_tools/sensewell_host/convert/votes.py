"""Forests whose trees vote: scikit-learn's random forest, extra trees and single tree, hard or soft.

Knows scikit-learn's models and how shares become integers; knows nothing of sums of values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert import emlearn_trees
from sensewell_host.convert.encode import MAX_SCORE, PACKED, WIDE, encode_shares, share_bits
from sensewell_host.convert.parity import named
from sensewell_host.convert.plain import Floats, Ints, reached, renumbered
from sensewell_host.errors import SensewellError

MODELS = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier")
TRIES = {PACKED: 4, WIDE: 16}  # row totals tried for a kind of leaf: near-ties of two classes fall otherwise with each


def hard_vote(model: Any, x: npt.NDArray[np.int16]) -> Ints:
    """The reference of the hard vote, by scikit-learn's own trees: (n,) class indices."""
    votes = np.zeros((len(x), model.n_classes_), dtype=np.int64)
    x32 = x.astype(np.float32)
    for tree in emlearn_trees.trees_of(model):
        votes[np.arange(len(x)), tree.predict(x32).astype(np.int64)] += 1
    result: Ints = votes.argmax(axis=1)
    return result


def hard_blob(model: Any, x: npt.NDArray[np.int16]) -> tuple[bytes, Ints, str]:
    """The forest that counts one vote a tree, the classes expected on x, and what said so."""
    trees = emlearn_trees.hard_trees(model)
    blob = encode_shares(trees, model.n_features_in_, PACKED, np.eye(model.n_classes_, dtype=np.int64))
    return blob, hard_vote(model, x), "each tree of scikit-learn, majority, ties to the lowest class"


def soft_blob(model: Any, x: npt.NDArray[np.int16], leaf_kind: str) -> tuple[bytes, Ints, str]:
    """The smallest forest that adds shares and agrees on all of x, the classes expected, and what said so.

    SensewellError names the rows that the best one differs on.
    """
    kinds = {"auto": (PACKED, WIDE), "packed": (PACKED,), "wide": (WIDE,)}.get(leaf_kind)
    if kinds is None:
        raise SensewellError(f"leaf_kind {leaf_kind!r} is not known: auto, packed or wide")
    expected = np.asarray(model.predict(x)).astype(np.int64)
    trees, shares = emlearn_trees.soft_trees(model)
    cap = MAX_SCORE // len(trees)
    leaves = [reached(tree, x) for tree in trees]
    best: tuple[int, Ints] | None = None
    for kind in kinds:
        top = min(cap, (1 << share_bits(shares.shape[1])) - 1 if kind == PACKED else 65535)
        for total in range(top, max(top - TRIES[kind], 0), -1):
            rows = quantise(shares, total)
            got = rows[leaves[0]].copy()
            for leaf in leaves[1:]:
                got += rows[leaf]
            chosen = got.argmax(axis=1)
            wrong = int((chosen != expected).sum())
            if not wrong:
                unique, number = np.unique(rows, axis=0, return_inverse=True)
                numbered = [renumbered(tree, number.reshape(-1)) for tree in trees]
                blob = encode_shares(numbered, model.n_features_in_, kind, unique)
                return blob, expected, "scikit-learn predict"
            if best is None or wrong < best[0]:
                best = wrong, chosen
    assert best is not None
    hint = "use leaf_kind auto" if kinds == (PACKED,) else "near-ties that only floats decide: use the hard vote"
    raise SensewellError(named(expected, best[1], f"soft vote in integers, {hint}"))


def quantise(shares: Floats, total: int) -> Ints:
    """Rows of shares as integers that sum to `total` exactly (largest remainders; ties to the lowest class)."""
    exact = shares * total
    floor = np.floor(exact + 1e-9).astype(np.int64)  # 0.1 * 250 is not allowed to be 24
    missing = total - floor.sum(axis=1)
    order = np.argsort(-(exact - floor), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(shares.shape[1])[None, :], axis=1)
    result: Ints = floor + (rank < missing[:, None])
    return result
