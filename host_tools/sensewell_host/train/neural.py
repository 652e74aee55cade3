"""Training of nets: windows by the device's code, choice by leaving groups out, one last look at the test groups.

Like run.py for forests. Writes build/models/NAME/: train.json (all figures), inputs.npz (counts, truth, float answers),
net/net.json and net/*.npz (what convert/neural.py makes int8 nets of). Nothing here looks at the test groups before
everything is chosen and fitted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import MISSING, ChannelInfo, Dataset, Recording, natural
from sensewell_host.dataset.split import Split, split_by_group
from sensewell_host.device_run import ROOT, Progress, Windows, features_of
from sensewell_host.errors import SensewellError
from sensewell_host.train import baselines, gate, keras_nets, published, run
from sensewell_host.train.augment import augment
from sensewell_host.train.field_noise import held
from sensewell_host.train.gate import Judged
from sensewell_host.train.net_recipe import Net, NetRecipe
from sensewell_host.train.recipe import Recipe

Int16 = NDArray[np.int16]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
_STATISTICS = (1, 50, 99)


@dataclass(frozen=True)
class Side:
    """The windows of one side that are good enough. X: counts (n, length, channels) or (n, features), what goes in;
    y: class, 1 for strange, or the count to forecast; stays: the last count of the channel to forecast."""

    X: Int16
    y: NDArray[np.int64]
    groups: NDArray[np.str_]
    stays: NDArray[np.int64]
    vectors: Int16  # features, (n, n_features)
    windows: Windows
    good: Bools  # of all windows
    all_y: NDArray[np.int64]  # of these too
    all_groups: NDArray[np.str_]
    units: tuple[str, ...]  # of what goes in; () for features

    def inputs(self, scale: Scale, rows: Any = slice(None)) -> Floats:
        return scale.scaled(self.X[rows])


@dataclass(frozen=True)
class Scale:
    """Inputs are (x - mean) / std, cut at +-clip; an entry a channel or feature. target: the same for a forecast."""

    mean: Floats
    std: Floats
    clip: float
    target: tuple[float, float] = (0.0, 1.0)

    @staticmethod
    def of(net: NetRecipe, counts: Int16, units: tuple[str, ...]) -> Scale:
        """The scale of windows or vectors to learn from."""
        axes = tuple(range(counts.ndim - 1))
        x = counts.astype(np.float64)
        if net.scale == "each":
            return Scale(x.mean(axes).astype(np.float32), x.std(axes).astype(np.float32), net.clip)
        square = (x**2).mean(axes)
        size = [np.sqrt(np.mean([square[k] for k, other in enumerate(units) if other == unit])) for unit in units]
        return Scale(np.zeros(len(units), np.float32), np.array(size, np.float32), net.clip)

    def scaled(self, counts: Int16) -> Floats:
        z = (counts.astype(np.float32) - self.mean) / np.where(self.std > 0, self.std, np.inf)
        return np.clip(z, -self.clip, self.clip).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        mean, std = ([float(f"{x:.9g}") for x in of] for of in (self.mean, self.std))
        return {"mean": mean, "std": std, "clip": self.clip, "target": list(self.target)}


@dataclass(frozen=True)
class NetResult:
    """What training found; `left_out`: of the chosen net on training groups it had not seen; `test`: on groups nobody
    has seen. Both in floats: what int8 makes of it, conversion says."""

    recipe: Recipe
    channels: tuple[ChannelInfo, ...]
    features: tuple[str, ...]
    split: Split
    train: Side
    left_out: Judged
    test: Judged
    statistics: dict[str, list[int]]
    figures: dict[str, Any]
    missed: tuple[str, ...]

    @property
    def said(self) -> str:
        """One sentence for the command line."""
        return (
            f"{self.figures['model']['candidate']}, {self.figures['model']['weights']:,} weights; in floats "
            f"{self.left_out.mean:.1f} points on average over training groups left out, {self.test.points:.1f} on "
            f"those held out ({', '.join(self.recipe.test)}); points: {POINTS[self.figures['output']]}"
        )

    def golden(self, rows: int = 16, windows: int = 4) -> tuple[Int16, Int16]:
        """Vectors (rows, features), none for a net that reads windows, and raw windows, all of the training side."""
        n = min(rows, len(self.train.vectors)) if self.figures["input"] == "features" else 0
        picked: Any = np.unique(np.linspace(0, len(self.train.vectors) - 1, n).astype(int)) if n else []
        raw = run.clean_windows(self.split.train, self.train.windows, self.recipe.window["length"], windows)
        return self.train.vectors[picked], raw


POINTS = {
    "classes": "macro-F1 of single windows, 100 is perfect",
    "anomaly": "area under the ROC curve of the error, 100 is perfect",
    "value": "percent less mean error than persistence",
}


def train(
    recipe_path: Path,
    out_dir: Path | None = None,
    progress: Progress | None = None,
    dataset: Dataset | None = None,
    engine: str = "auto",
) -> NetResult:
    """Train as a recipe of the family "neural" says; as run.train()."""
    started = time.monotonic()
    keras_nets.tensorflow()
    recipe = Recipe.load(recipe_path)
    net = _net_of(recipe)
    out_dir = out_dir or ROOT / "build" / "models" / recipe.name
    dataset = dataset or run.load_dataset(recipe)
    split = split_by_group(dataset, recipe.train, recipe.test)
    split, boards = run.boards_that_made(recipe, dataset, split)
    if boards and net.output == "value":
        raise SensewellError(
            f"{dataset.name} was captured on a calibrated board: forecasts are learned from counts as they were read "
            "alone; `sensewell calibrate clear`, then capture again"
        )
    seconds: dict[str, float] = {}

    def lap(what: str) -> None:
        seconds[what] = round(time.monotonic() - started - sum(seconds.values()), 2)

    units = [channel.unit for channel in dataset.channels]
    side = _side(recipe, net, split.train, units, progress, engine, boards)
    copies = _copies(recipe, net, split.train, side, progress, engine, boards)
    lap("windows")
    folds = _folds(net, side.groups)
    candidates = [_with_target(candidate, net) for candidate in net.candidates]
    table: list[dict[str, Any]] = []
    best: tuple[Net, Judged, NDArray[np.float32], list[Fitted], float] | None = None
    for number, candidate in enumerate(candidates):
        found = np.zeros((len(side.X), _n_out(recipe, net, side)), np.float32)
        fits = []
        for k, fold in enumerate(folds):
            out = np.isin(side.groups, fold)
            told = _told(progress, "leaving groups out", number * len(folds) + k, len(candidates) * len(folds))
            fitted = _fitted(recipe, net, candidate, side, copies, ~out, told)
            found[out] = fitted.answers(side.inputs(fitted.scale, out))
            fits.append(fitted)
        limit = _limit(net, side, found, fits, folds)
        judged = _judged(recipe, net, side, found, _scales(side, fits, folds), limit)
        table.append({"candidate": candidate.name, **candidate.layers, **candidate.fit, **judged.as_dict()})
        if best is None or judged.mean > best[1].mean:
            best = candidate, judged, found, fits, limit
    assert best is not None
    candidate, left_out, found, fits, limit = best
    lap("choice")
    everything = np.ones(len(side.X), bool)
    final = _fitted(recipe, net, candidate, side, copies, everything, _told(progress, "fitting", 0, 1))
    lap("fit")

    # then the one look at the groups held out
    unseen = _side(recipe, net, split.test, units, progress, engine, boards)
    answers = final.answers(unseen.inputs(final.scale))
    judged = _judged(recipe, net, unseen, answers, [final.scale] * len(unseen.X), limit)
    lap("test")

    statistics = {}
    if recipe.features:
        levels = np.percentile(side.vectors, _STATISTICS, axis=0, method="nearest").astype(int)
        statistics = {f"p{q}": row.tolist() for q, row in zip(_STATISTICS, levels, strict=True)}
    figures: dict[str, Any] = {
        "name": recipe.name,
        "version": recipe.version,
        "family": "neural",
        "input": net.input,
        "output": net.output,
        "labels": list(recipe.labels),
        "features": list(recipe.features),
        "model": {
            "candidate": candidate.name, **candidate.layers, **candidate.fit,
            "weights": int(sum(one.size for one in final.weights)),
        },
        "choice": {"folds": [list(fold) for fold in folds], "candidates": table},
        "left_out": left_out.as_dict(),
        "test": judged.as_dict(),
        "baselines": _baselines(recipe, net, candidate, side, unseen, final.scale),
        "targets": recipe.targets,
        "windows": {"train": len(side.X), "test": len(unseen.X), "copies": len(copies) * len(side.X)},
        "engine": side.windows.engine,
        "seconds": seconds,
    }  # fmt: skip
    if net.output == "classes":
        figures["published"] = {
            "left_out": _published(recipe, side, found), "test": _published(recipe, unseen, answers),
        }  # fmt: skip
    missed = _missed(recipe, net, left_out, judged)
    figures["targets_missed"] = list(missed)
    result = NetResult(
        recipe, dataset.channels, recipe.features, split, side, left_out, judged, statistics, figures, missed
    )
    lap("baselines")
    _write(result, out_dir, net, candidate, folds, fits, final, unseen, found, answers, limit)
    return result


def _told(progress: Progress | None, what: str, number: int, of: int) -> Callable[[float], None]:
    def tell(share: float) -> None:
        if progress:
            progress(what, int(1000 * (number + share)), 1000 * of)

    return tell


@dataclass(frozen=True)
class Fitted:
    """A float net: its weights, the scale of what goes in, and `answers`, a function of inputs."""

    weights: list[NDArray[Any]]
    scale: Scale
    answers: Callable[[Floats], Floats]


def _net_of(recipe: Recipe) -> NetRecipe:
    if recipe.net is None:
        raise SensewellError(f"{recipe.path.name}: expected family = 'neural' in [model]")
    if recipe.net.output == "value" and (recipe.augment.shift_n or recipe.augment.time_scale != (1.0, 1.0)):
        raise SensewellError(
            f"{recipe.path.name}: [augment]: a forecast belongs to its window: shift_n and time_scale must be left out"
        )
    return recipe.net


def _side(
    recipe: Recipe,
    net: NetRecipe,
    recordings: Sequence[Recording],
    units: Sequence[str],
    progress: Progress | None,
    engine: str,
    boards: run.Boards,
) -> Side:
    path = recipe.data_path(recipe.features or (f"mean.{recipe.channels[0]}",))
    windows = features_of(
        [r.samples for r in recordings], replace(path, raw=True), progress=progress, engine=engine,
        calibrations=run.boards_of(boards, recordings),
    )  # fmt: skip
    assert windows.rows is not None
    good = windows.quality_pct >= recipe.window["min_quality_pct"]
    n = len(windows)
    stays = np.zeros(n, np.int64)
    if net.output == "value":
        y = np.zeros(n, np.int64)
        for at in range(n):
            samples = recordings[windows.source[at]].samples
            row = windows.end[at] - 1 + net.ahead
            y[at] = samples[row, net.target] if row < len(samples) else MISSING
        stays = windows.rows[:, -1, net.target].astype(np.int64)
        good = good & (y != MISSING)
    else:
        labels = [recording.label for recording in recordings]
        if net.output == "anomaly":
            of = np.array([label not in net.normal for label in labels], np.int64)
        else:
            of = np.array([recipe.labels.index(label) for label in labels], np.int64)
        y = of[windows.source]
    groups = np.array([recording.group for recording in recordings])[windows.source]
    X = windows.rows[:, :, list(net.of)] if net.input == "window" else windows.X[:, list(net.of)]
    if not good.any():
        raise SensewellError(f"none of {n} windows is good enough to learn from or to judge by: look at [guard]")
    return Side(
        np.ascontiguousarray(X[good]),
        y[good],
        groups[good],
        stays[good],
        windows.X[good],
        windows,
        good,
        y,
        groups,
        tuple(units[k] for k in net.of) if net.input == "window" else (),
    )


def _copies(
    recipe: Recipe,
    net: NetRecipe,
    recordings: Sequence[Recording],
    side: Side,
    progress: Progress | None,
    engine: str,
    boards: run.Boards,
) -> list[Int16]:
    """Changed copies of side.X. By way of the device where it does more than hold what is missing."""
    table, length = side.windows, recipe.window["length"]
    raw = augment(recordings, table.source, table.end, length, recipe.augment, recipe.seed, recipe.rate_hz)
    made_by = run.boards_of(boards, [recordings[source] for source in table.source[side.good]])
    copies = []
    for copy in raw[:, side.good]:
        if net.input == "window" and not recipe.condition and not boards:
            copies.append(np.ascontiguousarray(held(copy)[:, :, list(net.of)]))
            continue
        path = replace(recipe.data_path(recipe.features or (f"mean.{recipe.channels[0]}",)), raw=True)
        windows = features_of(list(copy), path, progress=progress, engine=engine, calibrations=made_by)
        assert windows.rows is not None
        whole = side.X.copy()  # a window that the device never saw whole stays as it was
        found = windows.rows[:, :, list(net.of)] if net.input == "window" else windows.X[:, list(net.of)]
        whole[windows.source] = found
        copies.append(whole)
    return copies


def _folds(net: NetRecipe, groups: NDArray[np.str_]) -> list[tuple[str, ...]]:
    names = natural(set(groups.tolist()))
    if not net.folds:
        if len(names) < 2:
            raise SensewellError(f"leaving groups out needs two training groups at least, got {', '.join(names)}")
        return [(name,) for name in names]
    given = [name for fold in net.folds for name in fold]
    if absent := sorted(set(given) - set(names)):
        raise SensewellError(f"[model] folds: {', '.join(absent)} is no training group (they are {', '.join(names)})")
    if set(given) != set(names):
        lacking = ", ".join(natural(set(names) - set(given)))
        raise SensewellError(f"[model] folds: each training group is left out once; {lacking} never is")
    return [tuple(fold) for fold in net.folds]


def _with_target(candidate: Net, net: NetRecipe) -> Net:
    """A net that starts from the last sample must know which of its inputs it forecasts."""
    if not candidate.layers.get("residual"):
        return candidate
    if net.input != "window" or net.target not in net.of:
        raise SensewellError("[[model.candidate]]: residual: the channel to forecast must be among the net's inputs")
    return replace(candidate, layers={**candidate.layers, "target": net.of.index(net.target)})


def _n_out(recipe: Recipe, net: NetRecipe, side: Side) -> int:
    if net.output == "value":
        return 1
    return len(recipe.labels) if net.output == "classes" else int(np.prod(side.X.shape[1:]))


def _fitted(
    recipe: Recipe,
    net: NetRecipe,
    candidate: Net,
    side: Side,
    copies: list[Int16],
    rows: Bools,
    told: Callable[[float], None],
) -> Fitted:
    """A net fitted to these rows and their copies; an autoencoder to the normal ones among them."""
    learn = rows & (side.y == 0) if net.output == "anomaly" else rows
    if net.output == "classes" and (lacking := set(range(len(recipe.labels))) - set(side.y[learn].tolist())):
        names = ", ".join(recipe.labels[k] for k in sorted(lacking))
        raise SensewellError(f"the training recordings have no window of {names} that is good enough to learn from")
    if not learn.any():
        raise SensewellError("there is no normal window to learn from: look at `normal` in [model] and at the folds")
    scale = Scale.of(net, side.X[learn], side.units)
    y: NDArray[Any] = side.y[learn]
    if net.output == "value":
        target = (float(y.mean()), float(y.std()) or 1.0)
        if candidate.layers.get("residual"):
            at = candidate.layers["target"]
            target = (float(scale.mean[at]), float(scale.std[at]) or 1.0)
        scale = replace(scale, target=target)
        y = ((y - target[0]) / target[1]).astype(np.float32)[:, None]
    inputs = np.concatenate([scale.scaled(counts[learn]) for counts in (side.X, *copies)])
    length = side.X.shape[1] if net.input == "window" else 0
    n_out = _n_out(recipe, net, side)
    answer = "logits" if net.output == "classes" else "numbers"
    model = keras_nets.build(candidate.layers, length, side.X.shape[-1], n_out, answer, seed=recipe.seed)
    shape = model.input_shape[1:]
    many = np.concatenate([y] * (1 + len(copies)))
    keras_nets.fit(model, candidate.fit, net.output, inputs.reshape(-1, *shape), many, recipe.seed, told)
    weights = [np.asarray(one) for one in model.get_weights()]

    def answers(z: Floats) -> Floats:
        found = keras_nets.answers(model, z.reshape(-1, *shape))
        return keras_nets.softmax(found) if net.output == "classes" else found

    return Fitted(weights, scale, answers)


def _scales(side: Side, fits: list[Fitted], folds: list[tuple[str, ...]]) -> list[Scale]:
    """For each window the scale of the net that has not seen it."""
    of = {name: fitted.scale for fold, fitted in zip(folds, fits, strict=True) for name in fold}
    return [of[name] for name in side.groups.tolist()]


def errors(side: Side, found: Floats, scales: Sequence[Scale]) -> Floats:
    """Mean square error of each window of an autoencoder."""
    z = np.concatenate([scale.scaled(x[None]) for x, scale in zip(side.X, scales, strict=True)])
    return np.asarray(((z.reshape(len(z), -1) - found) ** 2).mean(1), np.float32)


def _limit(net: NetRecipe, side: Side, found: Floats, fits: list[Fitted], folds: list[tuple[str, ...]]) -> float:
    """The error above which a window is strange: by normal windows of groups that the net had not seen."""
    if net.output != "anomaly":
        return 0.0
    normal = side.y == 0
    if not normal.any():
        raise SensewellError("there is no normal window among the training groups: look at `normal` in [model]")
    error = errors(side, found, _scales(side, fits, folds))
    return float(np.quantile(error[normal], net.limit_quantile)) * net.margin


def _judged(recipe: Recipe, net: NetRecipe, side: Side, found: Floats, scales: Sequence[Scale], limit: float) -> Judged:
    if net.output == "classes":
        return gate.judge_classes(side.y, found.argmax(1), side.groups, len(recipe.labels))
    if net.output == "anomaly":
        z = np.concatenate([scale.scaled(x[None]) for x, scale in zip(side.X, scales, strict=True)])
        return gate.judge_anomaly(
            side.y > 0, errors(side, found, scales), side.groups, limit, float((z**2).mean()) or 1.0
        )
    counts = np.array([one * scale.target[1] + scale.target[0] for one, scale in zip(found[:, 0], scales, strict=True)])
    return gate.judge_value(side.y.astype(float), counts, side.stays.astype(float), side.groups)


def _baselines(
    recipe: Recipe, net: NetRecipe, candidate: Net, side: Side, unseen: Side, scale: Scale
) -> dict[str, Any]:
    """What simple models make of the very same inputs, on the test groups."""
    x, other = side.inputs(scale), unseen.inputs(scale)
    linear = "linear on the net's inputs"
    if net.output == "classes":
        classes = baselines.linear_classes(x, side.y, other)
        return {linear: gate.judge_classes(unseen.y, classes, unseen.groups, len(recipe.labels)).as_dict()}
    if net.output == "value":
        stays = unseen.stays.astype(float)
        learned = side.y.astype(float), side.stays.astype(float), side.groups
        values = baselines.linear_value(x, *learned, other, stays)
        return {linear: gate.judge_value(unseen.y.astype(float), values, stays, unseen.groups).as_dict()}
    normal = side.y == 0
    named = {
        "principal components": lambda z: baselines.linear_error(x[normal], z, min(candidate.layers["hidden"])),
        "size of the window": baselines.size,
    }
    found = {}
    for name, error in named.items():
        limit = float(np.quantile(error(x[normal]), net.limit_quantile)) * net.margin
        found[name] = gate.judge_anomaly(unseen.y > 0, error(other), unseen.groups, limit).as_dict()
    return found


def _published(recipe: Recipe, side: Side, shares: Floats) -> dict[str, Any]:
    """What the arbiter would publish of these answers, over all windows."""
    return published.figures(recipe, side.windows, side.good, shares.astype(float), side.all_y, side.all_groups)


def _missed(recipe: Recipe, net: NetRecipe, left_out: Judged, test: Judged) -> tuple[str, ...]:
    """Targets of training; those of conversion (bytes, arena, int8) are minded there."""
    found = {"points": test.points, "left_out_points": left_out.mean}
    if net.output == "classes":
        found["macro_f1"] = test.points / 100
    return tuple(
        f"{name}: expected at least {least:g}, got {found[name]:.3f}"
        for name, least in recipe.targets.items()
        if name in found and found[name] < least
    )


def _write(
    result: NetResult,
    out_dir: Path,
    net: NetRecipe,
    candidate: Net,
    folds: list[tuple[str, ...]],
    fits: list[Fitted],
    final: Fitted,
    unseen: Side,
    left_out: Floats,
    answers: Floats,
    limit: float,
) -> None:
    side = result.train
    about = {
        "input": net.input,
        "output": net.output,
        "of": list(net.of),
        "all_inputs": len(result.recipe.channels if net.input == "window" else result.recipe.features),
        "layers": candidate.layers,
        "length": int(side.X.shape[1]) if net.input == "window" else 0,
        "width": int(side.X.shape[-1]),
        "n_out": int(left_out.shape[1]),
        "answer": "softmax" if net.output == "classes" else "numbers",
        "folds": [list(fold) for fold in folds],
        "scales": [fitted.scale.as_dict() for fitted in (*fits, final)],
        "limit_mse": limit,
        "limit_quantile": net.limit_quantile,
        "margin": net.margin,
        "edges_raw": list(net.edges_raw),
        "target": net.target,
        "ahead": net.ahead,
    }
    try:
        folder = out_dir / "net"
        folder.mkdir(parents=True, exist_ok=True)
        (out_dir / "train.json").unlink(missing_ok=True)  # comes last: with it the folder is whole
        for old in folder.glob("*.npz"):
            old.unlink()
        for k, fitted in enumerate((*fits, final)):
            np.savez(folder / f"{k}.npz", *fitted.weights)
        (folder / "net.json").write_text(json.dumps(about, indent=1) + "\n")
        np.savez(
            out_dir / "inputs.npz",
            X_train=side.X, y_train=side.y, groups_train=side.groups, stays_train=side.stays,
            X_test=unseen.X, y_test=unseen.y, groups_test=unseen.groups, stays_test=unseen.stays,
            left_out=left_out, final_train=final.answers(side.inputs(final.scale)), final_test=answers,
        )  # fmt: skip
        part = out_dir / "train.json.part"
        part.write_text(json.dumps(result.figures, indent=2) + "\n")
        os.replace(part, out_dir / "train.json")
    except OSError as error:
        raise SensewellError(f"the results cannot be written to {out_dir}: {error}") from error
