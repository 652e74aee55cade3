"""The projects pv, air and room as far as their guards go: what is refused of real dirty data, and what is not.

Needs ../shared/data. What their models are worth, tests/e2e/test_slow_projects.py says.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sensewell_host import pack, run
from sensewell_host.dataset import Dataset
from sensewell_host.dataset.csv_import import import_csv
from sensewell_host.dataset.faults import Fault
from sensewell_host.dataset.recording import MISSING
from sensewell_host.dataset.tape import Tape, tapes
from sensewell_host.device_run import features_of
from sensewell_host.train import Recipe, build_manifest, no_model
from sensewell_host.train.manifest import all_labels

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
MODELS = ROOT / "models"
_MISSING, _RANGE, _STUCK, _SPIKE = 1, 2, 8, 16  # reasons.py


def dataset(csv: str, schema: str) -> Dataset:
    path = SHARED / f"{csv}.csv.gz"
    if not path.is_file():
        pytest.skip(f"../shared/data/{csv}.csv.gz is not here")
    return import_csv(path, schema_path=MODELS / schema)[0]


def guard_bundle(model: str, data: Dataset) -> bytes:
    """Guard and rules of a recipe, and nothing else of it."""
    recipe = replace(Recipe.load(MODELS / model), candidates=(), features=())
    recipe = replace(recipe, rules=tuple(rule for rule in recipe.rules if rule["on"] in recipe.channels))
    looked = no_model.NoModelResult(recipe, data.channels, (), {}, {}, np.zeros((0, 1, 1), np.int16))
    return pack.pack(build_manifest(recipe, looked), {})


def marks(tape: Tape, label: str) -> NDArray[np.bool_]:
    found = np.zeros(len(tape.samples), bool)
    for start, end in tape.spans([label]):
        found[start:end] = True
    return found


def played(bundle: bytes, strips: list[Tape], faults: dict[str, Any] | None = None) -> list[run.Replayed]:
    return run.play_on_host(bundle, strips, [run.Way("x", faults)])["x"]


def precision_recall(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[float, float]:
    both = int((found & true).sum())
    return both / int(found.sum()), both / int(true.sum())


def test_pv_stale_readings_are_found_and_nothing_else_is_called_stale(tmp_path: Path) -> None:
    data = dataset("pv_sensor_quality/power_stale_labelled", "pv/data.json")
    result = no_model.train(MODELS / "pv", tmp_path, dataset=data)
    assert result.figures["guard"]["all"]["reasons"]["missing"] == 1149
    bundle = pack.pack(build_manifest(result.recipe, result), {})
    [tape] = tapes(data.recordings)
    [one] = played(bundle, [tape])
    verdicts = one.verdicts()
    precision, recall = precision_recall((verdicts & _STUCK) > 0, marks(tape, "STALE"))
    assert precision >= 0.98 and recall >= 0.98
    labels = all_labels(result.recipe)
    for start, _ in tape.spans(["STALE"]):  # the third reading says so, 30 minutes after the first
        [said] = one.decisions[one.decisions["sample"] == start + 2]["label"]
        assert labels[said] == "BAD"


def test_pv_impossible_readings_are_found_without_a_false_one() -> None:
    data = dataset("pv_sensor_quality/power_outliers_labelled", "pv/outliers.json")
    bundle = guard_bundle("pv", data)
    strips = tapes(data.recordings)
    found = np.concatenate([one.verdicts() for one in played(bundle, strips)])
    true = np.concatenate([marks(tape, "OUTLIER") for tape in strips])
    precision, recall = precision_recall((found & (_RANGE | _SPIKE)) > 0, true)
    assert int(true.sum()) == 6 and recall >= 0.8 and precision >= 0.8


def test_air_every_cell_without_a_reading_is_refused_as_missing_and_no_feature_sees_one() -> None:
    data = dataset("air_quality/air_quality", "air/data.json")
    strips = tapes(data.recordings)
    for tape, one in zip(strips, played(guard_bundle("air", data), strips), strict=True):
        lost = (tape.samples == MISSING).any(1)
        assert np.array_equal((one.verdicts() & _MISSING) > 0, lost), tape.name
    assert sum(int((tape.samples == MISSING).all(1).sum()) for tape in strips) == 366
    recipe = Recipe.load(MODELS / "air")
    windows = features_of([tape.samples for tape in strips], recipe.data_path(), cache=None)
    asked = windows.quality_pct >= recipe.window["min_quality_pct"]
    assert asked.sum() > 8800
    least = [recipe.features.index(f"min.{name}") for name in recipe.channels]
    for k in np.flatnonzero(asked):
        rows = strips[windows.source[k]].samples[windows.end[k] - recipe.window["length"] : windows.end[k]]
        assert (rows != MISSING).all() and windows.X[k][least].tolist() == rows.min(0).tolist()


def test_room_constant_nights_are_not_stuck_and_a_dead_sensor_by_day_is() -> None:
    data = dataset("room_occupancy/occupancy", "room/data.json")
    strips = tapes(data.recordings)
    bundle = guard_bundle("room", data)
    for tape, one in zip(strips, played(bundle, strips), strict=True):
        assert not one.verdicts().any(), tape.name
    [tape] = [tape for tape in strips if tape.group == "test1"]
    start = next(start for start, end in tape.spans(["OCCUPIED"]) if end - start > 120) + 30
    [one] = played(bundle, [tape], {tape.name: [Fault("stuck", 2, start, 60)]})
    refused = np.flatnonzero(one.verdicts() & _STUCK)
    assert refused[0] in (start - 1, start) and refused[-1] >= start + 59
    seen = one.rejections[(one.rejections["verdict"] & _STUCK) > 0]
    assert start + 13 <= int(seen["start"].max()) <= start + 15  # known at the fifteenth equal reading
