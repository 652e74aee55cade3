"""scikit-learn forests as plain trees: through emlearn for the hard vote, from scikit-learn's arrays for the soft one.

Knows scikit-learn and emlearn; must not know the binary form. What emlearn 0.23.2 does, as read and measured:

Right, and used here (hard vote): the flattening of trees to nodes and leaves, a leaf's class (argmax of its shares,
ties to the lowest, as scikit-learn's own per-tree predict), leaves shared between trees, and one-leaf trees (a dummy
node with the leaf on both sides).

Wrong, and mended here: a threshold t is cut towards 0 by int() when code is written, and compared with `<`, where
scikit-learn goes left on `x <= t`. For integers x the exact form is `x < floor(t) + 1`. Cut ones are right only where t
is negative and not whole, else every row with x == int(t) goes astray: digits, 10 trees x 100 leaves, 154 to 262 of
1797 rows decided otherwise, 0 when mended. (CSV keeps t as it is, its loader cuts it.) The wrapper that mended()
returns carries floor(t) + 1, so the C that emlearn writes from it is exact as well; but emlearn's nodes are int16 and a
threshold outside of it wraps without a word. (CSV of it emlearn cannot write: emlearn_csv.py does.)

Not exact, and not used (soft vote): a share p becomes trunc(round(254 p) * 255 / 254) of 255. The shares of a leaf sum
to 252..256 (a half and a half: 127 + 127), so leaves weigh differently, and near-ties fall otherwise (0 to 1 of 1797
rows in four digits forests). The CSV of a soft forest holds printed numpy arrays, which its own loader cannot read.

Also: `import emlearn` leaves numpy raising on every floating-point warning (numpy.seterr), and with more than 30
classes its C code returns an error number that its Python wrapper takes for a class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert.plain import LEAF, PlainTree, from_sklearn
from sensewell_host.errors import SensewellError


def trees_of(model: Any) -> list[Any]:
    """The fitted decision trees of a forest or of a single tree."""
    return list(getattr(model, "estimators_", [model]))


def mended(model: Any) -> Any:
    """emlearn's wrapper of `model` (hard vote) with every threshold t replaced by the int floor(t) + 1."""
    settings = np.geterr()
    try:
        import emlearn
    except ImportError as error:
        raise SensewellError("emlearn is not installed: pip install emlearn==0.23.2") from error
    finally:
        np.seterr(**settings)
    try:
        wrapper = emlearn.convert(model, method="loadable", dtype="int16_t", leaf_bits=0)
    except (AssertionError, ValueError) as error:
        raise SensewellError(f"emlearn cannot convert this {type(model).__name__}: {error}") from error
    nodes = wrapper.forest_[0]
    for node in nodes:
        node[1] = int(np.floor(node[1])) + 1
    return wrapper


def hard_trees(model: Any) -> list[PlainTree]:
    """The trees of `model` with classes as leaf values, out of emlearn's nodes and leaves."""
    nodes, roots, leaves = mended(model).forest_
    trees = []
    for root, end in zip(roots, [*roots[1:], len(nodes)], strict=True):
        tree = PlainTree([], [], [], [], 0)
        for feature, below, left, right in nodes[root:end]:
            tree.feature.append(int(feature))
            tree.threshold.append(below - 1)
            for side, child in ((tree.left, left), (tree.right, right)):
                side.append(int(child) - root if child >= 0 else LEAF - int(leaves[LEAF - child]))
        trees.append(tree)
    return trees


def soft_trees(model: Any) -> tuple[list[PlainTree], npt.NDArray[np.float64]]:
    """The trees of `model` with row numbers as leaf values, and the rows: shares (n_leaves, n_classes)."""
    trees, rows = [], []
    n_rows = 0
    for estimator in trees_of(model):
        tree, leaves = from_sklearn(estimator.tree_, n_rows)
        trees.append(tree)
        shares = estimator.tree_.value[leaves, 0, :].astype(np.float64)
        rows.append(shares / shares.sum(axis=1, keepdims=True))
        n_rows += len(shares)
    return trees, np.concatenate(rows)
