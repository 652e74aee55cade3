"""What is wrong with recordings before anything is trained on them: time, dead and clipped signals, balance, leakage.

Takes a dataset, or a CSV that still has its own times. Must not know models: what is a fault here is one for any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.csv_import import times_of
from sensewell_host.dataset.rate import rate_text
from sensewell_host.dataset.recording import MAX_COUNT, MISSING, Dataset, Recording, natural
from sensewell_host.dataset.schema import Schema
from sensewell_host.dataset.tape import tapes

ERROR, WARNING, FINE = "error", "warning", "fine"

RATE_OFF = (0.01, 0.05)  # of the declared rate: a warning, an error from here on
JITTER = 0.25  # of a period, for one step in a hundred
LOST = (0.005, 0.1)  # of all rows
NO_READING = (0.02, 0.5)  # of a channel's
CLIPPED = (0.0005, 0.05)
RAIL_RUN = 3  # readings in a row at an end of what the channel ever shows
STUCK_N, STUCK_TIMES = 25, 10  # readings in a row that are equal, and times what is usual for the channel
IMBALANCE = (10.0, 100.0)  # the most frequent label against the rarest
GRAM = 16  # rows in a row that are equal across groups
ALIKE = 0.9995  # correlation of windows across groups, all channels together
WINDOW = 64
MOVING_RAW = 8  # standard deviation of a window in counts: below it any two windows are alike
MOST_WINDOWS = 4000
Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `check`: what; `level`: error, warning or fine; `where`: channel, recording or groups."""

    check: str
    level: str
    where: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def check(
    dataset: Dataset, train: Sequence[str] = (), test: Sequence[str] = (), csv: tuple[Path, Schema] | None = None
) -> list[Finding]:
    """All findings; train, test: groups of a split, if there is one. csv: the file, with its times."""
    found = times(*csv) if csv and csv[1].time else []
    found += readings(dataset)
    found += clipping(dataset)
    found += stuck(dataset)
    found += balance(dataset)
    found += sides(dataset, train, test)
    found += leakage(dataset, train, test)
    return found


def worst(findings: Iterable[Finding]) -> str:
    levels = {finding.level for finding in findings}
    return next((level for level in (ERROR, WARNING) if level in levels), FINE)


def _level(value: float, limits: tuple[float, float]) -> str:
    return ERROR if value > limits[1] else WARNING if value > limits[0] else FINE


# --- time -------------------------------------------------------------------------------------------------------------


def times(path: Path, schema: Schema) -> list[Finding]:
    """Gaps, jitter and the real rate, of every recording of a CSV; the worst recording is named."""
    steps = []
    for name, time_s in times_of(path, schema):
        if len(time_s) > 1:
            steps.append((name, np.diff(time_s) * schema.rate_hz))  # in periods
    if not steps:
        return [Finding("rate", WARNING, path.name, "no recording has two rows: its rate cannot be told")]
    found = []
    everything = np.concatenate([step for _, step in steps])
    back = [name for name, step in steps if (step <= 0).any()]
    if back:
        found.append(Finding("time", ERROR, ", ".join(back[:5]), "time stands still or goes back inside a recording"))
    # rows lost between, gaps aside, do not make a rate wrong: each step counts as its whole periods
    rates = []
    for name, uneven in steps:
        step = _without_late(uneven)
        whole = np.maximum(np.rint(step), 1)
        near = (step > 0) & (whole <= 5)
        if near.any():
            rates.append((whole[near].sum() / step[near].sum(), name, int(near.sum())))
    if rates:
        off, name, _ = max(rates, key=lambda one: abs(one[0] - 1) * min(one[2], 100))
        real = schema.rate_hz * off
        seen = f"{real:.5g} Hz" if real >= 1 else f"every {1 / real:.5g} s"
        detail = f"{seen} where {rate_text(schema.rate_hz)} is declared ({(off - 1) * 100:+.2f} %)"
        found.append(Finding("rate", _level(abs(off - 1), RATE_OFF), name, detail))
    whole = np.maximum(np.rint(everything), 1)
    jitter = np.abs(everything - whole)[(everything > 0) & (whole <= 5)]
    if len(jitter):
        high = float(np.quantile(jitter, 0.99))
        detail = (
            f"99 % of steps within {high / schema.rate_hz * 1000:.3g} ms ({high * 100:.1f} % of a period) of the grid"
        )
        found.append(Finding("jitter", WARNING if high > JITTER else FINE, "all", detail))
    lost = sum(_lost(np.diff(time_s) * schema.rate_hz) for _, time_s in times_of(path, numbered(schema)))
    longest = float(everything.max())
    share = lost / (lost + len(everything) + len(steps))
    worst_name = max(steps, key=lambda one: one[1].max())[0]
    detail = f"{lost:,} rows lost ({share * 100:.2f} %), the longest gap {longest / schema.rate_hz:.4g} s"
    found.append(Finding("gaps", _level(share, LOST), worst_name if lost else "all", detail))
    return found


