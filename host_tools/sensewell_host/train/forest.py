"""Models and how good they are: growing, voting as a device votes, scores, and leaving one group out.

Works on int16 feature vectors; must not know recordings, windows or what a feature means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.split import leave_one_group_out
from sensewell_host.train import boosting, logistic
from sensewell_host.train.between import between
from sensewell_host.train.candidate import Candidate
from sensewell_host.train.recipe import Choice

Vectors = NDArray[np.int16]
Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Feature vectors with their class and group. Extra copies (`copies`, one set after the other, each of the same
    windows in the same order) and mixtures (`mixed`: so many a class and pair of groups, by `seed`; see between.py) are
    for learning only: nothing is ever judged on them."""

    X: Vectors
    y: Classes
    groups: NDArray[np.str_]
    copies: tuple[Vectors, ...] = ()
    copies_valid: tuple[NDArray[np.bool_], ...] = ()
    mixed: int = 0
    seed: int = 0

    def learn(self, rows: NDArray[np.bool_], columns: Sequence[int] | None = None) -> tuple[Vectors, Classes]:
        """Vectors and classes to learn from: these rows, the copies of them, and mixtures of all those."""
        pick = slice(None) if columns is None else list(columns)
        taken = [rows, *(rows & valid for valid in self.copies_valid)]
        X = np.concatenate([of[good] for of, good in zip((self.X, *self.copies), taken, strict=True)])
        y = np.concatenate([self.y[good] for good in taken])
        if self.mixed:
            groups = np.concatenate([self.groups[good] for good in taken])
            mixed, classes = between(X, y, groups, self.mixed, self.seed)
            X, y = np.concatenate([X, mixed]), np.concatenate([y, classes])
        return X[:, pick], y


@dataclass(frozen=True)
class Score:
    """Macro-F1 by group and over all, and the confusion matrix [truth, answer]."""

    macro_f1: float
    by_group: dict[str, float]
    accuracy: float
    confusion: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """Mean over the groups: what a new person may expect."""
        return float(np.mean(list(self.by_group.values())))

    @property
    def worst(self) -> float:
        return min(self.by_group.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "macro_f1": round(self.macro_f1, 4),
            "mean_of_groups": round(self.mean, 4),
            "worst_group": round(self.worst, 4),
            "accuracy": round(self.accuracy, 4),
            "by_group": {name: round(value, 4) for name, value in self.by_group.items()},
            "confusion": self.confusion.tolist(),
        }


def grow(candidate: Candidate, X: Vectors, y: Classes, seed: int) -> Any:
    """A fitted classifier; the same for the same input, whatever the number of cores."""
    if candidate.linear:
        return logistic.fitted(X, y, **candidate.settings)
    if candidate.additive:
        return boosting.grow(candidate, X, y, seed)
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

    if candidate.kind == "decision_tree":
        model = DecisionTreeClassifier(random_state=seed, **candidate.settings)
    else:
        family = ExtraTreesClassifier if candidate.kind == "extra_trees" else RandomForestClassifier
        model = family(random_state=seed, n_jobs=-1, **candidate.settings)
    model.fit(X, y)
    if hasattr(model, "n_jobs"):
        model.n_jobs = 1  # sums in a fixed order from here on
    return model


def scores(model: Any, X: Vectors, vote: str) -> NDArray[np.float64]:
    """Share of the vote for each class (n, classes). hard: a tree has one vote; soft: it gives its leaf's shares; sum:
    the probability that the sums of the leaves mean. A linear model has its probabilities, whatever the vote."""
    if vote != "hard" or not hasattr(model, "estimators_"):
        return np.asarray(model.predict_proba(X), float)
    votes = np.zeros((len(X), model.n_classes_))
    rows = np.arange(len(X))
    X32 = X.astype(np.float32)
    for tree in model.estimators_:
        votes[rows, tree.tree_.value[tree.tree_.apply(X32), 0].argmax(1)] += 1
    return votes / len(model.estimators_)


