"""Limits from recordings: what is natural stays, what cannot be is refused, and nobody held out teaches anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sensewell_host.cli import app
from sensewell_host.dataset.recording import MISSING, ChannelInfo, Dataset, Recording
from sensewell_host.device_run import DataPath
from sensewell_host.errors import SensewellError
from sensewell_host.train.guard_fit import fit, propose, together
from typer.testing import CliRunner

PATH = DataPath(50, 1, 16, 16, ({"f": "mean", "c": 0},), guard={"gap_ms": 100})


def noise(seed: int, n: int = 3000, spread: float = 300) -> np.ndarray:
    walk = np.cumsum(np.random.default_rng(seed).normal(0, spread / 10, n))
    return np.rint(2000 * np.sin(walk / 500) + np.random.default_rng(seed + 1).normal(0, 20, n)).astype(np.int16)


def recordings(*columns: np.ndarray) -> list[Recording]:
    return [Recording(f"r{k}", one.reshape(-1, 1), 50, "on", f"g{k}") for k, one in enumerate(columns)]


def settings(samples: np.ndarray, **known: int) -> dict[str, int]:
    return together(propose([samples], "a", known), ["a"])[0]


def test_limits_from_clean_recordings_refuse_them_not_but_faults() -> None:
    clean = recordings(noise(1), noise(7), noise(9))
    found = fit(clean, ["a"], PATH)
    assert found.samples == 9000 and found.refused <= 9
    assert set(found.left_out) == {"g0", "g1", "g2"} and max(found.left_out.values()) < 0.01
    (limits,) = found.guard
    assert limits["stuck_n"] >= 8 and 100 <= limits["spike_raw"] < 2000
    assert limits["lo_raw"] < -2000 and limits["hi_raw"] > 2000


def test_what_each_limit_refuses_is_counted_by_the_devices_guard() -> None:
    spoilt = noise(3)
    spoilt[100:130] = 123  # one long stretch of equal counts in what is said to be clean
    found = fit(recordings(spoilt), ["a"], PATH, {"a": {"stuck_n": 10, "hi_raw": 1500}})
    refused = {limit.kind: limit.refused for limit in found.limits}
    assert refused["stuck"] == 30 - 9 or refused["stuck"] == 30
    assert refused["range"] == int((spoilt > 1500).sum()) > 0
    assert [limit.why for limit in found.limits if limit.kind in ("stuck", "range")] == ["datasheet", "datasheet"]


def test_a_natural_rest_is_a_band_that_may_be_constant() -> None:
    nights = np.maximum(noise(5, 4000).astype(int), 0)
    nights[1000:1600] = 0
    nights[2500:2900] = 1
    limits = settings(nights.astype(np.int16))
    assert (limits["constant_lo_raw"], limits["constant_hi_raw"]) == (0, 1)
    assert limits["stuck_n"] == 8  # the rest of the day moves
    wide = noise(5, 4000)
    wide[0:100], wide[1000:1100] = -1500, 1500  # long runs far apart: no band, so nothing shorter is stuck
    assert "constant_lo_raw" not in settings(wide) and settings(wide)["stuck_n"] >= 200


def test_counts_that_pile_up_at_an_extreme_are_saturation() -> None:
    clipped = np.clip(noise(4).astype(int) * 2, -32000, 3000).astype(np.int16)
    limits = settings(clipped)
    assert limits["sat_hi_raw"] == 3000 and "sat_lo_raw" not in limits


def test_missing_readings_teach_nothing_and_none_at_all_is_said() -> None:
    holes = noise(6)
    with_holes = holes.copy()
    with_holes[50:60] = MISSING
    assert settings(np.delete(holes, slice(50, 60))) == settings(with_holes)
    with pytest.raises(SensewellError, match="channel a has no readings"):
        settings(np.full(100, MISSING, np.int16))
    with pytest.raises(SensewellError, match="datasheet names the channels b"):
        fit(recordings(holes), ["a"], PATH, {"b": {}})
    with pytest.raises(SensewellError, match="says sat_high_raw of channel a: there are constant_hi_raw"):
        fit(recordings(noise(1)), ["a"], PATH, {"a": {"sat_high_raw": 32760}})


def test_the_command_learns_from_training_groups_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.toml").write_text(
        'name = "m"\nversion = 1\nwhat = "a test"\nboards = ["*"]\n'
        '[data]\nsource = "data"\nrate_hz = 50\nchannels = ["a"]\nlabels = ["on", "off"]\n'
        'train = ["g0", "g1"]\ntest = ["g2"]\n'
        "[window]\nlength = 16\nhop = 16\nmin_quality_pct = 80\n"
        '[features]\neach = ["mean"]\nof = ["a"]\n'
        '[[model.candidate]]\nkind = "extra_trees"\ntrees = 2\nmax_leaf_nodes = 4\n'
        '[arbiter]\nfallback = "none"\n'
    )
    written = []
    for loud in (1, 9):
        parts = recordings(noise(1), noise(2), (noise(3) // 10 * loud).astype(np.int16))
        Dataset("d", 50, (ChannelInfo("a", "g", 0.001),), tuple(parts)).save(tmp_path / "data")
        out = tmp_path / f"guard{loud}.toml"
        result = CliRunner().invoke(app, ["guard", "fit", str(tmp_path), "--out", str(out)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert "groups g0, g1" in result.output
        written.append(out.read_text())
    assert written[0] == written[1] and 'of = ["a"]' in written[0] and "spike_raw" in written[0]
