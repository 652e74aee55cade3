"""Sums of trees: boosting, regression, isolation forests. Equal classes on every row, errors within the stated bound.

What the libraries say is compared here with the blob itself, apart from what the conversion reports of itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sensewell_host.convert import encode, image, parity, plain, sums, sums_sklearn
from sensewell_host.convert.forest import MODELS, ConvertedForest, convert_forest, votes_of
from sensewell_host.convert.plain import LEAF, PlainTree
from sensewell_host.errors import SensewellError
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits

Array = npt.NDArray[Any]

HARD_LIMITS = np.array([-32768, -32767, -1, 0, 1, 32766, 32767])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small models: threads only wait for one another."""
    with threadpool_limits(1):
        yield


@cache
def data(name: str) -> tuple[Array, Array]:
    """A real data set, its features as counts."""
    load = {"digits": load_digits, "wine": load_wine, "cancer": load_breast_cancer, "diabetes": load_diabetes}[name]
    x, y = load(return_X_y=True)
    if name != "digits":
        x = (x - x.mean(axis=0)) / x.std(axis=0) * 3000
    return np.round(x).clip(-32768, 32767).astype(np.int16), y


def xgboost() -> ModuleType:
    return pytest.importorskip("xgboost", reason="XGBoost is not installed (extra boosting)")


def lightgbm() -> ModuleType:
    return pytest.importorskip("lightgbm", reason="LightGBM is not installed (extra boosting)")


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=12, random_state=0),
    "hist gradient boosting": lambda: HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=15, random_state=0),
    "xgboost": lambda: xgboost().XGBClassifier(n_estimators=12, max_depth=4),
    "xgboost dart": lambda: xgboost().XGBClassifier(n_estimators=8, max_depth=3, booster="dart", rate_drop=0.4),
    "xgboost forest": lambda: xgboost().XGBRFClassifier(n_estimators=8, max_depth=4),
    "lightgbm": lambda: lightgbm().LGBMClassifier(n_estimators=12, num_leaves=12, verbose=-1, n_jobs=1),
    "lightgbm dart": lambda: lightgbm().LGBMClassifier(
        n_estimators=8, num_leaves=8, verbose=-1, n_jobs=1, boosting_type="dart", drop_rate=0.4
    ),
    "lightgbm forest": lambda: lightgbm().LGBMClassifier(
        n_estimators=8, num_leaves=12, verbose=-1, n_jobs=1, boosting_type="rf", bagging_freq=1, bagging_fraction=0.5
    ),
}

REGRESSORS: dict[str, Callable[[], Any]] = {
    "decision tree": lambda: DecisionTreeRegressor(max_leaf_nodes=120, random_state=0),
    "random forest": lambda: RandomForestRegressor(12, max_leaf_nodes=100, random_state=0),
    "extra trees": lambda: ExtraTreesRegressor(12, max_leaf_nodes=100, random_state=0),
    "gradient boosting": lambda: GradientBoostingRegressor(n_estimators=40, random_state=0),
    "gradient boosting from zero": lambda: GradientBoostingRegressor(
        n_estimators=40, loss="huber", init="zero", random_state=0
    ),
    "hist gradient boosting": lambda: HistGradientBoostingRegressor(max_iter=40, random_state=0),
    "hist gradient boosting of quantiles": lambda: HistGradientBoostingRegressor(
        max_iter=20, loss="quantile", quantile=0.9, random_state=0
    ),
    "xgboost": lambda: xgboost().XGBRegressor(n_estimators=40, max_depth=4),
    "xgboost forest": lambda: xgboost().XGBRFRegressor(n_estimators=20, max_depth=5),
    "xgboost of absolute errors": lambda: xgboost().XGBRegressor(n_estimators=10, objective="reg:absoluteerror"),
    "lightgbm": lambda: lightgbm().LGBMRegressor(n_estimators=40, verbose=-1, n_jobs=1),
    "lightgbm forest": lambda: lightgbm().LGBMRegressor(
        n_estimators=10, verbose=-1, n_jobs=1, boosting_type="rf", bagging_freq=1, bagging_fraction=0.5
    ),
}


