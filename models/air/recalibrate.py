"""What recalibrating old sensors buys: two weeks beside the reference analyser, then an offset for each channel.

Run from the repository's root: .venv/bin/python models/air/recalibrate.py air_quality.csv.gz (after train, convert,
pack air). For each quarter: the first 336 hours stand beside the analyser. From its CO and from temperature and
humidity a regression over the training hours says what each gas sensor would have read when it was new; the mean
difference to what it reads now is its `offset_raw`, in a calibration as `sensewell calibrate` writes one. The hours
judged come after. Temperature and humidity stay as they are: they have not aged.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sensewell_host.dataset.tape import tapes
from sensewell_host.device_path import use_device_path
from sensewell_host.device_run import features_of
from sensewell_host.stages import folder_of
from sensewell_host.train.recipe import Recipe
from sensewell_host.train.run import load_dataset, truth_of

use_device_path()
from array import array  # noqa: E402

from sensewell.build.calibration import by_channel  # noqa: E402  (the device's own code)
from sensewell.condition import Condition  # noqa: E402

HOURS = 336
GAS = ("co", "nmhc", "nox", "no2", "o3")
QUARTERS = {"2004q3": ("2004q3",), "2004q4": ("2004q4",), "2005q1": ("2005q1", "2005q2")}
MISSING = -32768

Floats = NDArray[np.float64]


def said_by_the_analyser(path: Path) -> Floats:
    """CO in mg/m3 of every row of the CSV, NaN where the analyser had no reading."""
    with gzip.open(path, "rt") as file:
        found = np.array([float(row["ref_co_mgm3"]) for row in csv.DictReader(file)])
    found[found == -200] = np.nan
    return found


def known(rows: NDArray[np.int16], co: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """What a gas sensor answers to, a row an hour (1, log CO, CO, temperature, humidity); where all of it is known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        X = np.stack([np.ones(len(co)), np.log(np.maximum(co, 0.1)), co, rows[:, 5], rows[:, 6]], 1)
    return X, ~np.isnan(co) & (rows != MISSING).all(1)


def calibrations(csv_path: Path, recipe: Recipe) -> dict[str, dict[str, dict[str, int]]]:
    """By quarter: what stands under "channels" in /calibration.json."""
    dataset = load_dataset(recipe)
    rows = np.concatenate([recording.samples for recording in dataset.recordings])
    group = np.concatenate([[recording.group] * len(recording.samples) for recording in dataset.recordings])
    X, whole = known(rows, said_by_the_analyser(csv_path))
    new = whole & np.isin(group, recipe.train)
    made = {}
    for quarter in QUARTERS:
        first = np.flatnonzero(group == quarter)[:HOURS]
        beside = first[whole[first]]
        made[quarter] = {}
        for channel, name in enumerate(GAS):
            model = np.linalg.lstsq(X[new], rows[new, channel], rcond=None)[0]
            made[quarter][name] = {"offset_raw": round(float((rows[beside, channel] - X[beside] @ model).mean()))}
    return made


def calibrated(samples: NDArray[np.int16], names: tuple[str, ...], channels: dict[str, Any]) -> NDArray[np.int16]:
    """The rows as the board's condition makes them with this calibration."""
    condition = Condition(len(names), by_channel(channels, list(names)), None, None)
    row = array("h", bytes(2 * len(names)))
    out = np.empty_like(samples)
    for at, values in enumerate(samples):
        for channel, value in enumerate(values):
            row[channel] = int(value)
        condition.apply(row, row)
        out[at] = row
    return out


def judge(csv_path: Path, model: str = "air") -> dict[str, dict[str, Any]]:
    """By quarter: accuracy over all hours, over those after the first two weeks, and the same recalibrated."""
    folder = folder_of(model)
    recipe = Recipe.load(Path(__file__).with_name("model.toml"))
    forest = joblib.load(folder / "forest.joblib")
    dataset = load_dataset(recipe)
    found: dict[str, dict[str, Any]] = {}
    for quarter, channels in calibrations(csv_path, recipe).items():
        strips = tapes(dataset.of_groups(QUARTERS[quarter]))
        result: dict[str, Any] = {"channels": channels}
        for name, of in (("as it is", None), ("recalibrated", channels)):
            rows = [s.samples if of is None else calibrated(s.samples, recipe.channels, of) for s in strips]
            windows = features_of(rows, recipe.data_path())
            windows, truth, _ = truth_of(recipe, strips, windows)
            right = forest.predict(windows.X) == truth
            judged = (windows.source > 0) | (windows.end - recipe.window["length"] >= HOURS)
            result[name] = float(right[judged].mean())
            if of is None:
                result["all hours"] = float(right.mean())
            result["hours"] = int(judged.sum())
        found[quarter] = result
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python models/air/recalibrate.py air_quality.csv.gz")
    print(json.dumps(judge(Path(sys.argv[1])), indent=1))