def judge(truth: Classes, answer: Classes, groups: NDArray[np.str_], n_classes: int) -> Score:
    """Macro-F1 over the classes that are there; an answer that is no class is wrong, and not in `confusion`."""

    def counted(rows: Any) -> NDArray[np.int64]:
        known = (answer[rows] >= 0) & (answer[rows] < n_classes)
        table = np.zeros((n_classes, n_classes + 1), np.int64)
        np.add.at(table, (truth[rows], np.where(known, answer[rows], n_classes)), 1)
        return table

    def macro_f1(table: NDArray[np.int64]) -> float:
        support = table.sum(1)
        there = support > 0
        both = support + table.sum(0)[:n_classes]
        return float(np.mean(2 * np.diag(table)[there] / both[there]))

    names = list(dict.fromkeys(groups.tolist()))
    whole = counted(slice(None))
    return Score(
        macro_f1=macro_f1(whole),
        by_group={name: macro_f1(counted(groups == name)) for name in names},
        accuracy=float(np.mean(truth == answer)),
        confusion=whole[:, :n_classes],
    )


def leave_out_scores(
    examples: Examples,
    candidate: Candidate,
    vote: str,
    seed: int,
    columns: Sequence[int] | None = None,
    told: Callable[[], None] | None = None,
    importance: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Scores of every window by a forest that has not seen its group. `told`: called after each group.

    importance: where given, gets for each column the accuracy lost on the group left out when that column is shuffled.
    """
    pick = list(range(examples.X.shape[1])) if columns is None else list(columns)
    found = np.zeros((len(examples.X), int(examples.y.max()) + 1))
    for _, train, test in leave_one_group_out(examples.groups):
        model = grow(candidate, *examples.learn(train, pick), seed)
        X = examples.X[test][:, pick]
        part = scores(model, X, vote)
        found[np.ix_(test, model.classes_)] = part
        if importance is not None:
            truth = examples.y[test]
            right = np.mean(model.classes_[part.argmax(1)] == truth)
            random = np.random.default_rng(seed)
            for place in range(len(pick)):
                shuffled = X.copy()
                shuffled[:, place] = random.permutation(shuffled[:, place])
                answer = model.classes_[scores(model, shuffled, vote).argmax(1)]
                importance[place] += right - np.mean(answer == truth)
        if told:
            told()
    return found


def choose_features(
    examples: Examples,
    candidate: Candidate,
    vote: str,
    seed: int,
    choice: Choice,
    told: Callable[[], None] | None = None,
) -> tuple[list[int], list[dict[str, Any]]]:
    """Columns to keep, and the way there: [{"features": n, "mean_of_groups": f1, "worst_group": f1}].

    Recursive elimination judged by leaving one group out: each round drops the sixth of the columns whose shuffling
    costs the group left out the least, down to `choice.keep`. Taken is the smallest set within `choice.tolerance` of
    the best.
    """
    columns = list(range(examples.X.shape[1]))
    rounds: list[dict[str, Any]] = []
    sets: list[list[int]] = []
    while True:
        importance = np.zeros(len(columns))
        found = leave_out_scores(examples, candidate, vote, seed, columns, told, importance)
        score = judge(examples.y, found.argmax(1), examples.groups, found.shape[1])
        rounds.append({"features": len(columns), "mean_of_groups": score.mean, "worst_group": score.worst})
        sets.append(columns)
        if len(columns) <= choice.keep:
            break
        drop = _dropped(len(columns), choice.keep)
        worst = set(np.argsort(importance, kind="stable")[:drop].tolist())
        columns = [column for place, column in enumerate(columns) if place not in worst]
    best = max(entry["mean_of_groups"] for entry in rounds)
    good = [i for i, entry in enumerate(rounds) if entry["mean_of_groups"] >= best - choice.tolerance]
    return sets[good[-1]], rounds


def rounds_of(n_columns: int, keep: int) -> int:
    """How many rounds choose_features() takes."""
    return 1 if n_columns <= keep else 1 + rounds_of(n_columns - _dropped(n_columns, keep), keep)


def _dropped(n_columns: int, keep: int) -> int:
    return min(max(1, n_columns // 6), n_columns - keep)


def size_of(model: Any) -> dict[str, int]:
    """Trees, inner nodes and leaves of a fitted model; weights of a linear one."""
    if hasattr(model, "steps"):
        return {"weights": int(model[-1].coef_.size + model[-1].intercept_.size)}
    if not (hasattr(model, "tree_") or isinstance(getattr(model, "estimators_", None), list)):
        return boosting.size_of(model)
    trees = [tree.tree_ for tree in getattr(model, "estimators_", [model])]
    leaves = sum(int((tree.children_left < 0).sum()) for tree in trees)
    return {
        "trees": len(trees),
        "nodes": sum(int(tree.node_count) for tree in trees) - leaves,
        "leaves": leaves,
        "depth": max(int(tree.max_depth) for tree in trees),
    }
