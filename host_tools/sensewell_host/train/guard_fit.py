"""Limits of the guard, proposed from clean recordings and datasheets, and what each of them would have refused.

| limit     | from a datasheet       | else from what the recordings show                                             |
|-----------|------------------------|--------------------------------------------------------------------------------|
| range     | lo_raw, hi_raw         | least and greatest count, and a quarter of what lies between them              |
| saturated | sat_lo_raw, sat_hi_raw | an extreme where counts pile up: 5 at least, and 10 times those beside it      |
| stuck     | stuck_n                | twice the longest run of equal counts, at least 8; a band where long runs are  |
|           |                        | natural (night, rest) becomes constant_lo_raw .. constant_hi_raw               |
| spike     | spike_raw              | 1.5 times the step that one in 20,000 exceeds, at least 8 times the usual step |

Learns from the training groups alone. What a limit refuses is counted by the device's own guard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import MISSING, Recording
from sensewell_host.dataset.tape import Tape
from sensewell_host.device_run import DataPath, features_of
from sensewell_host.errors import SensewellError

MARGIN = 0.25  # of what was seen, on either side
PILE_N, PILE_TIMES = 5, 10
RUN_N = 8  # no shorter run is stuck
LONG_RUN_N = 30  # a longer one must be natural, as the recordings are clean
BAND = 0.05  # of the range, the widest band that may be constant
ONE_STEP_IN = 20_000
SPIKE, USUAL = 1.5, 8

Counts = NDArray[np.int64]
KINDS = {
    "range": ("lo_raw", "hi_raw"),
    "saturated": ("sat_lo_raw", "sat_hi_raw"),
    "stuck": ("stuck_n", "stuck_tol_raw", "constant_lo_raw", "constant_hi_raw"),
    "spike": ("spike_raw", "resync_n"),
}


@dataclass(frozen=True)
class Limit:
    """One kind of limit of a channel: what the guard is told, why, and how many clean samples that refuses."""

    channel: str
    kind: str
    settings: dict[str, int]
    why: str
    refused: int = 0
    samples: int = 0


@dataclass(frozen=True)
class Fit:
    """What was found. `guard`: one dict a channel, as Guard takes them; `left_out`: for each group, the share of its
    samples that limits from the other groups alone would have refused."""

    limits: tuple[Limit, ...]
    guard: tuple[dict[str, int], ...]
    refused: int
    samples: int
    left_out: dict[str, float]


def fit(
    recordings: Sequence[Recording | Tape],
    names: Sequence[str],
    path: DataPath,
    datasheet: Mapping[str, Mapping[str, int]] | None = None,
) -> Fit:
    """Limits for the channels `names` of clean training recordings; datasheet: settings that stand, by channel name.

    path: of the recipe, for rate and bad samples. SensewellError if there is nothing to learn from.
    """
    if not recordings:
        raise SensewellError("there are no training recordings to learn limits from")
    known = datasheet or {}
    strange = sorted(set(known) - set(names))
    if strange:
        raise SensewellError(f"the datasheet names the channels {', '.join(strange)}; there are {', '.join(names)}")
    settings = {key for keys in KINDS.values() for key in keys}
    for name, said in known.items():
        if unknown := sorted(set(said) - settings):
            expected = ", ".join(sorted(settings))
            raise SensewellError(f"the datasheet says {', '.join(unknown)} of channel {name}: there are {expected}")
    limits = []
    for c, name in enumerate(names):
        for limit in propose([recording.samples[:, c] for recording in recordings], name, known.get(name, {})):
            column = [np.ascontiguousarray(recording.samples[:, c : c + 1]) for recording in recordings]
            refused, samples = _refused(column, path, [limit.settings])
            limits.append(replace(limit, refused=refused, samples=samples))
    guard = together(limits, names)
    refused, samples = _refused([recording.samples for recording in recordings], path, guard)
    left_out = {}
    groups = sorted({recording.group for recording in recordings})
    for group in groups if len(groups) > 1 else []:
        rest = [recording for recording in recordings if recording.group != group]
        found = [
            limit
            for c, name in enumerate(names)
            for limit in propose([recording.samples[:, c] for recording in rest], name, known.get(name, {}))
        ]
        own = [recording.samples for recording in recordings if recording.group == group]
        bad, of = _refused(own, path, together(found, names))
        left_out[group] = bad / of
    return Fit(tuple(limits), tuple(guard), refused, samples, left_out)


def propose(recordings: Sequence[NDArray[np.int16]], name: str, known: Mapping[str, int]) -> list[Limit]:
    """The limits of one channel from its counts in clean recordings; `known` settings of a datasheet stand."""
    runs = [samples[samples != MISSING].astype(np.int64) for samples in recordings]
    runs = [samples for samples in runs if len(samples) > 1]
    if not runs:
        raise SensewellError(f"channel {name} has no readings to learn from: leave it out or record anew")
    values = np.concatenate(runs)
    found = [_saturated(values, name, known), _range(values, name, known)]
    return [*found, _stuck(runs, values, name, known), _spike(runs, name, known)]


def together(limits: Sequence[Limit], names: Sequence[str]) -> list[dict[str, int]]:
    """One dict a channel, as Guard takes them."""
    merged: dict[str, dict[str, int]] = {name: {} for name in names}
    for limit in limits:
        merged[limit.channel].update(limit.settings)
    return [merged[name] for name in names]


def _given(name: str, kind: str, known: Mapping[str, int]) -> Limit | None:
    settings = {key: known[key] for key in KINDS[kind] if key in known}
    return Limit(name, kind, settings, "datasheet") if settings else None


def _saturated(values: Counts, name: str, known: Mapping[str, int]) -> Limit:
    given = _given(name, "saturated", known)
    if given:
        return given
    levels, counts = np.unique(values, return_counts=True)
    settings, why = {}, []
    for key, at in (("sat_lo_raw", 0), ("sat_hi_raw", -1)):
        beside = counts[1:4] if at == 0 else counts[-4:-1]
        if len(levels) > 8 and counts[at] >= PILE_N and counts[at] >= PILE_TIMES * beside.mean():
            settings[key] = int(levels[at])
            why.append(f"{counts[at]} counts pile up at {levels[at]}")
    return Limit(name, "saturated", settings, "; ".join(why) or "nothing piles up at an extreme")


def _range(values: Counts, name: str, known: Mapping[str, int]) -> Limit:
    given = _given(name, "range", known)
    if given:
        return given
    low, high = int(values.min()), int(values.max())
    margin = max(1, round(MARGIN * (high - low)))
    settings = {}
    if low - margin > -32767:
        settings["lo_raw"] = low - margin
    if high + margin < 32767:
        settings["hi_raw"] = high + margin
    return Limit(name, "range", settings, f"{low} .. {high} were seen")


def _stuck(runs: Sequence[Counts], values: Counts, name: str, known: Mapping[str, int]) -> Limit:
    given = _given(name, "stuck", known)
    if given and "stuck_n" in known:
        return given
    lengths, levels = _equal_runs(runs)
    settings: dict[str, int] = {}
    why = ""
    long = lengths >= LONG_RUN_N
    if long.any():
        low, high = int(levels[long].min()), int(levels[long].max())
        if high - low <= BAND * max(1, int(values.max() - values.min())):
            settings = {"constant_lo_raw": low, "constant_hi_raw": high}
            why = f"naturally constant at {low} .. {high} (up to {lengths.max()} samples); "
            outside = (levels < low) | (levels > high)
            lengths = lengths[outside] if outside.any() else lengths[:0]
    longest = int(lengths.max()) if len(lengths) else 1
    settings["stuck_n"] = min(30000, max(RUN_N, 2 * longest))
    return Limit(name, "stuck", settings, f"{why}longest run {longest}")


def _spike(runs: Sequence[Counts], name: str, known: Mapping[str, int]) -> Limit:
    given = _given(name, "spike", known)
    if given:
        return given
    steps = np.concatenate([np.abs(np.diff(samples)) for samples in runs])
    rare = float(np.quantile(steps, 1 - 1 / ONE_STEP_IN))
    usual = float(np.median(steps))
    limit = _round_up(max(SPIKE * rare, USUAL * usual, 8))
    why = f"one step in {ONE_STEP_IN:,} is over {rare:.0f}, the usual one is {usual:.0f}"
    if limit > 65535:
        return Limit(name, "spike", {}, f"{why}: no step between counts is too long")
    return Limit(name, "spike", {"spike_raw": limit}, why)


def _equal_runs(runs: Sequence[Counts]) -> tuple[Counts, Counts]:
    """Lengths and levels of all runs of equal counts."""
    lengths, levels = [], []
    for samples in runs:
        starts = np.flatnonzero(np.concatenate(([True], np.diff(samples) != 0)))
        lengths.append(np.diff(np.concatenate((starts, [len(samples)]))))
        levels.append(samples[starts])
    return np.concatenate(lengths), np.concatenate(levels)


def _round_up(value: float) -> int:
    """Up to two digits: a limit is no measurement."""
    step = 10 ** max(0, len(str(int(value))) - 2)
    return int(-(-value // step) * step)


def _refused(
    samples: Sequence[NDArray[np.int16]], path: DataPath, guard: Sequence[Mapping[str, int]]
) -> tuple[int, int]:
    """(refused, all) samples by the device's own guard. MISSING ones are no merit of a limit."""
    least = replace(
        path,
        n_channels=len(guard),
        features=({"f": "mean", "c": 0},),
        derived=(),
        condition={},
        guard={**path.guard, "channels": [dict(entry) for entry in guard], "disagree": []},
    )
    done = features_of(samples, least)
    missing = int(sum((rows == MISSING).any(axis=1).sum() for rows in samples))
    return done.bad - missing, done.samples