def values(converted: ConvertedForest, x: Array) -> Array:
    """What a device reads out of scores[0]."""
    return image.predict(converted.blob, x)[1][:, 0] / 2.0**converted.value_bits


def whole(done: ConvertedForest, rows: int) -> None:
    """What holds of every conversion of a sum."""
    assert done.parity.rows == rows
    assert done.parity.device_rows >= min(rows, 200)
    assert done.parity.mismatches == 0
    assert done.bytes == len(done.blob)
    assert 0 <= done.parity.max_error <= done.parity.error_bound


# ---- real data ----


@pytest.mark.parametrize("name", ["digits", "wine", "cancer"])
@pytest.mark.parametrize("family", CLASSIFIERS)
def test_boosted_classifiers_decide_as_their_library_and_their_probabilities_are_close(family: str, name: str) -> None:
    x, y = data(name)
    model = CLASSIFIERS[family]().fit(x[::2], y[::2])
    done = convert_forest(model, "sum", x)
    whole(done, len(x))
    assert done.link == ("logistic" if name == "cancer" else "softmax")
    assert done.leaf_kind == "int16"
    assert done.parity.error_of == "probability"
    assert done.parity.error_bound < 0.003
    classes, scores = image.predict(done.blob, x)
    assert np.array_equal(classes, model.predict(x))
    assert done.score_total == image.ONE
    assert np.abs(scores / done.score_total - model.predict_proba(x)).max() <= done.parity.error_bound


@pytest.mark.parametrize("family", REGRESSORS)
def test_regressors_are_within_the_stated_bound_on_every_row(family: str) -> None:
    x, y = data("diabetes")
    model = REGRESSORS[family]().fit(x[::2], y[::2])
    done = convert_forest(model, "sum", x)
    whole(done, len(x))
    assert (done.link, done.leaf_kind, done.n_classes, done.score_total) == ("value", "int16", 1, 0)
    error = np.abs(values(done, x) - model.predict(x)).max()
    assert error == pytest.approx(done.parity.max_error, abs=1e-9)
    assert done.parity.error_of == "value"
    assert done.parity.error_bound <= 0.001 * np.ptp(model.predict(x))
    exact = convert_forest(model, "sum", x, leaf_kind="int32")
    whole(exact, len(x))
    assert exact.leaf_kind == "int32"
    assert exact.value_bits >= done.value_bits + 5
    assert exact.parity.error_bound < done.parity.error_bound
    assert exact.bytes > done.bytes


@pytest.mark.parametrize("name", ["digits", "wine", "cancer"])
@pytest.mark.parametrize("contamination", ["auto", 0.04])
def test_isolation_forests_find_the_same_anomalies(name: str, contamination: Any) -> None:
    x = data(name)[0]
    model = IsolationForest(n_estimators=40, contamination=contamination, max_features=0.7, random_state=0).fit(x)
    done = convert_forest(model, "sum", x)
    whole(done, len(x))
    assert (done.link, done.leaf_kind, done.n_classes) == ("anomaly", "int16", 2)
    classes, scores = image.predict(done.blob, x)
    assert np.array_equal(classes == 1, model.predict(x) == -1)
    assert 0 < classes.sum() < len(x)
    assert (scores.sum(axis=1) == image.ONE).all()
    assert np.abs(scores[:, 1] / image.ONE + model.score_samples(x)).max() <= done.parity.error_bound < 0.0004
    # leaves of a depth and a size weigh the same in all trees: one slot serves many
    leaves = sum(tree.tree_.n_leaves for tree in model.estimators_)
    assert image.describe(done.blob)["leaves"] < leaves / 2


def test_an_offset_that_is_the_very_score_of_a_row_is_kept_on_its_side() -> None:
    x = data("wine")[0]
    model = IsolationForest(n_estimators=20, random_state=0).fit(x)
    scores = np.sort(np.unique(model.score_samples(x)))
    for offset in (*scores[[1, 5, 20]], (scores[2] + scores[3]) / 2):
        model.offset_ = offset
        assert convert_forest(model, "sum", x).parity.mismatches == 0


