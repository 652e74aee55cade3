"""How good a net's answers are, in points, and whether int8 may stand in for floats.

Points are comparable before and after conversion; 100 is perfect:
    classes  100 x macro-F1
    anomaly  100 x area under the ROC curve of the error; without anomalies to judge by, 100 less the error
             in percent of the energy of what went in
    value    100 x (1 - mean absolute error / that of persistence: "it stays as it is")
Knows arrays; must not know nets, windows or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.errors import SensewellError
from sensewell_host.train.forest import Score, judge

Floats = NDArray[np.floating[Any]]
Truth = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """`points`, see above; by_group: the same for each group that can be judged; score: of classes only."""

    points: float
    by_group: dict[str, float]
    more: dict[str, Any]
    score: Score | None = None

    @property
    def mean(self) -> float:
        """Mean of the groups; of all where no group can be judged alone."""
        return float(np.mean(list(self.by_group.values()))) if self.by_group else self.points

    def as_dict(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "points": round(self.points, 2),
            "mean_of_groups": round(self.mean, 2),
            "by_group": {name: round(value, 2) for name, value in self.by_group.items()},
            **self.more,
        }
        if self.score:  # in shares of 1, as forests have it
            return {"points": said["points"], **self.score.as_dict()}
        return said


def judge_classes(truth: Truth, answer: Truth, groups: NDArray[np.str_], n_classes: int) -> Judged:
    """truth, answer: class numbers."""
    score = judge(truth, answer, groups, n_classes)
    return Judged(100 * score.macro_f1, {name: 100 * f1 for name, f1 in score.by_group.items()}, {}, score)


def judge_anomaly(
    strange: NDArray[np.bool_], error: Floats, groups: NDArray[np.str_], limit: float, energy: float = 1.0
) -> Judged:
    """strange: what should be found; error: of each window; limit: above it a window is called strange; energy: mean
    square of what went in."""

    def points(rows: NDArray[np.bool_]) -> float:
        return 100 * _area(error[rows & strange], error[rows & ~strange])

    everything = np.ones(len(error), bool)
    whole = 100 * (1 - float(error.mean()) / energy) if not strange.any() or strange.all() else points(everything)
    names = list(dict.fromkeys(groups.tolist()))
    both = [name for name in names if 0 < strange[groups == name].sum() < (groups == name).sum()]
    flagged = error > limit
    more: dict[str, Any] = {"limit": float(f"{limit:.6g}")}
    if strange.any():
        more["found"] = round(float(flagged[strange].mean()), 4)
        more["found_by_group"] = _shares(flagged, strange, groups)
    if not strange.all():
        more["false_alarms"] = round(float(flagged[~strange].mean()), 4)
        more["false_alarms_by_group"] = _shares(flagged, ~strange, groups)
    return Judged(whole, {name: points(groups == name) for name in both}, more)


def judge_value(truth: Floats, answer: Floats, stays: Floats, groups: NDArray[np.str_]) -> Judged:
    """All in counts; stays: what persistence would say."""

    def skill(rows: Any) -> float:
        return 100 * (1 - _mae(answer[rows], truth[rows]) / max(_mae(stays[rows], truth[rows]), 1e-9))

    names = list(dict.fromkeys(groups.tolist()))
    more = {
        "mae_raw": round(_mae(answer, truth), 2),
        "mae_raw_persistence": round(_mae(stays, truth), 2),
        "mae_raw_by_group": {name: round(_mae(answer[groups == name], truth[groups == name]), 2) for name in names},
    }
    return Judged(skill(slice(None)), {name: skill(groups == name) for name in names}, more)


def refuse_loss(before: Judged, after: Judged, allowed: float, where: str) -> float:
    """Points lost from float to int8; SensewellError where it is more than `allowed`."""
    lost = before.points - after.points
    if not lost <= allowed:
        raise SensewellError(
            f"int8 costs {lost:.2f} points {where} ({before.points:.2f} in floats, {after.points:.2f} in int8), "
            f"{allowed:g} are allowed: nothing was converted. Take a smaller clip, other layers, or more points in "
            "[targets] int8_loss"
        )
    return lost


def _area(high: Floats, low: Floats) -> float:
    """The share of pairs in which `high` is the greater one; ties count half."""
    order = np.sort(low)
    wins = np.searchsorted(order, high, "left") + np.searchsorted(order, high, "right")
    return float(wins.sum() / (2 * len(high) * len(low)))


def _shares(flagged: NDArray[np.bool_], of: NDArray[np.bool_], groups: NDArray[np.str_]) -> dict[str, float]:
    names = dict.fromkeys(groups[of].tolist())
    return {name: round(float(flagged[of & (groups == name)].mean()), 4) for name in names}


def _mae(a: Floats, b: Floats) -> float:
    return float(np.abs(a - b).mean())
