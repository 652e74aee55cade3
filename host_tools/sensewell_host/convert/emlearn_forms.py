"""What emlearn's own forms (its CSV, its inline C) have in common: a trained model read, checked, and proven equal.

Knows which models emlearn's nodes can hold; must not know what is written from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert import emlearn_trees
from sensewell_host.convert.parity import check_features, named
from sensewell_host.convert.plain import Ints
from sensewell_host.convert.votes import MODELS, hard_vote
from sensewell_host.errors import SensewellError

MAX_FEATURES = 127  # emlearn keeps their number, and that of classes, in an int8
MAX_CLASSES = 127


@dataclass(frozen=True)
class Nodes:
    """A forest as emlearn has it. nodes: (n, 4) feature, below, left, right; left where x < below.

    A child >= 0 is a node, a child < 0 the leaf number -1 - child; leaves: their classes; roots: one a tree.
    """

    nodes: Ints
    roots: Ints
    leaves: Ints
    n_features: int
    n_classes: int

    def predict(self, x: npt.NDArray[np.int16]) -> Ints:
        """Classes (n,) by majority, ties to the lowest."""
        feature, below, left, right = self.nodes.T
        every = np.arange(len(x))
        votes = np.zeros((len(x), self.n_classes), dtype=np.int64)
        for root in self.roots:
            at = np.full(len(x), root)
            walking = every
            while len(walking):
                i = at[walking]
                at[walking] = np.where(x[walking, feature[i]] < below[i], left[i], right[i])
                walking = walking[at[walking] >= 0]
            votes[every, self.leaves[-1 - at]] += 1
        result: Ints = votes.argmax(axis=1)
        return result

    def prove(self, model: Any, x_check: npt.NDArray[Any], form: str) -> None:
        """SensewellError unless scikit-learn's own trees, by majority, decide every row as these nodes do."""
        x = check_features(x_check, self.n_features)
        expected, got = hard_vote(model, x), self.predict(x)
        if not np.array_equal(got, expected):
            raise SensewellError(named(expected, got, form))


def mended(model: Any, vote: str, form: str) -> tuple[Any, Nodes]:
    """emlearn's wrapper of `model` with mended thresholds, and its nodes; SensewellError where they cannot be exact."""
    _check(model, vote, form)
    wrapper = emlearn_trees.mended(model)
    nodes, roots, leaves = (np.array(part, dtype=np.int64) for part in wrapper.forest_)
    return wrapper, Nodes(nodes, roots, leaves, model.n_features_in_, len(model.classes_))


def _check(model: Any, vote: str, form: str) -> None:
    kind = type(model).__name__
    if kind not in MODELS:
        raise SensewellError(f"{form} holds forests that vote for classes, not a {kind}: {', '.join(MODELS)}")
    if not hasattr(model, "classes_"):
        raise SensewellError(f"this {kind} is not trained yet: call fit first")
    if vote != "hard":
        raise SensewellError(
            f'{form} is exact with the hard vote only, this model votes "{vote}" (emlearn rounds leaves\' shares): '
            'set vote = "hard" in its recipe and train again, or use Sensewell\'s own form'
        )
    if model.n_outputs_ != 1:
        raise SensewellError(f"this {kind} decides {model.n_outputs_} things at once: train one forest for each")
    n_classes, n_features = len(model.classes_), model.n_features_in_
    if not np.array_equal(model.classes_, np.arange(n_classes)):
        shown = ", ".join(map(repr, np.asarray(model.classes_).tolist()[:5]))
        raise SensewellError(f"class labels must be 0..{n_classes - 1}, they are {shown}...: number them before fit")
    if n_classes > MAX_CLASSES:
        raise SensewellError(f"{form} holds at most {MAX_CLASSES} classes, this model has {n_classes}")
    if n_features > MAX_FEATURES:
        raise SensewellError(
            f"{form} holds at most {MAX_FEATURES} features, this model was trained on {n_features}: "
            f"keep the best {MAX_FEATURES} and train again"
        )


def write(path: Path, content: bytes) -> None:
    """`content` to `path`, at once or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