def test_both_kinds_of_leaf_decide_alike_and_int32_comes_closer() -> None:
    for name, model in (
        ("digits", HistGradientBoostingClassifier(max_iter=5, random_state=0)),
        ("cancer", GradientBoostingClassifier(n_estimators=20, loss="exponential", random_state=0)),
        ("cancer", IsolationForest(n_estimators=20, random_state=0)),
    ):
        x, y = data(name)
        model.fit(x, y)
        narrow, wide = (convert_forest(model, "sum", x, leaf_kind=kind) for kind in ("int16", "int32"))
        assert (narrow.leaf_kind, wide.leaf_kind) == ("int16", "int32")
        assert wide.value_bits > narrow.value_bits
        assert wide.parity.error_bound < narrow.parity.error_bound
        assert wide.bytes > narrow.bytes
        assert np.array_equal(image.predict(narrow.blob, x)[0], image.predict(wide.blob, x)[0])


@pytest.mark.filterwarnings("ignore:.*eval_set")
def test_trees_after_the_best_iteration_do_not_count() -> None:
    x, y = data("cancer")
    for model, best in (
        (xgboost().XGBClassifier(n_estimators=60, early_stopping_rounds=3, learning_rate=0.5), "best_iteration"),
        (lightgbm().LGBMClassifier(n_estimators=60, learning_rate=0.5, verbose=-1, n_jobs=1), "best_iteration_"),
    ):
        options: dict[str, Any] = {"eval_set": [(x[1::2], y[1::2])]}
        if best == "best_iteration":
            options["verbose"] = False
        else:
            options["callbacks"] = [lightgbm().early_stopping(3, verbose=False)]
        model.fit(x[::2], y[::2], **options)
        assert getattr(model, best) < 40
        assert convert_forest(model, "sum", x).trees <= getattr(model, best) + 1


# ---- random draws: values that stand on thresholds, ties, the ends of int16 ----


def drawn(seed: int) -> tuple[Array, Array, Array, np.random.Generator]:
    """Few different values a feature, up to the ends of int16; rows for training, targets, and every row there is."""
    rng = np.random.default_rng(seed)
    columns = []
    for _ in range(3):
        width = int(rng.choice([1, 3, 100, 20_000]))
        some = np.concatenate([rng.integers(-width, width + 1, 4), rng.choice(HARD_LIMITS, 2)])
        columns.append(np.unique(some))
    x = np.stack([rng.choice(column, 150) for column in columns], axis=1).astype(np.int16)
    n_classes = int(rng.integers(2, 5))
    y = (np.stack([x[:, k] > np.median(x[:, k]) for k in range(3)], axis=1) @ [1, 2, 4] + rng.integers(0, 2, 150)) % (
        n_classes
    )
    y[:n_classes] = np.arange(n_classes)
    near = [np.unique(np.clip(np.concatenate([c - 1, c, c + 1]), -32768, 32767)) for c in columns]
    every = np.stack(np.meshgrid(*near), axis=-1).reshape(-1, 3).astype(np.int16)
    return x, y, rng.permutation(every)[:1500], rng


@pytest.mark.parametrize("family", ["scikit-learn", "xgboost", "lightgbm"])
def test_random_classifiers_are_right_beside_on_and_beyond_their_thresholds(family: str) -> None:
    for seed in range(10):
        x, y, every, rng = drawn(seed)
        rounds, leaves = int(rng.integers(1, 8)), int(rng.integers(2, 7))
        model: Any
        if family == "xgboost":
            model = xgboost().XGBClassifier(n_estimators=rounds, max_depth=leaves, gamma=seed % 3, reg_lambda=seed % 2)
        elif family == "lightgbm":
            model = lightgbm().LGBMClassifier(
                n_estimators=rounds, num_leaves=leaves, min_child_samples=2, min_data_in_bin=1, verbose=-1, n_jobs=1
            )
        elif seed % 2:
            model = GradientBoostingClassifier(n_estimators=rounds, max_leaf_nodes=leaves, subsample=0.7)
            model.set_params(random_state=0)
        else:
            model = HistGradientBoostingClassifier(max_iter=rounds, max_leaf_nodes=leaves, min_samples_leaf=2)
        model.fit(x, y)
        done = convert_forest(model, "sum", every)
        assert np.array_equal(image.predict(done.blob, every)[0], model.predict(every)), seed


