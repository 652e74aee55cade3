"""Tapes: recordings joined again where only the label changed, with the label of every sample.

Windows to learn from must not lie across two labels; what a board sees in the field does. Knows recordings only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import Recording


@dataclass(frozen=True)
class Tape:
    """`samples`: int16 (n, channels), as they were taken; `parts`: (first row, label) where a label begins."""

    name: str
    group: str
    rate_hz: float
    samples: NDArray[np.int16]
    parts: tuple[tuple[int, str], ...]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz

    def spans(self, labels: Sequence[str]) -> list[tuple[int, int]]:
        """[start, end) rows of every stretch whose label is one of `labels`; neighbours are one stretch."""
        found: list[tuple[int, int]] = []
        ends = [start for start, _ in self.parts[1:]] + [len(self.samples)]
        for (start, label), end in zip(self.parts, ends, strict=True):
            if label not in labels:
                continue
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found


def tapes(recordings: Sequence[Recording]) -> list[Tape]:
    """All recordings, in their order, joined as `joined` says."""
    return [_join(parts) for parts in joined(recordings)]


def joined(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """The recordings of each tape: each that `follows` goes on the tape of the one before it."""
    made: list[list[Recording]] = []
    for recording in recordings:
        before = made[-1][-1] if made else None
        if recording.follows and before is not None and before.group == recording.group:
            made[-1].append(recording)
        else:
            made.append([recording])
    return made


def _join(parts: Sequence[Recording]) -> Tape:
    first = parts[0]
    starts = np.cumsum([0] + [len(part.samples) for part in parts[:-1]]).tolist()
    labels = tuple(zip(starts, (part.label for part in parts), strict=True))
    return Tape(first.name, first.group, first.rate_hz, np.concatenate([part.samples for part in parts]), labels)
