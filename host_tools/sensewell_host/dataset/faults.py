"""Field faults of known truth: plan them, tell which rows they spoil, and score how a guard found them.

All in integers from a seed, so that every machine plans the same. The faults are carried out by the replay sensor
(device/sensewell/sensor/replay.py, which defines each kind); this file must not know how a guard works.

What counts as found, by kind (`named`: the verdict has a reason that fits; GAP alone does not refuse a sample):

| kind      | counted by | reasons that fit                                          |
|-----------|------------|-----------------------------------------------------------|
| stuck     | sample     | stuck, at once or later by taint (a run shows in the end) |
| spike     | sample     | spike, rate, range, saturated                             |
| missing   | sample     | missing                                                   |
| saturated | sample     | saturated, range                                          |
| stale     | sample     | stale                                                     |
| gap       | event      | gap, in the first sample after it                         |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

use_device_path()
from sensewell import reasons  # noqa: E402
from sensewell.sensor.replay import KINDS  # noqa: E402

FULL_SCALE_RAW = 32767
T_MASK = (1 << 30) - 1

# Rows a fault lasts, shortest and longest
LENGTHS: Mapping[str, tuple[int, int]] = {
    "stuck": (25, 100),
    "spike": (1, 1),
    "missing": (1, 5),
    "saturated": (3, 25),
    "stale": (2, 10),
    "gap": (10, 50),
}
_FITS: Mapping[str, int] = {
    "stuck": reasons.STUCK,
    "spike": reasons.SPIKE | reasons.RATE | reasons.RANGE | reasons.SATURATED,
    "missing": reasons.MISSING,
    "saturated": reasons.SATURATED | reasons.RANGE,
    "stale": reasons.STALE,
    "gap": reasons.GAP,
}


@dataclass(frozen=True)
class Fault:
    """One fault as the replay sensor takes it: rows `start` .. `start + length - 1`; `channel` -1 is all."""

    kind: str
    channel: int
    start: int
    length: int
    value: int = 0

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.length)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(fault: Fault | Mapping[str, Any]) -> Fault:
        return fault if isinstance(fault, Fault) else Fault(**fault)


class _Lcg:
    """Knuth's MMIX generator; the upper half of its 64 bits is used."""

    def __init__(self, seed: int) -> None:
        self._state = (seed * 2 + 1) & (1 << 64) - 1
        self.between(0, 1)

    def between(self, low: int, high: int) -> int:
        """A number in low .. high, both inclusive."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return low + ((self._state >> 32) * (high - low + 1) >> 32)


def plan(
    n_samples: int,
    n_channels: int,
    kinds: Sequence[str] = KINDS,
    seed: int = 1,
    *,
    every: int = 250,
    apart: int = 100,
    spike_raw_min: int = (FULL_SCALE_RAW + 1) // 2,
    spike_raw_max: int = FULL_SCALE_RAW,
    lengths: Mapping[str, tuple[int, int]] | None = None,
) -> list[Fault]:
    """One fault in each `every` rows, kinds in turn from a random one on, at least `apart` clean rows before each.

    Channel, length (rows, `lengths` by kind over LENGTHS) and place are uniform; one missing in four, every stale and
    every gap take all channels. Spikes add spike_raw_min..spike_raw_max counts (by default 0.5..1.0 of full scale),
    either sign. A recording shorter than `every` gets none. Raises SensewellError for what cannot be planned.
    """
    spans = {**LENGTHS, **(lengths or {})}
    for kind in kinds:
        if kind not in KINDS:
            raise SensewellError(f"unknown kind of fault {kind!r}: expected one of {', '.join(KINDS)}")
        low, high = spans[kind]
        if not 1 <= low <= high <= every - apart:
            raise SensewellError(
                f"{kind} faults of {low} to {high} rows do not fit: every {every} rows with {apart} rows between them"
            )
    if not 0 < spike_raw_min <= spike_raw_max <= 2 * FULL_SCALE_RAW or n_channels < 1 or apart < 1:
        raise SensewellError(
            f"cannot plan faults for {n_channels} channels with spikes of {spike_raw_min} to {spike_raw_max} counts, "
            f"{apart} rows apart"
        )
    random = _Lcg(seed)
    faults: list[Fault] = []
    if not kinds:
        return faults
    turn = random.between(0, len(kinds) - 1)
    for slot in range(0, n_samples - every + 1, every):
        kind = kinds[turn % len(kinds)]
        turn += 1
        length = random.between(*spans[kind])
        start = slot + apart + random.between(0, every - apart - length)
        channel = random.between(0, n_channels - 1)
        sign = 1 if random.between(0, 1) else -1
        value = 0
        if kind == "spike":
            value = sign * random.between(spike_raw_min, spike_raw_max)
        elif kind == "saturated":
            value = sign
        elif kind in ("stale", "gap") or (kind == "missing" and random.between(0, 3) == 0):
            channel = -1
        faults.append(Fault(kind, channel, start, length, value))
    return faults


def truth(faults: Iterable[Fault | Mapping[str, Any]], n_samples: int) -> NDArray[np.uint8]:
    """For each row of the recording a mask of the kinds that spoil it, bit k for KINDS[k]; 0: clean."""
    mask = np.zeros(n_samples, np.uint8)
    for fault in map(Fault.of, faults):
        mask[fault.rows] |= 1 << KINDS.index(fault.kind)
    return mask


def rows_read(faults: Iterable[Fault | Mapping[str, Any]], n_samples: int) -> NDArray[np.int64]:
    """The row of the recording behind each sample that the replay sensor gives: all but those in gaps."""
    gap = 1 << KINDS.index("gap")
    return np.flatnonzero(truth(faults, n_samples) & gap == 0)


@dataclass
class Found:
    """Of one kind: `faulty` samples (gap: events), how many were `refused` for whatever reason, how many by name."""

    faulty: int = 0
    refused: int = 0
    named: int = 0

    @property
    def recall(self) -> float:
        """Share of the faulty that were named; 1.0 if there were none."""
        return self.named / self.faulty if self.faulty else 1.0


@dataclass
class Score:
    """What was found by kind, and the clean rows that were refused."""

    by_kind: dict[str, Found] = field(default_factory=lambda: {kind: Found() for kind in KINDS})
    clean: int = 0
    clean_refused: int = 0

    @property
    def false_reject_rate(self) -> float:
        return self.clean_refused / self.clean if self.clean else 0.0

    @property
    def recall(self) -> dict[str, float]:
        """Recall of each kind that occurred."""
        return {kind: found.recall for kind, found in self.by_kind.items() if found.faulty}

    def __add__(self, other: Score) -> Score:
        """The score of two recordings together."""
        total = Score(clean=self.clean + other.clean, clean_refused=self.clean_refused + other.clean_refused)
        for kind, found in total.by_kind.items():
            one, two = self.by_kind[kind], other.by_kind[kind]
            found.faulty = one.faulty + two.faulty
            found.refused = one.refused + two.refused
            found.named = one.named + two.named
        return total


def score(
    faults: Iterable[Fault | Mapping[str, Any]],
    n_samples: int,
    verdicts: Sequence[int] | NDArray[Any],
    taint: Sequence[int] | NDArray[Any] | int = 0,
    t_ms: Sequence[int] | NDArray[Any] | None = None,
    period_ms: int = 0,
) -> Score:
    """Hold the verdicts of one replayed recording of `n_samples` rows against the faults that were in it.

    `verdicts`: one a sample read, in order. `taint`: Guard.taint at each of them (periods back that became bad); or,
    where only verdicts were recorded, one number: what the first of a row of STUCK verdicts unmasks, stuck_n - 1.
    `t_ms` with `period_ms`: the samples' times, to make sure that samples and rows belong together. A clean row counts
    as refused if any reason but GAP was found in it, or by taint. Raises SensewellError where the lists do not fit.
    """
    planted = [Fault.of(fault) for fault in faults]
    kinds = truth(planted, n_samples)
    rows = rows_read(planted, n_samples)
    seen = np.asarray(verdicts, np.int64)
    if len(seen) != len(rows):
        raise SensewellError(
            f"{len(rows)} samples can be read from this recording with its gaps, got {len(seen)} verdicts"
        )
    if t_ms is not None:
        expected = rows.copy()
        stale = kinds[rows] & 1 << KINDS.index("stale") != 0
        expected[stale] = -1
        expected = np.maximum.accumulate(expected) * period_ms & T_MASK
        if not np.array_equal(np.asarray(t_ms, np.int64), expected):
            raise SensewellError("the times of the samples are not those of this recording with these faults")

    if isinstance(taint, int):
        onset = (seen & reasons.STUCK != 0) & (np.concatenate(([0], seen[:-1])) & reasons.STUCK == 0)
        back = np.where(onset, taint, 0)
    else:
        back = np.asarray(taint, np.int64)
        if len(back) != len(seen):
            raise SensewellError(f"expected a taint for each of {len(seen)} verdicts, got {len(back)}")
    verdict = np.zeros(n_samples, np.int64)  # by row of the recording
    verdict[rows] = seen
    tainted = np.zeros(n_samples, bool)
    for row, count in zip(rows[back > 0], back[back > 0], strict=True):
        tainted[max(0, row - count) : row] = True

    result = Score()
    refused = (verdict & reasons.BAD != 0) | tainted
    named = {kind: verdict & fits != 0 for kind, fits in _FITS.items()}
    named["stuck"] |= tainted
    for fault in planted:
        found = result.by_kind[fault.kind]
        if fault.kind == "gap":
            after = np.flatnonzero(rows >= fault.rows.stop)
            if len(after):
                hit = int(named["gap"][rows[after[0]]])
                found.faulty += 1
                found.named += hit
                found.refused += hit
        else:
            found.faulty += len(refused[fault.rows])
            found.refused += int(refused[fault.rows].sum())
            found.named += int(named[fault.kind][fault.rows].sum())
    clean = kinds == 0
    result.clean = int(clean.sum())
    result.clean_refused = int((refused & clean).sum())
    return result


def turn(axis: tuple[float, float, float], degrees: float, triples: Sequence[Sequence[int]]) -> dict[str, Any]:
    """A turned mounting for the replay sensor: each triple of channels rotated about `axis` (right-handed), in Q14."""
    x, y, z = (value / math.hypot(*axis) for value in axis)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    d = 1 - c
    matrix = [
        *(c + x * x * d, x * y * d - z * s, x * z * d + y * s),
        *(y * x * d + z * s, c + y * y * d, y * z * d - x * s),
        *(z * x * d - y * s, z * y * d + x * s, c + z * z * d),
    ]
    return {"matrix": [round(value * 16384) for value in matrix], "triples": [list(triple) for triple in triples]}


def turned(samples: NDArray[np.int16], how: Mapping[str, Any]) -> NDArray[np.int16]:
    """What the replay sensor makes of int16 `samples` (n, channels) without MISSING, bit for bit, for a `turn`."""
    result: NDArray[np.int16] = samples.copy()
    matrix = np.array(how["matrix"], np.int64).reshape(3, 3)
    for triple in how["triples"]:
        y = result[:, triple].astype(np.int64) @ matrix.T + 8192 >> 14
        result[:, triple] = y.clip(-FULL_SCALE_RAW, FULL_SCALE_RAW)
    return result
