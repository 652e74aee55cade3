"""Training: one data path with the device, nothing leaks, the same input gives the same forest, recipes are checked."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sensewell_host import device_run, pack, stages
from sensewell_host.convert.forest import convert_forest
from sensewell_host.dataset import ChannelInfo, Dataset, Recording
from sensewell_host.dataset.recording import MISSING
from sensewell_host.dataset.split import refuse_leak
from sensewell_host.dataset.tape import tapes
from sensewell_host.device_run import DataPath, features_of
from sensewell_host.errors import SensewellError
from sensewell_host.stages import convert_model
from sensewell_host.train import Recipe, boosting, build_manifest, forest, published, train
from sensewell_host.train.augment import augment
from sensewell_host.train.candidate import Candidate
from sensewell_host.train.forest import Examples
from sensewell_host.train.recipe import Augment, Choice, Vector
from sensewell_host.train.run import load_dataset

MODELS = Path(__file__).resolve().parents[2] / "models"
WATCH = MODELS / "watch" / "model.toml"
UNIX = device_run.UNIX.is_file()

TINY = """
name = "tiny"
version = 1
[data]
source = "tiny"
rate_hz = 20
channels = ["a", "b"]
labels = ["slow", "fast"]
train = ["p1", "p2", "p3"]
test = ["p4"]
[targets]
macro_f1 = 0.9
[guard]
gap_ms = 0
[[guard.channel]]
of = ["a", "b"]
stuck_n = 10
[bad_samples]
policy = "hold"
fill_n = 2
[window]
length = 32
hop = 16
[derived]
n = { norm = ["a", "b"] }
[features]
each = ["std", "mcross", "acorr lag=2"]
of = ["a", "n"]
more = ["corr.a d=b"]
[model]
seed = 3
[[model.candidate]]
kind = "extra_trees"
trees = 5
max_leaf_nodes = 8
[[model.candidate]]
kind = "decision_tree"
max_depth = 3
[augment]
copies = 1
shift_n = 4
time_scale = [0.9, 1.1]
[[rule]]
name = "loud"
on = "std.n"
when = "above"
limit = 4000
label = "LOUD"
[[rule]]
name = "high"
on = "b"
when = "above"
limit = 30000
clear = 20000
label = "HIGH"
interlock = true
[arbiter]
fallback = "unknown"
"""

FORESTS = TINY[TINY.index("[[model.candidate]]") : TINY.index("[augment]")]
BOOSTED = """
[[model.candidate]]
kind = "hist_gradient_boosting"
max_iter = 8
max_leaf_nodes = 4
learning_rate = 0.3
min_samples_leaf = 2
max_features = 0.5
l2_regularization = 1
"""
LINEAR = """
[[model.candidate]]
kind = "linear"
C = 0.5
"""


def wave(seed: int, rows: int, step: float) -> NDArray[np.int16]:
    random = np.random.default_rng(seed)
    phase = np.cumsum(np.full(rows, step) * random.uniform(0.8, 1.2, rows))
    clean = np.stack([np.sin(phase), np.cos(phase + 0.3)], 1) * random.uniform(800, 1200)
    return np.rint(clean + random.normal(0, 60, clean.shape)).astype(np.int16)


def test_groups_held_out_without_a_window_to_judge_by_are_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(TINY)
    whole = tiny_dataset()
    short = [
        replace(one, samples=one.samples[:31]) if one.group == "p4" else one for one in whole.recordings
    ]  # a window has 32
    with pytest.raises(SensewellError, match=r"none of 0 windows of the groups held out \(p4\) is good enough"):
        train(tmp_path, tmp_path / "out", dataset=replace(whole, recordings=tuple(short)), engine="cpython")


def test_recordings_without_a_label_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(TINY)
    whole = tiny_dataset()
    bare = replace(whole.recordings[0], label="")
    replace(whole, recordings=(bare, *whole.recordings[1:])).save(tmp_path / "tiny")
    with pytest.raises(SensewellError, match=r"have also none \(p1-slow\): name them there, .* `sensewell data label`"):
        load_dataset(Recipe.load(tmp_path))


def tiny_dataset() -> Dataset:
    recordings = []
    for person in range(1, 5):
        for number, (label, step) in enumerate((("slow", 0.25), ("fast", 0.9))):
            samples = wave(10 * person + number, 200, step)
            recordings.append(Recording(f"p{person}-{label}", samples, 20, label, f"p{person}"))
    return Dataset("tiny", 20, (ChannelInfo("a", "m/s2", 0.01), ChannelInfo("b", "m/s2", 0.01)), tuple(recordings))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "model.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(features_of.__kwdefaults__, "cache", tmp_path / "cache")


def data_path(**changes: Any) -> DataPath:
    settings: dict[str, Any] = {
        "rate_hz": 20,
        "n_channels": 2,
        "length": 32,
        "hop": 16,
        "features": (
            {"f": "mean", "c": 0},
            {"f": "mad", "c": 2},
            {"f": "acorr", "c": 1, "lag": 3},
            {"f": "dom", "c": 0},
        ),
        "derived": ({"norm": [0, 1]},),
        "guard": {"gap_ms": 0, "channels": [{"spike_raw": 5000}, {"stuck_n": 6}]},
        "bad_samples": {"policy": "hold", "fill_n": 2},
    }
    return DataPath(**{**settings, **changes})


# --- features by the device's code ------------------------------------------------------------------------------------


@pytest.mark.skipif(not UNIX, reason="the unix board is not built: make board-unix")
def test_unix_board_and_cpython_compute_the_same_features_from_good_and_bad_samples() -> None:
    spoiled = wave(2, 150, 0.4)
    spoiled[40:45, 0] = MISSING
    spoiled[70, 0] = 30000
    spoiled[90:100, 1] = 17
    recordings = [wave(1, 100, 0.3), spoiled, wave(3, 10, 0.3), wave(4, 33, 0.5)]
    one = features_of(recordings, data_path(), engine="unix", cache=None)
    two = features_of(recordings, data_path(), engine="cpython", cache=None, workers=1)
    assert one.engine == "unix" and two.engine == "cpython" and len(one) == 5 + 8 + 0 + 1
    for name in ("X", "source", "end", "quality_pct"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert (one.samples, one.bad, one.reasons) == (two.samples, two.bad, two.reasons)
    assert one.reasons["missing"] == 5 and one.reasons["spike"] == 1 and one.reasons["stuck"] > 0
    assert one.quality_pct.min() < 100


def test_windows_know_their_recording_and_their_end() -> None:
    windows = features_of([wave(1, 70, 0.3), wave(2, 32, 0.3)], data_path(), engine="cpython", workers=1)
    assert windows.source.tolist() == [0, 0, 0, 1] and windows.end.tolist() == [32, 48, 64, 32]
    first = wave(1, 70, 0.3)[:32, 0].astype(int)
    assert windows.X[0, 0] == round(first.mean())


def test_the_number_of_workers_changes_nothing_and_a_second_time_is_from_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_run, "_CHUNK_ROWS", 64)
    recordings = [wave(i, 40, 0.3) for i in range(5)]
    one = features_of(recordings, data_path(), engine="cpython", workers=1, cache=None)
    two = features_of(recordings, data_path(), engine="cpython", workers=2)
    three = features_of(recordings, data_path(), engine="cpython", workers=2)
    assert not two.cached and three.cached
    for other in (two, three):
        assert np.array_equal(one.X, other.X) and np.array_equal(one.source, other.source)
        assert one.reasons == other.reasons
    changed = features_of(recordings, data_path(hop=8), engine="cpython", workers=2)
    assert not changed.cached


def test_settings_that_the_device_refuses_are_one_clear_sentence() -> None:
    with pytest.raises(SensewellError, match=r"does not take these settings: .*features\.unknown"):
        features_of([wave(1, 40, 0.3)], data_path(features=({"f": "nonsense", "c": 0},)), engine="cpython")
    with pytest.raises(SensewellError, match="expected int16 recordings of 2 channels"):
        features_of([np.zeros((5, 3), np.int16)], data_path())
    with pytest.raises(SensewellError, match="no features"):
        features_of([wave(1, 40, 0.3)], data_path(features=()))


# --- augmentation -----------------------------------------------------------------------------------------------------

AUGMENT = Augment(2, 5, (0.9, 1.2), 0.05, 0.5, (30.0, 10.0, 10.0), (Vector((0, 1, 2), (-1, 1, 1), 0.7, True),))


def three(seed: int, rows: int = 80) -> Recording:
    samples = np.hstack([wave(seed, rows, 0.3), wave(seed + 50, rows, 0.2)])
    return Recording(f"r{seed}", samples, 20, "x", "g")


def test_copies_of_one_recording_do_not_depend_on_the_others() -> None:
    source, end = np.array([0, 0, 1, 1], np.int32), np.array([32, 48, 32, 80], np.int32)
    both = augment([three(1), three(2)], source, end, 32, AUGMENT, 7)
    alone = augment([three(2)], source[:2], end[2:], 32, AUGMENT, 7)
    assert both.shape == (2, 4, 32, 4) and np.array_equal(both[:, 2:], alone)
    assert not np.array_equal(both[0], both[1])
    assert not np.array_equal(both, augment([three(1), three(2)], source, end, 32, AUGMENT, 8))


def test_turning_keeps_the_size_of_a_vector_and_leaves_other_channels_alone() -> None:
    how = Augment(1, rotate_deg=(180.0, 90.0, 45.0), vectors=AUGMENT.vectors)
    recording = three(3)
    made = augment([recording], np.array([0], np.int32), np.array([50], np.int32), 32, how, 1)[0, 0]
    plain = recording.samples[18:50]
    size = np.linalg.norm(made[:, :3].astype(float), axis=1)
    assert np.abs(size - np.linalg.norm(plain[:, :3].astype(float), axis=1)).max() < 1.5
    assert np.array_equal(made[:, 3], plain[:, 3]) and not np.array_equal(made[:, :3], plain[:, :3])


def test_a_missing_reading_stays_missing_in_copies() -> None:
    recording = three(4)
    recording.samples[20:30, 1] = MISSING
    made = augment([recording], np.array([0], np.int32), np.array([40], np.int32), 32, AUGMENT, 1)
    assert (made == MISSING).any() and (np.abs(made[made != MISSING].astype(int)) < 4000).all()


# --- forests ----------------------------------------------------------------------------------------------------------


def test_the_group_left_out_and_its_copies_are_never_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.repeat(np.array(["a", "b", "c"]), 4)
    X = np.arange(12, dtype=np.int16)[:, None] * 10
    examples = Examples(X, np.arange(12) % 2, groups, (X + 1,), (np.arange(12) != 5,))
    seen = []
    grow = forest.grow

    def spy(candidate: Candidate, X: Any, y: Any, seed: int) -> Any:
        seen.append(sorted(X[:, 0].tolist()))
        return grow(candidate, X, y, seed)

    monkeypatch.setattr(forest, "grow", spy)
    forest.leave_out_scores(examples, Candidate("decision_tree", {}), "hard", 0)
    for group, learned in zip("abc", seen, strict=True):
        expected = [v for i in np.flatnonzero(groups != group) for v in ([10 * i, 10 * i + 1] if i != 5 else [10 * i])]
        assert learned == sorted(expected)


def test_hard_votes_count_trees_and_ties_go_to_the_lowest_class() -> None:
    random = np.random.default_rng(0)
    X = random.integers(-1000, 1000, (200, 3)).astype(np.int16)
    y = (X[:, 0] > 0).astype(np.int64)
    model = forest.grow(Candidate("extra_trees", {"n_estimators": 6, "max_depth": 2}), X, y, 0)
    votes = forest.scores(model, X, "hard")
    expected = np.stack([[(tree.predict(X) == k) for tree in model.estimators_] for k in (0, 1)]).mean(1).T
    assert np.allclose(votes, expected)
    tied = np.flatnonzero(votes[:, 0] == votes[:, 1])
    assert len(tied) and (votes.argmax(1)[tied] == 0).all()


SETTINGS: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"max_iter": 4, "max_leaf_nodes": 6, "max_features": 0.5},
    "gradient_boosting": {"n_estimators": 4, "max_leaf_nodes": 6, "subsample": 0.5},
    "xgboost": {"n_estimators": 4, "max_leaves": 6, "colsample_bynode": 0.5},
    "lightgbm": {"n_estimators": 4, "num_leaves": 6, "feature_fraction_bynode": 0.5},
}


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_boosted_trees_are_grown_alike_twice_and_counted_as_the_board_gets_them(kind: str, n_classes: int) -> None:
    if kind in ("xgboost", "lightgbm"):
        pytest.importorskip(kind)
    random = np.random.default_rng(2)
    X = random.integers(-1000, 1000, (400, 4)).astype(np.int16)
    true = (X[:, 0] > 0).astype(np.int64) + (n_classes == 3) * (X[:, 1] > 300)
    y = np.where(random.random(400) < 0.2, (true + 1) % n_classes, true)
    candidate = Candidate(kind, {**SETTINGS[kind], "class_weight": "balanced"})
    one, two = (forest.grow(candidate, X, y, 5) for _ in range(2))
    found = forest.scores(one, X, "sum")
    assert np.array_equal(found, forest.scores(two, X, "sum")) and np.allclose(found.sum(1), 1)
    assert found.shape == (400, n_classes) and (found.argmax(1) == true).mean() > 0.8
    size = forest.size_of(one)
    assert size["trees"] == 4 * (1 if n_classes == 2 else 3) and size["leaves"] == size["nodes"] + size["trees"]
    assert 5 * size["trees"] < size["leaves"] <= 6 * size["trees"] and 3 <= size["depth"] <= 5
    converted = convert_forest(one, "sum", X)
    assert converted.trees == size["trees"] and 0 < converted.nodes <= size["nodes"]
    assert converted.n_classes == n_classes and converted.score_total == 16384


def test_balanced_boosting_minds_the_rare_class() -> None:
    random = np.random.default_rng(3)
    X = random.normal(0, 300, (600, 2)).astype(np.int16)
    y = (random.random(600) < 0.05).astype(np.int64)
    X[y == 1, 0] += 250
    kind, settings = "hist_gradient_boosting", {"max_iter": 5, "max_leaf_nodes": 3}
    plain = forest.grow(Candidate(kind, settings), X, y, 0)
    balanced = forest.grow(Candidate(kind, {**settings, "class_weight": "balanced"}), X, y, 0)
    assert forest.scores(balanced, X, "sum")[:, 1].mean() > 3 * forest.scores(plain, X, "sum")[:, 1].mean()


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(boosting.importlib, "import_module", absent)
    X = np.arange(20, dtype=np.int16)[:, None]
    for kind in ("xgboost", "lightgbm"):
        with pytest.raises(SensewellError, match=f"asks for {kind}, .*make install"):
            forest.grow(Candidate(kind, {}), X, np.arange(20) % 2, 0)


def test_scores_by_group_and_over_all() -> None:
    truth = np.array([0, 0, 1, 1, 0, 1])
    answer = np.array([0, 1, 1, 1, 0, 0])
    score = forest.judge(truth, answer, np.array(list("aaaabb")), 3)
    assert score.accuracy == pytest.approx(4 / 6) and score.macro_f1 == pytest.approx(2 / 3)
    assert score.by_group["a"] == pytest.approx((2 / 3 + 4 / 5) / 2) and score.worst == pytest.approx(1 / 3)
    assert score.confusion.tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 0]]


def test_features_that_help_nobody_are_dropped() -> None:
    random = np.random.default_rng(1)
    y = np.tile([0, 1], 60)
    X = random.integers(-1000, 1000, (120, 8)).astype(np.int16)
    X[:, 5] = np.where(y == 1, 500, -500) + random.integers(-100, 100, 120)
    examples = Examples(X, y, np.repeat(np.array(["a", "b", "c"]), 40))
    columns, rounds = forest.choose_features(
        examples, Candidate("extra_trees", {"n_estimators": 8}), "hard", 0, Choice("loso", 2, 0.0)
    )
    assert 5 in columns and len(columns) <= 3 and rounds[0]["features"] == 8 and rounds[-1]["features"] == 2


def test_an_answer_that_is_no_class_is_wrong_of_no_class() -> None:
    truth, answer = np.array([0, 0, 1, 1]), np.array([0, 5, 1, -1])
    score = forest.judge(truth, answer, np.array(list("aaaa")), 2)
    assert score.accuracy == 0.5 and score.macro_f1 == pytest.approx(2 / 3)
    assert score.confusion.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("candidates", "family"), [(BOOSTED, "trees"), (LINEAR, "linear")])
def test_what_is_published_is_what_the_device_pipeline_says(
    tiny: Path, tmp_path: Path, candidates: str, family: str
) -> None:
    tiny.write_text(TINY.replace(FORESTS, candidates) + "min_confidence_pct = 60\nreturn_n = 1\n")
    tiny.write_text(tiny.read_text().split("[[rule]]")[0] + "[arbiter]" + tiny.read_text().split("[arbiter]")[1])
    result = train(tiny, tmp_path / "out", dataset=tiny_dataset(), engine="cpython")
    assert result.figures.get("family", "trees") == family
    converted = convert_model(result.model, "sum", result.X_check)
    manifest = {**build_manifest(result.recipe, result), "sections": {}}
    assert manifest["model"]["family"] == family
    entry, golden = pack.golden(manifest, converted.blob, *result.golden())
    pipeline = device_pipeline(pack.pack({**manifest, "golden": entry}, {"model": converted.blob, "golden": golden}))
    said = []
    for recording in result.split.test:
        pipeline.reset()
        for at, row in enumerate(recording.samples):
            decision = pipeline.feed(array("h", row.tobytes()), at * 50)
            if decision and decision.cause_id != 1:
                said.append((decision.label_id, decision.source_id))
    table = result.test_windows
    good = table.quality_pct >= result.recipe.window["min_quality_pct"]
    shares = forest.scores(result.model, result.X_test, "sum")
    labels, sources = published.published(result.recipe, table, good, shares)
    assert list(zip(labels.tolist(), sources.tolist(), strict=True)) == said and len(said) == len(table)
    after = result.figures["published"]["test"]
    assert after["macro_f1"] > 0.5 and 0 < after["by_model"] <= 1 and after["fallback"] < 1


# --- the whole training -----------------------------------------------------------------------------------------------


def test_training_twice_gives_the_same_forest_and_files(tiny: Path, tmp_path: Path) -> None:
    results = [train(tiny, tmp_path / name, dataset=tiny_dataset(), engine="auto") for name in ("one", "two")]
    one, two = results
    assert one.loso.as_dict() == two.loso.as_dict()
    assert np.array_equal(one.X_train, two.X_train) and one.test.as_dict() == two.test.as_dict()
    trees = [[(t.tree_.feature.tolist(), t.tree_.threshold.tolist()) for t in r.model.estimators_] for r in results]
    assert trees[0] == trees[1]
    figures = [json.loads((tmp_path / name / "train.json").read_text()) for name in ("one", "two")]
    for entry in figures:
        entry.pop("seconds")
    assert figures[0] == figures[1]
    assert one.test.macro_f1 > 0.9 and not one.missed
    assert set(one.groups_train) == {"p1", "p2", "p3"} and set(one.groups_test) == {"p4"}
    assert {entry["candidate"] for entry in figures[0]["choice"]["candidates"]} == {
        "extra_trees, 5 trees x 8 leaves", "decision_tree, 1 tree",
    }  # fmt: skip


def test_boosted_trees_go_all_the_way_to_a_bundle_that_a_board_would_run(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write_text(TINY.replace(FORESTS, BOOSTED))
    tiny_dataset().save(tmp_path / "data")
    tiny.write_text(tiny.read_text().replace('source = "tiny"', 'source = "data"'))
    monkeypatch.setattr(stages, "BUILD", tmp_path / "build")
    built = stages.build(str(tiny))
    figures, converted = built.figures("train"), built.figures("convert")
    assert figures["vote"] == "sum" and figures["model"]["trees"] == 8 and figures["model"]["max_iter"] == 8
    assert figures["model"]["candidate"] == "hist_gradient_boosting, 8 rounds x 4 leaves"
    assert converted["parity"]["mismatches"] == 0 and converted["link"] == "logistic"
    opened = device_pipeline(built.bundle.read_bytes())
    assert opened.refusal == "" and opened.model.score_total == 16384 and opened.model.n_outputs == 2
    assert not stages.build(str(tiny)).fresh


def device_pipeline(bundle: bytes) -> Any:
    """The device's pipeline of a bundle, proven."""
    from sensewell.bundle import Bundle
    from sensewell.pipeline import Pipeline

    opened = Bundle.open(bundle)
    pipeline = Pipeline(opened)
    opened.prove(pipeline)
    return pipeline


