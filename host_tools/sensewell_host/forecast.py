"""Forecasts of a run against what came, and against "it stays as it is"; for bundles that answer with a value.

Knows decisions, recordings and the manifest's `model`; judging classes and drawing is report.py's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import MISSING
from sensewell_host.run import NO_VALUE, Replayed

MODEL = 0  # source of a decision, as boards number them

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Forecasts:
    """An entry for each value that a model decided and whose truth was recorded, all in counts: the row it is for, what
    was said, what came, and what persistence would have said: the reading when it was said."""

    row: Counts
    said: Counts
    came: Counts
    stays: Counts

    @property
    def mean_error(self) -> float:
        """Mean absolute error in counts."""
        return float(np.abs(self.said - self.came).mean())

    @property
    def persistence(self) -> float:
        """That of persistence."""
        return float(np.abs(self.stays - self.came).mean())

    def __add__(self, other: Forecasts) -> Forecasts:
        mine, more = vars(self).values(), vars(other).values()
        return Forecasts(*(np.concatenate(pair) for pair in zip(mine, more, strict=True)))

    def text(self, channel: str) -> str:
        """For people."""
        if not len(self.said):
            return f"no forecast of {channel} whose truth was recorded"
        less = 100 * (1 - self.mean_error / self.persistence) if self.persistence else 0.0
        return (
            f"{len(self.said):,} forecasts of {channel}, mean error {self.mean_error:.1f} counts; persistence (it "
            f"stays as it is) {self.persistence:.1f}: {abs(less):.0f} % {'less' if less >= 0 else 'more'}"
        )


def is_value(manifest: Mapping[str, Any]) -> bool:
    """Does the model answer with a value, not a class?"""
    return bool(manifest["model"].get("output") == "value")


def came(manifest: Mapping[str, Any], samples: NDArray[np.int16], rows: Counts) -> Counts | None:
    """What a forecast at each of `rows` was about, in counts; MISSING where nobody knows. None: the manifest does not
    say what its value is."""
    about = manifest["model"].get("forecast")
    if about is None:
        return None
    later = rows + about["ahead"]
    inside = later < len(samples)
    return np.where(inside, samples[np.where(inside, later, 0), about["channel"]], MISSING).astype(np.int64)


def classes(manifest: Mapping[str, Any], counts: Counts) -> Counts:
    """Between which edges counts lie; -1 for MISSING."""
    found = np.searchsorted(np.array(manifest["model"]["edges_raw"], np.int64), counts, "right")
    return np.where(counts == MISSING, -1, found)


def forecasts(manifest: Mapping[str, Any], samples: NDArray[np.int16], run: Replayed, rows: Counts) -> Forecasts:
    """The forecasts of a run; rows: the recording's row behind each decision. Held and rules' decisions are none."""
    truth = came(manifest, samples, rows)
    if truth is None:
        return Forecasts(*[np.zeros(0, np.int64)] * 4)
    about = manifest["model"]["forecast"]
    said = run.decisions["value"].astype(np.int64)
    stays = samples[rows, about["channel"]].astype(np.int64)
    own = (run.decisions["source"] == MODEL) & (said != NO_VALUE) & (truth != MISSING) & (stays != MISSING)
    return Forecasts((rows + about["ahead"])[own], said[own], truth[own], stays[own])
