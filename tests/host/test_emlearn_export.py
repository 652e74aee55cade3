"""The CSV for upstream emlearn_trees, read as its loader reads it; where emlearn and Sensewell differ, who is right.

Right is what scikit-learn's own trees say: by majority for the hard vote, predict() for the soft one.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pytest
from sensewell_host import cli
from sensewell_host.convert import emlearn_csv, emlearn_forms, forest
from sensewell_host.errors import SensewellError
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier

Array = npt.NDArray[Any]
EVERY_INT16 = np.arange(-32768, 32768).astype(np.int16)[:, None]

needs_compiler = pytest.mark.skipif(not shutil.which("cc") and not shutil.which("gcc"), reason="needs a C compiler")


@pytest.fixture
def folder(tmp_path: Path, digits: tuple[Array, Array], model: RandomForestClassifier) -> Path:
    """What `sensewell train` would leave of the digits."""
    made = tmp_path / "digits"
    made.mkdir()
    (made / "train.json").write_text(json.dumps({"vote": "hard"}))
    joblib.dump(model, made / "forest.joblib")
    np.savez(made / "features.npz", X_train=digits[0][:1300], X_test=digits[0][1300:])
    return made


def majority(model: Any, x: Array) -> Array:
    """The hard vote of scikit-learn's own trees, ties to the lowest class."""
    votes = np.zeros((len(x), len(model.classes_)), dtype=int)
    for tree in getattr(model, "estimators_", [model]):
        votes[np.arange(len(x)), tree.predict(x.astype(np.float32)).astype(int)] += 1
    return votes.argmax(axis=1)


class Reader:
    """emlearn_trees' loader and walker from their description: no part of the converter."""

    def __init__(self, text: str) -> None:
        self.nodes: list[tuple[int, int, int, int]] = []  # feature, threshold, left, right
        self.roots: list[int] = []
        self.leaves: list[int] = []
        for line in text.splitlines():
            words = line.split(",")
            if words[0] == "r":
                self.roots.append(self.int16(int(words[1])))
            elif words[0] == "n":
                feature, left, right = int(words[1]), self.int16(int(words[3])), self.int16(int(words[4]))
                self.nodes.append((feature, self.int16(int(float(words[2]))), left, right))
            elif words[0] == "l":
                self.leaves.append(int(words[1]))
            elif words[0] == "f":
                self.n_features = int(words[1])
            elif words[0] == "c":
                self.n_classes = int(words[1])

    @staticmethod
    def int16(value: int) -> int:
        return (value + 32768 & 0xFFFF) - 32768

    def walk(self, at: int, row: list[int]) -> int:
        """The leaf that a tree leads to."""
        for _ in range(len(self.nodes)):
            feature, threshold, left, right = self.nodes[at]
            assert 0 <= feature < self.n_features <= 127
            child = left if row[feature] < threshold else right
            if child < 0:
                return -child - 1
            at += child
        raise AssertionError("a walk without an end")

    def predict(self, x: Array) -> Array:
        found = []
        for row in x.tolist():
            shares = [0.0] * self.n_classes
            for root in self.roots:
                shares[self.leaves[self.walk(root, row)]] += 1.0
            shares = [share / len(self.roots) for share in shares]
            found.append(shares.index(max(shares)))
        return np.array(found)


# ---- the CSV ----


