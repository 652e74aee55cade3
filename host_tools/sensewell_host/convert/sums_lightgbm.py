"""LightGBM's models as SumModels, out of dump_model (versions 4.x).

Knows LightGBM; must not know the binary form. A branch goes left where x <= threshold, in float64. Leaves carry the
learning rate, the start and the weights of dart already; a random forest (boosting rf) is the mean of its rounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert.encode import LOGISTIC, SOFTMAX, VALUE
from sensewell_host.convert.plain import at_most, from_arrays
from sensewell_host.convert.sums import LOG2_E, Gathered, SumModel
from sensewell_host.errors import SensewellError

MODELS = ("LGBMClassifier", "LGBMRegressor")
IDENTITY = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")


def lightgbm(model: Any, x: npt.NDArray[np.int16]) -> SumModel:
    """A fitted LGBMClassifier or LGBMRegressor (best_iteration_, if there is one, ends the trees)."""
    name = type(model).__name__
    dump = model.booster_.dump_model()
    classifier = hasattr(model, "classes_")
    objective, *settings = str(dump.get("objective", "a function of your own")).split(" ")
    known = ("binary", "multiclass") if classifier else IDENTITY
    if objective not in known:
        raise SensewellError(f"objective {objective!r} of this {name} cannot be converted: {', '.join(known)} can")
    if "sqrt" in settings:
        raise SensewellError(f"this {name} squares its sum (reg_sqrt): train without, on the root of the target")
    margins = dump["num_tree_per_iteration"]
    rounds = len(dump["tree_info"]) // margins
    mean = rounds if dump.get("average_output") else 1
    gathered = Gathered.of(margins)
    for which, info in enumerate(dump["tree_info"]):
        _add(gathered, which % margins, info["tree_structure"], mean, name)
    said = np.asarray(model.predict(x, raw_score=True), dtype=np.float64).reshape(len(x), -1) / mean
    predicted = np.asarray(model.predict(x))
    slope = 1.0  # of the logistic function
    for setting in settings:
        if setting.startswith("sigmoid:"):
            slope = float(setting.removeprefix("sigmoid:"))
    return SumModel(
        said_by=f"LightGBM {_version()} predict",
        library="LightGBM",
        n_features=model.n_features_in_,
        n_outputs=len(model.classes_) if classifier else 1,
        link=VALUE if not classifier else LOGISTIC if margins == 1 else SOFTMAX,
        trees=gathered.trees,
        values=np.array(gathered.values),
        base=np.zeros(margins),
        margins=said if classifier else predicted.astype(np.float64).reshape(len(x), -1),
        expected=predicted.astype(np.int64) if classifier else np.zeros(len(x), dtype=np.int64),
        unit=slope * LOG2_E if classifier else 1.0,
    )


def _add(gathered: Gathered, margin: int, root: dict[str, Any], mean: int, name: str) -> None:
    """One tree, out of nested dictionaries."""
    nodes = [root]
    feature: list[int] = []
    threshold: list[int] = []
    left: list[int] = []
    right: list[int] = []
    for node in nodes:  # grows
        if "leaf_coeff" in node:
            raise SensewellError(f"this {name} has linear models in its leaves: train with linear_tree=False")
        if "split_feature" not in node:
            for column in (feature, threshold, left, right):
                column.append(-1)
            continue
        if node["decision_type"] != "<=":
            raise SensewellError(
                f"this {name} splits feature {node['split_feature']} as categorical, a device tree only compares with "
                "`<=`: train without categorical_feature"
            )
        if node["missing_type"] == "Zero" and node["default_left"] != (node["threshold"] >= 0):
            raise SensewellError(
                f"this {name} takes 0 of feature {node['split_feature']} for missing, a device forest for a number: "
                "train with zero_as_missing=False"
            )
        feature.append(node["split_feature"])
        threshold.append(int(at_most(node["threshold"])))
        left.append(len(nodes))
        right.append(len(nodes) + 1)
        nodes += [node["left_child"], node["right_child"]]
    tree, leaves = from_arrays(feature, threshold, left, right, len(gathered.values))
    gathered.add(margin, tree, [nodes[k]["leaf_value"] / mean for k in leaves])


def _version() -> str:
    import lightgbm

    return str(lightgbm.__version__)
