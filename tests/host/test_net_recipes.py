"""Recipes of nets, from synthetic recordings to a bundle: needs TensorFlow (the extra `neural`) but for the first part.

Nets here are tiny and learn in seconds; what models/watch_cnn learns, its README says.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensewell_host import pack, stages
from sensewell_host.calibrate import applied
from sensewell_host.convert import keras_child, net_check, net_engine, neural
from sensewell_host.convert.keras_child import FloatNet
from sensewell_host.dataset import ChannelInfo, Dataset, Recording
from sensewell_host.dataset.recording import MISSING
from sensewell_host.dataset.split import split_by_group
from sensewell_host.device_path import use_device_path
from sensewell_host.device_run import DataPath, features_of
from sensewell_host.errors import SensewellError
from sensewell_host.train import baselines, gate, keras_nets, run
from sensewell_host.train import neural as neural_train
from sensewell_host.train.field_noise import FieldNoise, held, spoil
from sensewell_host.train.recipe import Recipe
from tflites import INT8, Model

use_device_path()

from sensewell.bundle import Bundle  # noqa: E402
from sensewell.pipeline import Pipeline  # noqa: E402

MODELS = Path(__file__).resolve().parents[2] / "models"
HAVE = all(importlib.util.find_spec(name) for name in ("tensorflow", "tflite_micro"))
needs_tensorflow = pytest.mark.skipif(not HAVE, reason="TensorFlow is not installed: pip install -e '.[neural]'")

HEAD = """
name = "tiny"
version = 1
[data]
source = "tiny"
rate_hz = 20
channels = ["a", "b"]
labels = ["slow", "fast"]
train = ["p1", "p2", "p3"]
test = ["p4"]
[window]
length = 32
hop = 16
[arbiter]
fallback = "unknown"
[model]
family = "neural"
seed = 3
folds = [["p1"], ["p2", "p3"]]
"""
CNN = (
    HEAD
    + """
