"""The C kernels on this PC, under the names they have on a board: the same answers as the device's Python code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sensewell_host import c_kernels, device_run, runtime
from sensewell_host.device_run import DataPath, features_of
from sensewell_host.errors import SensewellError
from sensewell_host.train import Recipe
from sensewell_host.train.run import load_dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def compiler() -> None:
    if c_kernels.library() is None:
        pytest.skip("there is no C compiler")


def test_the_device_tests_pass_on_them() -> None:
    folders = [ROOT / "device", ROOT / "tests" / "device", ROOT / "tests" / "on_boards", device_run.NATIVE_MODULES]
    for name in ("test_native", "test_features", "test_trees"):
        script = f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}; import runner; "
        script += f"runner.run({name!r}); import sensewell.features, sensewell.model.trees as trees; "
        script += "print(sensewell.features.Features.engine, trees.Forest.engine)"
        # runner.py writes tracebacks as MicroPython does
        script = "import sys, traceback; sys.print_exception = traceback.print_exception; " + script
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        *said, done, engines = ran.stdout.splitlines()
        assert done.startswith("DONE ") and done.endswith(" 0") and len(said) > 4, ran.stdout + ran.stderr
        assert engines == "native native"


def test_features_of_recordings_are_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    recordings = [rng.integers(-9000, 9000, (n, 3)).astype(np.int16) for n in (90, 260)]
    specs = [{"f": f, "c": c} for f in ("mean", "std", "p90", "dom", "entropy", "mcross") for c in (0, 2, 3)]
    specs += [{"f": "corr", "c": 0, "d": 1}, {"f": "tilt", "c": 0, "d": 1, "e": 2}, {"f": "acorr", "c": 3, "lag": 7}]
    path = DataPath(50, 3, 64, 32, tuple(specs), ({"norm": [0, 1, 2]},))
    native = features_of(recordings, path, engine="cpython", cache=None)
    monkeypatch.setattr(device_run, "NATIVE_MODULES", ROOT / "nowhere")
    plain = features_of(recordings, path, engine="cpython", cache=None)
    assert np.array_equal(native.X, plain.X) and len(native.X) == 8
    assert native.X.std(axis=0).min() > 0


def test_every_window_of_all_recordings_has_the_same_features_in_c_and_viper(monkeypatch: pytest.MonkeyPatch) -> None:
    if not device_run.UNIX.is_file() or "sensewell_features" not in runtime.native_modules("x64"):
        pytest.skip("the unix board or its native modules are not built: make board-unix native")
    recipe = Recipe.load(ROOT / "models" / "watch_boosting" / "model.toml")
    try:
        dataset = load_dataset(recipe)
    except SensewellError as error:
        pytest.skip(f"the recordings cannot be fetched: {error}")
    rows = [recording.samples for recording in dataset.recordings]
    native = features_of(rows, recipe.data_path(), engine="unix", cache=None)
    monkeypatch.setattr(runtime, "native_modules", lambda arch: {})
    viper = features_of(rows, recipe.data_path(), engine="unix", cache=None)
    assert np.array_equal(native.X, viper.X) and len(native.X) > 4000
