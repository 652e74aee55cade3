"""models/air_forecast from the year of gas sensors to decisions with values on a virtual ESP32-C3.

Learns for two rounds only: what the net is worth, models/air_forecast/README.md says. Needs TensorFlow and
../shared/data/air_quality; the recipe itself is read without them.
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensewell_host import c_kernels, pack, report, run, runtime, stages
from sensewell_host.board import connect, virtual
from sensewell_host.convert import net_engine, neural
from sensewell_host.dataset import Dataset
from sensewell_host.dataset.csv_import import import_csv
from sensewell_host.dataset.recording import MISSING, Recording
from sensewell_host.deploy import deploy
from sensewell_host.train.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "air_forecast"
DATA = ROOT.parent / "shared" / "data" / "air_quality" / "air_quality.csv.gz"
HAVE = all(importlib.util.find_spec(name) for name in ("tensorflow", "tflite_micro"))
needs_both = pytest.mark.skipif(
    not HAVE or not DATA.is_file(),
    reason="needs ../shared/data/air_quality" if HAVE else "TensorFlow is not installed: pip install -e '.[neural]'",
)


def test_nothing_is_learned_from_what_came_later() -> None:
    recipe = Recipe.load(MODEL)
    assert recipe.net and max(recipe.train) < min(recipe.test) == "2004-07"
    assert recipe.channels[recipe.net.target] == "co" and recipe.net.ahead == 3
    assert recipe.labels == ("CLEAN", "POLLUTED") and recipe.bad_samples["policy"] == "break"
    assert not recipe.augment.copies  # the target of a window moved by noise would not be its own


@pytest.fixture(scope="module")
def year() -> Dataset:
    return import_csv(DATA, schema_path=MODEL / "data.json")[0]


@pytest.fixture(scope="module")
def made(year: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("air")
    year.save(folder / "year")
    text = (MODEL / "model.toml").read_text()
    text = re.sub(r'source = "\S+"', 'source = "year"', text)
    text = re.sub(r"epochs = \d+", "epochs = 2", text)
    text = re.sub(r"train = .*", 'train = ["2004-05", "2004-06"]', text)
    text = re.sub(r"test = .*", 'test = ["2004-07"]', text)
    (folder / "model.toml").write_text(re.sub(r"int8_loss = \S+", "int8_loss = 5", text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "BUILD", folder / "build")
        stages.train(str(folder / "model.toml"))
        built = folder / "build" / "air_forecast"
        return built, stages.convert(built)


@needs_both
def test_a_window_has_no_hole_and_its_target_is_three_hours_later(made: tuple[Path, Any], year: Dataset) -> None:
    arrays = neural.load(made[0]).arrays
    july = year.of_groups(["2004-07"])[0].samples
    good = (july != MISSING).all(1)
    ends = [end for end in range(24, len(july) - 2) if good[end - 24 : end].all() and good[end + 2]]
    assert len(ends) > 500 and not good.all()
    assert np.array_equal(arrays["X_test"], np.array([july[end - 24 : end] for end in ends]))
    assert np.array_equal(arrays["y_test"], july[[end + 2 for end in ends], 0])
    assert np.array_equal(arrays["stays_test"], july[[end - 1 for end in ends], 0])


@needs_both
def test_the_net_is_one_fused_lstm_beside_a_sum_and_equals_tensorflow_lite_micro(made: tuple[Path, Any]) -> None:
    folder, converted = made
    assert converted.needs.ops.count("UNIDIRECTIONAL_SEQUENCE_LSTM") == 1 and "ADD" in converted.needs.ops
    assert converted.parity.inputs >= 2000 and converted.parity.differ == 0 and converted.parity.distinct > 50
    figures = json.loads((folder / "train.json").read_text())
    assert figures["test"]["points"] > 10 and "linear on the net's inputs" in figures["baselines"]


@needs_both
def test_a_board_forecasts_what_the_host_does(made: tuple[Path, Any], year: Dataset) -> None:
    if not virtual.is_built("virt_c3") or "sensewell_neural" not in runtime.native_modules("rv32imc"):
        pytest.skip("virt_c3 or the native modules are not built: make boards native")
    if not c_kernels.use_neural():
        pytest.skip("there is no C compiler")
    folder, converted = made
    bundle = stages.pack(folder)
    manifest = pack.inspect(bundle)["manifest"]
    assert manifest["labels"][:2] == ["CLEAN", "POLLUTED"]
    july = year.of_groups(["2004-07"])[0]
    part = Recording("july", july.samples[:400], july.rate_hz, "", "2004-07")
    with virtual.session("virt_c3") as running, connect(running.address) as wire:
        assert "neural" in deploy(wire, bundle, unsigned=True, again=True).native
        wire.soft_reset()
        played = run.play([wire], [part], [run.Way("clean")])["clean"][0]
    host = run.play_on_host(bundle.read_bytes(), [part], [run.Way("clean")])["clean"][0]
    assert played.same(host)
    by_net = played.decisions[played.decisions["source"] == 0]
    assert len(by_net) > 200 and len(set(by_net["value"].tolist())) > 20
    good = (part.samples != MISSING).all(1)
    windows = [part.samples[end - 24 : end] for end in range(24, 401) if good[end - 24 : end].all()]
    found = neural.load(folder)
    net = neural.Int8Net(converted.blob, net_engine.open_net(converted.blob), found.about, found.about["scales"][-1])
    assert by_net["value"].tolist() == net.values(np.array(windows)).tolist()
    record = run.Record("virt_c3", manifest, "", ["july"], [run.Way("clean")], {"clean": [played]})
    judged = report.judge(record, replace(year, recordings=(part,)))["clean"]
    assert judged.forecasts and len(judged.forecasts.row) > 200
    assert judged.forecasts.mean_error < judged.forecasts.persistence and judged.model.n == len(judged.forecasts.row)
