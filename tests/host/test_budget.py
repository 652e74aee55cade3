"""Forests within a budget: what is taken fits, is the best that does, and weighs and costs what was said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sensewell_host.board import virtual
from sensewell_host.convert.forest import convert_forest
from sensewell_host.errors import SensewellError
from sensewell_host.profile import meter
from sensewell_host.train import Recipe, budget, forest
from sensewell_host.train.budget import Budget, Option
from sensewell_host.train.forest import Examples

RECIPE = Recipe.load(Path(__file__).resolve().parents[2] / "models" / "watch" / "model.toml")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "TREES", (1, 3, 6))
    monkeypatch.setattr(budget, "LEAVES", (4, 16))
    monkeypatch.setattr(budget, "FEATURES", (1.0, 0.2))


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Three people, seven classes; only the first three features say anything."""
    rng = np.random.default_rng(4)
    y = np.tile(np.arange(7), 60)
    X = rng.normal(0, 900, (len(y), len(RECIPE.features)))
    X[:, :3] = rng.normal(0, 250, (len(y), 3)) + np.stack([y * 600, (y % 3) * 900, (y % 2) * 900], 1)
    return Examples(np.rint(X).astype(np.int16), y, np.repeat(np.array(["a", "b", "c"]), len(y) // 3))


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return np.random.default_rng(6).integers(-3000, 3000, (2, 100, 6)).astype(np.int16)


def test_the_best_that_fits_is_taken_and_weighs_what_was_said(examples: Examples, windows: np.ndarray) -> None:
    limit = 300
    chosen, candidate, options = budget.choose(RECIPE, examples, Budget(limit), None, windows)
    assert len(options) == 2 * 2 * 3 and len({(o.trees, o.leaves, o.columns) for o in options}) == 12
    assert any(option.model_bytes > limit and option.mean > chosen.mean for option in options)
    assert chosen.model_bytes <= limit
    assert chosen.mean == max(option.mean for option in options if option.model_bytes <= limit)
    asked = {rule["on"] for rule in RECIPE.rules}
    for option in options:
        assert asked <= {RECIPE.features[column] for column in option.columns}, "a rule lost its feature"
    model = forest.grow(candidate, examples.X[:, list(chosen.columns)], examples.y, RECIPE.seed)
    converted = convert_forest(model, RECIPE.vote, examples.X[:, list(chosen.columns)])
    assert converted.bytes == chosen.model_bytes


def test_what_is_left_out_of_the_features_is_what_says_nothing(examples: Examples, windows: np.ndarray) -> None:
    _, _, options = budget.choose(RECIPE, examples, Budget(5000), None, windows)
    fewest = min((option.columns for option in options), key=len)
    assert {0, 1, 2} <= set(fewest) and len(fewest) < len(RECIPE.features) // 3


def test_a_budget_that_nothing_fits_says_what_the_least_is(examples: Examples, windows: np.ndarray) -> None:
    with pytest.raises(SensewellError, match=r"nothing fits.*smallest forest tried has \d+ bytes"):
        budget.choose(RECIPE, examples, Budget(20), None, windows)


def test_a_recipe_without_forests_has_no_budget(examples: Examples, windows: np.ndarray) -> None:
    trees = tuple(replace(candidate, kind="decision_tree") for candidate in RECIPE.candidates)
    with pytest.raises(SensewellError, match="extra_trees or random_forest"):
        budget.choose(replace(RECIPE, candidates=trees), examples, Budget(5000), None, windows)


def test_the_front_holds_those_that_nothing_beats() -> None:
    def option(size: int, instructions: int, mean: float) -> Option:
        return Option(1, 4, (0,), mean, mean, size, instructions)

    small, large, dear = option(100, 50, 0.5), option(200, 50, 0.7), option(150, 90, 0.6)
    beaten = option(200, 60, 0.65)
    assert budget.pareto([large, beaten, dear, small]) == [small, dear, large]


def test_picture_and_table_are_written(tmp_path: Path, examples: Examples, windows: np.ndarray) -> None:
    chosen, _, options = budget.choose(RECIPE, examples, Budget(700), None, windows)
    table, picture = budget.save(tmp_path, RECIPE, Budget(700), chosen, options)
    said = json.loads(table.read_text())
    assert said["budget"]["model_bytes"] == 700 and len(said["options"]) == len(options)
    assert said["chosen"]["features"] == [RECIPE.features[column] for column in chosen.columns]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_instructions_are_those_that_the_board_counts(examples: Examples, windows: np.ndarray) -> None:
    if not virtual.is_built("virt_c3"):
        pytest.skip("virt_c3 is not built: make board-virt_c3")
    chosen, _, _ = budget.choose(RECIPE, examples, Budget(None, 10**9), None, windows)
    limit = chosen.instructions - 1
    cheap, candidate, _ = budget.choose(RECIPE, examples, Budget(None, limit), None, windows)
    assert 0 < cheap.instructions <= limit
    columns = list(cheap.columns)
    model = forest.grow(candidate, examples.X[:, columns], examples.y, RECIPE.seed)
    blob = convert_forest(model, RECIPE.vote, examples.X[:, columns]).blob
    specs = RECIPE.feature_specs(tuple(RECIPE.features[column] for column in columns))
    with meter() as counter:
        counted = counter.predict(blob, 7, examples.X[:40, columns])
        counted += sum(counter.window(specs, RECIPE.derived_specs(), rows) for rows in windows) // len(windows)
    assert counted == pytest.approx(cheap.instructions, rel=0.05)
