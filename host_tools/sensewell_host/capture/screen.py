"""The live picture of a capture in a terminal: a sparkline a channel, and how well the samples come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sensewell_host.capture.session import Result
from sensewell_host.capture.wire import Rows
from sensewell_host.dataset.recording import MISSING, ChannelInfo

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
_LEAST_WIDTH = 8
_REDRAW_S = 0.2


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """The last values as bars between their least and greatest; a blank where there is none (NaN)."""
    shown = np.asarray(values, float)
    if len(shown) > width:
        edges = np.linspace(0, len(shown), width + 1).astype(int)
        with np.errstate(invalid="ignore"):
            shown = np.array([_mean(shown[a:b]) for a, b in pairwise(edges)])
    good = shown[~np.isnan(shown)]
    if not len(good):
        return " " * len(shown)
    low, span = good.min(), np.ptp(good)
    steps = (shown - low) / span * (len(_BARS) - 1) if span else shown * 0 + 3
    return "".join(" " if np.isnan(step) else _BARS[round(step)] for step in steps)


def _mean(values: np.ndarray) -> float:
    good = values[~np.isnan(values)]
    return float(good.mean()) if len(good) else float("nan")


class Screen:
    """Called with what comes (session.Watch); shows the last `seconds` of it in `live`."""

    def __init__(
        self, live: Live, channels: Sequence[ChannelInfo], rate_hz: float, wanted: int, hint: str = ""
    ) -> None:
        self._live = live
        self._channels = channels
        self._rate_hz = rate_hz
        self._wanted = wanted
        self._hint = hint
        self._values: deque[np.ndarray] = deque(maxlen=max(_WIDTH, min(3000, round(6 * rate_hz))))
        self._drawn = 0.0

    def __call__(self, rows: Rows, result: Result, kept: bool) -> None:
        for row, flag in zip(rows.counts, rows.flags, strict=True):
            value = row.astype(float)
            value[(row == MISSING) | (flag != 0)] = np.nan
            self._values.append(value)
        now = time.monotonic()
        if now - self._drawn >= _REDRAW_S:
            self._drawn = now
            self._live.update(self.picture(result, kept), refresh=True)

    def picture(self, result: Result, kept: bool) -> RenderableType:
        """What is to be seen now."""
        table = Table(box=None, header_style="bold", padding=(0, 1))
        names = ("channel", "now", "unit", "least", "greatest")
        for column in (*names, "the last seconds"):
            table.add_column(column, justify="right" if column in ("now", "least", "greatest") else "left")
        rows = [names]
        courses = []
        block = np.array(self._values)
        for at, channel in enumerate(self._channels):
            values = block[:, at] * channel.scale + channel.offset if len(block) else np.array([np.nan])
            good = values[~np.isnan(values)]
            ends = (f"{good.min():.4g}", f"{good.max():.4g}") if len(good) else ("-", "-")
            now = "-" if np.isnan(values[-1]) else f"{values[-1]:.4g}"
            rows.append((channel.name, now, channel.unit, *ends))
            courses.append(values.tolist())
        # as wide as the terminal leaves it: what would be cut off is the newest
        taken = sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) + 2
        width = min(_WIDTH, max(_LEAST_WIDTH, self._live.console.width - taken))
        for row, course in zip(rows[1:], courses, strict=True):
            table.add_row(*row, sparkline(course, width))
        state = f"{result.rows:,} of {self._wanted:,} samples" if kept else self._hint
        trouble = {
            "lost": result.lost,
            "late": result.late,
            "lost on the wire": result.on_wire,
            "errors": result.errors,
            "nothing new": result.stale,
            "broken wires": len(result.gaps),
        }
        bad = ", ".join(f"{count} {what}" for what, count in trouble.items() if count)
        return Group(table, Text(f"{state}; {bad or 'nothing lost, nothing late'}"))