def test_every_digits_row_is_decided_as_scikit_learn_decides_it(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    text = emlearn_csv.convert(model, digits[0])
    reader = Reader(text)
    assert (reader.n_features, reader.n_classes, len(reader.roots)) == (64, 10, 10)
    assert np.array_equal(reader.predict(digits[0]), majority(model, digits[0]))
    assert text.startswith("f,64\nc,10\nlb,0\nl,") and text.endswith("\n")


def test_rows_on_and_beside_every_threshold_are_decided_as_scikit_learn_decides_them(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    rows = []
    for tree in model.estimators_:
        t = tree.tree_
        for node in np.flatnonzero(t.children_left >= 0)[::3]:
            for step in (-1, 0, 1):
                row = digits[0][(7 * node + step) % len(digits[0])].copy()
                row[t.feature[node]] = int(np.floor(t.threshold[node])) + step
                rows.append(row)
    x = np.array(rows)
    assert len(x) > 900
    assert np.array_equal(Reader(emlearn_csv.convert(model, x)).predict(x), majority(model, x))


@needs_compiler
def test_emlearns_compiled_walker_decides_every_row_of_the_csv_alike(
    digits: tuple[Array, Array], model: RandomForestClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import emlearn

    monkeypatch.chdir(tmp_path)
    reader = Reader(emlearn_csv.convert(model, digits[0]))
    wrapper = emlearn.convert(model, method="loadable", dtype="int16_t")
    nodes = [
        [feature, threshold, *(k + child if child >= 0 else child for child in children)]
        for k, (feature, threshold, *children) in enumerate(reader.nodes)
    ]
    wrapper.forest_ = nodes, reader.roots, reader.leaves
    assert np.array_equal(wrapper.predict(digits[0]), majority(model, digits[0]))


@pytest.mark.parametrize("values", [[-5, -4, -3], [-3, -1, 1, 3], [-32768, -32767, 0], [32766, 32767], [-32768, 32767]])
def test_thresholds_at_negative_halves_and_int16_extremes_are_exact(values: list[int]) -> None:
    x = np.array(values, dtype=np.int16)[:, None]
    tree = DecisionTreeClassifier(random_state=0).fit(x, np.arange(len(values)))
    reader = Reader(emlearn_csv.convert(tree, EVERY_INT16))
    around = np.array(sorted({min(max(v + d, -32768), 32767) for v in values for d in (-1, 0, 1)}))[:, None]
    assert np.array_equal(reader.predict(around), majority(tree, around))


def test_a_threshold_that_no_int16_reaches_becomes_a_node_with_both_ways_the_same() -> None:
    x = np.array([-40000, -32768, 5, 32767, 40000, 90000])[:, None]
    tree = DecisionTreeClassifier(random_state=0).fit(x, np.arange(6))
    assert {int(np.floor(t)) + 1 > 32767 for t in tree.tree_.threshold} == {True, False}
    reader = Reader(emlearn_csv.convert(tree, EVERY_INT16))
    same = [node for node in reader.nodes if node[2] == node[3]]
    assert len(same) == 3 and {node[1] for node in same} == {0}
    rows = np.array([-32768, -32767, 4, 5, 6, 16385, 16386, 32766, 32767])[:, None]
    assert np.array_equal(reader.predict(rows), majority(tree, rows))


def test_extra_trees_and_trees_of_one_leaf_are_written(digits: tuple[Array, Array]) -> None:
    x, y = digits
    fitted = ExtraTreesClassifier(5, max_leaf_nodes=30, random_state=1).fit(x, y)
    assert np.array_equal(Reader(emlearn_csv.convert(fitted, x)).predict(x[::9]), majority(fitted, x[::9]))
    only = DecisionTreeClassifier().fit(x, np.zeros(len(x), dtype=int))
    reader = Reader(emlearn_csv.convert(only, x))
    assert len(reader.nodes) == 1 and reader.predict(x[:3]).tolist() == [0, 0, 0]


def test_127_features_and_127_classes_are_the_most() -> None:
    x = np.random.default_rng(0).integers(-32768, 32768, (900, 128)).astype(np.int16)
    y = np.arange(900) % 128
    for n_features, n_classes in ((127, 127), (128, 127), (127, 128)):
        few = y < n_classes
        fitted = DecisionTreeClassifier(random_state=0).fit(x[few, :n_features], y[few])
        if n_features == n_classes == 127:
            rows = x[:50, :127]
            assert np.array_equal(Reader(emlearn_csv.convert(fitted, rows)).predict(rows), majority(fitted, rows))
        else:
            what = "127 features, this model was trained on 128" if n_features > 127 else "127 classes, .* has 128"
            with pytest.raises(SensewellError, match=what):
                emlearn_csv.convert(fitted, x[:, :n_features])


# ---- refusals ----


def test_models_that_upstream_cannot_hold_are_refused(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    x, y = digits
    small = {"n_estimators": 2, "max_leaf_nodes": 4}
    refused: dict[str, tuple[Any, str]] = {
        "not a RandomForestRegressor": (RandomForestRegressor(**small).fit(x, y), "hard"),
        "call fit first": (RandomForestClassifier(), "hard"),
        "2 things at once": (RandomForestClassifier(**small).fit(x, np.stack([y, y], axis=1)), "hard"),
        "class labels must be 0..9": (RandomForestClassifier(**small).fit(x, y + 1), "hard"),
        'votes "soft"': (model, "soft"),
    }
    for what, (fitted, vote) in refused.items():
        with pytest.raises(SensewellError, match=what):
            emlearn_csv.convert(fitted, x, vote)
    with pytest.raises(SensewellError, match="int16 features"):
        emlearn_csv.convert(model, x.astype(float))


@pytest.mark.parametrize(
    ("nodes", "roots", "what"),
    [([[0, 1, 40000, -1]], [0], "jumps over at most 32767"), ([[0, 1, -1, -1]], [0, 32768], "first 32768 nodes")],
)
def test_forests_too_large_for_int16_are_refused(
    nodes: list[list[int]], roots: list[int], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = emlearn_forms.Nodes(np.array(nodes), np.array(roots), np.array([0]), 1, 2)
    monkeypatch.setattr(emlearn_forms, "mended", lambda *_: (None, large))
    with pytest.raises(SensewellError, match=what):
        emlearn_csv.convert(None, EVERY_INT16)


def test_a_csv_that_decides_otherwise_names_the_rows(
    digits: tuple[Array, Array], model: RandomForestClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = emlearn_csv._node
    monkeypatch.setattr(emlearn_csv, "_node", lambda k, f, below, *ways: right(k, f, below - 1, *ways))
    with pytest.raises(SensewellError, match=r"rows differ from scikit-learn: row \d+ expected \d got \d"):
        emlearn_csv.convert(model, digits[0])


# ---- the command ----


@pytest.fixture
def sensewell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sensewell", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).split())

    return call


def test_the_command_writes_the_csv_and_says_what_new_wants_to_know(
    sensewell: Callable[..., tuple[int, str]], folder: Path, digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    code, said = sensewell("convert", folder, "--export", "emlearn-csv")
    assert code == 0, said
    path = folder / "digits-emlearn.csv"
    reader = Reader(path.read_text())
    assert f"emlearn_trees.new({len(reader.roots)}, {len(reader.nodes)}, {len(reader.leaves)})" in said
    assert "1,797 rows compared" in said
    assert np.array_equal(reader.predict(digits[0][:200]), majority(model, digits[0][:200]))
    assert sorted(file.name for file in folder.iterdir()) == [
        "digits-emlearn.csv", "features.npz", "forest.joblib", "train.json"
    ]  # fmt: skip


def test_the_command_refuses_what_is_not_trained_not_hard_or_not_known(
    sensewell: Callable[..., tuple[int, str]], folder: Path
) -> None:
    code, said = sensewell("convert", folder, "--export", "onnx")
    assert code == 1 and "there is no form 'onnx' to export: emlearn-csv is the one" in said
    (folder / "train.json").write_text(json.dumps({"vote": "soft"}))
    code, said = sensewell("convert", folder, "--export", "emlearn-csv")
    assert code == 1 and "exact with the hard vote only" in said
    (folder / "forest.joblib").write_bytes(b"")
    code, said = sensewell("convert", folder, "--export", "emlearn-csv")
    assert code == 1 and "train again" in said
    (folder / "train.json").write_text("{")
    code, said = sensewell("convert", folder, "--export", "emlearn-csv")
    assert code == 1 and "run `sensewell train digits` first" in said
    assert not (folder / "digits-emlearn.csv").exists()


# ---- where emlearn and Sensewell differ, scikit-learn says which is right ----


@needs_compiler
def test_thresholds_emlearn_cuts_go_astray_in_its_own_c_and_sensewells_do_not(
    digits: tuple[Array, Array], model: RandomForestClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import emlearn

    monkeypatch.chdir(tmp_path)
    x = digits[0]
    right = majority(model, x)
    for method in ("inline", "loadable"):
        theirs = emlearn.convert(model, method=method, dtype="int16_t").predict(x)
        assert (theirs != right).sum() > 100
    ours = forest.convert_forest(model, "hard", x)
    assert np.array_equal(forest.predict(ours.blob, x)[0], right)


def test_a_csv_written_by_emlearn_goes_astray_and_ours_does_not(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    import emlearn

    x = digits[0][::3]
    theirs = Reader(emlearn.convert(model, method="loadable", dtype="int16_t").save(name="m", format="csv"))
    assert (theirs.predict(x) != majority(model, x)).sum() > 30
    assert np.array_equal(Reader(emlearn_csv.convert(model, x)).predict(x), majority(model, x))


def test_the_soft_and_regression_csv_of_emlearn_cannot_be_read_by_its_loader(digits: tuple[Array, Array]) -> None:
    import emlearn

    x, y = digits
    soft = RandomForestClassifier(2, max_leaf_nodes=5, random_state=0).fit(x, y)
    value = RandomForestRegressor(2, max_leaf_nodes=5, random_state=0).fit(x, y)
    for fitted, more in ((soft, {"leaf_bits": 8}), (value, {})):
        with pytest.raises(ValueError, match="invalid literal for int"):
            Reader(emlearn.convert(fitted, method="loadable", dtype="int16_t", **more).save(name="m", format="csv"))


def test_leaf_shares_that_emlearn_rounds_turn_near_ties_and_sensewells_do_not(digits: tuple[Array, Array]) -> None:
    import emlearn

    x, y = digits
    fitted = RandomForestClassifier(4, max_leaf_nodes=12, random_state=3).fit(x[:1300], y[:1300])
    right = fitted.predict(x)
    wrapper = emlearn.convert(fitted, method="loadable", dtype="int16_t", leaf_bits=8)
    nodes, roots, leaves = wrapper.forest_
    shares = np.array(leaves, dtype=int)
    assert shares.sum(axis=1).min() < 255 < shares.sum(axis=1).max()  # so leaves weigh differently
    theirs = []
    for row in x.tolist():
        votes = np.zeros(10, dtype=int)
        for at in roots:
            while at >= 0:
                feature, threshold, left, right_child = nodes[at]
                at = left if row[feature] <= threshold else right_child  # thresholds as scikit-learn has them
            votes += shares[-1 - at]
        theirs.append(int(votes.argmax()))
    assert (np.array(theirs) != right).sum() >= 5
    ours = forest.convert_forest(fitted, "soft", x)
    classes, scores = forest.predict(ours.blob, x)
    assert np.array_equal(classes, right)
    assert np.unique(scores.sum(axis=1)).size == 1
