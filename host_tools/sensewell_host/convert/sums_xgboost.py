"""XGBoost's models as SumModels, out of the JSON that it saves (versions 1.7 to 3.x).

Knows XGBoost; must not know the binary form. A branch goes left where x < threshold, in float32; leaves are added in
float32. The default direction of missing values never matters: an int16 is always there. What base_score means
changed between versions (a probability, or the margin itself), so both are tried on what the model says of the rows.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert.encode import LOGISTIC, SOFTMAX, VALUE
from sensewell_host.convert.plain import Floats, below, from_arrays, reached
from sensewell_host.convert.sums import LOG2_E, SINGLE, Gathered, SumModel
from sensewell_host.errors import SensewellError

MODELS = ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor")
BINARY = ("binary:logistic", "binary:logitraw")
MULTICLASS = ("multi:softprob", "multi:softmax")
IDENTITY = ("reg:squarederror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror")


def xgboost(model: Any, x: npt.NDArray[np.int16]) -> SumModel:
    """A fitted XGBClassifier or XGBRegressor (gbtree or dart; best_iteration, if there is one, ends the trees)."""
    name = type(model).__name__
    if not math.isnan(model.missing) and -32768 <= model.missing <= 32767:
        raise SensewellError(
            f"this {name} takes {model.missing:g} for a missing value, a device forest for a number: "
            "train with missing=numpy.nan"
        )
    learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    classifier = hasattr(model, "classes_")
    known = (*BINARY, *MULTICLASS) if classifier else IDENTITY
    if objective not in known:
        raise SensewellError(f"objective {objective!r} of this {name} cannot be converted: {', '.join(known)} can")
    booster = learner["gradient_booster"]
    weights = booster.get("weight_drop")  # dart: what each tree counts
    booster = booster.get("gbtree", booster)
    if "model" not in booster or "trees" not in booster["model"]:
        raise SensewellError(f"this {name} is a {learner['gradient_booster']['name']}, not trees: use booster='gbtree'")
    margins = int(learner["learner_model_param"]["num_class"]) or 1
    _refuse_what_no_device_tree_can(name, booster["model"], margins, learner)
    if classifier and margins == 2:
        raise SensewellError(f"objective {objective!r} with two classes: train with binary:logistic")

    trees = booster["model"]["trees"]
    best = learner["attributes"].get("best_iteration")
    if best is not None:  # what predict ends with as well
        per_round = margins * int(booster["model"]["gbtree_model_param"].get("num_parallel_tree", 1))
        trees = trees[: (int(best) + 1) * per_round]
    gathered = Gathered.of(margins)
    for which, (margin, stored) in enumerate(zip(booster["model"]["tree_info"], trees, strict=False)):
        condition = np.array(stored["split_conditions"], dtype=np.float32)  # of leaves: their value
        tree, leaves = from_arrays(
            stored["split_indices"],
            below(condition).tolist(),
            stored["left_children"],
            stored["right_children"],
            len(gathered.values),
        )
        weight = weights[which] if weights else 1.0
        gathered.add(margin, tree, (condition[leaves].astype(np.float64) * weight).tolist())

    said = np.asarray(model.predict(x, output_margin=True, validate_features=False), dtype=np.float64)
    said = said.reshape(len(x), -1)
    predicted = np.asarray(model.predict(x, validate_features=False))
    return SumModel(
        said_by=f"XGBoost {_version()} predict",
        library="XGBoost",
        n_features=model.n_features_in_,
        n_outputs=len(model.classes_) if classifier else 1,
        link=VALUE if not classifier else LOGISTIC if margins == 1 else SOFTMAX,
        trees=gathered.trees,
        values=np.array(gathered.values),
        base=_base(learner["learner_model_param"]["base_score"], gathered, said, x),
        margins=said if classifier else predicted.astype(np.float64).reshape(len(x), -1),
        expected=predicted.astype(np.int64) if classifier else np.zeros(len(x), dtype=np.int64),
        unit=LOG2_E if classifier else 1.0,
        precision=SINGLE,
    )


def _refuse_what_no_device_tree_can(name: str, stored: dict[str, Any], margins: int, learner: dict[str, Any]) -> None:
    if int(learner["learner_model_param"].get("num_target", 1)) > 1:
        raise SensewellError(f"this {name} predicts several values at once: train one for each")
    for tree in stored["trees"]:
        if tree.get("categories_nodes"):
            raise SensewellError(
                f"this {name} has categorical splits, a device tree only compares with `<=`: train on plain numbers"
            )
        if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
            raise SensewellError(f"this {name} has several values in a leaf: train one for each value")
    if max(stored["tree_info"], default=0) >= margins:
        raise SensewellError(f"this {name} predicts several values at once: train one for each")


def _base(stored: str, gathered: Gathered, said: Floats, x: npt.NDArray[np.int16]) -> Floats:
    """What every margin starts from: base_score as a margin or as a probability, whichever explains row 0."""
    score = np.array([float(part) for part in stored.strip("[]").split(",")])
    score = np.broadcast_to(score, said.shape[1:]).astype(np.float64)
    values = np.array(gathered.values)
    left = said[0] - [sum(values[reached(tree, x[:1])[0]] for tree in trees) for trees in gathered.trees]
    with np.errstate(all="ignore"):
        tries = np.array([score, np.log(score / (1 - score)), np.zeros_like(score)])
    off = np.nan_to_num(np.abs(tries - left).max(axis=1), nan=np.inf)
    result: Floats = tries[off.argmin()]
    return result


def _version() -> str:
    import xgboost

    return str(xgboost.__version__)
