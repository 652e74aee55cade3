"""Calibration at rest: what a machine known to be healthy reads becomes 0, and its spread a stated number of counts.

    y = (x - mean) * sd_raw / spread        spread = max(deviation, floor_raw, floor_pct % of |mean|)

The floor is how far a healthy machine may wander: a channel that stands still for minutes has next to no deviation. The
same function serves a board (`sensewell calibrate rest`) and recordings, each of which begins with such a stretch.
Knows counts and tapes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import MISSING, Recording
from sensewell_host.dataset.tape import joined
from sensewell_host.errors import SensewellError

_GAIN = 16383 / 4096  # the greatest that a board applies

Entries = dict[str, dict[str, int]]  # by channel name, as /calibration.json has them


@dataclass(frozen=True)
class Rest:
    """How a machine at rest is measured. `floors`: by channel, (counts, percent of the mean). `by`: what of a
    recording's `extra` tells sessions apart, each of which begins with such a stretch; "": every tape is one."""

    seconds: float
    sd_raw: int
    floors: dict[str, tuple[float, float]]
    by: str = ""

    def rows(self, rate_hz: float) -> int:
        return round(self.seconds * rate_hz)

    def as_dict(self) -> dict[str, Any]:
        """For a manifest; `of` reads it again."""
        floors = {name: {"raw": raw, "pct": pct} for name, (raw, pct) in self.floors.items()}
        return {"seconds": self.seconds, "sd_raw": self.sd_raw, "floors": floors}

    @staticmethod
    def of(said: dict[str, Any]) -> Rest:
        floors = {name: (float(entry["raw"]), float(entry["pct"])) for name, entry in said["floors"].items()}
        return Rest(float(said["seconds"]), int(said["sd_raw"]), floors)


def measure(rows: NDArray[np.int16], names: Sequence[str], rest: Rest) -> Entries:
    """Calibration of the channels `names` from counts (samples, channels) at rest; missing readings do not count.

    SensewellError where a channel has fewer than 10 readings, or so small a spread that no board has the gain.
    """
    entries = {}
    for column, name in enumerate(names):
        counts = rows[:, column][rows[:, column] != MISSING].astype(float)
        if len(counts) < 10:
            raise SensewellError(f"{name}: expected at least 10 readings at rest, got {len(counts)}")
        mean = float(counts.mean())
        floor_raw, floor_pct = rest.floors.get(name, (0.0, 0.0))
        spread = max(float(counts.std()), floor_raw, abs(mean) * floor_pct / 100)
        if spread * _GAIN < rest.sd_raw:
            raise SensewellError(
                f"{name}: a spread of {spread:.2f} counts cannot become {rest.sd_raw}: the gain of a board is below 4. "
                f"Give it a floor of {rest.sd_raw / _GAIN:.0f} counts or more, or a finer scale"
            )
        entries[name] = {"offset_raw": round(mean), "gain_q12": max(1, round(rest.sd_raw / spread * 4096))}
    return entries


def split_recordings(
    recordings: Sequence[Recording], names: Sequence[str], rest: Rest
) -> tuple[tuple[Recording, ...], list[list[dict[str, int]]]]:
    """Recordings without the rest at the begin of each session, and of each that is left the calibration of its
    session, a dict a channel."""
    kept: list[Recording] = []
    found: list[list[dict[str, int]]] = []
    for session in _sessions(recordings, rest.by):
        left = rest.rows(session[0].rate_hz)
        entries = measure(np.concatenate([one.samples for one in session])[:left], names, rest)
        for recording in session:
            samples = recording.samples[left:]
            if len(samples):
                kept.append(replace(recording, samples=samples, follows=recording.follows and not left))
                found.append([entries[name] for name in names])
            left = max(0, left - len(recording.samples))
    return tuple(kept), found


def _sessions(recordings: Sequence[Recording], by: str) -> list[list[Recording]]:
    if not by:
        return joined(recordings)
    made: dict[tuple[str, str], list[Recording]] = {}
    for recording in recordings:
        if by not in recording.extra:
            raise SensewellError(
                f"recording {recording.name} does not say its {by!r}: have the schema keep it as extra"
            )
        made.setdefault((recording.group, str(recording.extra[by])), []).append(recording)
    return list(made.values())
