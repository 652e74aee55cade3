"""scikit-learn's models that add values up, as SumModels: regression, gradient boosting, isolation forest.

Knows scikit-learn; must not know the binary form. What is read where scikit-learn 1.5 to 1.9 keeps it:

GradientBoosting*: estimators_ (rounds, margins) of regression trees, each times learning_rate; the constant that it
starts from is what decision_function or predict leave over. Binary: class 1 where the margin is >= 0.
HistGradientBoosting*: _predictors (rounds, margins), whose nodes carry real thresholds (`<=`, in float64) and leaves
already times the learning rate; _baseline_prediction. Binary: class 1 where the margin is > 0.
IsolationForest: the score is 2**-(E(h) / c(max_samples)), h the depth of the leaf reached and c(its samples); an
anomaly where -score < offset_.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert.emlearn_trees import trees_of
from sensewell_host.convert.encode import ANOMALY, LOGISTIC, SOFTMAX, VALUE
from sensewell_host.convert.plain import Floats, at_most, from_arrays, from_sklearn
from sensewell_host.convert.sums import LOG2_E, Gathered, SumModel
from sensewell_host.errors import SensewellError

REGRESSORS = ("DecisionTreeRegressor", "ExtraTreeRegressor", "RandomForestRegressor", "ExtraTreesRegressor")
IDENTITY = ("squared_error", "absolute_error", "huber", "quantile")  # losses whose prediction is the sum itself

Rows = npt.NDArray[np.int16]


def mean_of_trees(model: Any, x: Rows) -> SumModel:
    """A regression tree, or a forest of them: the mean of their leaves."""
    if model.n_outputs_ != 1:
        raise SensewellError(
            f"this {type(model).__name__} predicts {model.n_outputs_} values at once: train one for each"
        )
    trees = trees_of(model)
    gathered = Gathered.of(1)
    for estimator in trees:
        tree, leaves = from_sklearn(estimator.tree_, len(gathered.values))
        gathered.add(0, tree, (estimator.tree_.value[leaves, 0, 0] / len(trees)).tolist())
    return _value(model, gathered, np.zeros(1), x)


def gradient_boosting(model: Any, x: Rows) -> SumModel:
    """GradientBoostingClassifier and -Regressor."""
    start = model.init_
    if not (isinstance(start, str) and start == "zero") and type(start).__name__[:5] != "Dummy":
        raise SensewellError(
            f"this {type(model).__name__} starts from a {type(start).__name__} (init), which the trees do not hold: "
            "train with init=None or init='zero'"
        )
    classifier = hasattr(model, "classes_")
    if not classifier and model.loss not in IDENTITY:
        raise SensewellError(f"loss {model.loss!r} is not known: {', '.join(IDENTITY)} are")
    rounds, margins = model.estimators_.shape
    gathered = Gathered.of(margins)
    for t in range(rounds):
        for m in range(margins):
            inner = model.estimators_[t, m].tree_
            tree, leaves = from_sklearn(inner, len(gathered.values))
            gathered.add(m, tree, (inner.value[leaves, 0, 0] * model.learning_rate).tolist())
    said = _decision(model, x) if classifier else model.predict(x)
    one = x[:1].astype(np.float32)
    base = np.asarray(said, dtype=np.float64).reshape(len(x), -1)[0].copy()
    for t in range(rounds):
        base -= [model.learning_rate * model.estimators_[t, m].predict(one)[0] for m in range(margins)]
    if not classifier:
        return _value(model, gathered, base, x)
    return _classes(model, gathered, base, x, 2.0 if model.loss == "exponential" else 1.0, inclusive=True)


def hist_gradient_boosting(model: Any, x: Rows) -> SumModel:
    """HistGradientBoostingClassifier and -Regressor, without categorical features."""
    name = type(model).__name__
    categorical = getattr(model, "is_categorical_", None)
    if categorical is not None and np.any(categorical):
        which = np.flatnonzero(categorical).tolist()
        names = getattr(model, "feature_names_in_", None)
        shown = which if names is None else [str(names[k]) for k in which]
        raise SensewellError(
            f"this {name} was trained with categorical features ({', '.join(map(str, shown))}), a device tree only "
            "compares with `<=`: train with categorical_features=None"
        )
    classifier = hasattr(model, "classes_")
    if not classifier and model.loss not in IDENTITY:
        raise SensewellError(
            f"loss {model.loss!r} predicts through exp, a device forest of values only adds: use squared_error, "
            "on the logarithm of the target if need be"
        )
    base = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1).copy()
    gathered = Gathered.of(len(base))
    for predictors in model._predictors:
        for m, predictor in enumerate(predictors):
            nodes = predictor.nodes
            if nodes["is_categorical"].any():
                raise SensewellError(f"this {name} has categorical splits: train with categorical_features=None")
            left = np.where(nodes["is_leaf"] == 1, -1, nodes["left"].astype(np.int64))
            tree, leaves = from_arrays(
                nodes["feature_idx"].tolist(),
                at_most(nodes["num_threshold"]).tolist(),
                left.tolist(),
                nodes["right"].tolist(),
                len(gathered.values),
            )
            gathered.add(m, tree, nodes["value"][leaves].tolist())
    if not classifier:
        return _value(model, gathered, base, x)
    return _classes(model, gathered, base, x, 1.0, inclusive=False)


def isolation_forest(model: Any, x: Rows) -> SumModel:
    """IsolationForest: class 1 is an anomaly, as offset_ (contamination) decides."""
    whole = float(_path_length(np.array([model.max_samples_]))[0])
    if whole <= 0:
        raise SensewellError("this IsolationForest isolates from single samples: train with max_samples of 2 or more")
    if not -1 < model.offset_ < 0:
        raise SensewellError(f"offset_ must be a score, above -1 and below 0, it is {model.offset_}")
    trees = model.estimators_
    gathered = Gathered.of(1)
    for estimator, features in zip(trees, model.estimators_features_, strict=True):
        inner = estimator.tree_
        depth = np.zeros(inner.node_count)
        for node in np.flatnonzero(inner.children_left >= 0):  # parents first
            depth[[inner.children_left[node], inner.children_right[node]]] = depth[node] + 1
        length = (depth + _path_length(inner.n_node_samples)) / (len(trees) * whole)
        tree, leaves = from_sklearn(inner, len(gathered.values), np.asarray(features))
        gathered.add(0, tree, length[leaves].tolist())
    return SumModel(
        said_by="scikit-learn predict (class 1: anomaly)",
        library="scikit-learn",
        n_features=model.n_features_in_,
        n_outputs=2,
        link=ANOMALY,
        trees=gathered.trees,
        values=np.array(gathered.values),
        base=np.zeros(1),
        margins=-np.log2(-np.asarray(model.score_samples(x), dtype=np.float64))[:, None],
        expected=(np.asarray(model.predict(x)) < 0).astype(np.int64),
        limit=-float(np.log2(-model.offset_)),
    )


def _path_length(samples: npt.NDArray[Any]) -> Floats:
    """c(n): the mean depth of an unsuccessful search among n samples (Liu, Ting, Zhou 2008)."""
    n = np.maximum(samples.astype(np.float64), 3)
    long = 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n
    result: Floats = np.where(samples <= 1, 0.0, np.where(samples == 2, 1.0, long))
    return result


def _decision(model: Any, x: Rows) -> Floats:
    """decision_function as (n, margins)."""
    said: Floats = np.asarray(model.decision_function(x), dtype=np.float64).reshape(len(x), -1)
    return said


def _classes(model: Any, gathered: Gathered, base: Floats, x: Rows, scale: float, inclusive: bool) -> SumModel:
    return SumModel(
        said_by="scikit-learn predict",
        library="scikit-learn",
        n_features=model.n_features_in_,
        n_outputs=len(model.classes_),
        link=LOGISTIC if len(base) == 1 else SOFTMAX,
        trees=gathered.trees,
        values=np.array(gathered.values),
        base=base,
        margins=_decision(model, x),
        expected=np.asarray(model.predict(x)).astype(np.int64),
        unit=scale * LOG2_E,
        inclusive=inclusive,
    )


def _value(model: Any, gathered: Gathered, base: Floats, x: Rows) -> SumModel:
    return SumModel(
        said_by="scikit-learn predict",
        library="scikit-learn",
        n_features=model.n_features_in_,
        n_outputs=1,
        link=VALUE,
        trees=gathered.trees,
        values=np.array(gathered.values),
        base=base,
        margins=np.asarray(model.predict(x), dtype=np.float64).reshape(-1, 1),
        expected=np.zeros(len(x), dtype=np.int64),
    )