def test_features_chosen_by_leaving_people_out_keep_those_that_rules_need(tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(TINY.replace("[features]", '[features]\nchoose = "loso"\nkeep = 1\ntolerance = 1.0'))
    result = train(tiny, tmp_path / "out", dataset=tiny_dataset())
    assert "std.n" in result.features and len(result.features) <= 2
    assert result.X_train.shape[1] == result.X_test.shape[1] == len(result.features)
    assert build_manifest(result.recipe, result)["rules"][0]["on"] == {"feature": result.features.index("std.n")}


def test_nothing_of_the_test_people_reaches_the_forest(tiny: Path, tmp_path: Path) -> None:
    plain = tiny_dataset()
    random = np.random.default_rng(9)
    other = tuple(
        r if r.group != "p4"
        else Recording(r.name, random.integers(-900, 900, (200, 2)).astype(np.int16), 20, r.label, "p4")
        for r in plain.recordings
    )  # fmt: skip
    changed = Dataset("tiny", 20, plain.channels, other)
    one = train(tiny, tmp_path / "one", dataset=plain)
    two = train(tiny, tmp_path / "two", dataset=changed)
    assert one.loso.as_dict() == two.loso.as_dict() and one.test.macro_f1 != two.test.macro_f1
    for a, b in zip(one.model.estimators_, two.model.estimators_, strict=True):
        assert np.array_equal(a.tree_.threshold, b.tree_.threshold)
    assert one.statistics == two.statistics


def test_the_manifest_speaks_in_numbers(tiny: Path, tmp_path: Path) -> None:
    result = train(tiny, tmp_path / "out", dataset=tiny_dataset())
    manifest = build_manifest(result.recipe, result)
    assert manifest["labels"] == ["slow", "fast", "unknown", "LOUD", "HIGH"]
    assert manifest["features"][4] == {"f": "acorr", "c": 0, "lag": 2}
    assert manifest["features"][6] == {"f": "corr", "c": 0, "d": 1} and manifest["derived"] == [{"norm": [0, 1]}]
    assert manifest["rules"][0]["on"] == {"feature": 1} and manifest["rules"][0]["label"] == 3
    assert manifest["rules"][1]["on"] == {"channel": 1} and manifest["rules"][1]["interlock"] is True
    assert manifest["arbiter"]["fallback_label"] == 2 and manifest["model"]["n_classes"] == 2
    levels = manifest["statistics"]["features"]
    assert all(a <= b <= c for a, b, c in zip(levels["p1"], levels["p50"], levels["p99"], strict=True))
    json.dumps(manifest)  # plain numbers only


def test_golden_rows_cover_the_classes_and_golden_windows_give_their_vectors(tiny: Path, tmp_path: Path) -> None:
    result = train(tiny, tmp_path / "out", dataset=tiny_dataset())
    vectors, windows = result.golden(rows=4, windows=3)
    assert vectors.shape == (4, 7) and windows.shape == (3, 32, 2)
    again = features_of(list(windows), result.recipe.data_path(), engine="cpython")
    assert {tuple(x) for x in again.X.tolist()} <= {tuple(x) for x in result.train_windows.X.tolist()}


def test_targets_that_are_missed_are_said(tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(TINY.replace("macro_f1 = 0.9", "macro_f1 = 1.1"))
    assert "macro_f1: expected at least 1.1" in train(tiny, tmp_path / "out", dataset=tiny_dataset()).missed[0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "tiny"', 'nam = "tiny"', "expected name as text"),
        ("version = 1", 'version = 1\nspeed = "high"', "no such key: speed"),
        ("version = 1", "version = ", "cannot be read"),
        ('"corr.a d=b"', '"corr.a d=z"', "no channel 'z'"),
        ('"corr.a d=b"', '"corr a"', "is no feature"),
        ('of = ["a", "n"]', 'of = ["a", "q"]', "no channel 'q'"),
        ('kind = "extra_trees"', 'kind = "forest"', "expected kind as one of"),
        ("length = 32", "length = 300", r"expected length in 2\.\.256"),
        ("fill_n = 2", "fill_n = 16", r"expected fill_n in 0\.\.15"),
        ("stuck_n = 10", "stuck = 10", "no such key: stuck"),
        ("trees = 5", 'trees = "5"', "expected trees as a whole number"),
        ('on = "std.n"', 'on = "mean.n"', "rule loud is on 'mean.n': neither"),
        ('seed = 3', 'seed = 3\nvote = "loud"', "expected vote as one of hard, soft"),
        ('seed = 3', 'seed = 3\nvote = "sum"', "expected vote as one of hard, soft for extra_trees, decision_tree"),
        ("seed = 3", "seed = 3" + BOOSTED, "forests vote and boosted trees add up"),
        (FORESTS, BOOSTED + 'trees = 5\n', "no such key: trees"),
        (FORESTS, BOOSTED.replace("= 0.3", "= 3"), r"expected learning_rate in 0\.0001\.\.1, got 3"),
        (FORESTS, BOOSTED.replace("= 8", "= 8.5"), "expected max_iter as a whole number"),
        (FORESTS, BOOSTED.replace("= 4", "= 300"), r"expected max_leaf_nodes in 2\.\.256"),
        ("seed = 3\n" + FORESTS, 'seed = 3\nvote = "hard"' + BOOSTED, "expected vote as one of sum for hist_gradient"),
    ],
)  # fmt: skip
def test_a_recipe_with_a_mistake_is_refused_with_its_place(tiny: Path, old: str, new: str, says: str) -> None:
    assert old in TINY
    tiny.write_text(TINY.replace(old, new, 1))
    with pytest.raises(SensewellError, match=says):
        Recipe.load(tiny)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('channels = ["a", "b"]', 'channels = ["b", "a"]', "expects channels b, a; the recordings have a, b"),
        ("rate_hz = 20", "rate_hz = 25", "expects 25 Hz"),
        ("rate_hz = 20", "period_ms = 60000", "expects every 1 min; the recordings have 20 Hz"),
        ("rate_hz = 20", "period_ms = 50\nrate_hz = 20", "one of rate_hz and period_ms.*both"),
        ('labels = ["slow", "fast"]', 'labels = ["slow", "still"]', "the recordings have also fast"),
        ('test = ["p4"]', 'test = ["p3"]', "p3 is in train and in test"),
        ('labels = ["slow", "fast"]', 'labels = ["slow", "fast", "none"]', "no window of none"),
    ],
)
def test_a_recipe_for_other_recordings_is_refused(tiny: Path, tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TINY
    tiny.write_text(TINY.replace(old, new).replace('source = "tiny"', 'source = "data"'))
    tiny_dataset().save(tmp_path / "data")
    with pytest.raises(SensewellError, match=says):
        train(tiny, tmp_path / "out", engine="cpython")
    assert not (tmp_path / "out" / "train.json").exists()


def test_a_recipe_may_say_its_period_and_the_device_is_told_the_same(tiny: Path) -> None:
    tiny.write_text(TINY.replace("rate_hz = 20", "period_ms = 60000"))
    recipe = Recipe.load(tiny)
    said = recipe.data_path().manifest()
    assert said["period_ms"] == 60000 and "rate_hz" not in said
    rows = [wave(1, 70, 0.4)]
    slow = features_of(rows, recipe.data_path(), engine="cpython", cache=None, workers=1)
    tiny.write_text(TINY)
    fast = features_of(rows, Recipe.load(tiny).data_path(), engine="cpython", cache=None, workers=1)
    assert len(slow) > 0 and np.array_equal(slow.X, fast.X) and np.array_equal(slow.end, fast.end)


def extending(tiny: Path, text: str) -> Path:
    folder = tiny.parent / "other"
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text('name = "other"\nversion = 7\n' + text)
    return folder


def test_a_recipe_that_extends_another_is_it_but_for_what_it_says(tiny: Path) -> None:
    base = Recipe.load(tiny)
    recipe = Recipe.load(
        extending(
            tiny, 'extends = "../model.toml"\n[arbiter]\nhold_ms = 77\n[features]\nmore = []\n[model]\n' + BOOSTED
        )
    )
    assert (recipe.name, recipe.version) == ("other", 7) and recipe.channels == base.channels
    assert recipe.arbiter == {**base.arbiter, "hold_ms": 77} and recipe.rules == base.rules and recipe.seed == 3
    assert recipe.features == base.features[:-1] and recipe.vote == "sum"
    assert [one.kind for one in recipe.candidates] == ["hist_gradient_boosting"]
    assert recipe.folder.resolve() == tiny.parent.resolve()  # where `source` is, as the recipe extended says
    assert base.content in recipe.content and recipe.content != base.content


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('extends = "../absent.toml"', "no recipe .*absent.toml, which .*other/model.toml extends"),
        ('extends = "model.toml"', "in a circle"),
        ("extends = 3", "expected extends as the path of another recipe, got 3"),
        ('extends = "../model.toml"\n[model]\nvote = "sum"', "expected vote as one of hard, soft"),
        ('extends = "../model.toml"\n[window]\nhops = 3', "no such key: hops"),
    ],
)
def test_a_recipe_that_cannot_extend_another_is_refused(tiny: Path, text: str, says: str) -> None:
    with pytest.raises(SensewellError, match=says):
        Recipe.load(extending(tiny, text))


