"""The manifest of a trained model, in the words of device/sensewell/bundle.py.

Only puts together what the recipe says and training found; what packing adds (sections, golden vectors) is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sensewell_host.dataset.rate import rate_said
from sensewell_host.train.recipe import Recipe

if TYPE_CHECKING:
    from sensewell_host.train.neural import NetResult
    from sensewell_host.train.run import TrainResult


def build_manifest(recipe: Recipe, trained: TrainResult | NetResult) -> dict[str, Any]:
    """What the bundle says, but for "sections" and "golden", which pack.py fills in."""
    labels = all_labels(recipe)
    manifest: dict[str, Any] = {
        "name": recipe.name,
        "version": recipe.version,
        "what": recipe.what,
        "boards": list(recipe.boards),
        "min_runtime": [0, 1],
        **rate_said(recipe.rate_hz),
        "channels": [
            {
                "name": channel.name,
                "unit": channel.unit,
                "scale": float(f"{channel.scale:.9g}"),
                "offset": float(f"{channel.offset:.9g}"),
            }
            for channel in trained.channels
        ],
        "guard": recipe.guard,
        "bad_samples": recipe.bad_samples,
        "window": recipe.window,
        "features": recipe.feature_specs(trained.features),
        "labels": labels,
        "model": _model(recipe, trained.figures.get("family", recipe.family)),
        "rules": [_rule(rule, recipe, trained.features, labels) for rule in recipe.rules],
        "arbiter": {**recipe.arbiter, "fallback_label": labels.index(recipe.fallback)},
    }
    if trained.features:
        manifest["statistics"] = {"features": trained.statistics}
    if recipe.condition:
        manifest["condition"] = recipe.condition
    if recipe.rest:
        manifest["rest"] = recipe.rest.as_dict()
    if recipe.derived:
        manifest["derived"] = recipe.derived_specs()
    return manifest


def _model(recipe: Recipe, family: str) -> dict[str, Any]:
    if family == "none":
        return {"family": "none"}
    return {"family": family, "section": "model", "n_classes": len(recipe.labels)}


def all_labels(recipe: Recipe) -> list[str]:
    """The model's classes in order, then the fallback, then what rules add."""
    return list(dict.fromkeys([*recipe.labels, recipe.fallback, *(rule["label"] for rule in recipe.rules)]))


def _rule(rule: dict[str, Any], recipe: Recipe, features: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    on = rule["on"]
    if on in recipe.channels:
        place = {"channel": recipe.channels.index(on)}
    else:
        place = {"feature": list(features).index(on)}
    return {**rule, "on": place, "label": labels.index(rule["label"])}
