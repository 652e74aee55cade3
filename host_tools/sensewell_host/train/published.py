"""What would be published: the device's own arbiter over the scores of a model's windows, recording by recording.

An estimate for choosing and for train.json: no rules, and nothing that happens between windows. What a board publishes,
report.py says. Must not know how scores came about.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset import rate
from sensewell_host.device_path import use_device_path
from sensewell_host.device_run import Windows
from sensewell_host.train.forest import Classes, judge
from sensewell_host.train.manifest import all_labels
from sensewell_host.train.recipe import Recipe

_ONE = 16384  # scores are made as a board has them: integers that sum to this
_OK = 0  # a cause
_MODEL = 0  # sources
_NO_CLASS = -1
_T_MASK = (1 << 30) - 1  # ticks of a board: hours add up to more within a fortnight


def published(
    recipe: Recipe, table: Windows, asked: NDArray[np.bool_], shares: NDArray[np.float64]
) -> tuple[Classes, NDArray[np.int64]]:
    """(label index, source id) of the decision on every window of `table`; `shares`: of those `asked`, in order."""
    use_device_path()
    from sensewell.arbiter import Arbiter
    from sensewell.average import Average

    labels = all_labels(recipe)
    spec = {**recipe.arbiter, "fallback_label": labels.index(recipe.fallback)}
    scores = np.ceil(shares * _ONE - 1e-6).astype(int)
    row = np.cumsum(asked) - 1
    period_ms = rate.period_ms(recipe.rate_hz)
    found = np.zeros((2, len(table)), np.int64)
    for source in dict.fromkeys(table.source.tolist()):
        arbiter = Arbiter(spec, tuple(labels), (), recipe.window["min_quality_pct"])
        if recipe.arbiter["average_n"] > 1:
            arbiter.mean = Average(shares.shape[1], recipe.arbiter["average_n"], _ONE)
        for at in np.flatnonzero(table.source == source):
            best, confidence = _NO_CLASS, 0
            if asked[at]:
                mine = scores[row[at]]
                best = int(mine.argmax())
                confidence = min(int(mine[best]) * 100 // _ONE, 100)
                if arbiter.mean:
                    best, confidence = arbiter.mean.add(array("i", mine.tolist())), arbiter.mean.confidence_pct
            t_ms = int(table.end[at]) * period_ms & _T_MASK
            decision = arbiter.window(t_ms, int(table.quality_pct[at]), _OK, best, confidence)
            found[:, at] = decision.label_id, decision.source_id
    return found[0], found[1]


def figures(
    recipe: Recipe,
    table: Windows,
    asked: NDArray[np.bool_],
    shares: NDArray[np.float64],
    truth: Classes,
    groups: NDArray[np.str_],
) -> dict[str, Any]:
    """How right the published labels are, macro-F1 over all windows; any label that is no class is wrong."""
    labels, sources = published(recipe, table, asked, shares)
    score = judge(truth, labels, groups, len(recipe.labels))
    return {
        "macro_f1": round(score.macro_f1, 4),
        "mean_of_groups": round(score.mean, 4),
        "worst_group": round(score.worst, 4),
        "accuracy": round(score.accuracy, 4),
        "by_model": round(float(np.mean(sources == _MODEL)), 4),
        "right_of_model": round(float(np.mean((labels == truth)[sources == _MODEL])), 4) if _MODEL in sources else 0.0,
        "fallback": round(float(np.mean(labels == all_labels(recipe).index(recipe.fallback))), 4),
    }
