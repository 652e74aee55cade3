"""fan and pump: what their recipes promise (no clock, no offset that tells recordings apart, no day on both sides), and
the pump project from its recordings to its figures, where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sensewell_host import evaluate, run, stages
from sensewell_host.dataset.csv_import import import_csv
from sensewell_host.dataset.split import split_by_group
from sensewell_host.dataset.tape import tapes
from sensewell_host.rest import split_recordings
from sensewell_host.train.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
PUMP = ROOT / "models" / "pump"
CSV = ROOT.parent / "shared" / "data" / "pump_testbed" / "pump.csv.gz"


def test_fan_asks_for_nothing_that_has_a_recordings_offset_in_it() -> None:
    recipe = Recipe.load(ROOT / "models" / "fan")
    words = {name.partition(".")[0] for name in recipe.features if not name.endswith(".an")}
    assert not words & {"mean", "amean", "min", "max", "mav", "rms", "p5", "p10", "p25", "p50", "p75", "p90", "p95"}
    assert set(recipe.test) == {"30", "45", "60", "75", "90"} and not set(recipe.test) & set(recipe.train)


def test_pump_asks_for_nothing_that_drifts_and_leaves_each_day_out_once() -> None:
    recipes = [Recipe.load(PUMP / name) for name in ("model.toml", "day_0301.toml", "day_0309.toml")]
    for recipe in recipes:
        asked = " ".join([*recipe.features, *(rule["on"] for rule in recipe.rules)])
        assert "motor" not in asked and "water" not in asked
        assert len({*recipe.train, *recipe.test}) == 3 and not set(recipe.test) & set(recipe.train)
        assert {rule["name"]: rule.get("interlock", False) for rule in recipe.rules} == {
            "flow": True, "vibration 1": True, "vibration 2": True, "steady": False,
        }  # fmt: skip
    assert sorted(recipe.test[0] for recipe in recipes) == ["2020-02-08", "2020-03-01", "2020-03-09"]


@pytest.fixture(scope="module")
def leaks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, Path]:
    """The pump model that has not seen 2020-03-01: (recipe, the folder of its recordings, its bundle)."""
    if not CSV.is_file():
        pytest.skip("../shared/data/pump_testbed is not here")
    folder = tmp_path_factory.mktemp("pump")
    dataset, report = import_csv(CSV, schema_path=PUMP / "data.json")
    assert report.recordings == 107
    dataset.save(folder / "data")
    text = (PUMP / "model.toml").read_text().replace('"../../build/data/pump"', '"data"')
    (folder / "model.toml").write_text(text)
    shutil.copy(PUMP / "day_0301.toml", folder)
    before, stages.BUILD = stages.BUILD, folder / "built"
    try:
        built = stages.build(str(folder / "day_0301.toml"), force=True)
    finally:
        stages.BUILD = before
    return Recipe.load(folder / "day_0301.toml"), folder / "data", built.bundle


def test_pump_finds_the_leaks_of_a_day_it_has_not_seen(leaks: tuple[Recipe, Path, Path]) -> None:
    from sensewell_host.train.run import load_dataset

    recipe, _, bundle = leaks
    test = split_by_group(load_dataset(recipe), recipe.train, recipe.test).test
    assert recipe.rest is not None
    kept, boards = split_recordings(test, recipe.channels, recipe.rest)
    calibration = {one.name: dict(zip(recipe.channels, of, strict=True)) for one, of in zip(kept, boards, strict=True)}
    joined = tapes(kept)
    way = run.Way("plain", calibration=calibration)
    content = bundle.read_bytes()
    manifest = run.manifest_of(content, load_dataset(recipe))
    assert manifest["rest"]["seconds"] == 300
    played = run.play_on_host(content, joined, [way])["plain"]
    found = evaluate.judge(
        joined, [evaluate.published(one) for one in played], manifest["labels"], recipe.evaluate.alarm,
        recipe.fallback, recipe.evaluate.grace_s,
    ).as_dict()  # fmt: skip
    assert found["window_f1"] > 0.8 and found["events"] - found["missed"] >= 3
    assert found["false_alarms"] == 0 and found["availability"] > 0.9
    uncalibrated = run.play_on_host(content, joined, [run.Way("plain")])["plain"]
    blind = evaluate.judge(
        joined, [evaluate.published(one) for one in uncalibrated], manifest["labels"], recipe.evaluate.alarm,
        recipe.fallback,
    ).as_dict()  # fmt: skip
    assert (blind["window_f1"] or 0) < 0.7  # counts as they are read say next to nothing
