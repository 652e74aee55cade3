"""A scikit-learn forest -> the CSV that emlearn's MicroPython module `emlearn_trees` loads, proven equal on every row.

Knows that CSV and nothing of boards. Its lines, and what their reader makes of them (emlearn_trees.load_model):

    f,<features>  c,<classes>  lb,<bits of a leaf's share: 0, the hard vote>
    l,<class of a leaf>        leaves are numbered from 0, in the order of their lines
    r,<root of a tree>         the number of a node, int16
    n,<feature>,<threshold>,<left>,<right>      left where x < int(float(threshold)), cut to int16 without a word
                               child >= 0: so many nodes further on; child < 0: leaf -child - 1; int16

scikit-learn goes left on x <= t. For integers that is x < floor(t) + 1, so floor(t) + 1 is what is written. Where it
does not fit int16, the answer is the same for every int16: both children are then the one that is taken, threshold 0.
The scores of `emlearn_trees` are floats, votes divided by the number of trees; the first greatest is the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert import emlearn_forms
from sensewell_host.convert.emlearn_forms import Nodes
from sensewell_host.convert.trained import load
from sensewell_host.errors import SensewellError

FORM = "the CSV of emlearn_trees"
LARGEST = 32767


@dataclass(frozen=True)
class Exported:
    """The file; `trees`, `nodes`, `leaves` are what emlearn_trees.new() wants to know; rows: compared, all equal."""

    path: Path
    bytes: int
    trees: int
    nodes: int
    leaves: int
    rows: int


def export(folder: Path) -> Exported:
    """Write NAME-emlearn.csv beside the forest that `sensewell train` left in `folder`."""
    trained = load(folder)
    text = convert(trained.model, trained.rows, trained.vote)
    path = folder / f"{trained.name}-emlearn.csv"
    emlearn_forms.write(path, text.encode())
    found = read(text)
    return Exported(path, len(text), len(found.roots), len(found.nodes), len(found.leaves), len(trained.rows))


def convert(model: Any, x_check: npt.NDArray[Any], vote: str = "hard") -> str:
    """`model` (hard vote) as CSV. x_check: rows to be proven, (n, n_features) int16.

    SensewellError where the CSV cannot hold the model, or names the rows that scikit-learn's trees decide otherwise.
    """
    _, mended = emlearn_forms.mended(model, vote, FORM)
    if mended.roots.max() > LARGEST:
        raise SensewellError(f"{FORM} holds trees that begin within the first {LARGEST + 1} nodes: train a smaller one")
    lines = [f"f,{mended.n_features}", f"c,{mended.n_classes}", "lb,0"]
    lines += [f"l,{leaf}" for leaf in mended.leaves]
    lines += [f"r,{root}" for root in mended.roots]
    lines += [_node(number, *node) for number, node in enumerate(mended.nodes.tolist())]
    text = "\n".join(lines) + "\n"
    read(text).prove(model, x_check, FORM)
    return text


def _node(number: int, feature: int, below: int, left: int, right: int) -> str:
    """The line of a node: left where x < below."""
    if not -LARGEST - 1 <= below <= LARGEST:
        left = right = left if below > 0 else right
        below = 0
    jumps = [child - number if child >= 0 else child for child in (left, right)]
    if max(jumps) > LARGEST:
        raise SensewellError(f"{FORM} holds jumps over at most {LARGEST} nodes, one here is {max(jumps)}")
    return f"n,{feature},{below},{jumps[0]},{jumps[1]}"


def read(text: str) -> Nodes:
    """The forest in a CSV, with numbers cut to what the reader on the board keeps of them."""
    found: dict[str, list[list[int]]] = {kind: [] for kind in ("f", "c", "lb", "l", "r", "n")}
    for line in text.splitlines():
        kind, *values = line.split(",")
        found[kind].append([int(float(value)) for value in values])
    nodes = np.array(found["n"], dtype=np.int64).reshape(-1, 4).astype(np.int16).astype(np.int64)
    nodes[:, 2:] += np.where(nodes[:, 2:] >= 0, np.arange(len(nodes))[:, None], 0)
    leaves, roots = (np.array(found[kind], dtype=np.int64).reshape(-1) for kind in "lr")
    return Nodes(nodes, roots, leaves, found["f"][0][0], found["c"][0][0])