def test_what_is_extended_has_no_say_in_name_and_version(tiny: Path) -> None:
    folder = extending(tiny, "")
    (folder / "model.toml").write_text('extends = "../model.toml"')
    with pytest.raises(SensewellError, match="expected name as text"):
        Recipe.load(folder)


def test_there_is_no_recipe_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(SensewellError, match="there is no recipe"):
        Recipe.load(tmp_path)


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/model.toml")), ids=lambda path: path.parent.name)
def test_every_recipe_can_be_read_and_keeps_its_groups_apart(path: Path) -> None:
    """Also those that extend another one, which may have grown a key that they cannot have."""
    recipe = Recipe.load(path)
    assert recipe.name == path.parent.name and not set(recipe.train) & set(recipe.test)


def test_the_watch_recipe_is_sound_and_keeps_its_people_apart() -> None:
    recipe = Recipe.load(WATCH)
    assert set(recipe.test) == {"8", "9", "10"} and not set(recipe.train) & set(recipe.test)
    assert len(recipe.feature_specs(recipe.features)) == 40 and recipe.choice.choose == "fixed"
    windows = features_of([np.zeros((100, 6), np.int16)], recipe.data_path(), engine="cpython", cache=None)
    assert len(windows) == 1 and windows.X.shape == (1, 40)


