"""`sensewell data faults` and `data augment`: what is in the new dataset is what the truth beside it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sensewell_host import spoil
from sensewell_host.cli import app
from sensewell_host.dataset import ChannelInfo, Dataset, Recording, check
from sensewell_host.dataset.faults import Fault, truth
from sensewell_host.dataset.recording import MISSING
from sensewell_host.errors import SensewellError
from sensewell_host.train.field_noise import FieldNoise
from typer.testing import CliRunner


def dataset(n: int = 2000) -> Dataset:
    random = np.random.default_rng(4)
    channels = tuple(ChannelInfo(name, "g", 0.001) for name in ("ax", "ay", "az"))
    made = [
        Recording(f"r{k}", random.normal(0, 2000, (n, 3)).astype(np.int16), 50, "ab"[k % 2], f"p{k // 2}")
        for k in range(4)
    ]
    return Dataset("moves", 50, channels, tuple(made))


def test_faults_are_where_the_truth_says_and_nowhere_else() -> None:
    source = dataset()
    made, told = spoil.with_faults(source, seed=3)
    seen = set()
    for before, after in zip(source.recordings, made.recordings, strict=True):
        faults = [Fault.of(one) for one in told["recordings"][before.name]]
        struck = truth(faults, len(before.samples))
        assert len(faults) == 8 and np.array_equal(after.samples[struck == 0], before.samples[struck == 0])
        for fault in faults:
            seen.add(fault.kind)
            here, was = after.samples[fault.rows], before.samples[fault.rows]
            at = slice(None) if fault.channel < 0 else fault.channel
            if fault.kind in ("missing", "gap"):
                assert (here[:, at] == MISSING).all()
            elif fault.kind == "stuck":
                assert (here[:, at] == was[0, at]).all()
            elif fault.kind == "stale":
                assert (here == before.samples[fault.start - 1]).all()
            elif fault.kind == "saturated":
                assert (here[:, at] == 32767 * fault.value).all()
            else:
                assert here[0, fault.channel] == np.clip(int(was[0, fault.channel]) + fault.value, -32767, 32767)
    assert len(seen) == 6
    again, _ = spoil.with_faults(source, seed=3)
    other, _ = spoil.with_faults(source, seed=4)
    same = [np.array_equal(a.samples, b.samples) for a, b in zip(made.recordings, again.recordings, strict=True)]
    assert all(same) and not np.array_equal(made.recordings[0].samples, other.recordings[0].samples)


def test_noise_is_as_much_as_was_asked_for_and_copies_stay_in_their_group() -> None:
    how = FieldNoise(gain=0.1, offset_raw=300, drop=0.9, drop_n=20, noise_raw=10)
    source = dataset()
    made, told = spoil.with_noise(source, how, copies=2, seed=5)
    assert len(made.recordings) == 12 and made.groups == source.groups
    gains = [value for one in told["recordings"].values() for value in one["gain"]]
    offsets = [value for one in told["recordings"].values() for value in one["offset_raw"]]
    assert 0.05 < max(abs(gain - 1) for gain in gains) < 0.102 and 100 < max(map(abs, offsets)) < 305
    for name, one in told["recordings"].items():
        before, after = source.recording(one["from"]), made.recording(name)
        assert after.group == before.group and after.label == before.label and after.extra["from"] == before.name
        gone = np.zeros(len(after.samples), bool)
        for start, end in one["dropped"]:
            gone[start:end] = True
        assert np.array_equal((after.samples == MISSING).all(1), gone)
        expected = before.samples * np.array(one["gain"]) + np.array(one["offset_raw"])
        assert np.abs(after.samples[~gone] - expected[~gone]).std() < 12
    assert sum(len(one["dropped"]) for one in told["recordings"].values()) > 10
    again, _ = spoil.with_noise(source, how, copies=2, seed=5)
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(made.recordings, again.recordings, strict=True))
    only, _ = spoil.with_noise(source, how, originals=False)
    assert [one.name for one in only.recordings] == ["r0-n1", "r1-n1", "r2-n1", "r3-n1"]


def test_a_tilt_turns_vectors_and_keeps_their_length() -> None:
    source = dataset()
    made, _ = spoil.with_noise(source, FieldNoise(tilt_deg=30), 1, 1, [(0, 1, 2)], originals=False)
    before, after = (np.linalg.norm(one.recordings[0].samples, axis=1) for one in (source, made))
    assert np.abs(before - after).max() < 2
    assert np.abs(source.recordings[0].samples - made.recordings[0].samples).max() > 100


def test_the_commands_write_a_dataset_and_its_truth(tmp_path: Path) -> None:
    dataset().save(tmp_path / "moves")
    run = CliRunner()
    words = ["data", "faults", str(tmp_path / "moves"), "-o", str(tmp_path / "faulty"), "--kinds", "stuck,gap"]
    assert run.invoke(app, words).exit_code == 0
    told = json.loads((tmp_path / "faulty" / "truth.json").read_text())
    faulty = Dataset.load(tmp_path / "faulty")
    assert {one["kind"] for some in told["recordings"].values() for one in some} == {"stuck", "gap"}
    assert faulty.notes["spoilt"]["seed"] == 1 and faulty.name == "moves-faulty"
    assert {one.check for one in check.check(faulty) if one.level != "fine"} >= {"missing", "stuck"}
    words = [
        "data",
        "augment",
        str(tmp_path / "moves"),
        "-o",
        str(tmp_path / "noisy"),
        "--hum-raw",
        "50",
        "--copies",
        "3",
    ]
    assert run.invoke(app, words).exit_code == 0
    assert len(Dataset.load(tmp_path / "noisy").recordings) == 16
    for wrong, says in (
        (["faults", "--kinds", "rust"], "unknown kind of fault 'rust'"),
        (["faults", "--every", "5000"], "no recording is as long"),
        (["augment"], "say what noise"),
        (["augment", "--tilt-deg", "5"], "name them"),
        (["augment", "--tilt-deg", "5", "--vector", "ax,ay"], "three of ax, ay, az"),
    ):
        said = run.invoke(app, ["data", wrong[0], str(tmp_path / "moves"), "-o", str(tmp_path / "x"), *wrong[1:]])
        assert said.exit_code == 1 and isinstance(said.exception, SensewellError) and says in str(said.exception), wrong
    words = ["data", "faults", str(tmp_path / "moves"), "-o", str(tmp_path / "moves")]
    assert "say another --out" in str(run.invoke(app, words).exception)
    with pytest.raises(SensewellError, match="same name"):
        long = Recording("x" * 40, np.zeros((5, 3), np.int16), 50, "a", "p")
        other = Recording("x" * 39, np.zeros((5, 3), np.int16), 50, "a", "p")
        spoil.with_noise(Dataset("d", 50, dataset().channels, (long, other)), FieldNoise(gain=0.1))
