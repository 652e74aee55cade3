"""How a system does in the field, judged by events, not windows: what people who live with its alarms would count.

An event is a stretch of the truth with an alarm label; an alarm a stretch of published decisions with one.

| figure            | is                                                                                            |
|-------------------|-----------------------------------------------------------------------------------------------|
| false alarms      | alarms that touch no event, nor the `grace_s` after one; per hour and day without event       |
|                   | (stretches without a label count neither way)                                                 |
| false alarm time  | share of the time without event (and grace) in which an alarm stood                           |
| missed            | events during which no alarm stood                                                            |
| delay             | from an event's begin to the first decision with an alarm; 0 where one stood already          |
| chatter           | changes of the published label an hour                                                        |
| availability      | share of the time in which a decision other than the fallback stood, after the first window   |
| on fallback       | share of that time in which rules stood in for the model, or nobody knew                      |
| accuracy          | share of that time in which the published label was the true one (labels of the recipe only)  |
| F1, false windows | of the alarms that stood when each window came due, by the truth of its last row; an hour     |
|                   | without event, no grace (windows without a label count neither way)                           |

Talks to no board: it gets tapes and the decisions that were made over them (run.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.tape import Tape
from sensewell_host.errors import SensewellError
from sensewell_host.report import spans
from sensewell_host.run import Replayed

MODEL, HOLD, RULE, INTERLOCK = range(4)  # sources, as boards number them


@dataclass(frozen=True)
class Track:
    """What stood when: from row `starts[i]` on label number `labels[i]`, said by `sources[i]`; rows of a tape."""

    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    sources: NDArray[np.int64]
    due: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # rows at which a window was due

    def by_row(self, n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(label, source) that stood at every row, -1 before the first decision."""
        lengths = np.diff(np.concatenate((self.starts, [n_rows])))
        before = int(self.starts[0]) if len(self.starts) else n_rows
        pad = np.full(before, -1)
        return (
            np.concatenate((pad, np.repeat(self.labels, lengths))),
            np.concatenate((pad, np.repeat(self.sources, lengths))),
        )


@dataclass
class Figures:
    """The table above, over all tapes of a variant. Times in seconds, shares 0..1; None where nothing can be said."""

    hours: float = 0.0
    events: int = 0
    missed: int = 0
    delays_s: list[float] = field(default_factory=list)
    alarms: int = 0
    false_alarms: int = 0
    quiet_hours: float = 0.0  # without event or grace
    false_alarm_hours: float = 0.0
    changes: int = 0
    decided_hours: float = 0.0  # after the first window
    available_hours: float = 0.0
    fallback_hours: float = 0.0
    known_hours: float = 0.0  # whose truth is one of the labels
    right_hours: float = 0.0
    windows: list[int] = field(default_factory=lambda: [0, 0, 0, 0])  # alarms: right, false; none: missed, right
    calm_hours: float = 0.0  # without event, decided, of known truth

    def as_dict(self) -> dict[str, Any]:
        """What a report says."""
        delays = np.array(self.delays_s)
        right, false, lost, _ = self.windows
        return {
            **{key: value for key, value in asdict(self).items() if key != "delays_s"},
            "false_alarms_per_hour": _ratio(self.false_alarms, self.quiet_hours),
            "false_alarms_per_day": _ratio(24 * self.false_alarms, self.quiet_hours),
            "false_alarm_time": _ratio(self.false_alarm_hours, self.quiet_hours),
            "delay_median_s": float(np.median(delays)) if len(delays) else None,
            "delay_p90_s": float(np.quantile(delays, 0.9)) if len(delays) else None,
            "chatter_per_hour": _ratio(self.changes, self.decided_hours),
            "availability": _ratio(self.available_hours, self.decided_hours),
            "on_fallback": _ratio(self.fallback_hours, self.decided_hours),
            "accuracy": _ratio(self.right_hours, self.known_hours),
            "window_f1": _ratio(2 * right, 2 * right + false + lost),
            "window_precision": _ratio(right, right + false),
            "window_recall": _ratio(right, right + lost),
            "false_windows_per_hour": _ratio(false, self.calm_hours),
        }


def published(run: Replayed) -> Track:
    """What the board published."""
    made = run.decisions
    due = made["sample"][made["window"] > 0].astype(np.int64)
    return Track(made["sample"].astype(np.int64), made["label"].astype(np.int64), made["source"].astype(np.int64), due)


def alone(run: Replayed) -> Track:
    """What the model by itself said: its own class of every window, neither smoothed nor doubted."""
    made = run.decisions[run.decisions["best"] >= 0]
    return windows(made["sample"].astype(np.int64), made["best"].astype(np.int64))


def windows(rows: NDArray[np.int64], classes: NDArray[np.int64]) -> Track:
    """What some model by itself said of each window; rows: the last one of each."""
    return Track(rows, classes, np.full(len(rows), MODEL), rows)