[targets]
macro_f1 = 0.8
model_bytes = 8000
[augment]
copies = 1
shift_n = 3
[augment.field]
gain = 0.05
offset_raw = 50
drop = 0.3
hum_raw = 40
jitter = 0.2
[features]
more = ["std.a"]
[[rule]]
name = "loud"
on = "std.a"
when = "above"
limit = 20000
label = "LOUD"
[[model.candidate]]
kind = "cnn"
filters = [6, 8]
kernel = 5
pool = "both"
epochs = 6
batch = 32
learning_rate = 0.01
"""
)

AUTOENCODER = """
output = "anomaly"
normal = ["slow"]
classes = ["fine", "strange"]
limit_quantile = 0.98
[[model.candidate]]
kind = "autoencoder"
hidden = [16, 4, 16]
epochs = 20
batch = 16
learning_rate = 0.01
"""
FORECAST = """
output = "value"
target = "a"
ahead = 4
edges_raw = [500]
classes = ["low", "high"]
[[model.candidate]]
kind = "lstm"
units = 6
epochs = 8
batch = 16
learning_rate = 0.02
[targets]
int8_loss = 4
"""


def recording(person: str, label: str, seed: int, rows: int = 640) -> Recording:
    """Two noisy waves, 90 degrees apart; "fast" ones at three times the rate, which differs from person to person."""
    random = np.random.default_rng(seed)
    pace = 0.5 * (3 if label == "fast" else 1) * random.uniform(0.8, 1.2)
    angle = 2 * np.pi * pace * np.arange(rows) / 20 + random.uniform(0, 6)
    waves = np.stack([np.sin(angle), np.cos(angle)], 1) * 3000 * random.uniform(0.8, 1.2)
    counts = np.rint(waves + random.normal(0, 300, waves.shape) + 500).astype(np.int16)
    return Recording(f"{person}-{label}", counts, 20, label, person)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    made = [recording(f"p{k}", label, 10 * k + i) for k in range(1, 5) for i, label in enumerate(("slow", "fast"))]
    channels = tuple(ChannelInfo(name, "1", 0.001) for name in "ab")
    return Dataset("tiny", 20, channels, tuple(made))


def recipe(folder: Path, text: str) -> Path:
    path = folder / "model.toml"
    path.write_text(text)
    return path


def built(folder: Path, text: str, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    """Train and convert; the folder and what conversion said."""
    dataset.save(folder / "tiny")
    monkeypatch.setattr(stages, "BUILD", folder / "build")
    stages.train(str(recipe(folder, text)))
    return folder / "build" / "tiny", stages.convert(folder / "build" / "tiny")


# --- recipes, noise, gate: no TensorFlow ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "instead", "words"),
    [
        ('family = "neural"', 'family = "nets"', "family as trees, neural or none, got 'nets'"),
        ('kind = "cnn"', 'kind = "autoencoder"', "kind as one of cnn, lstm, gru, dense, got 'autoencoder'"),
        ("filters = [6, 8]", "filters = []", "filters as whole numbers in 1..256, got []"),
        ("filters = [6, 8]", "filters = [6, true]", "filters as whole numbers in 1..256"),
        ("kernel = 5", "kernal = 5", "no such key: kernal"),
        ("seed = 3", 'seed = 3\ninput = "features"', "a cnn reads windows, not features"),
        ("seed = 3", 'seed = 3\nof = ["c"]', "there is no 'c' (there are a, b)"),
        ('folds = [["p1"], ["p2", "p3"]]', 'folds = [["p1", "p2"], ["p2"]]', "a group is left out once only"),
        ("seed = 3", 'seed = 3\noutput = "value"', "expected target as text"),
        ("seed = 3", 'seed = 3\noutput = "anomaly"\nnormal = ["slow"]', "one of autoencoder, got 'cnn'"),
        ("gain = 0.05", "gain = 1.5", "gain and jitter below 1"),
        ("gain = 0.05", "gian = 0.05", "no such key: gian"),
        ("[[model.candidate]]", "[[model.candidates]]", "expected at least one [[model.candidate]]"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(tmp_path: Path, was: str, instead: str, words: str) -> None:
    assert was in CNN
    with pytest.raises(SensewellError, match=re.escape(words)):
        Recipe.load(recipe(tmp_path, CNN.replace(was, instead)))


def test_without_tensorflow_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    keras_nets.tensorflow.cache_clear()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(SensewellError, match="make neural"):
        keras_nets.tensorflow()
    keras_nets.tensorflow.cache_clear()


def test_field_noise_does_what_it_says_and_nothing_else() -> None:
    random = np.random.default_rng
    windows = random(0).integers(-3000, 3000, (40, 50, 4)).astype(np.int16)
    windows[3, 7] = MISSING
    assert spoil(windows, FieldNoise(), [], 50, random(1)) is windows
    offset = spoil(windows, FieldNoise(offset_raw=100), [], 50, random(1)).astype(int) - windows
    good = windows != MISSING
    assert (np.ptp(offset[0], axis=0) == 0).all() and 20 < np.abs(offset[good]).max() <= 100
    assert (offset[~good] == 0).all()
    gain = spoil(windows, FieldNoise(gain=0.1), [], 50, random(1))
    assert np.abs(gain[good] - windows[good] * 1.0).max() <= 301
    tilted = spoil(windows, FieldNoise(tilt_deg=30), [(0, 1, 2)], 50, random(1))
    length = np.linalg.norm(windows[0, :, :3], axis=1)
    assert np.abs(np.linalg.norm(tilted[0, :, :3], axis=1) - length).max() < 2
    assert (tilted[..., 3] == windows[..., 3]).all() and (tilted[0, :, :3] != windows[0, :, :3]).any()
    hum = spoil(np.zeros_like(windows), FieldNoise(hum_raw=200, hum_hz=50), [], 200, random(1))[0, :, 0]
    spectrum = np.abs(np.fft.rfft(hum[:48]))
    assert spectrum.argmax() == 12  # 50 of 200 Hz: a quarter of the rate
    late = spoil(windows, FieldNoise(jitter=0.4), [], 50, random(1))
    assert (late[0, 1:-1] != windows[0, 1:-1]).mean() > 0.9
    lost = spoil(windows, FieldNoise(drop=1.0, drop_n=5), [], 50, random(1))
    n_lost = (lost == MISSING).all(2).sum(1)
    assert n_lost.min() >= 1 and n_lost.max() <= 6
    again = spoil(windows, FieldNoise(drop=1.0, drop_n=5), [], 50, random(1))
    assert (again == lost).all()


def test_a_drop_out_is_held_as_the_board_holds_it() -> None:
    windows = np.arange(24, dtype=np.int16).reshape(1, 12, 2)
    windows[0, 0] = windows[0, 4:6] = MISSING
    windows[0, 8, 1] = MISSING
    found = held(windows)[0, :, 0].tolist()
    assert found == [2, 2, 4, 6, 6, 6, 12, 14, 14, 18, 20, 22]
    assert held(windows)[0, 8].tolist() == [14, 15]
    assert (held(np.full((1, 4, 2), MISSING, np.int16)) == 0).all()


def test_windows_come_from_the_device_with_what_it_held() -> None:
    samples = recording("p1", "slow", 1, 100).samples.copy()
    samples[50:52] = MISSING
    path = DataPath(20, 2, 32, 16, ({"f": "mean", "c": 0},), raw=True)
    found = features_of([samples, samples[:40]], path, engine="cpython", cache=None)
    assert found.rows is not None and found.rows.shape == (len(found), 32, 2) and len(found) == 6
    for rows, source, end in zip(found.rows, found.source, found.end, strict=True):
        raw = (samples, samples[:40])[source][end - 32 : end]
        assert np.array_equal(rows, held(raw[None])[0])
    assert features_of([samples], replace(path, raw=False), engine="cpython", cache=None).rows is None


def test_windows_and_their_copies_are_as_a_calibrated_board_has_them(tmp_path: Path, dataset: Dataset) -> None:
    made_by = {"a": {"offset_raw": 40, "gain_q12": -2048, "from": "b"}}
    sessions = [{"recording": one.name, "calibration": made_by if one.group == "p1" else None}
                for one in dataset.recordings]  # fmt: skip
    captured = replace(dataset, notes={"about": {"captured": True, "sessions": sessions}})
    done = [
        replace(one, samples=np.array([applied(made_by, ["a", "b"], row) for row in one.samples], np.int16))
        if one.group == "p1" else one for one in dataset.recordings
    ]  # fmt: skip
    text = CNN[: CNN.index("[augment.field]")] + CNN[CNN.index("[features]") :]
    wanted = Recipe.load(recipe(tmp_path, text))
    assert wanted.net
    found = []
    for given in (captured, replace(dataset, recordings=tuple(done))):
        split, boards = run.boards_that_made(wanted, given, split_by_group(given, wanted.train, wanted.test))
        side = neural_train._side(wanted, wanted.net, split.train, ["1", "1"], None, "cpython", boards)
        found.append((side.X, *neural_train._copies(wanted, wanted.net, split.train, side, None, "cpython", boards)))
    assert len(found[0]) == 2 and all(np.array_equal(one, two) for one, two in zip(*found, strict=True))
    split = split_by_group(dataset, wanted.train, wanted.test)
    plain = neural_train._side(wanted, wanted.net, split.train, ["1", "1"], None, "cpython", {})
    assert not np.array_equal(plain.X, found[0][0])


@needs_tensorflow
def test_a_forecast_does_not_learn_from_a_calibrated_board(tmp_path: Path, dataset: Dataset) -> None:
    sessions = [{"recording": dataset.recordings[0].name, "calibration": {"a": {"offset_raw": 40}}}]
    captured = replace(dataset, notes={"about": {"captured": True, "sessions": sessions}})
    with pytest.raises(SensewellError, match=r"captured on a calibrated board: .*`sensewell calibrate clear`"):
        neural_train.train(recipe(tmp_path, HEAD + FORECAST), tmp_path / "out", dataset=captured)


def test_a_csv_is_a_source_and_can_be_cut_into_groups(tmp_path: Path) -> None:
    lines = ["a,b", *(f"{k % 50},{k % 7}" for k in range(250))]
    (tmp_path / "long.csv").write_text("\n".join(lines))
    schema = {"name": "tiny", "rate_hz": 20, "channels": [{"name": n, "unit": "1", "scale": 0.1} for n in "ab"]}
    (tmp_path / "long-schema.json").write_text(json.dumps(schema))
    text = CNN.replace('source = "tiny"', 'source = "long.csv"\nschema = "long-schema.json"\ncut_rows = 100')
    loaded = run.load_dataset(Recipe.load(recipe(tmp_path, text.replace('"slow", "fast"', '"", "fast"'))))
    assert loaded.groups == ["1", "2", "3"] and [len(one.samples) for one in loaded.recordings] == [100, 100, 50]
    assert loaded.recordings[1].samples[0].tolist() == [0, 20]


def test_channels_of_a_unit_keep_their_directions() -> None:
    net = Recipe.load(MODELS / "watch_cnn" / "model.toml").net
    assert net is not None
    counts = np.random.default_rng(0).normal(0, [1000, 10, 500, 7], (50, 20, 4)).astype(np.int16)
    unit = neural_train.Scale.of(replace(net, scale="unit"), counts, ("m/s2", "m/s2", "m/s2", "rad/s"))
    each = neural_train.Scale.of(replace(net, scale="each"), counts, ())
    assert unit.std[0] == unit.std[1] == unit.std[2] > 600 > 8 > unit.std[3] > 6 and not unit.mean.any()
    assert each.std.round(-1).tolist() == pytest.approx([1000, 10, 500, 10], rel=0.1)
    assert np.abs(each.scaled(counts)).max() <= net.clip


def test_the_gate_refuses_what_loses_too_much() -> None:
    y, groups = np.arange(60) % 3, np.repeat(["1", "2"], 30)
    good = gate.judge_classes(y, y, groups, 3)
    worse = gate.judge_classes(y, np.where(np.arange(60) < 3, (y + 1) % 3, y), groups, 3)
    assert good.points == 100 and 94 < worse.points < 96
    assert gate.refuse_loss(good, worse, 10, "here") == good.points - worse.points
    with pytest.raises(SensewellError, match=r"int8 costs 5\.\d\d points here .* 1 are allowed: nothing was converted"):
        gate.refuse_loss(good, worse, 1, "here")
    with pytest.raises(SensewellError, match="int8 costs nan"):
        gate.refuse_loss(good, replace(worse, points=float("nan")), 1, "here")


def test_points_of_errors_and_forecasts() -> None:
    strange = np.arange(40) % 2 > 0
    groups = np.repeat(["1", "2"], 20)
    perfect = gate.judge_anomaly(strange, strange + 0.5, groups, 1.0)
    assert perfect.points == 100 and perfect.more["found"] == 1 and perfect.more["false_alarms"] == 0
    assert gate.judge_anomaly(strange, np.ones(40), groups, 1.0).points == 50
    only_normal = gate.judge_anomaly(np.zeros(4, bool), np.full(4, 0.1), groups[:4], 1.0, 2.0)
    assert only_normal.points == pytest.approx(95) and "found" not in only_normal.more
    truth, stays = np.arange(20.0), np.arange(20.0) - 4
    assert gate.judge_value(truth, truth - 1, stays, groups[10:30]).points == pytest.approx(75)


def test_the_linear_forecast_takes_the_penalty_that_is_best_on_groups_left_out() -> None:
    random = np.random.default_rng(0)
    x, groups = random.normal(size=(90, 60)), np.repeat(["1", "2", "3"], 30)
    stays = 100 * random.normal(size=90)
    noisy = stays + 5 * x[:, 0] + random.normal(size=90) * 20
    found = baselines.linear_value(x[:60], noisy[:60], stays[:60], groups[:60], x[60:], stays[60:])
    alone = baselines.linear_value(x[:60], noisy[:60], stays[:60], groups[:1].repeat(60), x[60:], stays[60:])
    assert np.abs(found - noisy[60:]).mean() < np.abs(alone - noisy[60:]).mean() / 1.3
    exact = baselines.linear_value(x, stays + 2 * x[:, 3], stays, groups, x, stays)
    assert np.abs(exact - stays - 2 * x[:, 3]).max() < 0.3


# --- with TensorFlow ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cnn(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return built(tmp_path_factory.mktemp("cnn"), CNN, dataset, monkeypatch)


@needs_tensorflow
def test_from_recordings_to_a_net_that_is_proven(cnn: Any) -> None:
    folder, converted = cnn
    figures = json.loads((folder / "train.json").read_text())
    assert figures["left_out"]["macro_f1"] > 0.8 and figures["targets_missed"] == []
    assert (folder / "model.bin").read_bytes() == converted.blob and converted.blob[4:8] == b"TFL3"
    assert converted.parity.differ == 0 and converted.parity.distinct > 100
    assert converted.left_out["lost"] <= 1 and converted.needs.arena_bytes < 4000
    assert converted.needs.ops[0] == "CONV_2D" and "conv" in converted.needs.peak
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["model"]["family"] == "neural" and len(manifest["model"]["take"]["gain"]) == 2
    assert manifest["labels"] == ["slow", "fast", "unknown", "LOUD"]


@needs_tensorflow
def test_a_bundle_decides_as_the_net_was_judged(cnn: Any, dataset: Dataset) -> None:
    folder, converted = cnn
    bundle = stages.pack(folder)
    said = pack.inspect(bundle)
    assert said["sections"]["model"] == converted.bytes and said["manifest"]["golden"]["windows"] == 4
    opened = Bundle.open(bundle.read_bytes())
    pipeline = Pipeline(opened)
    opened.prove(pipeline)
    decided = []
    for one in dataset.of_groups(["p4"]):
        pipeline.reset()
        for number, row in enumerate(one.samples):
            before = pipeline.windows
            pipeline.feed(array("h", row.tobytes()), 50 * number)
            if pipeline.windows != before:
                decided.append(pipeline.best)
    found = neural.load(folder)
    net = neural.Int8Net(converted.blob, net_engine.open_net(converted.blob), found.about, found.about["scales"][-1])
    expected = net.answers(found.arrays["X_test"]).argmax(1).tolist()
    assert len(set(expected)) == 2 and decided == expected


@needs_tensorflow
def test_an_autoencoder_finds_what_it_has_not_seen(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = HEAD + AUTOENCODER
    folder, converted = built(tmp_path, text, dataset, monkeypatch)
    assert converted.test["int8"]["points"] > 90 and converted.test["int8"]["found"] > 0.7
    assert converted.test["int8"]["false_alarms"] < 0.3
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["model"]["n_classes"] == 2 and manifest["labels"] == ["fine", "strange", "unknown"]
    assert set(manifest["model"]["error"]) == {"gain_in", "gain_out", "shift", "limit_q8"}
    assert manifest["features"] == [] and "statistics" not in manifest


@needs_tensorflow
def test_an_lstm_forecasts(tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    head = HEAD.replace("length = 32\nhop = 16", "length = 12\nhop = 6")
    folder, converted = built(tmp_path, head + FORECAST, dataset, monkeypatch)
    assert converted.test["int8"]["points"] > 30  # percent less error than persistence
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in converted.needs.ops and converted.bytes < 6000
    assert converted.parity.differ == 0 and converted.parity.distinct > 20
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["model"]["edges_raw"] == [500] and set(manifest["model"]["give"]) == {"gain", "shift", "offset_raw"}
    assert manifest["model"]["forecast"] == {"channel": 0, "ahead": 4}


@needs_tensorflow
def test_a_gru_is_converted_step_by_step() -> None:
    layers = {"kind": "gru", "units": 3, "dense": [], "dropout": 0.0}
    model = keras_nets.build(layers, 4, 2, 1, "numbers", seed=1)
    x = np.random.default_rng(0).normal(size=(50, 4, 2)).astype(np.float32)
    [blob] = keras_child.convert([FloatNet("gru", layers, 4, 2, 1, "numbers", model.get_weights(), x)])
    engine, needs = net_check.check(blob, {})
    assert needs.bytes > 8000 and "UNIDIRECTIONAL_SEQUENCE_LSTM" not in needs.ops
    port, out = engine.inputs[0], engine.outputs[0]
    q = np.clip(np.rint(x.reshape(50, -1) / port.scale + port.zero_point), -128, 127).astype(np.int8)
    assert neural.prove(blob, engine, (q, q[:0])).differ == 0
    got = (net_engine.ours(engine, q).astype(float) - out.zero_point) * out.scale
    assert np.corrcoef(got[:, 0], keras_nets.answers(model, x)[:, 0])[0, 1] > 0.95


@needs_tensorflow
def test_the_same_seed_gives_the_same_net_and_another_one_another() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(64, 16, 1, 2)).astype(np.float32), np.arange(64) % 2
    layers = {
        "kind": "cnn",
        "filters": [4],
        "kernel": 3,
        "stride": 2,
        "separable": False,
        "pool": "mean",
        "dropout": 0.2,
    }
    how = {"epochs": 2, "batch": 16, "learning_rate": 0.01, "weight_decay": 0.001, "label_smoothing": 0.0,
           "balanced": True, "loss": "squared"}  # fmt: skip

    def weights(seed: int) -> bytes:
        model = keras_nets.build(layers, 16, 2, 2, "logits", seed=seed)
        keras_nets.fit(model, how, "classes", x, y, seed)
        return b"".join(np.asarray(one).tobytes() for one in model.get_weights())

    assert weights(1) == weights(1) != weights(2)


@needs_tensorflow
def test_the_lstm_that_is_converted_is_the_one_that_was_trained() -> None:
    layers = {
        "kind": "lstm", "units": 5, "dense": [4], "dropout": 0.0, "residual": True, "linear": True, "target": 1,
    }  # fmt: skip
    x = np.random.default_rng(0).normal(size=(6, 9, 3)).astype(np.float32)
    trained = keras_nets.build(layers, 9, 3, 1, "numbers", seed=4)
    weights = [one + 0.1 * (one.shape == (27, 1)) for one in trained.get_weights()]
    trained.set_weights(weights)
    converted = keras_nets.build(layers, 9, 3, 1, "numbers", board=True)
    converted.set_weights(weights)
    expected = keras_nets.answers(trained, x)
    got = np.concatenate([np.asarray(converted(x[k : k + 1])) for k in range(6)])
    assert np.abs(expected - got).max() < 1e-5 and np.ptp(expected) > 0.1


@needs_tensorflow
@pytest.mark.parametrize(
    "kind", [{"kind": "gru", "units": 3}, {"kind": "dense", "hidden": [4]}, {"kind": "cnn", "filters": [3]}]
)
def test_a_forecast_starts_from_the_last_sample_and_a_sum_of_all(kind: dict[str, Any]) -> None:
    layers = {"kernel": 3, "stride": 2, "separable": False, "pool": "mean", "dense": [], "dropout": 0.0}
    layers |= {**kind, "residual": True, "linear": True, "target": 2}
    model = keras_nets.build(layers, 8, 3, 1, "numbers")
    x = np.random.default_rng(0).normal(size=(5, 8, 3)).astype(np.float32)
    weights = [np.zeros_like(one) for one in model.get_weights()]
    shape = (-1, *model.input_shape[1:])
    model.set_weights(weights)
    assert np.array_equal(keras_nets.answers(model, x.reshape(shape))[:, 0], x[:, -1, 2])
    at = [model.get_layer("linear").kernel is one for one in model.weights].index(True)
    weights[at][4] = 0.5  # the second sample of the second channel
    model.set_weights(weights)
    assert keras_nets.answers(model, x.reshape(shape))[:, 0] == pytest.approx(x[:, -1, 2] + x[:, 1, 1] / 2, abs=1e-6)


# --- a converter that fails: with or without TensorFlow --------------------------------------------------------------


def net(**more: Any) -> FloatNet:
    layers = {"kind": "dense", "hidden": [3], "dense": [], "dropout": 0.0}
    weights = [np.ones(shape, np.float32) for shape in ((4, 3), (3,), (3, 2), (2,))]
    return replace(FloatNet("final", layers, 0, 4, 2, "numbers", weights, np.ones((5, 4), np.float32)), **more)


def program(text: str) -> list[str]:
    return [sys.executable, "-c", "import json, os, signal, sys, time\njob = json.load(open(sys.argv[1]))\n" + text]


def test_a_crash_of_the_converter_is_a_sentence_that_names_the_layer() -> None:
    with pytest.raises(SensewellError) as caught:
        keras_child.convert([net()], program("os.kill(os.getpid(), signal.SIGSEGV)"))
    said = str(caught.value)
    assert "the net 'final' to int8: it crashed (SIGSEGV)" in said and "train again" in said
    assert ("'dense1' (Dense)" in said) if HAVE else ("the layers of a dense" in said)


@needs_tensorflow
def test_the_layer_is_the_one_that_it_crashes_on() -> None:
    text = """
