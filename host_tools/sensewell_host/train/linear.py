"""The linear baseline of a forest's recipe: logistic regression on the same features of the same training windows.

What it says of each window of a tape can be judged by events like any system (evaluate.py). Must not know boards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import Dataset
from sensewell_host.dataset.split import split_by_group
from sensewell_host.dataset.tape import Tape
from sensewell_host.device_run import features_of
from sensewell_host.errors import SensewellError
from sensewell_host.train import logistic
from sensewell_host.train.recipe import Recipe
from sensewell_host.train.run import boards_of, boards_that_made, strips_of, truth_of

Said = tuple[NDArray[np.int64], NDArray[np.int64]]


def said_of(recipe: Recipe, dataset: Dataset, tapes: Sequence[Tape]) -> list[Said]:
    """(last row, class) of every window of each tape that is good enough, by logistic regression (C = 1,
    not tuned) on the training windows as recorded, no copies. The tapes of a recipe with [rest] are without it.
    SensewellError where a recipe has no features to learn from.
    """
    if recipe.family != "trees":
        raise SensewellError(f"{recipe.path}: a linear baseline learns a forest's features, this is {recipe.family!r}")
    split, boards = boards_that_made(recipe, dataset, split_by_group(dataset, recipe.train, recipe.test))
    path = recipe.data_path()
    least = recipe.window["min_quality_pct"]
    strips = strips_of(recipe, split.train)
    learn = features_of([one.samples for one in strips], path, calibrations=boards_of(boards, strips))
    learn, y, _ = truth_of(recipe, strips, learn, recipe.fold_rows)
    good = learn.quality_pct >= least
    model = logistic.fitted(learn.X[good], y[good])
    seen = features_of([one.samples for one in tapes], path, calibrations=boards_of(boards, tapes))
    asked = seen.quality_pct >= least
    classes = np.full(len(seen), -1, np.int64)
    if asked.any():
        classes[asked] = model.predict(seen.X[asked])
    return [
        (seen.end[mine].astype(np.int64) - 1, classes[mine])
        for mine in (asked & (seen.source == number) for number in range(len(tapes)))
    ]
