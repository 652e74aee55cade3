"""`sensewell data check`: each defect is found by name where it was put, and sound recordings are called fine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensewell_host.cli import app
from sensewell_host.dataset import ChannelInfo, Dataset, Recording, check
from sensewell_host.dataset.check import ERROR, FINE, WARNING, Finding
from sensewell_host.dataset.recording import MISSING
from typer.testing import CliRunner

CHANNELS = (ChannelInfo("a", "g", 0.001), ChannelInfo("b", "g", 0.001))


def rows(seed: int, n: int = 2000) -> np.ndarray:
    """Two channels of a noisy wave, never at its ends for long."""
    random = np.random.default_rng(seed)
    t = np.arange(n)[:, None] / 50
    wave = 3000 * np.sin(2 * np.pi * (1 + seed / 10) * t + [0, 1]) + random.normal(0, 300, (n, 2))
    return wave.astype(np.int16)


def dataset(**changes: np.ndarray) -> Dataset:
    """Groups 1..3 with walk and run each; changes: samples of a recording by its name, such as walk1."""
    made = []
    for group in (1, 2, 3):
        for place, label in enumerate(("walk", "run")):
            name = f"{label}{group}"
            made.append(Recording(name, changes.get(name, rows(10 * group + place)), 50, label, str(group)))
    return Dataset("moves", 50, CHANNELS, tuple(made))


def of(findings: list[Finding], name: str) -> Finding:
    return max((one for one in findings if one.check == name), key=lambda one: [FINE, WARNING, ERROR].index(one.level))


def test_sound_recordings_are_fine() -> None:
    found = check.check(dataset(), ["1", "2"], ["3"])
    assert check.worst(found) == FINE, found
    assert {one.check for one in found} == {"missing", "clipping", "stuck", "balance", "groups", "leakage"}


def test_recordings_of_a_few_rows_are_no_trouble() -> None:
    short = {f"{label}{n}": rows(10 * n)[: n + 3] for label in ("walk", "run") for n in (1, 2, 3)}
    assert of(check.check(dataset(**short)), "balance").level == FINE
    short["walk1"] = rows(1)[:0]
    assert len(check.check(dataset(**short))) >= 6


@pytest.mark.parametrize(("level", "share"), [(WARNING, 0.03), (ERROR, 0.8)])
def test_missing_readings(level: str, share: float) -> None:
    spoiled = {f"{label}{n}": rows(10 * n) for label in ("walk", "run") for n in (1, 2, 3)}
    random = np.random.default_rng(1)
    for samples in spoiled.values():
        samples[random.random(len(samples)) < share, 1] = MISSING
    found = of(check.check(dataset(**spoiled)), "missing")
    assert (found.level, found.where) == (level, "b")


def test_clipping_at_the_counts_and_at_a_range_of_its_own() -> None:
    for rail in (32767, 2500):
        clipped = {
            f"{label}{n}": rows(10 * n + place) for place, label in enumerate(("walk", "run")) for n in (1, 2, 3)
        }
        for samples in clipped.values():
            samples[:, 0] = np.minimum(samples[:, 0].astype(int) * (12 if rail == 32767 else 1), rail)
        found = of(check.check(dataset(**clipped)), "clipping")
        assert found.where == "a" and found.level == ERROR, (rail, found)


def test_a_counter_that_rests_at_zero_is_not_clipped() -> None:
    resting = {}
    for n in (1, 2, 3):
        for place, label in enumerate(("walk", "run")):
            samples = rows(10 * n + place)
            samples[:1500, 0] = 0
            samples[1500:, 0] = np.abs(samples[1500:, 0])
            resting[f"{label}{n}"] = samples
    assert of(check.clipping(dataset(**resting)), "clipping").level == FINE


def test_stuck_stretches_and_dead_channels() -> None:
    still = rows(10)
    still[400:600, 1] = 77
    found = of(check.check(dataset(walk1=still)), "stuck")
    assert (found.level, found.where) == (WARNING, "b") and "200 samples from row 400 of walk1" in found.detail
    dead = {f"{label}{n}": rows(10 * n) for label in ("walk", "run") for n in (1, 2, 3)}
    for samples in dead.values():
        samples[:, 0] = 5
    found = of(check.check(dataset(**dead)), "stuck")
    assert (found.level, found.where) == (ERROR, "a") and "never changes" in found.detail


def test_a_slow_channel_that_often_stands_still_is_not_stuck() -> None:
    steps = {f"{label}{n}": rows(10 * n) for label in ("walk", "run") for n in (1, 2, 3)}
    for place, samples in enumerate(steps.values()):
        random = np.random.default_rng(place)
        samples[:, 1] = np.repeat(random.integers(0, 300, 200), random.integers(1, 40, 200))[:1].item()
        lengths = random.integers(5, 60, 400)
        samples[:, 1] = np.repeat(np.cumsum(random.choice([-1, 1], 400)), lengths)[: len(samples)]
    assert of(check.stuck(dataset(**steps)), "stuck").level == FINE


def test_balance_and_groups() -> None:
    assert (
        of(check.balance(dataset(walk1=rows(10)[:60], walk2=rows(20)[:60], walk3=rows(30)[:60])), "balance").level
        == WARNING
    )
    one = dataset()
    lone = Dataset("x", 50, CHANNELS, tuple(r for r in one.recordings if r.name not in ("run1", "run2")))
    found = of(check.balance(lone), "groups")
    assert (found.level, found.where) == (WARNING, "run")
    confounded = Dataset("x", 50, CHANNELS, tuple(r for r in one.recordings if r.name in ("walk1", "run2", "walk3")))
    found = of(check.balance(confounded), "groups")
    assert found.level == ERROR and "one label only" in found.detail
    loose = Dataset("x", 50, CHANNELS, tuple(replace(r, group=r.name) for r in one.recordings))
    found = of(check.balance(loose), "groups")
    assert found.level == WARNING and "no groups are stated" in found.detail
    single = Dataset("x", 50, CHANNELS, one.recordings[:1])
    assert "one label only" in of(check.balance(single), "balance").detail


def test_the_same_samples_in_two_groups_wherever_they_lie() -> None:
    stolen = rows(22)
    stolen[333:433] = rows(10)[1200:1300]
    found = of(check.check(dataset(run2=stolen)), "leakage")
    assert (found.level, found.where) == (ERROR, "1, 2") and "85 places" in found.detail
    found = of(check.check(dataset(run2=stolen), ["1", "2"], ["3"]), "leakage")
    assert found.level == WARNING  # both on the same side
    found = of(check.check(dataset(), ["1", "2"], ["2", "3"]), "leakage")
    assert (found.level, found.where, found.detail) == (ERROR, "2", "in train and in test")
    found = check.check(dataset(), ["1", "9"], ["10"])
    absent = next(one for one in found if "not in the dataset" in one.detail)
    assert (absent.check, absent.level, absent.where) == ("groups", ERROR, "9, 10") and "1, 2, 3" in absent.detail
    assert of(found, "leakage").level == FINE and not check.sides(dataset(), ["1", "2"], ["3"])


def test_samples_that_were_scaled_and_shifted_are_found_too() -> None:
    copied = rows(22).astype(int)
    copied[:640] = rows(10)[:640] * 2 + 100
    found = of(check.check(dataset(run2=copied.clip(-32767, 32767).astype(np.int16))), "leakage")
    assert (found.level, found.where) == (WARNING, "1, 2") and "10 pairs of windows" in found.detail


def written(tmp_path: Path, times: np.ndarray, **schema: Any) -> Path:
    lines = ["who,what,t,a,b"]
    for group in (1, 2):
        for place, label in enumerate(("walk", "run")):
            samples = rows(10 * group + place, len(times))
            lines += [f"{group},{label},{t},{a},{b}" for t, (a, b) in zip(times, samples.tolist(), strict=True)]
    (tmp_path / "moves.csv").write_text("\n".join(lines) + "\n")
    channels = [{"name": name, "scale": 0.001, "raw": True} for name in "ab"]
    given = {"rate_hz": 50, "channels": channels, "label": "what", "group": "who", "time": {"column": "t", "unit": "s"}}
    (tmp_path / "moves.json").write_text(json.dumps({**given, **schema}))
    return tmp_path / "moves.csv"


def run(*words: Any) -> tuple[int, dict[str, Any]]:
    said = CliRunner().invoke(app, ["data", "check", *map(str, words), "--json"])
    return said.exit_code, json.loads(said.stdout)


def test_the_times_of_a_csv_are_held_against_its_rate(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    grid = np.arange(2000) / 50
    cases = {
        "fine": (grid, {}, 0),
        "rate": (grid * 1.03, {"rate": WARNING}, 0),
        "off": (grid * 1.1, {"rate": ERROR}, 1),
        "jitter": (grid + random.uniform(0, 0.008, 2000), {"jitter": WARNING}, 0),
        # some by 0.7 periods, which is no other rate
        "late": (grid + 0.014 * (np.arange(2000) % 10 == 5), {"jitter": WARNING}, 0),
        "gaps": (np.delete(grid, np.arange(500, 530)), {"gaps": WARNING}, 0),
        "holes": (np.delete(grid, np.arange(500, 900)), {"gaps": ERROR}, 1),
    }  # fmt: skip
    for times, wanted, code in cases.values():
        exit_code, said = run(written(tmp_path, times))
        levels = {one["check"]: one["level"] for one in said["findings"] if one["level"] != FINE}
        assert (levels, exit_code) == (wanted, code), said


def test_a_late_sample_of_a_capture_is_not_a_lost_one(tmp_path: Path) -> None:
    number = np.delete(np.arange(1000), np.arange(300, 304))
    t_us = number * 20_000 + 13_000 * (number % 7 == 3)
    lines = [f"r,{n},{t},{n % 50},{n % 13}" for n, t in zip(number, t_us, strict=True)]
    (tmp_path / "capture.csv").write_text("\n".join(["recording,number,t_us,a,b", *lines, ""]))
    schema = {"rate_hz": 50, "channels": [{"name": name, "scale": 1, "raw": True} for name in "ab"],
              "recording": ["recording"], "time": {"column": "number", "unit": "period"},
              "about": {"captured": True, "clock_us": "t_us", "sessions": []}}  # fmt: skip
    (tmp_path / "capture.json").write_text(json.dumps(schema))
    _, said = run(tmp_path)
    found = {one["check"]: one for one in said["findings"]}
    assert found["gaps"]["detail"].startswith("4 rows lost (0.40 %)") and found["jitter"]["level"] == WARNING


def test_a_table_for_people_and_an_exit_code_for_scripts(tmp_path: Path) -> None:
    dataset().save(tmp_path / "moves")
    said = CliRunner().invoke(app, ["data", "check", str(tmp_path / "moves")])
    assert said.exit_code == 0 and "leakage" in said.output and "fine" in said.output
    written(tmp_path, np.arange(2000) / 50 * 1.1)
    said = CliRunner().invoke(app, ["data", "check", str(tmp_path / "moves.csv")])
    assert said.exit_code == 1 and "45.455 Hz where 50 Hz is declared" in " ".join(said.output.split())
    said = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert said.exit_code == 1 and "neither a dataset" in str(said.exception)


def test_a_missing_reading_is_not_the_smallest_one(tmp_path: Path) -> None:
    holed = rows(10)
    low = int(holed[:, 0].min())
    holed[5] = MISSING
    holed[:, 1] = MISSING
    Dataset("x", 50, CHANNELS, (Recording("r", holed, 50, "a", "g"),)).save(tmp_path)
    said = CliRunner().invoke(app, ["data", "show", str(tmp_path)], catch_exceptions=False).output
    assert f" {low} " in said and "-32768" not in said and " - " in said


def test_labels_and_folders_are_shown_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "[bold]x"
    folder.mkdir()
    (folder / "c.csv").write_text("label,a\n" + "[/off],1\n" * 5 + ":fire: [red]hot[/red],2\n" * 5)
    (folder / "c.json").write_text('{"rate_hz": 10, "label": "label", "channels": [{"name": "a", "scale": 1}]}')
    words = (["check", str(folder / "c.csv")], ["import", str(folder / "c.csv"), "--out", str(folder / "set")])
    said = [CliRunner().invoke(app, ["data", *some], env={"COLUMNS": "400"}, catch_exceptions=False) for some in words]
    said.append(CliRunner().invoke(app, ["data", "show", str(folder / "set")], env={"COLUMNS": "400"}))
    for text, result in zip(("[/off]", str(folder / "set"), ":fire: [red]hot[/red]"), said, strict=True):
        assert text in result.output.replace("\n", "") and "\x1b" not in result.output
