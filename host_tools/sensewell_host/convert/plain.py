"""Plain trees over integer features: what every library's trees become before they are made bytes.

Knows no library and no binary form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEAF = -1  # children: a leaf k is stored as LEAF - k, a node as its index

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass
class PlainTree:
    """A tree over integer features: go left when feature <= threshold. Parents come before their children.

    A child >= 0 is a node of this tree, a child < 0 is the leaf value number -1 - child (a class, a row of shares, a
    value). `root` is such a child as well: a tree may be one leaf.
    """

    feature: list[int]
    threshold: list[int]
    left: list[int]
    right: list[int]
    root: int


def at_most(threshold: npt.ArrayLike) -> Ints:
    """The integers that `x <= threshold` means for int16 x; infinities become always and never."""
    cut: Ints = np.clip(np.floor(np.asarray(threshold, dtype=np.float64)), -32769, 32767).astype(np.int64)
    return cut


def below(threshold: npt.ArrayLike) -> Ints:
    """The integers to compare with `<=` that `x < threshold` means for int16 x."""
    cut: Ints = np.clip(np.ceil(np.asarray(threshold, dtype=np.float64)) - 1, -32769, 32767).astype(np.int64)
    return cut


def from_arrays(
    feature: Sequence[int], threshold: Sequence[int], left: Sequence[int], right: Sequence[int], first: int
) -> tuple[PlainTree, list[int]]:
    """A tree out of a library's arrays (node 0 is the root, left < 0 marks a leaf), in preorder.

    Leaf values are numbered from `first` on. Returns the tree and, in the order of these numbers, the leaves' nodes.
    Nodes that nothing points to are left out.
    """
    tree = PlainTree([], [], [], [], 0)
    leaves: list[int] = []
    stack = [(0, -1, 0)]  # node, its parent in the new tree, side
    while stack:
        node, parent, side = stack.pop()
        if left[node] < 0:
            became = LEAF - first - len(leaves)
            leaves.append(node)
        else:
            became = len(tree.feature)
            tree.feature.append(int(feature[node]))
            tree.threshold.append(int(threshold[node]))
            tree.left.append(0)
            tree.right.append(0)
            stack += [(int(right[node]), became, 1), (int(left[node]), became, 0)]
        if parent < 0:
            tree.root = became
        else:
            (tree.right if side else tree.left)[parent] = became
    return tree, leaves


def from_sklearn(tree: Any, first: int, features: Ints | None = None) -> tuple[PlainTree, list[int]]:
    """from_arrays of a scikit-learn `tree_`; `features`: the names of its features in the forest's numbering."""
    feature = tree.feature if features is None else features[tree.feature]  # of leaves: -2, not looked at
    return from_arrays(
        feature.tolist(),
        at_most(tree.threshold).tolist(),
        tree.children_left.tolist(),
        tree.children_right.tolist(),
        first,
    )


def leaves_of(tree: PlainTree) -> Iterable[tuple[int, int, int]]:
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


def renumbered(tree: PlainTree, number: Ints) -> PlainTree:
    """`tree` with leaf value v become number[v]."""

    def child(c: int) -> int:
        return c if c >= 0 else LEAF - int(number[LEAF - c])

    left, right = list(map(child, tree.left)), list(map(child, tree.right))
    return PlainTree(tree.feature, tree.threshold, left, right, child(tree.root))


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


def reached(tree: PlainTree, x: npt.NDArray[Any]) -> Ints:
    """The number of the leaf value that each row of x (n, n_features) reaches: (n,)."""
    result = np.full(len(x), LEAF - min(tree.root, LEAF), dtype=np.int64)
    if tree.root < 0:
        return result
    feature, threshold = np.array(tree.feature), np.array(tree.threshold)
    children = np.array([tree.left, tree.right])
    rows, at = np.arange(len(x)), np.full(len(x), tree.root)
    while len(rows):
        right = (x[rows, feature[at]] > threshold[at]).astype(np.int64)
        at = children[right, at]
        leaf = at < 0
        result[rows[leaf]] = LEAF - at[leaf]
        rows, at = rows[~leaf], at[~leaf]
    return result
