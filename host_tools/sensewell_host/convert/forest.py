"""A fitted forest -> the binary forest of device/sensewell/model/trees.py, proven on every row given.

The entry point: finds who reads a model, refuses what no device forest can hold, reports. Knows no byte and no tree.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert import sums_lightgbm, sums_sklearn, sums_xgboost, votes
from sensewell_host.convert.encode import MAX_FEATURES, MAX_OUTPUTS
from sensewell_host.convert.image import describe, device_forest, predict, read
from sensewell_host.convert.parity import ParityReport, check_features, prove
from sensewell_host.convert.sums import SumModel, sum_blob
from sensewell_host.errors import SensewellError

__all__ = ["ConvertedForest", "ParityReport", "convert_forest", "describe", "device_forest", "predict", "votes_of"]

Reader = Callable[[Any, npt.NDArray[np.int16]], SumModel]

_READERS: dict[str, Reader] = {
    **dict.fromkeys(sums_sklearn.REGRESSORS, sums_sklearn.mean_of_trees),
    "GradientBoostingClassifier": sums_sklearn.gradient_boosting,
    "GradientBoostingRegressor": sums_sklearn.gradient_boosting,
    "HistGradientBoostingClassifier": sums_sklearn.hist_gradient_boosting,
    "HistGradientBoostingRegressor": sums_sklearn.hist_gradient_boosting,
    "IsolationForest": sums_sklearn.isolation_forest,
    **dict.fromkeys(sums_xgboost.MODELS, sums_xgboost.xgboost),
    **dict.fromkeys(sums_lightgbm.MODELS, sums_lightgbm.lightgbm),
}
MODELS = (*votes.MODELS, *_READERS)


@dataclass(frozen=True)
class ConvertedForest:
    """A device forest and what a manifest or a reader of reports asks about it."""

    blob: bytes
    n_classes: int  # what Forest(buffer, n_features, n_classes) takes: 1 for a value, 2 (normal, anomaly) for anomalies
    leaf_kind: str  # votes: "class" (hard), "packed" or "wide" (soft); sums: "int16" or "int32"
    nodes: int
    bytes: int
    parity: ParityReport
    link: str = "votes"  # or what a sum means: "softmax", "logistic", "value", "anomaly"
    value_bits: int = 0  # of a sum, behind the binary point: the value of a regressor is scores[0] / 2**value_bits
    trees: int = 0
    score_total: int = 0  # what the scores sum to; 0 for a value, which has no confidence


def votes_of(model: Any) -> tuple[str, ...]:
    """The kinds of vote that convert_forest takes for this model; SensewellError if it takes none."""
    name = type(model).__name__
    if name in votes.MODELS:
        return ("hard", "soft")
    if name in _READERS:
        return ("sum",)
    raise SensewellError(f"{name} cannot be converted: {', '.join(MODELS)} can")


def convert_forest(
    model: Any,
    vote: str,
    x_check: npt.NDArray[Any],
    leaf_kind: str = "auto",
    max_error: float | None = None,
) -> ConvertedForest:
    """`model`, fitted, as a device forest. votes_of(model) says which votes there are for it.

    vote: "hard" (each tree one vote; reference: every scikit-learn tree's own class, ties to the lowest class) or
    "soft" (mean of shares; reference: model.predict) for forests and trees of scikit-learn; "sum" for all models that
    add values: gradient boosting, regression, isolation forest (reference: model.predict, and its probabilities,
    values or anomaly scores within a stated bound).
    x_check: all rows to be proven, (n, n_features) int16 counts.
    leaf_kind: "auto" is the smallest that agrees on every row. Soft: "packed" (2 bytes a class that a leaf has a share
    of: 11 bits of share with 9 to 16 classes, one bit more for each halving) or "wide" (4 bytes, 16 bits of share).
    Sums: "int16" or "int32".
    max_error: what rounding may cost a value, in its own unit; None: a thousandth of the range of the predictions.
    SensewellError names the rows that differ, or says what the form cannot hold.

    Features are int16 counts: `x <= t` equals `x <= floor(t)` for them, and they are exact in float32 as in float64.
    """
    known = votes_of(model)
    _check_model(model)
    x = check_features(x_check, model.n_features_in_)
    if vote not in known:
        name = type(model).__name__
        ways = {"sum": "sum (it adds values up)", "hard": "hard or soft"}[known[0]]
        raise SensewellError(f"vote {vote!r} is not known for a {name}: {ways}")
    with warnings.catch_warnings():  # a model may have been trained on a table with names: columns are in its order
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        blob, parity = _proven(model, vote, x, leaf_kind, max_error)
    image = read(blob)
    return ConvertedForest(
        blob=blob,
        n_classes=image.n_outputs,
        leaf_kind=image.leaf_kind,
        nodes=len(image.nodes),
        bytes=len(blob),
        parity=parity,
        link=image.link,
        value_bits=image.value_bits,
        trees=len(image.trees),
        score_total=image.score_total,
    )


def _proven(
    model: Any, vote: str, x: npt.NDArray[np.int16], leaf_kind: str, max_error: float | None
) -> tuple[bytes, ParityReport]:
    if vote == "sum":
        return sum_blob(_READERS[type(model).__name__](model, x), x, leaf_kind, max_error)
    if leaf_kind not in ("auto", "packed", "wide"):
        raise SensewellError(f"leaf_kind {leaf_kind!r} is not known: auto, packed or wide")
    made = votes.hard_blob(model, x) if vote == "hard" else votes.soft_blob(model, x, leaf_kind)
    blob, expected, reference = made
    return blob, ParityReport(len(x), prove(blob, x, expected)[0], 0, reference)


def _check_model(model: Any) -> None:
    name = type(model).__name__
    if not _is_fitted(model):
        raise SensewellError(f"this {name} is not trained yet: call fit first")
    if model.n_features_in_ > MAX_FEATURES:
        raise SensewellError(
            f"a device forest takes at most {MAX_FEATURES} features, this one was trained on "
            f"{model.n_features_in_}: keep the best {MAX_FEATURES} and train again"
        )
    if name.endswith("Classifier"):
        _check_classes(model, name)


def _is_fitted(model: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
        return hasattr(model, "n_features_in_")
    except NotFittedError:
        return False


def _check_classes(model: Any, name: str) -> None:
    if getattr(model, "n_outputs_", 1) != 1:
        raise SensewellError(f"this {name} decides {model.n_outputs_} things at once: train one forest for each")
    n_classes = len(model.classes_)
    if n_classes < 2 and name in _READERS:
        raise SensewellError(f"this {name} was trained on one class only: it has nothing to decide")
    if not np.array_equal(model.classes_, np.arange(n_classes)):
        shown = ", ".join(map(repr, np.asarray(model.classes_).tolist()[:5]))
        raise SensewellError(f"class labels must be 0..{n_classes - 1}, they are {shown}...: number them before fit")
    if n_classes > MAX_OUTPUTS:
        raise SensewellError(f"a device forest has at most {MAX_OUTPUTS} classes, this one has {n_classes}")