def numbered(schema: Schema) -> Schema:
    """The schema of a capture with the numbers of its samples for times; any other as it is."""
    return replace(schema, about={key: value for key, value in schema.about.items() if key != "clock_us"})


def _lost(step: NDArray[np.float64]) -> int:
    """Rows that are not there between those that are, as the import puts them back; step: periods."""
    lost = np.rint(step) - 1
    lost[np.flatnonzero((lost[:-1] > 0) & (lost[1:] < 0))] -= 1  # late ones
    return int(np.maximum(lost, 0).sum())


def _without_late(step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps, in periods, without the samples that came so late that the next one followed in less than half a period:
    rounded one by one, the long step and the short one after it would make more periods than went by."""
    late = np.flatnonzero((step[1:] < 0.5) & (step[1:] > 0) & (step[:-1] > 1))
    joined = step.copy()
    joined[late] += step[late + 1]
    return np.asarray(np.delete(joined, late + 1))


# --- signals ----------------------------------------------------------------------------------------------------------


def readings(dataset: Dataset) -> list[Finding]:
    """Channels without readings."""
    found = []
    for at, channel in enumerate(dataset.channels):
        values = _column(dataset, at)
        share = float(np.mean(values == MISSING)) if len(values) else 1.0
        if share:
            detail = f"{share * 100:.2f} % of its samples have no reading"
            found.append(Finding("missing", _level(share, NO_READING), channel.name, detail))
    return found or [Finding("missing", FINE, "all", "every sample has a reading")]


def clipping(dataset: Dataset) -> list[Finding]:
    """Readings at an end of the counts, or that stay at the greatest or least a channel ever shows."""
    found = []
    for at, channel in enumerate(dataset.channels):
        values = _column(dataset, at)
        good = values[values != MISSING]
        if not len(good) or good.min() == good.max():
            continue
        at_end = np.abs(good.astype(np.int32)) >= MAX_COUNT
        for end in (good.min(), good.max()):
            here = _runs_at_least(values == end, RAIL_RUN)
            if here.mean() > CLIPPED[0] and _is_rail(good, end):
                at_end |= (values == end)[values != MISSING]
        share = float(at_end.mean())
        if share:
            detail = f"{share * 100:.2f} % of its readings at an end of its range ({good.min()}..{good.max()} counts)"
            found.append(Finding("clipping", _level(share, CLIPPED), channel.name, detail))
    return found or [Finding("clipping", FINE, "all", "no channel stays at an end of its range")]


def _is_rail(good: Samples, end: np.int16) -> bool:
    # At a rail readings pile up, many times what its neighbours have; at most half of all, or it is where it rests
    span = int(good.max()) - int(good.min())
    width = max(1, span // 50)
    near = np.abs(good.astype(np.int32) - int(end)) <= width
    at = int((good == end).sum())
    return span > 50 and at > 3 * (int(near.sum()) - at) / width and at < 0.5 * len(good)


def stuck(dataset: Dataset) -> list[Finding]:
    """Channels that never change, and stretches in which one that does stands still."""
    found = []
    for at, channel in enumerate(dataset.channels):
        lengths = []
        held = []
        for tape in tapes(dataset.recordings):
            values = tape.samples[:, at]
            start, length = _runs(values)
            good = values[start] != MISSING
            lengths.append(length[good])
            held += [(int(n), tape.name, int(first)) for n, first in zip(length[good], start[good], strict=True)]
        every = np.concatenate(lengths) if lengths else np.zeros(0, int)
        if not len(every):
            continue
        values = _column(dataset, at)
        if len(np.unique(values[values != MISSING])) == 1:
            found.append(Finding("stuck", ERROR, channel.name, f"never changes: {values[values != MISSING][0]} counts"))
            continue
        usual = float(np.quantile(every, 0.95))
        limit = max(STUCK_N, STUCK_TIMES * usual)
        long = [one for one in held if one[0] >= limit]
        if long:
            n, name, first = max(long)
            seconds = sum(one[0] for one in long) / dataset.rate_hz
            longest = f"longest {n} samples from row {first} of {name}"
            detail = f"stands still {len(long)} times, {seconds:.4g} s in all; {longest}"
            found.append(Finding("stuck", WARNING, channel.name, detail))
    return found or [Finding("stuck", FINE, "all", "no channel stands still for unusually long")]


# --- labels and groups ------------------------------------------------------------------------------------------------


def balance(dataset: Dataset) -> list[Finding]:
    """How much there is of each label, and whether every label is there in more than one group."""
    seconds: dict[str, float] = {}
    groups: dict[str, set[str]] = {}
    labels: dict[str, set[str]] = {}
    for one in dataset.recordings:
        if not one.label:
            continue
        seconds[one.label] = seconds.get(one.label, 0) + one.duration_s
        groups.setdefault(one.label, set()).add(one.group)
        labels.setdefault(one.group, set()).add(one.label)
    if len(seconds) < 2:
        return [
            Finding("balance", WARNING, ", ".join(seconds) or "-", "there is one label only: nothing to tell apart")
        ]
    least, *_, most = sorted(seconds, key=seconds.__getitem__)
    ratio = seconds[most] / max(seconds[least], 1e-9)
    detail = f"{most} {seconds[most]:.4g} s, {least} {seconds[least]:.4g} s ({ratio:.1f} to 1)"
    found = [Finding("balance", _level(ratio, IMBALANCE), "labels", detail)]
    lone = [label for label, of in groups.items() if len(of) == 1]
    if len(labels) > 1 and all(one.group == one.name for one in dataset.recordings):
        detail = "no groups are stated, so every recording is one: say what a split must keep together"
        found.append(Finding("groups", WARNING, "all", detail))
    elif len(labels) > 1 and all(len(of) == 1 for of in labels.values()):
        detail = "every group has one label only: what tells groups apart tells labels apart, and no split can show it"
        found.append(Finding("groups", ERROR, "all", detail))
    elif lone:
        detail = "only in one group: it cannot be in train and in test"
        found.append(Finding("groups", WARNING, ", ".join(natural(lone)), detail))
    else:
        found.append(Finding("groups", FINE, "all", f"{len(labels)} groups, every label in several of them"))
    return found


def sides(dataset: Dataset, train: Sequence[str], test: Sequence[str]) -> list[Finding]:
    """Groups that a split names and nobody is in."""
    absent = natural({*train, *test} - set(dataset.groups))
    if not absent:
        return []
    detail = f"in the split, not in the dataset, which has {', '.join(dataset.groups[:8])}"
    return [Finding("groups", ERROR, ", ".join(absent[:8]), detail)]


def leakage(dataset: Dataset, train: Sequence[str] = (), test: Sequence[str] = ()) -> list[Finding]:
    """A group on both sides of a split; the same or nearly the same samples under the names of two groups."""
    found = []
    both = natural(set(train) & set(test))
    if both:
        found.append(Finding("leakage", ERROR, ", ".join(both), "in train and in test"))
    sides = {**{group: "train" for group in train}, **{group: "test" for group in test}}
    grams = {group: _grams(dataset.of_groups([group])) for group in dataset.groups}
    for one, two in combinations(dataset.groups, 2):
        shared = len(np.intersect1d(grams[one], grams[two], assume_unique=True))
        if shared:
            share = shared / max(1, min(len(grams[one]), len(grams[two])))
            across = not sides or sides.get(one) != sides.get(two)
            detail = f"{GRAM} rows in a row are the same at {shared:,} places ({share * 100:.1f} % of the smaller)"
            found.append(Finding("leakage", ERROR if across else WARNING, f"{one}, {two}", detail))
    named = {finding.where for finding in found}
    found += [finding for finding in _alike(dataset) if finding.where not in named]
    return found or [Finding("leakage", FINE, "all", "no samples of one group are found in another")]


def _grams(recordings: Sequence[Recording]) -> NDArray[np.int64]:
    """A hash of every GRAM rows in a row that are not all the same, once each."""
    hashes = [np.zeros(0, np.int64)]
    for recording in recordings:
        rows = recording.samples
        if len(rows) < GRAM:
            continue
        with np.errstate(over="ignore"):
            row = (rows.astype(np.int64) * _KEYS[: rows.shape[1]]).sum(1)
            row ^= row >> 31
            n = len(row) - GRAM + 1
            total = np.zeros(n, np.int64)
            for place in range(GRAM):
                total = total * _PRIME + row[place : place + n]
        moves = np.concatenate(([0], np.cumsum(row[1:] != row[:-1])))
        changes = moves[GRAM - 1 :] - moves[:n]
        hashes.append(total[changes >= GRAM // 2])
    return np.unique(np.concatenate(hashes))


_KEYS = np.random.default_rng(7).integers(1, 2**62, 64) | 1
_PRIME = np.int64(1099511628211)


def _alike(dataset: Dataset) -> list[Finding]:
    """Windows of two groups with nearly the same course, whatever their gain and offset."""
    vectors, owners = [], []
    for recording in dataset.recordings:
        n = len(recording.samples) // WINDOW
        if not n:
            continue
        windows = recording.samples[: n * WINDOW].reshape(n, WINDOW, -1).astype(np.float32)
        windows = windows[~(windows == MISSING).any((1, 2))]
        windows = windows - windows.mean(1, keepdims=True)
        moving = (windows.std(1) > MOVING_RAW).mean(1) >= 0.5  # of the channels
        vectors.append(windows[moving].reshape(int(moving.sum()), WINDOW * len(dataset.channels)))
        owners += [recording.group] * int(moving.sum())
    if not owners:
        return []
    every = np.concatenate(vectors)
    group = np.array(owners)
    if len(every) > MOST_WINDOWS:
        chosen = np.linspace(0, len(every) - 1, MOST_WINDOWS).astype(int)
        every, group = every[chosen], group[chosen]
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    pairs: dict[tuple[str, str], int] = {}
    for start in range(0, len(every), 500):
        like = every[start : start + 500] @ every.T > ALIKE
        for one, two in zip(*np.nonzero(like), strict=True):
            a, b = group[start + one], group[two]
            if a != b and start + one < two:
                key = tuple(natural([str(a), str(b)]))
                pairs[key[0], key[1]] = pairs.get((key[0], key[1]), 0) + 1
    return [
        Finding("leakage", WARNING, f"{a}, {b}", f"{n} pairs of windows are nearly the same but for gain and offset")
        for (a, b), n in sorted(pairs.items())
    ]


# --- runs -------------------------------------------------------------------------------------------------------------


def _column(dataset: Dataset, at: int) -> Samples:
    parts = [recording.samples[:, at] for recording in dataset.recordings]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def _runs(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and length of each stretch of equal values."""
    if not len(values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    start = np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))
    return start, np.diff(np.append(start, len(values)))


def _runs_at_least(mask: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    _, length = _runs(mask)
    long = np.repeat(length >= n, length)
    return mask & long