@pytest.mark.parametrize("family", ["scikit-learn", "xgboost", "lightgbm"])
def test_random_regressors_are_right_beside_on_and_beyond_their_thresholds(family: str) -> None:
    for seed in range(10):
        x, y, every, rng = drawn(seed)
        target = (y + rng.normal(0, 0.1, len(y))) * 10.0 ** rng.integers(-3, 6) + rng.choice([0, 1000])
        rounds, leaves = int(rng.integers(1, 8)), int(rng.integers(2, 30))
        model: Any
        if family == "xgboost":
            model = xgboost().XGBRegressor(n_estimators=rounds, max_leaves=leaves)
        elif family == "lightgbm":
            model = lightgbm().LGBMRegressor(
                n_estimators=rounds, num_leaves=leaves, min_child_samples=2, min_data_in_bin=1, verbose=-1, n_jobs=1
            )
        else:
            kind = (ExtraTreesRegressor, RandomForestRegressor, GradientBoostingRegressor)[seed % 3]
            model = kind(n_estimators=rounds, max_leaf_nodes=leaves, random_state=0)
        model.fit(x, target)
        done = convert_forest(model, "sum", every)
        error = np.abs(values(done, every) - model.predict(every)).max()
        assert error <= done.parity.error_bound, seed


def test_random_isolation_forests_are_right_beside_on_and_beyond_their_thresholds() -> None:
    for seed in range(8):
        x, _, every, rng = drawn(seed)
        trees, samples = int(rng.integers(1, 20)), int(rng.integers(2, 100))
        model = IsolationForest(n_estimators=trees, max_samples=samples, random_state=seed).fit(x)
        done = convert_forest(model, "sum", every)
        assert np.array_equal(image.predict(done.blob, every)[0] == 1, model.predict(every) == -1), seed


def test_models_trained_on_tables_with_names_convert_without_warnings() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y = data("wine")
    table = pandas.DataFrame(x, columns=[f"column {k}" for k in range(x.shape[1])])
    for model in (
        RandomForestRegressor(3),
        HistGradientBoostingClassifier(max_iter=3),
        IsolationForest(n_estimators=3),
        xgboost().XGBClassifier(n_estimators=3, booster="dart"),
        lightgbm().LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1),
    ):
        model.fit(table, y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert convert_forest(model, "sum", x).parity.mismatches == 0


def test_margins_of_exactly_zero_fall_as_each_library_says() -> None:
    x = np.zeros((40, 2), dtype=np.int16)
    y = np.arange(40) % 2
    for model, at_zero in (
        (GradientBoostingClassifier(n_estimators=2, init="zero"), 1),  # >= 0
        (HistGradientBoostingClassifier(max_iter=2), 0),  # > 0
        (xgboost().XGBClassifier(n_estimators=2), 0),
        (lightgbm().LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1), 0),
    ):
        model.fit(x, y)
        done = convert_forest(model, "sum", x)
        assert image.predict(done.blob, x)[0].tolist() == [at_zero] * 40
        assert done.nodes == 0
        assert done.trees == 1


def test_trees_of_one_leaf_go_into_the_base() -> None:
    x, y = data("diabetes")
    model = HistGradientBoostingRegressor(max_iter=6, min_samples_leaf=400).fit(x, y)
    done = convert_forest(model, "sum", x)
    assert (done.nodes, done.trees) == (0, 1)
    assert np.abs(values(done, x) - y.mean()).max() <= done.parity.error_bound
    only = DecisionTreeRegressor(max_depth=1).fit(x, np.full(len(x), -7.25))
    assert set(values(convert_forest(only, "sum", x), x)) == {-7.25}
    # classes that stop growing early are filled up: margins take turns
    wine, kinds = data("wine")
    grown = xgboost().XGBClassifier(n_estimators=8, gamma=6).fit(wine, kinds)
    done = convert_forest(grown, "sum", wine)
    assert done.trees % 3 == 0
    assert done.trees <= 24


# ---- how integers are chosen ----