def judge(
    tapes: Sequence[Tape],
    tracks: Sequence[Track],
    labels: Sequence[str],
    alarm: Sequence[str],
    fallback: str,
    grace_s: float = 0.0,
) -> Figures:
    """Figures over all tapes. labels: the bundle's, by number; alarm: those that are alarms, in truth and decision.

    SensewellError if an alarm label is neither among the labels nor in any truth (a bundle may have other words than
    recordings), or a tape has another number of rows than was played.
    """
    truths = {label for tape in tapes for _, label in tape.parts}
    unknown = [name for name in alarm if name not in labels and name not in truths]
    if unknown:
        raise SensewellError(f"the bundle has no label {', '.join(unknown)}: there are {', '.join(labels)}")
    numbers = [labels.index(name) for name in alarm if name in labels]
    whole = Figures()
    for tape, track in zip(tapes, tracks, strict=True):
        _add(whole, tape, track, labels, alarm, numbers, labels.index(fallback) if fallback in labels else -1, grace_s)
    return whole


def _add(
    sums: Figures,
    tape: Tape,
    track: Track,
    labels: Sequence[str],
    alarm: Sequence[str],
    numbers: Sequence[int],
    fallback: int,
    grace_s: float,
) -> None:
    n = len(tape.samples)
    hour = tape.rate_hz * 3600  # rows
    said, source = track.by_row(n)
    alarmed = np.isin(said, numbers)
    quiet = np.ones(n, bool)
    for start, end in tape.spans(alarm):
        later = min(n, end + round(grace_s * tape.rate_hz))
        quiet[start:later] = False
        stood = np.flatnonzero(alarmed[start:later])
        sums.events += 1
        if len(stood):
            sums.delays_s.append(float(stood[0]) / tape.rate_hz)
        else:
            sums.missed += 1
    unknown = np.zeros(n, bool)
    for start, end in tape.spans([""]):
        unknown[start:end] = True  # nobody knows what was true
    quiet &= ~unknown
    for start, end in spans(alarmed):
        sums.alarms += 1
        sums.false_alarms += bool(quiet[start:end].all())
    decided = said >= 0
    event = np.zeros(n, bool)
    for start, end in tape.spans(alarm):
        event[start:end] = True
    due = track.due[track.due < n]
    due = due[~unknown[due]]
    for kind, (stood_then, true_then) in enumerate(((True, True), (True, False), (False, True), (False, False))):
        sums.windows[kind] += int(((alarmed[due] == stood_then) & (event[due] == true_then)).sum())
    sums.calm_hours += int((decided & ~event & ~unknown).sum()) / hour
    true = np.full(n, -1)
    for label in labels:
        for start, end in tape.spans([label]):
            true[start:end] = labels.index(label)
    sums.hours += n / hour
    sums.quiet_hours += int(quiet.sum()) / hour
    sums.false_alarm_hours += int((alarmed & quiet).sum()) / hour
    sums.changes += int((np.diff(said[decided]) != 0).sum())
    sums.decided_hours += int(decided.sum()) / hour
    sums.available_hours += int((decided & (said != fallback)).sum()) / hour
    sums.fallback_hours += int((decided & (source == RULE)).sum()) / hour
    sums.known_hours += int((decided & (true >= 0)).sum()) / hour
    sums.right_hours += int((decided & (true >= 0) & (said == true)).sum()) / hour


def _ratio(a: float, b: float) -> float | None:
    return a / b if b else None


def rows_of(figures: Mapping[str, Figures]) -> list[tuple[str, ...]]:
    """The table people read: a row a figure, its name first, then of each variant."""
    found = [one.as_dict() for one in figures.values()]
    events = tuple(f"{one['events'] - one['missed']} of {one['events']}" for one in found)
    return [
        ("events found", *events),
        *((name, *(_text(one[key], form) for one in found)) for name, key, form in _ROWS),
    ]


_ROWS = (
    ("delay, median", "delay_median_s", "{:.0f} s"),
    ("delay, p90", "delay_p90_s", "{:.0f} s"),
    ("false alarms", "false_alarms", "{}"),
    ("... an hour", "false_alarms_per_hour", "{:.2f}"),
    ("... a day", "false_alarms_per_day", "{:.1f}"),
    ("... of the time", "false_alarm_time", "{:.2%}"),
    ("changes an hour", "chatter_per_hour", "{:.2f}"),
    ("available", "availability", "{:.1%}"),
    ("on fallback", "on_fallback", "{:.1%}"),
    ("accuracy", "accuracy", "{:.3f}"),
    ("F1 of windows", "window_f1", "{:.3f}"),
    ("false windows an hour", "false_windows_per_hour", "{:.1f}"),
)


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
