"""Calibration at rest: what follows from counts, and that board, player and training apply it alike."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_bundle
from sensewell_host import run
from sensewell_host.calibrate import applied
from sensewell_host.dataset.recording import MISSING, Recording
from sensewell_host.dataset.tape import Tape, tapes
from sensewell_host.device_run import DataPath, features_of
from sensewell_host.errors import SensewellError
from sensewell_host.rest import Rest, measure, split_recordings
from sensewell_host.train.recipe import Recipe

NAMES = ("flow", "g")
REST = Rest(50, 64, {"flow": (0, 2), "g": (20, 0)})
MODELS = Path(__file__).resolve().parents[2] / "models"


def rows(n: int, flow: float, g: float, noise: float = 3.0, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.rint(random.normal((flow, g), noise, (n, 2))).astype(np.int16)


def recording(name: str, samples: np.ndarray, label: str = "healthy", follows: bool = False) -> Recording:
    return Recording(name, samples, 1, label, "day", {"run": name.partition("-")[0]}, follows)


def test_the_mean_is_0_and_a_spread_is_so_many_counts_with_a_floor_for_what_does_not_move() -> None:
    at_rest = rows(200, 5000, 300, noise=40)
    at_rest[7] = MISSING
    entries = measure(at_rest, NAMES, REST)
    assert abs(entries["flow"]["offset_raw"] - 5000) < 10 and abs(entries["g"]["offset_raw"] - 300) < 10
    # flow: the floor of 2 % of 5000 is more than its deviation; g: its own deviation of 40
    assert applied(entries, NAMES, [5000 - 100, 300 + 40]) == pytest.approx([-64, 64], abs=10)


def test_what_no_board_could_apply_or_nobody_measured_is_refused() -> None:
    with pytest.raises(SensewellError, match="gain of a board is below 4"):
        measure(rows(100, 5000, 300), NAMES, replace(REST, floors={"flow": (0, 2)}))
    nothing = rows(100, 5000, 300)
    nothing[5:, 1] = MISSING
    with pytest.raises(SensewellError, match="g: expected at least 10 readings at rest, got 5"):
        measure(nothing, NAMES, REST)


def test_the_manifest_keeps_it_whole() -> None:
    assert Rest.of(REST.as_dict()) == REST


def test_the_rest_of_a_session_is_left_out_and_its_calibration_holds_after_a_hole_too() -> None:
    one = [
        recording("a", rows(60, 5000, 300)),
        recording("a-2", rows(30, 4000, 300), "fault", True),
        recording("a-3", rows(20, 4000, 300), "fault"),  # after a hole: no rest of its own
        recording("b", rows(40, 900, 100)),
        recording("b-2", rows(40, 900, 100), "fault", True),
    ]
    kept, boards = split_recordings(one, NAMES, replace(REST, by="run"))
    assert [(r.name, len(r.samples)) for r in kept] == [("a", 10), ("a-2", 30), ("a-3", 20), ("b-2", 30)]
    assert boards[0] == boards[1] == boards[2] != boards[3]
    assert [tape.name for tape in tapes(kept)] == ["a", "a-3", "b-2"]  # b-2 goes on nobody's tape
    with pytest.raises(SensewellError, match="does not say its 'machine'"):
        split_recordings(one, NAMES, replace(REST, by="machine"))


def test_features_are_of_calibrated_counts_each_recording_by_its_own_board() -> None:
    first, second = rows(100, 5000, 300), rows(100, 800, 120, seed=2)
    boards = [[measure(part[:50], NAMES, REST)[name] for name in NAMES] for part in (first, second)]
    path = DataPath(1, 2, 20, 10, ({"f": "mean", "c": 0}, {"f": "mean", "c": 1}))
    parts = [first[50:], second[50:]]
    plain = features_of(parts, path, engine="cpython", cache=None, workers=1)
    mine = features_of(parts, path, engine="cpython", cache=None, workers=1, calibrations=boards)
    assert plain.X[:, 0].min() > 700 and np.abs(mine.X).max() < 32
    assert (mine.source == plain.source).all() and mine.samples == plain.samples == 100
    with pytest.raises(SensewellError, match="a calibration for each of 2"):
        features_of(parts, path, cache=None, calibrations=boards[:1])


def test_the_player_decides_as_a_board_with_that_calibration() -> None:
    manifest = tiny_bundle.manifest(3, condition={})
    model = tiny_bundle.forest(5, 2)
    data = tiny_bundle.write(manifest, {"model": model, "golden": tiny_bundle.golden(manifest, model)})
    random = np.random.default_rng(3)
    samples = random.integers(-3000, 3000, (400, 3)).astype(np.int16)
    names = [entry["name"] for entry in manifest["channels"]]
    entries = {name: {"offset_raw": 500, "gain_q12": 2048} for name in names}
    tape = Tape("t", "g", 50, samples, ((0, "x"),))
    done = np.array([applied(entries, names, row) for row in samples], np.int16)
    ways = [run.Way("plain"), run.Way("calibrated", calibration={"t": entries}), run.Way("none", calibration={"t": {}})]
    played = run.play_on_host(data, [tape], ways)
    before = run.play_on_host(data, [replace(tape, samples=done)], ways[:1])
    assert played["calibrated"][0].decisions.tobytes() == before["plain"][0].decisions.tobytes()
    assert played["none"][0].same(played["plain"][0])
    assert not played["calibrated"][0].same(played["plain"][0])
    assert array("h", samples[0].tobytes())[0] == samples[0, 0]


def test_recipes_say_it_by_channel_and_a_channel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    recipe = Recipe.load(MODELS / "pump")
    assert recipe.rest and recipe.rest.rows(1) == 300 and recipe.rest.floors["acc1"] == (0, 25)
    text = (MODELS / "pump" / "model.toml").read_text()
    for changed, expected in (
        (text.replace('of = ["pressure"]', 'of = ["presure"]'), "no channel 'presure'"),
        (text.replace("raw = 100", "raw = 0"), "raw or pct above 0"),
    ):
        (tmp_path / "model.toml").write_text(changed)
        with pytest.raises(SensewellError, match=expected):
            Recipe.load(tmp_path)
