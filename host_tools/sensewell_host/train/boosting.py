"""Boosted trees: growing them with scikit-learn, XGBoost or LightGBM, always the same, and counting what came of it.

Works on int16 feature vectors. No early stopping: it would hold windows back at random, and windows of one person are
alike. One core: sums of floats in another order are other trees, and the cores of a busy machine wait for one another.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.errors import SensewellError
from sensewell_host.train.candidate import Candidate


def grow(candidate: Candidate, X: NDArray[np.int16], y: NDArray[np.int64], seed: int) -> Any:
    """A fitted classifier of the candidate's library. SensewellError where that is not installed."""
    from sklearn.utils.class_weight import compute_sample_weight
    from threadpoolctl import threadpool_limits

    settings = dict(candidate.settings)
    balance = settings.pop("class_weight", None)
    weight = compute_sample_weight(balance, y) if balance else None  # ones would take four times as long
    model = _ESTIMATORS[candidate.kind](settings, seed)
    with threadpool_limits(1):
        model.fit(X, y, sample_weight=weight)
    return model


def _hist_gradient_boosting(settings: dict[str, Any], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **settings)


def _gradient_boosting(settings: dict[str, Any], seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(random_state=seed, **settings)


def _xgboost(settings: dict[str, Any], seed: int) -> Any:
    if "max_leaves" in settings:  # the best leaf first, as deep as it likes: else max_leaves would rarely be reached
        settings = {"grow_policy": "lossguide", "max_depth": 0, **settings}
    return _library("xgboost").XGBClassifier(tree_method="hist", n_jobs=1, random_state=seed, **settings)


def _lightgbm(settings: dict[str, Any], seed: int) -> Any:
    fixed = {"n_jobs": 1, "random_state": seed, "deterministic": True, "force_row_wise": True, "verbose": -1}
    return _library("lightgbm").LGBMClassifier(**fixed, **settings)


_ESTIMATORS = {
    "hist_gradient_boosting": _hist_gradient_boosting,
    "gradient_boosting": _gradient_boosting,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
}


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SensewellError(
            f"the recipe asks for {name}, which cannot be imported ({error}): `make install` brings it, or "
            "use kind hist_gradient_boosting, which needs nothing more"
        ) from None


def size_of(model: Any) -> dict[str, int]:
    """Trees, inner nodes and leaves of a fitted booster, and the most comparisons that a tree makes."""
    sizes = list(_sizes(model))
    leaves = sum(leaves for leaves, _ in sizes)
    return {
        "trees": len(sizes),
        "nodes": leaves - len(sizes),
        "leaves": leaves,
        "depth": max(depth for _, depth in sizes),
    }


def _sizes(model: Any) -> Iterator[tuple[int, int]]:
    """(leaves, depth) of each tree."""
    if hasattr(model, "get_booster"):
        for dump in model.get_booster().get_dump(dump_format="json"):
            yield _walked(json.loads(dump), ("children",))
    elif hasattr(model, "booster_"):
        for tree in model.booster_.dump_model()["tree_info"]:
            yield _walked(tree["tree_structure"], ("left_child", "right_child"))
    elif hasattr(model, "_predictors"):
        for predictor in (one for round_ in model._predictors for one in round_):
            yield int(predictor.nodes["is_leaf"].sum()), int(predictor.nodes["depth"].max())
    else:
        for tree in (one.tree_ for one in model.estimators_.ravel()):
            yield int((tree.children_left < 0).sum()), int(tree.max_depth)


def _walked(root: dict[str, Any], keys: tuple[str, ...]) -> tuple[int, int]:
    """Leaves and depth of a tree of nested tables; `keys`: where a node keeps its children, one or a list of them."""
    leaves = depth = 0
    level = [root]
    while level:
        below: list[dict[str, Any]] = []
        for node in level:
            children = [child for key in keys if key in node for child in np.atleast_1d(node[key])]
            leaves += not children
            below += children
        level = below
        depth += bool(level)
    return leaves, depth
