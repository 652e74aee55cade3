"""Logistic regression as a linear model of a board: classes and probabilities are scikit-learn's, within the stated
bound, whatever the scales; and what cannot be held is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sensewell_host import stages
from sensewell_host.convert import linear, trained
from sensewell_host.convert.linear import convert_linear, is_linear
from sensewell_host.errors import SensewellError
from sensewell_host.train import forest, logistic
from sensewell_host.train.candidate import Candidate, candidate, vote_of
from sensewell_host.train.table import Table
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

Array = npt.NDArray[Any]


def examples(seed: int, n_features: int, n_classes: int, rows: int = 600) -> tuple[Array, Array]:
    """Features of wild scales, from a few counts to all of int16, the first one constant; classes that they tell."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % n_classes
    wide = 10 ** rng.uniform(0.3, 4, n_features)
    centre = rng.normal(0, 6000, n_features)
    x = centre + wide * (rng.normal(size=(rows, n_features)) + rng.normal(size=(n_classes, n_features))[y])
    x[:, 0] = 4711
    return np.round(x).clip(-32768, 32767).astype(np.int16), y.astype(np.int64)


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("n_features", [2, 28, 96])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_random_models_answer_as_scikit_learn_does(n_classes: int, n_features: int, C: float) -> None:
    x, y = examples(n_features + n_classes, n_features, n_classes)
    model = logistic.fitted(x, y, C)
    made = convert_linear(model, x)
    margins = 1 if n_classes == 2 else n_classes
    assert made.bytes == len(made.blob) == 8 + 4 * margins + 2 * n_features * (margins + 1)
    assert (made.n_classes, made.n_features, made.family) == (n_classes, n_features, "linear")
    parity = made.parity
    assert parity.rows == len(x) and parity.device_rows == 400 and parity.error_of == "probability"
    assert parity.max_error <= parity.error_bound < 0.005
    got, scores = linear.predict(made.blob, x)  # apart from what the conversion says of itself
    said = model.predict_proba(x)
    assert np.abs(scores / 16384 - said).max() <= parity.error_bound
    assert (got != model.predict(x)).sum() == parity.mismatches <= 1


def test_a_regression_without_a_scaler_and_rare_counts_are_taken() -> None:
    x, y = examples(5, 6, 2)
    x[:, 1] = 0
    x[:3, 1] = 1  # a weight of a hundred deviations for a count
    for model in (LogisticRegression(max_iter=500).fit(x / 1.0, y), logistic.fitted(x, y, 1e4)):
        assert is_linear(model)
        assert convert_linear(model, x).parity.mismatches == 0
    assert not is_linear(RandomForestClassifier(2).fit(x, y))


def test_far_outside_of_what_it_learned_it_still_answers_as_a_linear_model() -> None:
    """No int16 features carry a sum out of its range, and none changes a sign."""
    x, y = examples(9, 12, 3)
    model = logistic.fitted(x, y, 10.0)
    made = convert_linear(model, x)
    rng = np.random.default_rng(1)
    far = np.concatenate([rng.integers(-32768, 32768, (2000, 12)), np.full((1, 12), -32768), np.full((1, 12), 32767)])
    got, _ = linear.predict(made.blob, far.astype(np.int16))
    margins = np.sort(model.decision_function(far), axis=1)
    clear = margins[:, -1] - margins[:, -2] > 5
    assert clear.sum() > 1500 and (got == model.predict(far))[clear].all()


def test_what_the_form_cannot_hold_is_said() -> None:
    x, y = examples(2, 4, 2)
    for change, words in (
        (lambda m: setattr(m[-1], "coef_", m[-1].coef_ * 1e9), "do not fit"),
        (lambda m: setattr(m[-1], "coef_", m[-1].coef_ * np.nan), "no numbers"),
        (lambda m: setattr(m[-1], "classes_", np.array([1, 2])), "class labels must be 0..1"),
    ):
        model = logistic.fitted(x, y)
        change(model)
        with pytest.raises(SensewellError, match=words):
            convert_linear(model, x)
    with pytest.raises(SensewellError, match="no fitted logistic regression"):
        convert_linear(LogisticRegression(), x)
    many = np.tile(x, (1, 25))[:, :97]
    with pytest.raises(SensewellError, match="at most 96 features"):
        convert_linear(logistic.fitted(many, y), many)


def test_a_model_that_answers_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = examples(3, 5, 3)
    model = logistic.fitted(x, y)
    monkeypatch.setattr(type(model), "predict_proba", lambda self, rows: np.full((len(rows), 3), 1 / 3))
    with pytest.raises(SensewellError, match="rows differ by more than"):
        convert_linear(model, x)


# -- recipes ----------------------------------------------------------------------------------------------------------
def test_a_linear_candidate_goes_with_forests_and_boosting_and_alone() -> None:
    def read(**entry: Any) -> Candidate:
        return candidate(Table(entry, "a recipe"))

    one = read(kind="linear")
    assert (one.name, one.settings, one.linear, one.additive) == ("linear, C 1", {"C": 1.0}, True, False)
    assert read(kind="linear", C=0.1, balanced=True).settings == {"C": 0.1, "class_weight": "balanced"}
    for wrong in ({"C": 0}, {"C": 1e9}, {"trees": 3}):
        with pytest.raises(SensewellError, match=r"C in 1e-06|trees"):
            read(kind="linear", **wrong)
    trees, boosted = read(kind="extra_trees", trees=3), read(kind="hist_gradient_boosting", max_iter=3)
    for beside, vote in (((), "sum"), ((trees,), "hard"), ((boosted,), "sum")):
        assert vote_of(Table({}, "a recipe"), (one, *beside)) == vote
    assert vote_of(Table({"vote": "soft"}, "a recipe"), (one,)) == "soft"  # of a recipe that this one extends
    with pytest.raises(SensewellError, match="one sort only"):
        vote_of(Table({}, "a recipe"), (one, trees, boosted))


def test_it_is_grown_and_weighed_like_any_other() -> None:
    x, y = examples(4, 5, 3)
    model = forest.grow(Candidate("linear", {"C": 1.0, "class_weight": "balanced"}), x, y, 0)
    assert forest.size_of(model) == {"weights": 18}
    for vote in ("hard", "soft", "sum"):
        assert np.array_equal(forest.scores(model, x, vote), model.predict_proba(x))
    assert stages.convert_model(model, "soft", x).family == "linear"


def test_forms_for_forests_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps({"family": "linear", "vote": "soft"}))
    with pytest.raises(SensewellError, match="is a linear model: emlearn's forms are for forests only"):
        trained.load(tmp_path)