def test_the_boosted_watch_recipe_is_that_of_watch_with_other_trees() -> None:
    watch, recipe = Recipe.load(WATCH), Recipe.load(MODELS / "watch_boosting")
    assert recipe.vote == "sum" and {one.kind for one in recipe.candidates} == {"hist_gradient_boosting"}
    assert recipe.features[:40] == watch.features and len(recipe.features) == 55 <= 64
    for same in ("train", "test", "guard", "window", "rules", "augment", "labels", "derived"):
        assert getattr(recipe, same) == getattr(watch, same), same


# --- truth at the end of a window, and recipes without a model --------------------------------------------------------


def day(seed: int, group: str) -> list[Recording]:
    """One tape whose label changes every 30 to 50 rows, with a stretch that nobody labelled."""
    random = np.random.default_rng(seed)
    made: list[Recording] = []
    for number, label in enumerate(["slow", "fast", "", "slow", "fast", "slow", "fast"]):
        samples = wave(100 * seed + number, int(random.integers(30, 50)), 0.9 if label == "fast" else 0.25)
        made.append(Recording(f"{group}-{number}", samples, 20, label, group, follows=number > 0))
    return made


def days() -> Dataset:
    recordings = [one for seed in range(1, 5) for one in day(seed, f"p{seed}")]
    return Dataset("tiny", 20, tiny_dataset().channels, tuple(recordings))