def test_max_error_decides_between_the_kinds_of_leaf() -> None:
    x, y = data("diabetes")
    model = GradientBoostingRegressor(n_estimators=30, random_state=0).fit(x, y)
    loose = convert_forest(model, "sum", x, max_error=1)
    tight = convert_forest(model, "sum", x, max_error=loose.parity.error_bound / 2)
    assert (loose.leaf_kind, tight.leaf_kind) == ("int16", "int32")
    assert tight.parity.error_bound <= loose.parity.error_bound / 2
    with pytest.raises(SensewellError, match=r"int16 leaves .* 0\.001 is allowed: use leaf_kind auto"):
        convert_forest(model, "sum", x, leaf_kind="int16", max_error=0.001)
    with pytest.raises(SensewellError, match=r"int32 leaves .* use fewer trees, or allow more with max_error"):
        convert_forest(model, "sum", x, max_error=1e-9)
    tiny = GradientBoostingRegressor(n_estimators=30, random_state=0).fit(x, y * 1e-9)
    with pytest.raises(SensewellError, match=r"use a target scaled up"):
        convert_forest(tiny, "sum", x)
    huge = GradientBoostingRegressor(n_estimators=30, random_state=0).fit(x, y * 1e7)
    with pytest.raises(SensewellError, match=r"do not fit 32-bit leaves and 2\*\*29 .*: scale the target down"):
        convert_forest(huge, "sum", x)
    fits = GradientBoostingRegressor(n_estimators=30, random_state=0).fit(x, y * 1e4)
    assert convert_forest(fits, "sum", x).leaf_kind == "int32"


def test_one_tree_far_from_the_others_does_not_cost_the_others_their_bits() -> None:
    def stump(first: int) -> PlainTree:
        return PlainTree([0], [0], [LEAF - first], [LEAF - first - 1], 0)

    x = np.array([[-5], [5]], dtype=np.int16)
    leaves = np.array([1000.25, 1001.5, -0.5, 0.5, -0.25, 0.75])
    said = np.array([[leaves[[0, 2, 4]].sum()], [leaves[[1, 3, 5]].sum()]])
    model = sums.SumModel(
        "nobody",
        "nobody's library",
        1,
        1,
        encode.VALUE,
        [[stump(0), stump(2), stump(4)]],
        leaves,
        np.zeros(1),
        said,
        np.zeros(2, dtype=np.int64),
    )
    blob, report = sums.sum_blob(model, x, "int16", None)
    assert image.describe(blob)["value_bits"] == 15
    assert report.max_error <= report.error_bound < 1e-4


