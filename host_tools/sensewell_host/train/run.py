"""Training, from recordings to a forest: features by the device's code, choice by leaving one group out, one last test.

The test groups are featurised and judged once, after everything is chosen and fitted; nothing here looks at them
before. Writes build/models/NAME/: train.json (all figures), forest.joblib (the fitted model), features.npz (vectors).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset import calibrated, seglearn
from sensewell_host.dataset.csv_import import import_csv
from sensewell_host.dataset.recording import INDEX, ChannelInfo, Dataset, Recording
from sensewell_host.dataset.split import Split, split_by_group
from sensewell_host.dataset.tape import Tape, tapes
from sensewell_host.device_run import ROOT, Calibrations, DataPath, Progress, Windows, features_of
from sensewell_host.errors import SensewellError
from sensewell_host.rest import split_recordings
from sensewell_host.train import budget as budgets
from sensewell_host.train import forest, published
from sensewell_host.train.augment import augment
from sensewell_host.train.budget import Budget
from sensewell_host.train.forest import Classes, Examples, Score, Vectors
from sensewell_host.train.recipe import Candidate, Recipe

DATA = ROOT / "build" / "data"
Boards = dict[str, list[dict[str, Any]]]  # by recording: the calibration of the board that made it, by channel
_STATISTICS = (1, 50, 99)  # percentiles kept for drift
_FULL_QUALITY = 100


@dataclass(frozen=True)
class TrainResult:
    """What training found. Vectors are those of windows of sufficient quality, in the order of the recordings.

    `train_windows`, `test_windows`: all windows with a label as the device made them (`X_train` is a part of the first
    one's X). `strips`: what these were cut from on the training side, recordings or tapes (`Recipe.truth`).
    `model`: scikit-learn classifier whose class k is `recipe.labels[k]`. `loso`: of the chosen candidate, on the
    training groups. `test`: of the groups nobody has seen.
    """

    recipe: Recipe
    channels: tuple[ChannelInfo, ...]
    features: tuple[str, ...]
    model: Any
    vote: str
    X_train: Vectors
    y_train: Classes
    groups_train: NDArray[np.str_]
    X_test: Vectors
    y_test: Classes
    groups_test: NDArray[np.str_]
    split: Split
    strips: Sequence[Recording | Tape]
    train_windows: Windows
    test_windows: Windows
    statistics: dict[str, list[int]]
    loso: Score
    test: Score
    figures: dict[str, Any]
    missed: tuple[str, ...]

    @property
    def X_check(self) -> Vectors:
        """Every vector there is, for the proof that a converted model answers like this one."""
        return np.concatenate([self.X_train, self.X_test])

    def golden(self, rows: int = 16, windows: int = 2) -> tuple[Vectors, NDArray[np.int16]]:
        """Vectors (rows, features), spread over the classes, and raw windows (windows, length, channels) without a bad
        sample, all of the training side: what a board must answer as the host does before the model may decide."""
        by_class = [np.flatnonzero(self.y_train == k) for k in range(len(self.recipe.labels))]
        picked: list[int] = []
        for turn in range(rows):
            of = by_class[turn % len(by_class)]
            if len(of):
                picked.append(int(of[(turn // len(by_class) * 2 + 1) * len(of) // (2 * (rows // len(by_class) + 1))]))
        raw = clean_windows(self.strips, self.train_windows, self.recipe.window["length"], windows)
        return self.X_train[picked], raw


def clean_windows(recordings: Sequence[Recording | Tape], table: Windows, length: int, n: int) -> NDArray[np.int16]:
    """At most n raw windows without a bad sample, spread over the recordings: int16 (n, length, channels)."""
    clean = np.flatnonzero(table.quality_pct == _FULL_QUALITY)
    raw = []
    for turn in range(min(n, len(clean))):
        at = clean[(2 * turn + 1) * len(clean) // (2 * n)]
        end = table.end[at]
        raw.append(recordings[table.source[at]].samples[end - length : end])
    return np.array(raw, np.int16)


def load_dataset(recipe: Recipe) -> Dataset:
    """The recordings that a recipe is for: "seglearn" is fetched once; a CSV is imported by its schema; else the folder
    of an imported dataset."""
    if recipe.source == "seglearn":
        dataset, _ = seglearn.fetch(DATA / seglearn.NAME, DATA)
    elif recipe.source.endswith((".csv", ".csv.gz")):
        schema = recipe.path.parent / recipe.schema if recipe.schema else None
        dataset, _ = import_csv(recipe.folder / recipe.source, schema_path=schema)
    else:
        folder = recipe.folder / recipe.source
        if recipe.get and not (folder / INDEX).is_file():
            raise SensewellError(f"there are no recordings in {folder.resolve()}: {recipe.get}")
        dataset = Dataset.load(folder)
    recipe.check_channels(dataset.channels, dataset.rate_hz)
    unknown = sorted(set(dataset.labels) - {*recipe.recorded, *([""] if recipe.truth == "end" else [])})
    if unknown:
        bare = [one.name for one in dataset.recordings if not one.label]
        also = ", ".join([label for label in unknown if label] + [f"none ({', '.join(bare[:3])})"] * ("" in unknown))
        raise SensewellError(
            f"{recipe.path.name} knows the labels {', '.join(recipe.recorded)}; the recordings have also {also}: "
            'name them there, give them others with `sensewell data label`, or say [window] truth = "end"'
        )
    return cut(dataset, recipe.cut_rows) if recipe.cut_rows else dataset


def cut(dataset: Dataset, rows: int) -> Dataset:
    """Recordings cut into pieces of so many rows, group "1" the first of each, "2" the second: days, weeks, quarters of
    one long recording."""
    pieces = []
    for recording in dataset.recordings:
        for number, start in enumerate(range(0, len(recording.samples), rows), 1):
            samples = recording.samples[start : start + rows]
            pieces.append(replace(recording, name=f"{recording.name}-{number}", samples=samples, group=str(number)))
    return replace(dataset, recordings=tuple(pieces), folder=None)


def train(
    recipe_path: Path,
    out_dir: Path | None = None,
    progress: Progress | None = None,
    dataset: Dataset | None = None,
    engine: str = "auto",
    budget: Budget | None = None,
) -> TrainResult:
    """Train as `recipe_path` says (a model.toml or its folder) and write the results to `out_dir` (build/models/NAME).

    dataset: instead of the recipe's source. engine: as in device_run.features_of. budget: choose trees, leaves and
    features that fit it, instead of the recipe's. The same input gives the same forest, whatever the number of cores.
    Targets that were missed are in `missed`; it is for the caller to mind them.
    """
    started = time.monotonic()
    recipe = Recipe.load(recipe_path)
    out_dir = out_dir or ROOT / "build" / "models" / recipe.name
    dataset = dataset or load_dataset(recipe)
    split = split_by_group(dataset, recipe.train, recipe.test)
    seconds: dict[str, float] = {}

    def lap(what: str) -> None:
        seconds[what] = round(time.monotonic() - started - sum(seconds.values()), 2)

    # the training side: all that is chosen and fitted
    path = recipe.data_path()
    split, boards = boards_that_made(recipe, dataset, split)
    least = recipe.window["min_quality_pct"]
    strips = strips_of(recipe, split.train)
    learn = features_of(
        [r.samples for r in strips], path, progress=progress, engine=engine, calibrations=boards_of(boards, strips)
    )
    learn, y_train, groups_train = truth_of(recipe, strips, learn, recipe.fold_rows)
    good = learn.quality_pct >= least
    examples = Examples(
        learn.X[good], y_train[good], groups_train[good], mixed=recipe.augment.between, seed=recipe.seed
    )
    lacking = [label for k, label in enumerate(recipe.labels) if k not in examples.y]
    if lacking:
        raise SensewellError(
            f"the training recordings have no window of {', '.join(lacking)} that is good enough to learn from: "
            f"{int(good.sum())} of {len(good)} windows are"
        )
    lap("features")
    copies = augment(strips, learn.source, learn.end, path.length, recipe.augment, recipe.seed, recipe.rate_hz)
    made_by = boards_of(boards, [strips[source] for source in learn.source])
    copied = [_copy_features(copy, path, progress, engine, made_by) for copy in copies]
    examples = replace(
        examples,
        copies=tuple(X[good] for X, _ in copied),
        copies_valid=tuple((quality >= least)[good] for _, quality in copied),
    )
    lap("copies")
    if budget is None:
        chosen = _choose(recipe, examples, progress)
    else:
        raw = clean_windows(strips, learn, path.length, 4)
        chosen = _choose_within(budget, recipe, examples, progress, raw, out_dir)
    lap("choice and fit")
    columns, model = chosen.columns, chosen.model
    features = tuple(recipe.features[column] for column in columns)

    # then the one look at the groups held out
    held = strips_of(recipe, split.test)
    unseen = features_of(
        [r.samples for r in held], path, progress=progress, engine=engine, calibrations=boards_of(boards, held)
    )
    unseen, y_test, groups_test = truth_of(recipe, held, unseen)
    kept = unseen.quality_pct >= recipe.window["min_quality_pct"]
    if not kept.any():
        raise SensewellError(
            f"none of {len(kept)} windows of the groups held out ({', '.join(recipe.test)}) is good enough to judge "
            f"by: expected labelled recordings of {recipe.window['length']} samples or more there, of which "
            f"{recipe.window['min_quality_pct']} % are good"
        )
    X_test = np.ascontiguousarray(unseen.X[kept][:, columns])
    test_scores = forest.scores(model, X_test, recipe.vote)
    test = forest.judge(y_test[kept], test_scores.argmax(1), groups_test[kept], len(recipe.labels))
    lap("test")

    X_train = np.ascontiguousarray(examples.X[:, columns])
    levels = np.percentile(X_train, _STATISTICS, axis=0, method="nearest").astype(int)
    after = {
        "loso": published.figures(recipe, learn, good, chosen.shares, y_train, groups_train),
        "test": published.figures(recipe, unseen, kept, test_scores, y_test, groups_test),
    }
    missed = _missed(recipe, chosen.loso, test, after["test"])
    figures: dict[str, Any] = {
        "name": recipe.name,
        "version": recipe.version,
        "labels": list(recipe.labels),
        "features": list(features),
        "vote": recipe.vote,
        **chosen.figures,
        "test": {**test.as_dict(), "confidence": _gate(test_scores, y_test[kept], recipe)},
        "published": after,
        "targets": recipe.targets,
        "targets_missed": list(missed),
        "windows": {
            "train": len(X_train),
            "test": len(X_test),
            "too_bad": int((~good).sum() + (~kept).sum()),
        },
        "guard": {"train": _refusals(learn), "test": _refusals(unseen)},
        "engine": learn.engine,
        "seconds": seconds,
    }
    result = TrainResult(
        recipe=recipe,
        channels=dataset.channels,
        features=features,
        model=model,
        vote=recipe.vote,
        X_train=X_train,
        y_train=examples.y,
        groups_train=examples.groups,
        X_test=X_test,
        y_test=y_test[kept],
        groups_test=groups_test[kept],
        split=split,
        strips=strips,
        train_windows=learn,
        test_windows=unseen,
        statistics={f"p{q}": row.tolist() for q, row in zip(_STATISTICS, levels, strict=True)},
        loso=chosen.loso,
        test=test,
        figures=figures,
        missed=missed,
    )
    _write(result, out_dir)
    return result


def boards_that_made(recipe: Recipe, dataset: Dataset, split: Split) -> tuple[Split, Boards]:
    """The split, and by recording the calibration of its board: as its capture says, or, with [rest], as it follows
    from the rest that each session begins with; the split is then without that."""
    if recipe.rest is None:
        found = calibrated.calibrations(dataset)
        return split, {name: calibrated.as_lists(of, recipe.channels) for name, of in found.items()}
    train, of_train = split_recordings(split.train, recipe.channels, recipe.rest)
    test, of_test = split_recordings(split.test, recipe.channels, recipe.rest)
    boards = {one.name: board for one, board in zip((*train, *test), (*of_train, *of_test), strict=True)}
    return Split(train, test), boards


def boards_of(boards: Boards, strips: Sequence[Recording | Tape]) -> Calibrations | None:
    return [boards[strip.name] for strip in strips] if boards else None


def strips_of(recipe: Recipe, recordings: Sequence[Recording]) -> Sequence[Recording | Tape]:
    """What windows are cut from: recordings, or the tapes they make where a window may lie across labels."""
    return tapes(recordings) if recipe.truth == "end" else recordings


def truth_of(
    recipe: Recipe, strips: Sequence[Recording | Tape], windows: Windows, fold_rows: int = 0
) -> tuple[Windows, Classes, NDArray[np.str_]]:
    """The windows that have a label, and class and group of each; fold_rows: pieces of tapes instead of groups, without
    the windows that lie across two of them."""
    rows = [_classes(strip, recipe.labels) for strip in strips]
    classes = np.array([rows[s][e - 1] for s, e in zip(windows.source, windows.end, strict=True)], np.int64)
    groups = np.array([strip.group for strip in strips])[windows.source]
    known = classes >= 0
    if fold_rows:
        fold = (windows.end - 1) // fold_rows
        known &= (windows.end - recipe.window["length"]) // fold_rows == fold
        groups = np.array([f"{group}/{number + 1}" for group, number in zip(groups, fold, strict=True)])
    kept = replace(
        windows,
        X=windows.X[known],
        source=windows.source[known],
        end=windows.end[known],
        quality_pct=windows.quality_pct[known],
    )
    return kept, classes[known], groups[known]


def _classes(strip: Recording | Tape, labels: Sequence[str]) -> Classes:
    """The class of every row, -1: none."""
    parts = strip.parts if isinstance(strip, Tape) else ((0, strip.label),)
    rows = np.full(len(strip.samples), -1, np.int64)
    for start, label in parts:
        rows[start:] = labels.index(label) if label in labels else -1
    return rows


def _copy_features(
    copy: NDArray[np.int16], path: DataPath, progress: Progress | None, engine: str, boards: Calibrations | None = None
) -> tuple[Vectors, NDArray[np.int16]]:
    """Vectors and quality of changed windows, one each, through the same code as everything else."""
    windows = features_of(list(copy), path, progress=progress, engine=engine, calibrations=boards)
    X = np.zeros((len(copy), len(path.features)), np.int16)
    quality = np.full(len(copy), -1, np.int16)  # a window that the device never saw whole has none
    X[windows.source] = windows.X
    quality[windows.source] = windows.quality_pct
    return X, quality


@dataclass(frozen=True)
class _Chosen:
    """What was decided on the training side. `shares`: of each example's vote, by models that have not seen its group.
    `figures`: what of it goes to train.json."""

    columns: list[int]
    model: Any
    loso: Score
    shares: NDArray[np.float64]
    figures: dict[str, Any]


def _choose(recipe: Recipe, examples: Examples, progress: Progress | None) -> _Chosen:
    """Features and candidate by leaving one group out, then a forest of all training examples."""
    columns, elimination = _choose_features(recipe, examples, progress)
    candidate, table, loso, found = _choose_candidate(recipe, examples, columns, progress)
    model = forest.grow(candidate, *examples.learn(np.ones(len(examples.X), bool), columns), recipe.seed)
    figures = {
        **({"family": "linear"} if candidate.linear else {}),
        "model": {"candidate": candidate.name, "kind": candidate.kind, **candidate.settings, **forest.size_of(model)},
        "choice": {"features": elimination, "candidates": table},
        "loso": {**loso.as_dict(), "confidence": _gate(found, examples.y, recipe)},
        "copies": int(sum(valid.sum() for valid in examples.copies_valid)),
    }
    return _Chosen(columns, model, loso, found, figures)


def _choose_within(
    budget: Budget,
    recipe: Recipe,
    examples: Examples,
    progress: Progress | None,
    windows: NDArray[np.int16],
    out_dir: Path,
) -> _Chosen:
    """The best of all sizes that fit the budget, then a forest of all training examples."""
    option, candidate, options = budgets.choose(recipe, examples, budget, progress, windows)
    columns = list(option.columns)
    found = forest.leave_out_scores(examples, candidate, recipe.vote, recipe.seed, columns)
    loso = forest.judge(examples.y, found.argmax(1), examples.groups, len(recipe.labels))
    model = forest.grow(candidate, *examples.learn(np.ones(len(examples.X), bool), columns), recipe.seed)
    out_dir.mkdir(parents=True, exist_ok=True)
    budgets.save(out_dir, recipe, budget, option, options)
    figures = {
        "model": {"candidate": candidate.name, "kind": candidate.kind, **candidate.settings, **forest.size_of(model)},
        "budget": {**asdict(budget), "options": len(options), "expected_bytes": option.model_bytes}
        | ({"expected_instructions": option.instructions} if option.instructions else {}),
        "loso": {**loso.as_dict(), "confidence": _gate(found, examples.y, recipe)},
        "copies": int(sum(valid.sum() for valid in examples.copies_valid)),
    }
    return _Chosen(columns, model, loso, found, figures)


def _choose_features(
    recipe: Recipe, examples: Examples, progress: Progress | None
) -> tuple[list[int], list[dict[str, Any]]]:
    columns = list(range(examples.X.shape[1]))
    if recipe.choice.choose == "fixed":
        return columns, []
    total = forest.rounds_of(len(columns), recipe.choice.keep) * len(set(examples.groups.tolist()))
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        if progress:
            progress("choosing features", done, total)

    asked = {rule["on"] for rule in recipe.rules}
    found, rounds = forest.choose_features(
        examples, recipe.candidates[0], recipe.vote, recipe.seed, recipe.choice, told
    )
    kept = {*found, *(column for column in columns if recipe.features[column] in asked)}  # rules need theirs
    return sorted(kept), rounds


def _choose_candidate(
    recipe: Recipe, examples: Examples, columns: list[int], progress: Progress | None
) -> tuple[Candidate, list[dict[str, Any]], Score, NDArray[np.float64]]:
    """The candidate with the best mean over the training groups, each judged by a forest that has not seen it."""
    total = len(recipe.candidates) * len(set(examples.groups.tolist()))
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        if progress:
            progress("leaving one group out", done, total)

    table: list[dict[str, Any]] = []
    best: tuple[Candidate, Score, NDArray[np.float64]] | None = None
    for candidate in recipe.candidates:
        found = forest.leave_out_scores(examples, candidate, recipe.vote, recipe.seed, columns, told)
        score = forest.judge(examples.y, found.argmax(1), examples.groups, len(recipe.labels))
        table.append({"candidate": candidate.name, **candidate.settings, **score.as_dict()})
        if best is None or score.mean > best[1].mean:
            best = candidate, score, found
    assert best is not None
    return best[0], table, best[1], best[2]


def _gate(shares: NDArray[np.float64], truth: Classes, recipe: Recipe) -> dict[str, float]:
    """What the arbiter's confidence gate does to single windows: how many pass, and how many of those are right."""
    limit = recipe.arbiter["min_confidence_pct"]
    sure = np.floor(shares.max(1) * 100 + 1e-9) >= limit
    right = shares.argmax(1) == truth
    return {
        "min_confidence_pct": limit,
        "sure": round(float(sure.mean()), 4),
        "right_of_sure": round(float(right[sure].mean()), 4) if sure.any() else 0.0,
    }


def _refusals(windows: Windows) -> dict[str, Any]:
    """What the guard made of recordings that are taken to be clean."""
    return {
        "samples": windows.samples,
        "refused": windows.bad,
        "refused_share": round(windows.bad / max(windows.samples, 1), 6),
        "reasons": {name: count for name, count in windows.reasons.items() if count},
    }


def _missed(recipe: Recipe, loso: Score, test: Score, after: dict[str, Any]) -> tuple[str, ...]:
    """The targets that were not reached, as sentences. `after`: the test groups' published figures."""
    found = {
        "macro_f1": test.macro_f1,
        "worst_group": test.worst,
        "loso_macro_f1": loso.mean,
        "published_macro_f1": after["macro_f1"],
    }
    missed = []
    for name, least in recipe.targets.items():
        if name in found and found[name] < least:
            missed.append(f"{name}: expected at least {least:g}, got {found[name]:.3f}")
    return tuple(missed)


def _write(result: TrainResult, out_dir: Path) -> None:
    import joblib

    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        (out_dir / "train.json").unlink(missing_ok=True)  # comes last: with it the folder is whole
        joblib.dump(result.model, out_dir / "forest.joblib", compress=3)
        np.savez(
            out_dir / "features.npz",
            X_train=result.X_train, y_train=result.y_train, groups_train=result.groups_train,
            X_test=result.X_test, y_test=result.y_test, groups_test=result.groups_test,
            features=np.array(result.features), labels=np.array(result.recipe.labels),
        )  # fmt: skip
        part = out_dir / "train.json.part"
        part.write_text(json.dumps(result.figures, indent=2) + "\n")
        os.replace(part, out_dir / "train.json")
    except OSError as error:
        raise SensewellError(f"the results cannot be written to {out_dir}: {error}") from error