def test_with_truth_at_the_end_windows_lie_across_labels_and_have_that_of_their_last_row(tiny: Path) -> None:
    tiny.write_text(TINY.replace("[window]", '[window]\ntruth = "end"'))
    dataset = days()
    result = train(tiny, tiny.parent / "out", dataset=dataset, engine="cpython")
    strips = [tape.samples for tape in tapes(dataset.of_groups(["p1", "p2", "p3"]))]
    every = features_of(strips, result.recipe.data_path(), engine="cpython")
    expected = []
    for source, end in zip(every.source, every.end, strict=True):
        parts = tapes(dataset.of_groups([f"p{source + 1}"]))[0].parts
        expected.append([label for start, label in parts if start < end][-1])
    known = [k for k, label in enumerate(expected) if label]
    assert 0 < len(known) < len(expected)
    assert [result.recipe.labels[k] for k in result.y_train] == [expected[k] for k in known]
    assert np.array_equal(result.X_train, every.X[known][:, : result.X_train.shape[1]])
    assert result.split.test[0].group == "p4" and len(result.X_test)
    vectors, windows = result.golden(4, 2)
    assert vectors.shape[0] == 4 and windows.shape[1] == result.recipe.window["length"]


def test_choices_may_leave_out_pieces_of_tapes_and_windows_across_two_belong_to_none(tiny: Path) -> None:
    tiny.write_text(TINY.replace("[window]", '[window]\ntruth = "end"').replace("[data]", "[data]\nfold_rows = 100"))
    result = train(tiny, tiny.parent / "out", dataset=days(), engine="cpython")
    assert {"p1/1", "p1/2", "p3/2"} <= set(result.groups_train.tolist()) and set(result.groups_test) == {"p4"}
    table, length = result.train_windows, result.recipe.window["length"]
    assert ((table.end - length) // 100 == (table.end - 1) // 100).all()
    tiny.write_text(TINY.replace("[data]", "[data]\nfold_rows = 100"))
    with pytest.raises(SensewellError, match="fold_rows cuts tapes"):
        Recipe.load(tiny)
    tiny.write_text(TINY.replace("[window]", '[window]\ntruth = "begin"'))
    with pytest.raises(SensewellError, match='truth as "all" or "end"'):
        Recipe.load(tiny)
    net = TINY[: TINY.index("[model]")] + '[model]\nfamily = "neural"\n[[model.candidate]]\nlayers = ["dense 4"]\n'
    tiny.write_text(net.replace("[window]", '[window]\ntruth = "end"'))
    with pytest.raises(SensewellError, match="leave truth out"):
        Recipe.load(tiny)


def test_pieces_of_a_tape_may_be_equal_on_both_sides_whole_tapes_not() -> None:
    ones = np.ones((3, 2), np.int16)

    def piece(name: str, group: str, rows: NDArray[np.int16], follows: bool) -> Recording:
        return Recording(name, rows, 20, "slow", group, follows=follows)

    train_side = [piece("a", "p1", wave(1, 40, 0.3), False), piece("b", "p1", ones, True)]
    test_side = [piece("c", "p2", wave(2, 40, 0.3), False), piece("d", "p2", ones, True)]
    refuse_leak(train_side, test_side)
    with pytest.raises(SensewellError, match="c of the test side is the same as a"):
        refuse_leak(train_side, [piece("c", "p2", wave(1, 40, 0.3), False), piece("d", "p2", ones, True)])


def test_recordings_that_are_not_there_are_said_how_to_get(tiny: Path) -> None:
    tiny.write_text(TINY.replace('source = "tiny"', 'source = "nowhere"\nget = "ask DOI 10.1, then import it"'))
    with pytest.raises(SensewellError, match=r"no recordings in .*nowhere: ask DOI 10\.1"):
        load_dataset(Recipe.load(tiny))


@pytest.mark.parametrize("features", [True, False])
def test_a_recipe_without_a_model_becomes_a_bundle_of_guard_and_rules(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, features: bool
) -> None:
    text = TINY[: TINY.index("[model]")] + '[model]\nfamily = "none"\n' + TINY[TINY.index("[[rule]]") :]
    if not features:
        start, end = text.index("[features]"), text.index("[model]")
        text = text[:start] + text[end:]
        start = text.index("[[rule]]")
        text = text[:start] + text[text.index("[[rule]]", start + 1) :]
    tiny.write_text(text)
    monkeypatch.setattr(stages, "BUILD", tiny.parent / "build")
    monkeypatch.setattr("sensewell_host.train.no_model.load_dataset", lambda recipe: tiny_dataset())
    result = stages.train(str(tiny))
    assert result.figures["guard"]["all"]["samples"] == 1600 and "no model to train; of 1,600 samples" in result.said
    folder = stages.folder_of(str(tiny))
    assert stages.convert(folder) is None
    path = stages.pack(folder)
    manifest = pack.inspect(path)["manifest"]
    assert manifest["model"] == {"family": "none"} and ("golden" in manifest) == features
    with pytest.raises(SensewellError, match="tiny has no model"):
        stages.train(str(tiny), budget=object())
    tiny.write_text(text.replace('family = "none"', 'family = "oracle"'))
    with pytest.raises(SensewellError, match="family as trees, neural or none"):
        Recipe.load(tiny)