def test_limits_and_bases_move_no_further_than_rounding_may_have_carried_the_sums(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = data("cancer")
    model = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(x, y)
    right, margins = model.predict(x), model.decision_function(x)
    near = int(np.abs(margins).argmin())
    wrong = np.where(np.arange(len(x)) == near, 1 - right, right)
    monkeypatch.setattr(model, "predict", lambda rows: wrong)
    with pytest.raises(SensewellError, match=rf"near-ties.*1 of 569 rows differ .*: row {near} expected"):
        convert_forest(model, "sum", x)
    with pytest.raises(SensewellError, match=r"use leaf_kind auto"):
        convert_forest(model, "sum", x, leaf_kind="int16")


def test_a_row_beyond_the_bound_is_named() -> None:
    with pytest.raises(SensewellError, match=r"2 of 4 rows differ by more than 0\.5: row 1 by 0\.75, row 3 by nan"):
        parity.prove_error(np.array([0.5, 0.75, 0, np.nan]), 0.5, "value of the converted forest")


def test_trees_that_do_not_add_up_to_what_the_library_says_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data("wine")
    model = HistGradientBoostingClassifier(max_iter=3).fit(x, y)
    margins = model.decision_function(x)
    margins[17, 1] += 1e-9
    monkeypatch.setattr(model, "decision_function", lambda rows: margins)
    with pytest.raises(SensewellError, match=r"do not add up to what scikit-learn says of 1 of 178 rows \(row 17"):
        convert_forest(model, "sum", x)


def test_pow2_is_as_close_as_stated_and_never_rises() -> None:
    for bits in (0, 3, 14, 15, 22, 30):
        steps = np.unique(np.linspace(0, min(17 << bits, (1 << 30) - 1), 40_000).astype(np.int64))
        got = image.pow2(steps, bits)
        assert (np.diff(got) <= 0).all()
        assert np.abs(got / image.ONE - np.exp2(-steps / 2.0**bits)).max() < image.POW2_ERROR
        assert image.pow2(np.array([-5, 0]), bits).tolist() == [image.ONE] * 2


def test_thresholds_become_the_integers_that_decide_alike() -> None:
    every = np.arange(-40, 41)
    for t in (-7.5, -7.0, -0.25, 0.0, -0.0, 0.5, 7.0, 7.0000001, 1e300, -1e300, np.inf, -np.inf):
        assert np.array_equal(every <= t, every <= plain.at_most(t))
        assert np.array_equal(every < t, every <= plain.below(t))


# ---- refusals ----


def test_each_family_says_which_votes_it_takes() -> None:
    x, y = data("wine")
    boosted = GradientBoostingClassifier(n_estimators=2).fit(x, y)
    voting = RandomForestClassifier(2).fit(x, y)
    assert votes_of(boosted) == ("sum",)
    assert votes_of(voting) == ("hard", "soft")
    assert len(set(MODELS)) == len(MODELS) == 18
    for model, vote, words in (
        (boosted, "soft", r"'soft' is not known for a GradientBoostingClassifier: sum"),
        (voting, "sum", r"'sum' is not known for a RandomForestClassifier: hard or soft"),
        (LogisticRegression(), "sum", r"LogisticRegression cannot be converted: .*HistGr.*IsolationF.*XGBC.*LGBM"),
    ):
        with pytest.raises(SensewellError, match=words):
            convert_forest(model, vote, x)
    with pytest.raises(SensewellError, match="auto, int16 or int32"):
        convert_forest(boosted, "sum", x, leaf_kind="packed")


def refused(model: Any, words: str, name: str = "wine", target: Any = None) -> None:
    x, y = data(name)
    model.fit(x, y if target is None else target(x, y))
    with pytest.raises(SensewellError, match=words):
        convert_forest(model, "sum", x)


def test_what_scikit_learn_can_and_a_device_forest_cannot_is_refused_by_name() -> None:
    x, y = data("wine")
    for model, words, target in (
        (
            HistGradientBoostingClassifier(max_iter=2, categorical_features=[6, 11]),
            r"categorical features \(6, 11\).*categorical_features=None",
            None,
        ),
        (HistGradientBoostingRegressor(max_iter=2, loss="poisson"), r"'poisson' predicts through exp", None),
        (
            GradientBoostingClassifier(n_estimators=2, init=RandomForestClassifier(2)),
            r"starts from a RandomForestClassifier \(init\)",
            None,
        ),
        (RandomForestRegressor(2), r"predicts 2 values at once", lambda x, y: np.stack([y, y], axis=1)),
        (GradientBoostingClassifier(n_estimators=2), r"labels must be 0\.\.2, they are 1, 2, 3", lambda x, y: y + 1),
        (IsolationForest(n_estimators=2, max_samples=1), r"max_samples of 2 or more", None),
    ):
        if "categorical" in words:
            small = x.clip(0, 200)
            model.fit(small, y)
            with pytest.raises(SensewellError, match=words):
                convert_forest(model, "sum", small)
        else:
            refused(model, words, target=target)
    for model in (GradientBoostingClassifier(), IsolationForest(), RandomForestRegressor()):
        with pytest.raises(SensewellError, match="not trained yet"):
            convert_forest(model, "sum", x)
    odd = IsolationForest(n_estimators=2).fit(x)
    odd.offset_ = 0.0
    with pytest.raises(SensewellError, match=r"offset_ must be a score, above -1 and below 0, it is 0\.0"):
        convert_forest(odd, "sum", x)
    rng = np.random.default_rng(0)
    noise = rng.integers(-9999, 9999, (2000, 3)).astype(np.int16)
    full = RandomForestRegressor(2, random_state=0).fit(noise, rng.random(2000))
    with pytest.raises(SensewellError, match=r"max_leaf_nodes=256"):
        convert_forest(full, "sum", noise)


def test_names_of_categorical_features_are_said() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y = data("wine")
    table = pandas.DataFrame(x[:, :3], columns=["age", "kind", "rate"])
    table["kind"] = pandas.Categorical(table["kind"] % 4)
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype").fit(table, y)
    with pytest.raises(SensewellError, match=r"categorical features \(kind\)"):
        convert_forest(model, "sum", x[:, :3])


def test_what_xgboost_can_and_a_device_forest_cannot_is_refused_by_name() -> None:
    XGBClassifier, XGBRegressor = xgboost().XGBClassifier, xgboost().XGBRegressor
    for model, words, target in (
        (XGBClassifier(n_estimators=2, missing=0), r"takes 0 for a missing value", None),
        (XGBClassifier(n_estimators=2, booster="gblinear"), r"is a gblinear, not trees", None),
        (XGBRegressor(n_estimators=2, objective="count:poisson"), r"objective 'count:poisson' of this XGBRegr", None),
        (XGBClassifier(n_estimators=2, objective="binary:hinge"), r"objective 'binary:hinge'", lambda x, y: y > 0),
        (XGBRegressor(n_estimators=2), r"predicts several values at once", lambda x, y: np.stack([y, -y], axis=1)),
        (
            XGBRegressor(n_estimators=2, multi_strategy="multi_output_tree"),
            r"several values",
            lambda x, y: np.stack([y, -y], axis=1),
        ),
        (
            XGBClassifier(n_estimators=2, enable_categorical=True, feature_types=["c", *["q"] * 12]),
            r"categorical splits",
            None,
        ),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if "feature_types" in str(model.get_params()) and model.feature_types:
                x, y = data("wine")
                model.fit(np.abs(x) % 5, y)
                with pytest.raises(SensewellError, match=words):
                    convert_forest(model, "sum", x)
            else:
                refused(model, words, target=target)
    far = XGBClassifier(n_estimators=2, missing=-99_999).fit(*data("wine"))
    assert convert_forest(far, "sum", data("wine")[0]).parity.mismatches == 0
    with pytest.raises(SensewellError, match="not trained yet"):
        convert_forest(XGBClassifier(), "sum", data("wine")[0])


def test_what_lightgbm_can_and_a_device_forest_cannot_is_refused_by_name() -> None:
    quiet: dict[str, Any] = {"n_estimators": 2, "verbose": -1, "n_jobs": 1}
    LGBMClassifier, LGBMRegressor = lightgbm().LGBMClassifier, lightgbm().LGBMRegressor
    for model, words in (
        (LGBMClassifier(zero_as_missing=True, **quiet), r"takes 0 of feature \d+ for missing"),
        (LGBMClassifier(objective="multiclassova", **quiet), r"objective 'multiclassova' of this LGBMClassifier"),
        (LGBMRegressor(objective="poisson", **quiet), r"objective 'poisson' of this LGBMRegressor"),
        (LGBMRegressor(reg_sqrt=True, **quiet), r"squares its sum \(reg_sqrt\)"),
        (LGBMRegressor(linear_tree=True, **quiet), r"linear models in its leaves"),
        (LGBMRegressor(objective=lambda y, p: (p - y, np.ones_like(y)), **quiet), r"cannot be converted: regression,"),
    ):
        refused(model, words, name="digits" if "zero_as" in str(model) else "wine")
    x, y = data("digits")
    model = LGBMClassifier(**quiet).fit(x, y, categorical_feature=[20, 21, 28])
    with pytest.raises(SensewellError, match=r"splits feature \d+ as categorical"):
        convert_forest(model, "sum", x)
    with pytest.raises(SensewellError, match="not trained yet"):
        convert_forest(LGBMClassifier(), "sum", x)
    one = LGBMClassifier(**quiet).fit(x, np.zeros(len(x), dtype=int))
    with pytest.raises(SensewellError, match="one class only"):
        convert_forest(one, "sum", x)


def test_the_mean_depth_is_that_of_the_literature() -> None:
    got = sums_sklearn._path_length(np.array([1, 2, 3, 256]))
    harmonic = [sum(1 / k for k in range(1, n)) for n in (3, 256)]
    expected = [0, 1, *(2 * h - 2 * (n - 1) / n for h, n in zip(harmonic, (3, 256), strict=True))]
    assert np.abs(got[[0, 1, 3]] - np.array(expected)[[0, 1, 3]]).max() < 0.01
    assert got[2] == pytest.approx(2 * (np.log(2) + np.euler_gamma) - 4 / 3)
