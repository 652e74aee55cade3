"""Conversion of scikit-learn forests: exact on every row, small, and refused in clear words where it cannot be.

The device code itself is fuzzed here as well, under pointers that report every read outside of their buffer.
"""

from __future__ import annotations

import random
import shutil
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sensewell.kernel import tree_values, trees_viper
from sensewell.model import trees as device
from sensewell.refusal import Refused
from sensewell_host.convert import emlearn_trees, encode, forest, parity, votes
from sensewell_host.convert.plain import LEAF, PlainTree
from sensewell_host.errors import SensewellError
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier

Array = npt.NDArray[Any]


def boundary_rows(model: Any, x: Array) -> Array:
    """Rows that stand on every threshold of `model`, and one above it."""
    rows = []
    for k, tree in enumerate(emlearn_trees.trees_of(model)):
        t = tree.tree_
        for node in np.flatnonzero(t.children_left >= 0):
            for step in (-1, 0, 1):
                row = x[(k + node) % len(x)].copy()
                row[t.feature[node]] = np.clip(np.floor(t.threshold[node]) + step, -32768, 32767)
                rows.append(row)
    return np.array(rows, dtype=np.int16)


# ---- parity ----


def test_digits_hard_vote_agrees_on_every_row_and_on_every_threshold_in_60_percent_of_emlearns_bytes(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    x = np.concatenate([digits[0], boundary_rows(model, digits[0])])
    converted = forest.convert_forest(model, "hard", x)
    assert converted.parity.rows == len(x) > 4000
    assert converted.parity.device_rows >= 300
    assert converted.parity.mismatches == 0
    assert converted.leaf_kind == "class"
    emlearn_nodes = len(emlearn_trees.mended(model).forest_[0])
    assert converted.bytes == len(converted.blob) <= 0.6 * 8 * emlearn_nodes


def test_digits_soft_vote_agrees_with_predict_and_costs_less_than_emlearns(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    import emlearn

    for kind in ("packed", "wide"):
        converted = forest.convert_forest(model, "soft", digits[0], leaf_kind=kind)
        assert converted.leaf_kind == kind
        assert np.array_equal(forest.predict(converted.blob, digits[0])[0], model.predict(digits[0]))
    nodes, _, leaves = emlearn.convert(model, method="loadable", leaf_bits=8).forest_
    assert forest.convert_forest(model, "soft", digits[0]).bytes < 0.65 * (8 * len(nodes) + 10 * len(leaves))


def test_scores_of_the_soft_vote_are_the_probabilities_of_scikit_learn(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    for kind, close in (("packed", 1 / 2047), ("wide", 1 / 65000)):
        converted = forest.convert_forest(model, "soft", digits[0], leaf_kind=kind)
        _, scores = forest.predict(converted.blob, digits[0])
        total = forest.describe(converted.blob)["score_total"]
        assert (scores.sum(axis=1) == total).all()
        assert np.abs(scores / total - model.predict_proba(digits[0])).max() < close


def test_extra_trees_and_single_trees_and_scaled_iris_agree() -> None:
    x, y = load_iris(return_X_y=True)
    x = np.round(x * 1000 - 4000).astype(np.int16)
    for fitted in (
        ExtraTreesClassifier(12, random_state=1).fit(x, y),
        DecisionTreeClassifier(random_state=1).fit(x, y),
        RandomForestClassifier(7, max_depth=3, class_weight="balanced", random_state=1).fit(x, y),
    ):
        for vote in ("hard", "soft"):
            forest.convert_forest(fitted, vote, x)
        forest.convert_forest(fitted, "hard", boundary_rows(fitted, x))


def test_thresholds_at_negative_halves_whole_numbers_and_int16_extremes_are_exact() -> None:
    everywhere = np.arange(-32768, 32768).astype(np.int16)[:, None]
    for values in ([-5, -4, -3], [-3, -1, 1, 3], [0, 1, 2], [-32768, -32767, 0], [32766, 32767], [-32768, 32767]):
        x = np.array(values, dtype=np.int16)[:, None]
        tree = DecisionTreeClassifier(random_state=0).fit(x, np.arange(len(values)))
        blob = forest.convert_forest(tree, "hard", everywhere).blob
        scores = array("i", [0] * len(values))
        walker = device.Forest(blob, 1, len(values))
        for value in {*values, *(min(v + 1, 32767) for v in values), *(max(v - 1, -32768) for v in values)}:
            expected = tree.predict([[value]])[0]
            assert walker.predict(array("h", [value]), scores) == expected, (values, value)


def test_trees_of_one_leaf_are_handled() -> None:
    x, y = load_iris(return_X_y=True)
    x = (x * 10).astype(np.int16)
    fitted = RandomForestClassifier(5, min_samples_leaf=120, random_state=0).fit(x, y)
    assert {tree.tree_.node_count for tree in fitted.estimators_} == {1}
    for vote in ("hard", "soft"):
        converted = forest.convert_forest(fitted, vote, x)
        assert converted.nodes == 0
        assert forest.describe(converted.blob)["depth"] == 0
    only = DecisionTreeClassifier().fit(x, np.zeros(len(x), dtype=int))
    assert forest.convert_forest(only, "hard", x).n_classes == 1
    assert forest.convert_forest(only, "soft", x).n_classes == 1


def test_many_classes_take_several_windows_of_leaves() -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(-3000, 3000, (4000, 6)).astype(np.int16)
    y = (x[:, 0] // 600 + 5) * 10 + x[:, 1] // 600 + 5
    fitted = RandomForestClassifier(12, max_leaf_nodes=200, random_state=0).fit(x, y)
    converted = forest.convert_forest(fitted, "hard", np.concatenate([x, boundary_rows(fitted, x)]))
    assert converted.n_classes == 100
    assert forest.describe(converted.blob)["leaves"] > 256
    forest.convert_forest(fitted, "soft", x)


def test_numpy_and_the_device_code_give_the_same_scores() -> None:
    x, y = make_classification(600, 8, n_informative=6, n_classes=4, random_state=3)
    x = np.round(x * 2000).astype(np.int16)
    fitted = RandomForestClassifier(9, max_leaf_nodes=40, random_state=3).fit(x, y)
    for vote in ("hard", "soft"):
        blob = forest.convert_forest(fitted, vote, x).blob
        walker = device.Forest(blob, 8, 4)
        scores = array("i", bytes(16))
        classes, expected = forest.predict(blob, x)
        for k in range(len(x)):
            assert walker.predict(array("h", x[k].tobytes()), scores) == classes[k]
            assert scores.tolist() == expected[k].tolist()


def test_branches_that_no_int16_takes_and_choices_between_equals_are_removed() -> None:
    zero, one, two = LEAF, LEAF - 1, LEAF - 2
    tree = PlainTree(  # x0 <= 40000: (x0 <= 5: (x0 <= 9: 0 | 1) | (x1 <= 3: 2 | 2)) | 1, the rest unreachable
        feature=[0, 0, 0, 1],
        threshold=[40000, 5, 9, 3],
        left=[1, 2, zero, two],
        right=[one, 3, one, two],
        root=0,
    )
    blob = encode.encode_shares([tree], 2, 1, np.eye(3, dtype=np.int64))
    assert forest.describe(blob)["nodes"] == 1
    assert forest.predict(blob, np.array([[5, 0], [6, 0]], dtype=np.int16))[0].tolist() == [0, 2]


def test_describe_names_the_sizes(digits: tuple[Array, Array], model: RandomForestClassifier) -> None:
    blob = forest.convert_forest(model, "hard", digits[0]).blob
    said = forest.describe(blob)
    assert said["trees"] == 10
    assert said["bytes"] == len(blob)
    assert said["nodes"] <= 990
    assert said["depth"] == max(tree.get_depth() for tree in model.estimators_)
    assert said["score_total"] == 10
    with pytest.raises(SensewellError, match="not a Sensewell forest"):
        forest.describe(b"hello, this is no forest")
    with pytest.raises(SensewellError, match=r"model\.truncated"):
        forest.describe(blob[:-2])


# ---- emlearn: where it is right, and where it is not ----


def test_emlearns_cut_thresholds_are_wrong_and_the_mended_ones_right(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    import emlearn

    x = digits[0][:600]
    expected = votes.hard_vote(model, x)

    def decide(wrapper: Any) -> Array:
        nodes, roots, leaves = wrapper.forest_
        votes = np.zeros((len(x), 10), dtype=int)
        for k, row in enumerate(x.tolist()):
            for at in roots:
                while at >= 0:
                    feature, below, left, right = nodes[at]
                    at = left if row[feature] < int(below) else right  # what emlearn writes and its C code compares
                votes[k, leaves[LEAF - at]] += 1
        return votes.argmax(axis=1)

    assert (decide(emlearn.convert(model, method="loadable")) != expected).sum() > 20
    assert (decide(emlearn_trees.mended(model)) != expected).sum() == 0


@pytest.mark.skipif(not shutil.which("cc") and not shutil.which("gcc"), reason="needs a C compiler")
def test_emlearns_own_c_code_is_exact_with_mended_thresholds(
    digits: tuple[Array, Array], model: RandomForestClassifier, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x = digits[0][:300]
    assert np.array_equal(emlearn_trees.mended(model).predict(x), votes.hard_vote(model, x))


def test_emlearn_leaves_numpys_warnings_as_they_were(model: RandomForestClassifier) -> None:
    before = np.geterr()
    emlearn_trees.mended(model)
    assert np.geterr() == before


def test_shares_become_integers_that_sum_to_the_total() -> None:
    generator = np.random.default_rng(1)
    shares = generator.random((500, 7))
    shares /= shares.sum(axis=1, keepdims=True)
    shares = np.concatenate([shares, np.full((1, 7), 1 / 7), np.eye(7)])
    for total in (7, 255, 4095, 65535):
        rows = votes.quantise(shares, total)
        assert (rows.sum(axis=1) == total).all()
        assert (rows >= 0).all()
        assert np.abs(rows - shares * total).max() < 1 + 1e-6


# ---- refusals ----


def test_rows_that_differ_are_named_the_first_ten_and_their_count(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    x = digits[0]
    expected = votes.hard_vote(model, x)
    blob = forest.convert_forest(model, "hard", x).blob
    wrong = expected.copy()
    wrong[100:112] = (wrong[100:112] + 1) % 10
    with pytest.raises(SensewellError) as caught:
        parity.prove(blob, x, wrong)
    said = str(caught.value)
    assert f"12 of {len(x)} rows differ" in said
    assert f"row 100 expected {wrong[100]} got {expected[100]}" in said
    assert "row 109 " in said
    assert "row 110" not in said


def test_a_soft_vote_that_integers_cannot_follow_is_refused_with_its_rows(
    digits: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = digits
    fitted = RandomForestClassifier(3, max_leaf_nodes=20, random_state=0).fit(x, y)
    right = fitted.predict(x)
    monkeypatch.setattr(fitted, "predict", lambda rows: np.where(np.arange(len(rows)) == 7, (right + 1) % 10, right))
    with pytest.raises(SensewellError, match=r"1 of 1797 rows differ from scikit-learn: row 7 expected"):
        forest.convert_forest(fitted, "soft", x)


def test_what_cannot_be_converted_is_refused_in_one_clear_sentence(digits: tuple[Array, Array]) -> None:
    x, y = digits
    good = DecisionTreeClassifier(max_leaf_nodes=20).fit(x, y)
    wide = np.tile(x, (1, 2))
    big = np.random.default_rng(0).integers(-9999, 9999, (3000, 3)).astype(np.int16)
    noise = np.random.default_rng(1).integers(0, 2, 3000)
    for refused, rows, vote, words in (
        (good, x.astype(float), "hard", r"int16 features, these are float64: scale"),
        (good, x.astype(np.int32) * 4000, "hard", r"reach from 0 to 64000"),
        (good, x[:, :5], "hard", r"must be \(n, 64\)"),
        (good, x[:0], "hard", r"n > 0"),
        (good, x, "loud", r"hard or soft"),
        (AdaBoostClassifier(n_estimators=2).fit(x, y), x, "hard", r"AdaBoostClassifier cannot be converted: Random"),
        (RandomForestClassifier(), x, "hard", r"not trained yet"),
        (DecisionTreeClassifier(max_leaf_nodes=9).fit(x, y + 1), x, "hard", r"labels must be 0\.\.9, they are 1, 2"),
        (DecisionTreeClassifier(max_leaf_nodes=9).fit(x, np.array(list("abcdefghij"))[y]), x, "soft", r"'a', 'b'"),
        (DecisionTreeClassifier(max_leaf_nodes=9).fit(x, np.stack([y, y], 1)), x, "hard", r"decides 2 things"),
        (DecisionTreeClassifier(max_leaf_nodes=9).fit(wide, y), wide, "hard", r"at most 64 features.*128"),
        (DecisionTreeClassifier(random_state=0).fit(big, noise), big, "hard", r"too large.*max_leaf_nodes=256"),
    ):
        with pytest.raises(SensewellError, match=words):
            forest.convert_forest(refused, vote, rows)
    with pytest.raises(SensewellError, match="packed or wide"):
        forest.convert_forest(good, "soft", x, leaf_kind="u8")


def test_a_forest_for_other_features_is_refused(digits: tuple[Array, Array], model: RandomForestClassifier) -> None:
    blob = forest.convert_forest(model, "hard", digits[0]).blob
    with pytest.raises(SensewellError, match=r"board would refuse this forest: model\.schema"):
        forest.device_forest(blob, 63, 10)


# ---- mutations ----


class StrictPointer:
    """A viper pointer that raises where a board would read or write somewhere else, and never lets a walk run on."""

    reads_left = 0

    def __init__(self, buffer: Any, code: str) -> None:
        self.view = memoryview(buffer).cast("B").cast(code)

    def __getitem__(self, index: int) -> int:
        StrictPointer.reads_left -= 1
        assert StrictPointer.reads_left > 0, "the walk does not end"
        assert 0 <= index < len(self.view), "read outside of the buffer"
        return int(self.view[index])

    def __setitem__(self, index: int, value: int) -> None:
        assert 0 <= index < len(self.view), "write outside of the buffer"
        self.view[index] = value


def mutate(rng: random.Random, blob: bytes) -> bytearray:
    changed = bytearray(blob)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed))
        what = rng.randrange(8)
        if what < 3:
            changed[at] = rng.randrange(256)
        elif what < 5:
            changed[at] ^= 1 << rng.randrange(8)
        elif what == 5:
            changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif what == 6:
            a, b = sorted(rng.randrange(len(changed) + 1) for _ in range(2))
            changed[at : at + b - a] = changed[a:b][: len(changed) - at]
        elif rng.randrange(8) == 0:
            changed = changed[: max(20, at)] if rng.randrange(2) else changed + bytes(rng.randrange(1, 9))
        else:
            changed[8 + rng.randrange(12)] = rng.randrange(256)
    return changed


def test_20000_mutated_forests_are_refused_by_name_or_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = load_iris(return_X_y=True)
    x = (x * 100).astype(np.int16)
    fitted = RandomForestClassifier(4, max_leaf_nodes=9, random_state=0).fit(x, y)
    stumps = RandomForestClassifier(3, min_samples_leaf=60, random_state=2).fit(x, y)
    boosted = GradientBoostingClassifier(n_estimators=2, max_leaf_nodes=4, random_state=0).fit(x, y)
    regressor = RandomForestRegressor(3, max_leaf_nodes=9, random_state=0).fit(x, y)
    isolation = IsolationForest(n_estimators=4, max_samples=16, random_state=0).fit(x)
    converted = [
        forest.convert_forest(fitted, "hard", x),
        forest.convert_forest(fitted, "soft", x),
        forest.convert_forest(fitted, "soft", x, leaf_kind="wide"),
        forest.convert_forest(stumps, "soft", x),
        forest.convert_forest(boosted, "sum", x),
        forest.convert_forest(boosted, "sum", x, leaf_kind="int32"),
        forest.convert_forest(regressor, "sum", x),
        forest.convert_forest(isolation, "sum", x, leaf_kind="int32"),
    ]
    for module in (trees_viper, tree_values):
        for name, code in (("ptr8", "B"), ("ptr16", "H"), ("ptr32", "i")):
            monkeypatch.setattr(module, name, lambda buffer, code=code: StrictPointer(buffer, code))
    rng = random.Random(5)
    rows = [array("h", [rng.randrange(-32768, 32768) for _ in range(4)]) for _ in range(8)]
    rows += [array("h", x[k].tobytes()) for k in (0, 60, 120)]
    reasons: dict[str, int] = {}
    for k in range(20_000):
        one = converted[k % len(converted)]
        changed = mutate(rng, one.blob)
        try:
            walker = trees_viper.Forest(changed, 4, one.n_classes)
        except Refused as refused:
            reasons[refused.reason] = reasons.get(refused.reason, 0) + 1
            continue
        reasons["accepted"] = reasons.get("accepted", 0) + 1
        scores = array("i", bytes(4 * one.n_classes))
        for row in rng.sample(rows, 3):
            StrictPointer.reads_left = 20_000
            assert 0 <= walker.predict(row, scores) < one.n_classes
            if walker.score_total:
                assert min(scores) >= 0
                assert sum(scores) <= walker.score_total
            else:
                assert abs(scores[0]) < 1 << 29
    named = "magic version kind header schema truncated extended trees feature_index jump leaf overflow"
    assert set(reasons) == {"accepted"}.union(f"model.{name}" for name in named.split(" "))
    assert reasons["accepted"] > 500
