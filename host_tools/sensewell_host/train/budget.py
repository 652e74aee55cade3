"""Size before accuracy: trees, leaves and features that fit a budget, chosen on the training groups alone.

Every forest of a grid is judged by leaving one group out, weighed as the bytes a board would get, and priced in
instructions where that is asked for; the best that fits is taken. Knows no held-out data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.split import leave_one_group_out
from sensewell_host.device_run import Progress
from sensewell_host.errors import SensewellError
from sensewell_host.train import forest
from sensewell_host.train.forest import Examples
from sensewell_host.train.recipe import Candidate, Recipe

KINDS = ("extra_trees", "random_forest")
TREES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24)
LEAVES = (8, 16, 32, 64, 100)
FEATURES = (1.0, 0.75, 0.5, 0.35, 0.25)  # shares of the recipe's, the most useful ones first
_PRICED = 4  # forests whose cost is counted; that of the others follows from it
_ROWS = 24


@dataclass(frozen=True)
class Budget:
    """Upper limits: `model_bytes` of model.bin; `instructions` of one window's features and prediction on virt_c3."""

    model_bytes: int | None = None
    instructions: int | None = None


@dataclass(frozen=True)
class Option:
    """A forest that could be taken. `mean`, `worst`: macro-F1 over groups left out. instructions 0: not asked for."""

    trees: int
    leaves: int
    columns: tuple[int, ...]
    mean: float
    worst: float
    model_bytes: int
    instructions: int = 0

    def fits(self, budget: Budget) -> bool:
        return self.model_bytes <= (budget.model_bytes or self.model_bytes) and self.instructions <= (
            budget.instructions or self.instructions
        )


@dataclass(frozen=True)
class _Grown:
    """One grid point with all its trees: prefixes of it are the smaller forests."""

    option: Option
    model: Any
    steps: float  # nodes that a vector of the training side visits, on average


def choose(
    recipe: Recipe, examples: Examples, budget: Budget, progress: Progress | None, windows: NDArray[np.int16]
) -> tuple[Option, Candidate, list[Option]]:
    """The best option that fits, as a candidate, and all options. windows: int16 (n, length, channels), to count on.

    SensewellError if the recipe has no forest, or if none fits: it names the smallest.
    """
    base = next((candidate for candidate in recipe.candidates if candidate.kind in KINDS), None)
    if base is None:
        raise SensewellError(f"a budget is for recipes with a candidate of kind {' or '.join(KINDS)}; this has none")
    grown = list(_grid(recipe, examples, base, progress))
    if budget.instructions:
        grown = _price(recipe, examples, grown, windows, progress)
    options = [entry.option for entry in grown]
    fitting = [option for option in options if option.fits(budget)]
    if not fitting:
        least = min(options, key=lambda option: option.instructions or option.model_bytes)
        raise SensewellError(
            f"nothing fits this budget; the smallest forest tried has {least.model_bytes} bytes"
            + (f" and takes {least.instructions:,} instructions a window" if least.instructions else "")
            + f" (macro-F1 {least.mean:.3f}): allow more"
        )
    best = max(fitting, key=lambda option: (option.mean, -option.model_bytes))
    return best, _candidate(base, best.trees, best.leaves), options


def pareto(options: Sequence[Option]) -> list[Option]:
    """Those that no other option beats at once in bytes, instructions and macro-F1; by size."""
    front = []
    for one in options:
        beaten = any(
            other.model_bytes <= one.model_bytes
            and other.instructions <= one.instructions
            and other.mean >= one.mean
            and other != one
            for other in options
        )
        if not beaten:
            front.append(one)
    return sorted(front, key=lambda option: (option.model_bytes, option.instructions))


