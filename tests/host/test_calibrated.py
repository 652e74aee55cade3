"""What a capture says of its board's calibration is used: to train, to evaluate, to run, as the board itself does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensewell_host import stages
from sensewell_host.calibrate import applied
from sensewell_host.cli import app
from sensewell_host.dataset import ChannelInfo, Dataset, Recording
from sensewell_host.dataset.calibrated import as_lists, calibrations
from sensewell_host.errors import SensewellError
from sensewell_host.run import Record
from sensewell_host.train.run import train
from typer.testing import CliRunner

RECIPE = """name = "tiny"
version = 1
what = "a test"
boards = ["*"]
[data]
source = "data"
rate_hz = 10
channels = ["a"]
labels = ["rests", "runs"]
train = ["one", "two"]
test = ["three"]
[window]
length = 10
hop = 5
min_quality_pct = 80
[features]
each = ["mean"]
of = ["a"]
[[model.candidate]]
kind = "extra_trees"
trees = 5
max_leaf_nodes = 4
[arbiter]
fallback = "unknown"
[evaluate]
alarm = ["runs"]
"""
NAMES = ("a", "b")
CHANNELS = tuple(ChannelInfo(name, "g", 0.001) for name in NAMES)
FILE = {"sensewell_calibration": 1, "made": [], "channels": {"a": {"offset_raw": 7, "gain_q12": 2048}, "z": {}}}


def dataset(said: dict[str, Any], recordings: tuple[Recording, ...]) -> Dataset:
    sessions = [{"recording": name, "calibration": of} for name, of in said.items()]
    return Dataset("cap", 10, CHANNELS, recordings, {"about": {"captured": True, "sessions": sessions}})


def sensewell(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def recording(name: str, **extra: str) -> Recording:
    return Recording(name, np.zeros((3, 2), np.int16), 10, "x", "g", dict(extra))


def test_each_recording_has_the_calibration_of_its_session() -> None:
    own = [None, {"from": 0, "gain_q12": -4096}]  # CALIBRATION of a setup.py
    said = {"w-1": FILE, "w-1-2": own, "w-3": None, "w-4": {"a": {"gain_q12": 4096}}}
    names = ("w-1", "w-1-2-2", "w-3", "w-4")
    kept = (*map(recording, names), recording("w-1-2", recording="w-1"), recording("cut", recording="w-1-2"))
    found = calibrations(dataset(said, kept))
    turned = {"b": {"from": "a", "gain_q12": -4096}}
    file = {"a": {"offset_raw": 7, "gain_q12": 2048}}
    assert found == {"w-1": file, "w-1-2-2": turned, "w-3": {}, "w-4": {}, "w-1-2": file, "cut": turned}
    assert as_lists(found["cut"], NAMES) == [{}, {"from": 0, "gain_q12": -4096}]
    assert calibrations(dataset({"w-3": None, "w-4": {"a": {"gain_q12": 4096}}}, kept)) == {}
    assert calibrations(Dataset("plain", 10, CHANNELS, kept)) == {}


@pytest.mark.parametrize(
    "said", [{"a": {"gain_q12": 99999}}, {"a": {"from": "c"}}, [{}], [{"from": 5}, {}], {"a": 3}, "no", [3, 4]]
)
def test_what_no_board_could_apply_is_refused_with_its_session(said: Any) -> None:
    with pytest.raises(SensewellError, match=r"came with w-1 is none that a board could apply .*import again"):
        calibrations(dataset({"w-1": said}, (recording("w-1"),)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three boards on three machines that rest and run, each board off by its own offset and gain, each calibrated."""
    random = np.random.default_rng(3)
    parts, sessions = [], []
    for group, offset, gain in (("one", 0, 1.0), ("two", 1500, 0.8), ("three", -2500, -1.25)):
        channels = {"a": {"offset_raw": offset, "gain_q12": round(4096 / gain)}}
        for k, label in enumerate(("rests", "runs", "rests")):
            level = 1000 if label == "runs" else 0
            counts = (offset + gain * (level + random.normal(0, 50, (300, 1)))).astype(np.int16)
            parts.append(Recording(f"{group}{k}", counts, 10, label, group, {"recording": group}, k > 0))
        sessions.append({"recording": group, "calibration": {"sensewell_calibration": 1, "channels": channels}})
    notes = {"about": {"captured": True, "sessions": sessions}}
    Dataset("tiny", 10, CHANNELS[:1], tuple(parts), notes).save(tmp_path / "data")
    (tmp_path / "model.toml").write_text(RECIPE)
    monkeypatch.setattr(stages, "BUILD", tmp_path / "build")
    return tmp_path


def test_a_forest_learns_from_calibrated_counts_and_is_judged_by_them(folder: Path) -> None:
    given = Dataset.load(folder / "data")
    made_by = calibrations(given)
    result = train(folder, folder / "mine", engine="cpython")
    done = [
        replace(one, samples=np.array([applied(made_by[one.name], ["a"], row) for row in one.samples], np.int16))
        for one in given.recordings
    ]
    same = train(
        folder, folder / "same", dataset=replace(given, recordings=tuple(done), notes={}, folder=None), engine="cpython"
    )
    assert result.test.macro_f1 == same.test.macro_f1 == 1
    assert (result.X_train == same.X_train).all() and (result.X_test == same.X_test).all()
    plain = train(folder, folder / "plain", dataset=replace(given, notes={}), engine="cpython")
    assert plain.test.macro_f1 < 0.7  # so it mattered


def test_evaluate_and_run_play_each_recording_as_its_board_would(folder: Path) -> None:
    stages.train(str(folder))
    stages.convert(stages.folder_of(str(folder)))
    stages.pack(stages.folder_of(str(folder)))
    said = sensewell("evaluate", folder, "--out", folder / "out", "--linear")
    accuracy = next(line for line in said.splitlines() if "accuracy" in line).split()
    assert [float(word) > 0.9 for word in accuracy[1:]] == [True, False, True, True], said
    bundle = stages.folder_of(str(folder)) / "tiny.swb"
    sensewell("run", "--data", folder / "data", "--bundle", bundle, "--group", "three", "--out", folder / "run")
    record = Record.load(folder / "run")
    label = record.manifest["labels"].index("runs")
    assert [float((one.decisions["best"] == label).mean()) > 0.9 for one in record.played["clean"]] == [
        False, True, False,
    ]  # fmt: skip
