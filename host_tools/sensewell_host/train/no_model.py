"""Recipes without a model: guard and rules are all there is, so that what is called training only looks at the data.

Must not know boards or bundles' bytes. Writes train.json as training does; nothing is learned, so nothing is held out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import ChannelInfo, Dataset
from sensewell_host.dataset.tape import tapes
from sensewell_host.device_run import ROOT, Progress, Windows, features_of
from sensewell_host.train.forest import Vectors
from sensewell_host.train.recipe import Recipe
from sensewell_host.train.run import clean_windows, load_dataset


@dataclass(frozen=True)
class NoModelResult:
    """What a recipe without a model comes to: `figures` say what its guard refused, `windows` are empty without
    features. No target can be missed."""

    recipe: Recipe
    channels: tuple[ChannelInfo, ...]
    features: tuple[str, ...]
    statistics: dict[str, list[int]]
    figures: dict[str, Any]
    windows: NDArray[np.int16]
    missed: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        guard = self.figures["guard"]["all"]
        reasons = ", ".join(f"{count:,} {name}" for name, count in guard["reasons"].items()) or "none"
        return f"no model to train; of {guard['samples']:,} samples the guard refuses {guard['refused']:,} ({reasons})"

    def golden(self) -> tuple[Vectors, NDArray[np.int16]]:
        """No vectors, as no model answers them; raw windows for the features that rules ask for."""
        return np.zeros((0, len(self.features)), np.int16), self.windows


def train(
    recipe_path: Path, out_dir: Path | None = None, progress: Progress | None = None, dataset: Dataset | None = None
) -> NoModelResult:
    """Run all recordings through the recipe's guard, and write train.json to `out_dir` (build/models/NAME)."""
    recipe = Recipe.load(recipe_path)
    out_dir = out_dir or ROOT / "build" / "models" / recipe.name
    dataset = dataset or load_dataset(recipe)
    strips = tapes(dataset.recordings)
    path = recipe.data_path()
    if not path.features:
        path = replace(path, features=({"f": "mean", "c": 0},))  # the guard works as for any window
    seen = features_of([strip.samples for strip in strips], path, progress=progress)
    windows = np.zeros((0, path.length, path.n_channels), np.int16)
    if recipe.features:
        windows = clean_windows(strips, seen, path.length, 2)
    figures = {
        "name": recipe.name,
        "version": recipe.version,
        "family": "none",
        "labels": list(recipe.labels),
        "features": list(recipe.features),
        "guard": {"all": _refusals(seen)},
        "engine": seen.engine,
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "train.json").write_text(json.dumps(figures, indent=2) + "\n")
    statistics = {
        f"p{q}": np.percentile(seen.X, q, axis=0, method="nearest").astype(int).tolist() if len(seen.X) else []
        for q in (1, 50, 99)
    }
    return NoModelResult(recipe, dataset.channels, recipe.features, statistics, figures, windows)


def _refusals(seen: Windows) -> dict[str, Any]:
    reasons = {name: count for name, count in seen.reasons.items() if count}
    return {"samples": seen.samples, "refused": seen.bad, "reasons": reasons}