def save(folder: Path, recipe: Recipe, budget: Budget, chosen: Option, options: Sequence[Option]) -> list[Path]:
    """pareto.json with every option, and pareto.png: size, cost and macro-F1 of all, and which was taken."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    def named(option: Option) -> dict[str, Any]:
        return {**asdict(option), "columns": None, "features": [recipe.features[c] for c in option.columns]}

    table, picture = folder / "pareto.json", folder / "pareto.png"
    said = {"budget": asdict(budget), "chosen": named(chosen), "options": [named(option) for option in options]}
    table.write_text(json.dumps(said, indent=1) + "\n")
    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    sizes = np.array([option.model_bytes for option in options])
    means = np.array([option.mean for option in options])
    priced = bool(chosen.instructions)
    shade = [option.instructions if priced else len(option.columns) for option in options]
    dots = axes.scatter(sizes, means, c=shade, s=14, cmap="viridis")
    figure.colorbar(dots, label="instructions a window" if priced else "features")
    front = pareto([replace(option, instructions=0) for option in options])
    axes.step([o.model_bytes for o in front], [o.mean for o in front], where="post", color="0.6", lw=1, zorder=0)
    label = f"taken: {chosen.trees} trees x {chosen.leaves} leaves, {len(chosen.columns)} features"
    axes.scatter([chosen.model_bytes], [chosen.mean], s=90, facecolor="none", edgecolor="tab:red", label=label)
    if budget.model_bytes:
        axes.axvline(budget.model_bytes, color="tab:red", lw=1, ls=":")
    axes.set_xscale("log")
    axes.set_xlabel("model.bin, bytes")
    axes.set_ylabel("macro-F1, groups left out")
    axes.legend(loc="lower right")
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)
    return [table, picture]


def _candidate(base: Candidate, trees: int, leaves: int) -> Candidate:
    return Candidate(base.kind, {**base.settings, "n_estimators": trees, "max_leaf_nodes": leaves})


def _grid(recipe: Recipe, examples: Examples, base: Candidate, progress: Progress | None) -> Iterator[_Grown]:
    """Every prefix of every forest: a forest of t trees is the first t trees of a larger one."""
    most = max(TREES)
    n_classes = len(recipe.labels)
    everything = np.ones(len(examples.X), bool)
    subsets = _subsets(recipe, examples, base)
    for number, (columns, leaves) in enumerate((c, n) for c in subsets for n in LEAVES):
        if progress:
            progress("trying sizes", number, len(subsets) * len(LEAVES))
        candidate = _candidate(base, most, leaves)
        found = np.zeros((len(TREES), len(examples.X), n_classes))
        for _, train, test in leave_one_group_out(examples.groups):
            model = forest.grow(candidate, *examples.learn(train, columns), recipe.seed)
            X = examples.X[test][:, columns]
            for at, prefix in enumerate(_prefixes(model)):
                found[at][np.ix_(test, model.classes_)] = forest.scores(prefix, X, recipe.vote)
        model = forest.grow(candidate, *examples.learn(everything, columns), recipe.seed)
        for at, prefix in enumerate(_prefixes(model)):
            score = forest.judge(examples.y, found[at].argmax(1), examples.groups, n_classes)
            size = len(_blob(prefix, recipe.vote, examples.X[:_ROWS, columns]))
            option = Option(TREES[at], leaves, tuple(columns), score.mean, score.worst, size)
            yield _Grown(option, prefix, _steps(prefix, examples.X[:, columns]))
    if progress:
        progress("trying sizes", 1, 1)


def _prefixes(model: Any) -> Iterator[Any]:
    import copy

    for trees in TREES:
        prefix = copy.copy(model)
        prefix.estimators_ = model.estimators_[:trees]
        prefix.n_estimators = trees
        yield prefix


def _subsets(recipe: Recipe, examples: Examples, base: Candidate) -> list[list[int]]:
    """Columns by what shuffling them costs the groups left out; those that rules ask for always stay."""
    every = examples.X.shape[1]
    importance = np.zeros(every)
    forest.leave_out_scores(examples, base, recipe.vote, recipe.seed, None, None, importance)
    order = np.argsort(-importance, kind="stable").tolist()
    asked = {rule["on"] for rule in recipe.rules}
    needed = {column for column in range(every) if recipe.features[column] in asked}
    subsets = []
    for share in FEATURES:
        columns = sorted(needed | set(order[: max(1, round(share * every))]))
        if columns not in subsets:
            subsets.append(columns)
    return subsets


def _blob(model: Any, vote: str, rows: NDArray[np.int16]) -> bytes:
    """The bytes of a forest as the board gets it; that it is right, conversion proves later for the one taken."""
    from sensewell_host.convert import votes

    if vote == "hard":
        return votes.hard_blob(model, rows)[0]
    return votes.soft_blob(model, rows, "auto")[0]


def _steps(model: Any, X: NDArray[np.int16]) -> float:
    """Nodes visited on the way to the leaves, the mean over the rows of X."""
    rows = X.astype(np.float32)
    return float(sum(tree.decision_path(rows).sum() - len(rows) for tree in model.estimators_) / len(rows))


def _terms(entry: _Grown) -> list[float]:
    return [1.0, entry.option.trees, entry.steps]


def _price(
    recipe: Recipe, examples: Examples, grown: list[_Grown], windows: NDArray[np.int16], progress: Progress | None
) -> list[_Grown]:
    """Options with their instructions: features counted for each set; predictions for some forests, the others by
    a + b * trees + c * steps, which those determine."""
    from sensewell_host.profile import meter

    n_classes = len(recipe.labels)
    with meter() as counter:
        if progress:
            progress("counting instructions", 0, 1)
        ordered = sorted(grown, key=lambda entry: entry.steps)
        sample = [ordered[int(q * (len(ordered) - 1))] for q in np.linspace(0.1, 0.9, _PRICED)]
        counted = []
        for entry in sample:
            rows = examples.X[:: len(examples.X) // _ROWS][:_ROWS, list(entry.option.columns)]
            counted.append(counter.predict(_blob(entry.model, recipe.vote, rows), n_classes, rows))
        known = np.array([_terms(entry) for entry in sample])
        weights = np.linalg.lstsq(known, np.array(counted, float), rcond=None)[0]
        features = {}
        for columns in {entry.option.columns for entry in grown}:
            specs = recipe.feature_specs(tuple(recipe.features[column] for column in columns))
            costs = [counter.window(specs, recipe.derived_specs(), rows) for rows in windows[:4]]
            features[columns] = sum(costs) // len(costs)
    priced = []
    for entry in grown:
        predict = float(np.array(_terms(entry)) @ weights)
        cost = features[entry.option.columns] + max(round(predict), 0)
        priced.append(replace(entry, option=replace(entry.option, instructions=cost)))
    return priced
