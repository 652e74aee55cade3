"""A way to grow a model, one [[model.candidate]] of a recipe: its kind, and the settings that this kind takes.

Forests have the recipe's own few words; boosted trees keep the names of their library, with bounds that suit a board;
"linear" is logistic regression, with C alone.
Must not know examples or how anything is grown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensewell_host.errors import SensewellError
from sensewell_host.train.table import Table

FORESTS = ("extra_trees", "random_forest", "decision_tree")

# What a board can hold: trees of at most 256 leaves. (type, least, greatest)
_ROUNDS = (int, 1, 1000)
_RATE = (float, 1e-4, 1)
_LEAVES = (int, 2, 256)
_DEPTH = (int, 1, 32)
_SHARE = (float, 1e-4, 1)
_ROWS = (int, 1, 1_000_000)
_WEIGHT = (float, 0, 1e9)

BOOSTED: dict[str, dict[str, tuple[type, float, float]]] = {
    "hist_gradient_boosting": {
        "max_iter": _ROUNDS, "learning_rate": _RATE, "max_leaf_nodes": _LEAVES, "max_depth": _DEPTH,
        "min_samples_leaf": _ROWS, "l2_regularization": _WEIGHT, "max_features": _SHARE, "max_bins": (int, 2, 255),
    },
    "gradient_boosting": {
        "n_estimators": _ROUNDS, "learning_rate": _RATE, "max_leaf_nodes": _LEAVES, "max_depth": _DEPTH,
        "min_samples_leaf": _ROWS, "max_features": _SHARE, "subsample": _SHARE,
    },
    "xgboost": {
        "n_estimators": _ROUNDS, "learning_rate": _RATE, "max_leaves": _LEAVES, "max_depth": _DEPTH,
        "min_child_weight": _WEIGHT, "reg_lambda": _WEIGHT, "reg_alpha": _WEIGHT, "gamma": _WEIGHT,
        "subsample": _SHARE, "colsample_bytree": _SHARE, "colsample_bylevel": _SHARE, "colsample_bynode": _SHARE,
        "max_bin": (int, 2, 1024),
    },
    "lightgbm": {
        "n_estimators": _ROUNDS, "learning_rate": _RATE, "num_leaves": _LEAVES, "max_depth": _DEPTH,
        "min_child_samples": _ROWS, "min_child_weight": _WEIGHT, "reg_lambda": _WEIGHT, "reg_alpha": _WEIGHT,
        "min_split_gain": _WEIGHT, "subsample": _SHARE, "subsample_freq": (int, 0, 1000), "colsample_bytree": _SHARE,
        "feature_fraction_bynode": _SHARE, "extra_trees": (bool, 0, 1), "max_bin": (int, 2, 1024),
    },
}  # fmt: skip
LINEAR = "linear"
KINDS = (*FORESTS, *BOOSTED, LINEAR)
_SIZES = ("max_leaf_nodes", "max_leaves", "num_leaves")  # what the libraries call it


@dataclass(frozen=True)
class Candidate:
    """One way to grow a model. `settings`: of the library's estimator."""

    kind: str
    settings: dict[str, Any]

    @property
    def additive(self) -> bool:
        """Its trees add values up (vote "sum"); those of a forest vote."""
        return self.kind in BOOSTED

    @property
    def linear(self) -> bool:
        """It has weights, no trees."""
        return self.kind == LINEAR

    @property
    def name(self) -> str:
        if self.linear:
            return f"{self.kind}, C {self.settings['C']:g}"
        leaves = next((self.settings[key] for key in _SIZES if key in self.settings), None)
        of = f" x {leaves} leaves" if leaves else ""
        if self.additive:
            rounds = self.settings.get("max_iter", self.settings.get("n_estimators"))
            return self.kind + (f", {rounds} rounds{of}" if rounds else of)
        trees = f"{self.settings['n_estimators']} trees" if "n_estimators" in self.settings else "1 tree"
        return f"{self.kind}, {trees}{of}"


def candidate(table: Table) -> Candidate:
    """The candidate in `table`; SensewellError where it has a mistake."""
    kind = table.text("kind")
    if kind not in KINDS:
        raise SensewellError(f"{table.where}: expected kind as one of {', '.join(KINDS)}, got {kind!r}")
    if kind == LINEAR:
        settings: dict[str, Any] = {"C": table.number("C", 1.0)}
        if not 1e-6 <= settings["C"] <= 1e6:
            raise SensewellError(f"{table.where}: expected C in 1e-06..1e+06, got {settings['C']:g}")
    else:
        settings = _boosted(table, kind) if kind in BOOSTED else _forest(table, kind)
    if table.flag("balanced", False):
        settings["class_weight"] = "balanced"
    table.done()
    return Candidate(kind, settings)


def vote_of(table: Table, candidates: tuple[Candidate, ...]) -> str:
    """How the trees of these candidates come to an answer: `vote` of the table [model], or what follows from them.
    A linear candidate goes with every vote."""
    additive = {one.additive for one in candidates if not one.linear}
    if len(additive) > 1:
        raise SensewellError(
            f"{table.where}: forests vote and boosted trees add up: a recipe has candidates of one sort only, "
            f"got {', '.join(one.kind for one in candidates)}"
        )
    votes = {(): ("sum", "hard", "soft"), (True,): ("sum",), (False,): ("hard", "soft")}[tuple(additive)]
    vote = table.text("vote", votes[0])
    if vote not in votes:
        kinds = ", ".join(dict.fromkeys(one.kind for one in candidates))
        raise SensewellError(f"{table.where}: expected vote as one of {', '.join(votes)} for {kinds}, got {vote!r}")
    return vote


def _forest(table: Table, kind: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if kind != "decision_tree":
        settings["n_estimators"] = table.whole("trees", 1, 255)
    for key, low, high in (("max_leaf_nodes", 2, 4096), ("max_depth", 1, 32), ("min_samples_leaf", 1, 10_000)):
        if key in table:
            settings[key] = table.whole(key, low, high)
    if "max_features" in table:
        settings["max_features"] = table.value("max_features", (str, float, int), "a share, a number or a name")
    return settings


def _boosted(table: Table, kind: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key, (of, low, high) in BOOSTED[kind].items():
        if key not in table:
            continue
        if of is bool:
            settings[key] = table.flag(key, False)
        elif of is int:
            settings[key] = table.whole(key, int(low), int(high))
        else:
            settings[key] = table.number(key)
            if not low <= settings[key] <= high:
                raise SensewellError(f"{table.where}: expected {key} in {low:g}..{high:g}, got {settings[key]:g}")
    return settings