until = job["nets"][0].get("until")
if until in (None, "answer"):
    os.kill(os.getpid(), signal.SIGABRT)
print(json.dumps({"name": "final", "done": True}))
"""
    with pytest.raises(SensewellError, match=r"crashed \(SIGABRT\)\. The first layer .* is 'answer' \(Dense\)"):
        keras_child.convert([net()], program(text))


def test_the_second_net_is_named_where_the_first_was_done() -> None:
    text = 'print(json.dumps({"name": job["nets"][0]["name"], "done": True}), flush=True)\nsys.exit("no more")'
    with pytest.raises(SensewellError, match=r"the net 'second' to int8: it ended with code 1: no more"):
        keras_child.convert([net(), net(name="second")], program(text))


def test_a_converter_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_child, "SECONDS", 0.5)
    monkeypatch.setattr(keras_child, "_first_bad_layer", lambda *_: "")
    with pytest.raises(SensewellError, match=r"it was stopped after 0\.5 s"):
        keras_child.convert([net()], program("time.sleep(60)"))


@needs_tensorflow
def test_what_the_converter_says_comes_through() -> None:
    with pytest.raises(SensewellError, match=r"'final' to int8: ValueError: .*shape"):
        keras_child.convert([net(weights=[np.ones((9, 3), np.float32), *net().weights[1:]])])


# --- sizes and operators ----------------------------------------------------------------------------------------------


@needs_tensorflow
def test_what_does_not_fit_is_refused_by_the_name_of_its_layer(cnn: Any) -> None:
    _, converted = cnn
    for limit, words in (("arena_bytes", "arena_bytes: at most 100"), ("model_bytes", "model_bytes: at most 100")):
        with pytest.raises(SensewellError, match=words + r", got \d+\. Most RAM at once takes CONV_2D of conv\d"):
            net_check.check(converted.blob, {limit: 100})
    assert net_check.check(converted.blob, {"macs": 1e9})[1] == converted.needs


def test_an_operator_that_no_board_has_is_refused_by_the_name_of_its_layer() -> None:
    m = Model()
    x, y, z = (m.tensor([1, 8], INT8, 0.5, 0) for _ in range(3))
    m.op("RELU", [x], [y])
    m.op("ABS", [y], [z])
    with pytest.raises(SensewellError, match=r"neural\.op.*operator 1.*\(ABS of "):
        net_check.check(m.bytes([x], [z]), {})


@needs_tensorflow
def test_a_difference_between_the_engines_is_refused(cnn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, converted = cnn
    engine = net_engine.open_net(converted.blob)
    inputs = np.random.default_rng(0).integers(-128, 128, (20, engine.inputs[0].n)).astype(np.int8)
    assert neural.prove(converted.blob, engine, (inputs[:10], inputs[10:])).differ == 0
    reference = neural.reference
    monkeypatch.setattr(neural, "reference", lambda data, q: reference(data, q) ^ (np.arange(len(q)) == 3)[:, None])
    with pytest.raises(SensewellError, match="differ on 1 of 20 inputs"):
        neural.prove(converted.blob, engine, (inputs[:10], inputs[10:]))
    with pytest.raises(SensewellError, match="one and the same answer to 4 inputs"):
        monkeypatch.setattr(neural, "reference", reference)
        neural.prove(converted.blob, engine, (inputs[:1].repeat(4, 0), inputs[:0]))


@needs_tensorflow
def test_int8_that_loses_too_much_leaves_nothing_to_pack(cnn: Any, tmp_path: Path) -> None:
    folder, _ = cnn
    copy = shutil.copytree(folder, tmp_path / "tiny")
    figures = json.loads((copy / "train.json").read_text())
    figures["targets"]["int8_loss"] = -5
    (copy / "train.json").write_text(json.dumps(figures))
    with pytest.raises(SensewellError, match=r"int8 costs .* points on groups left out of training .* -5 are allowed"):
        stages.convert(copy)
    assert not (copy / "model.bin").exists()
    with pytest.raises(SensewellError, match=r"run `sensewell convert"):
        stages.pack(copy)
