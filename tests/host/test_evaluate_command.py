"""`sensewell evaluate` from recordings to its table: a machine that runs or rests, known by its level alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sensewell_host import stages
from sensewell_host.cli import app
from sensewell_host.dataset import ChannelInfo, Dataset, Recording
from sensewell_host.errors import SensewellError
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
each = ["mean", "mad"]
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


def evaluate(*words: str | Path) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe and its recordings: three machines, each of which rests, runs and rests again for 30 s."""
    random = np.random.default_rng(3)
    parts = []
    for group in ("one", "two", "three"):
        for k, label in enumerate(("rests", "runs", "rests")):
            level = 1000 if label == "runs" else 0
            counts = (level + random.normal(0, 50, (300, 1))).astype(np.int16)
            parts.append(Recording(f"{group}{k}", counts, 10, label, group, follows=k > 0))
    Dataset("tiny", 10, (ChannelInfo("a", "g", 0.001),), tuple(parts)).save(tmp_path / "data")
    (tmp_path / "model.toml").write_text(RECIPE)
    monkeypatch.setattr(stages, "BUILD", tmp_path / "build")
    return tmp_path


def test_three_ways_and_a_linear_model_beside_them_on_the_groups_held_out(folder: Path) -> None:
    stages.train(str(folder))
    stages.convert(stages.folder_of(str(folder)))
    stages.pack(stages.folder_of(str(folder)))
    said = evaluate(folder, "--out", folder / "out", "--linear")
    assert "1 of 1" in said and "linear alone" in said and (folder / "out" / "evaluate.png").is_file()
    report = json.loads((folder / "out" / "evaluate.json").read_text())
    assert report["groups"] == ["three"] and report["hours"] == pytest.approx(90 / 3600)
    figures = report["variants"]
    assert list(figures) == ["model + rules", "rules alone", "model alone", "linear alone"]
    assert [one["missed"] for one in figures.values()] == [0, 1, 0, 0]
    assert figures["linear alone"]["delay_median_s"] <= 1 and figures["linear alone"]["false_alarms"] == 0
    assert figures["linear alone"]["accuracy"] > 0.95 and figures["rules alone"]["on_fallback"] == 1
    evaluate(folder, "--out", folder / "train", "--train")
    report = json.loads((folder / "train" / "evaluate.json").read_text())
    assert report["groups"] == ["one", "two"] and "linear alone" not in report["variants"]


def test_what_cannot_be_judged_is_said(folder: Path) -> None:
    recipe = folder / "model.toml"
    with pytest.raises(SensewellError, match=r"there is no .*tiny\.swb: run"):
        evaluate(folder)
    recipe.write_text(RECIPE.replace('alarm = ["runs"]', ""))
    with pytest.raises(SensewellError, match=r"does not say which labels are alarms"):
        evaluate(folder)
    without = RECIPE.replace(
        '[[model.candidate]]\nkind = "extra_trees"\ntrees = 5\nmax_leaf_nodes = 4', '[model]\nfamily = "none"'
    )
    recipe.write_text(without)
    with pytest.raises(SensewellError, match=r"a linear baseline learns a forest's features, this is 'none'"):
        evaluate(folder, "--linear")
    said = CliRunner().invoke(app, ["train", str(recipe)], catch_exceptions=False).output
    said = " ".join(said.split())  # there is nothing to convert
    assert "no model to train" in said and "next: sensewell pack" in said
