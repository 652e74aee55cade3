"""The schema beside a CSV: which column is which channel, in what unit and scale, and what tells recordings apart.

    {"name": "watch", "rate_hz": 50,
     "channels": [{"name": "ax", "unit": "m/s2", "scale": 0.002394, "column": "ax_g", "factor": 9.80665}, ...],
     "label": "exercise", "group": "person", "recording": ["rec"], "extra": ["side"],
     "time": {"column": "t_ms", "unit": "ms"}, "missing": [-200]}

| key       | meaning                                                                                              |
|-----------|------------------------------------------------------------------------------------------------------|
| channels  | SI value = cell * factor (1); counts = round((SI - offset) / scale); `column`: the name if left out; |
|           | with "raw": true the cells are the counts themselves; with "clock": from_noon, from_18h or weekend   |
|           | it is that of the (iso) time as it is written, like the board's device/sensewell/sensor/clock.py     |
| rate_hz   | nominal samples a second, 1..1000; or instead of it:                                                 |
| period_ms | nominal ms from sample to sample, 1..3,600,000                                                       |
| label     | column with what was going on; where it changes a new recording begins. Or {"column": c, "above": x, |
|           | "labels": [low, high]}: by a number; no number is no label                                           |
| group     | column of what a split must keep together (person, machine, day); else every recording is a group.   |
|           | Or {"column": c, "by": "day", "month" or "quarter"}: of an ISO time                                  |
| recording | column(s) that tell recordings apart                                                                 |
| extra     | columns kept with each recording (their value in its first row)                                      |
| time      | column and unit (s, ms, us, iso, period): rows lost are put back as MISSING, long holes end a        |
|           | recording; period: the column numbers the samples                                                    |
| missing   | cells that mean "no reading", besides empty and nan                                                  |
| about     | anything; it stays with the dataset. A capture says "captured": true there: a last line that was     |
|           | never finished is then no error, but left out; "clock_us": the column with the times of its samples  |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensewell_host.dataset import rate
from sensewell_host.dataset.recording import ChannelInfo
from sensewell_host.errors import SensewellError

TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "iso": 0.0, "period": -1.0}  # iso: 2026-05-04T13:30:00
PARTS_OF_TIME = ("day", "month", "quarter")
CLOCK = {"from_noon": "min", "from_18h": "min", "weekend": ""}  # units, in the order of the device's hour_row()
_KEYS = {"name", "what", *rate.KEYS, "channels", "label", "group", "recording", "extra", "time", "missing", "about"}
_CHANNEL_KEYS = {"name", "unit", "scale", "offset", "column", "factor", "raw", "clock"}


@dataclass(frozen=True)
class Schema:
    """A schema, checked. `columns`, `factors`, `clock`: one a channel; factor 0: raw; clock: place in CLOCK, or None;
    `time`: (column, seconds of its unit)."""

    name: str
    rate_hz: float
    channels: tuple[ChannelInfo, ...]
    columns: tuple[str, ...]
    factors: tuple[float, ...]
    clock: tuple[int | None, ...]
    label: str | None = None
    group: str | None = None
    label_above: tuple[float, str, str] | None = None  # limit, label up to it, label above
    group_by: str | None = None
    recording: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    time: tuple[str, float] | None = None
    missing: tuple[float, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def needed(self) -> list[str]:
        """Every column the CSV must have, once each."""
        names = [*self.columns, *self.recording, *self.extra]
        names += [name for name in (self.label, self.group, self.time[0] if self.time else None) if name]
        return list(dict.fromkeys(names))

    @staticmethod
    def load(path: Path) -> Schema:
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise SensewellError(
                f"no schema {path}: put a JSON file with the channels beside the CSV, or name it by --schema "
                "(models/fan/data.json is one, host_tools/sensewell_host/dataset/schema.py explains all keys)"
            ) from None
        except (OSError, ValueError) as error:
            raise SensewellError(f"schema {path} cannot be read: {error}") from error
        return Schema.parse(content, str(path))

    @staticmethod
    def parse(content: Any, where: str = "schema") -> Schema:
        if not isinstance(content, dict):
            raise SensewellError(f"{where}: expected a JSON object, got {type(content).__name__}")
        _refuse_unknown(content, _KEYS, where)
        entries = content.get("channels")
        if not isinstance(entries, list) or not 1 <= len(entries) <= 16:
            raise SensewellError(f"{where}: expected 1 to 16 channels, got {entries!r:.60}")
        time = _time(content.get("time"), where, rate.rate_of(content, where))
        channels, columns, factors, clock = [], [], [], []
        for number, entry in enumerate(entries):
            at = f"{where}, channel {number + 1}"
            if not isinstance(entry, dict):
                raise SensewellError(f"{at}: expected an object, got {entry!r}")
            _refuse_unknown(entry, _CHANNEL_KEYS, at)
            name = _text(entry, "name", at)
            clock.append(_clock(entry, at, time))
            if time and "clock" in entry:
                entry = {"unit": CLOCK[entry["clock"]], "scale": 1.0, "column": time[0]}
            channels.append(
                ChannelInfo(
                    name, _text(entry, "unit", at, ""), _number(entry, "scale", at), _number(entry, "offset", at, 0.0)
                )
            )
            columns.append(_text(entry, "column", at, name))
            raw = entry.get("raw", False)
            if not isinstance(raw, bool) or (raw and "factor" in entry):
                raise SensewellError(f"{at}: expected raw as true or false, and no factor beside true")
            factors.append(0.0 if raw else _number(entry, "factor", at, 1.0))
        label, above = _label(content.get("label", ""), where)
        group, by = _group(content.get("group", ""), where)
        names = [channel.name for channel in channels]
        if len(set(names)) < len(names):
            raise SensewellError(f"{where}: two channels have the same name: {', '.join(names)}")
        about = content.get("about", {})
        if not isinstance(about, dict):
            raise SensewellError(f"{where}: expected about as an object, got {about!r:.60}")
        return Schema(
            name=_text(content, "name", where, "dataset"),
            rate_hz=rate.rate_of(content, where),
            channels=tuple(channels),
            columns=tuple(columns),
            factors=tuple(factors),
            clock=tuple(clock),
            label=label,
            group=group,
            label_above=above,
            group_by=by,
            recording=_texts(content, "recording", where),
            extra=_texts(content, "extra", where),
            time=time,
            missing=_numbers(content, "missing", where),
            about=about,
        )


def _clock(entry: Mapping[str, Any], at: str, time: tuple[str, float] | None) -> int | None:
    if "clock" not in entry:
        return None
    name = _text(entry, "clock", at)
    if name not in CLOCK:
        raise SensewellError(f"{at}: expected clock as one of {', '.join(CLOCK)}, got {name!r}")
    if time is None or time[1] != TIME_UNITS["iso"]:
        raise SensewellError(f'{at}: a clock needs "time" with the unit iso: of other times nobody knows the hour')
    beside = sorted(set(entry) - {"name", "clock"})
    if beside:
        raise SensewellError(f"{at}: expected beside a clock only its name, got {', '.join(beside)}")
    return list(CLOCK).index(name)


def _label(value: Any, where: str) -> tuple[str | None, tuple[float, str, str] | None]:
    if not isinstance(value, dict):
        return _text({"label": value}, "label", where, "") or None, None
    _refuse_unknown(value, {"column", "above", "labels"}, f"{where}, label")
    low_high = _texts(value, "labels", where)
    if len(low_high) != 2:
        raise SensewellError(f"{where}, label: expected two labels, up to the limit and above, got {low_high}")
    return _text(value, "column", where), (_number(value, "above", where), low_high[0], low_high[1])


def _group(value: Any, where: str) -> tuple[str | None, str | None]:
    if not isinstance(value, dict):
        return _text({"group": value}, "group", where, "") or None, None
    _refuse_unknown(value, {"column", "by"}, f"{where}, group")
    by = _text(value, "by", where)
    if by not in PARTS_OF_TIME:
        raise SensewellError(f"{where}, group: expected by as one of {', '.join(PARTS_OF_TIME)}, got {by!r}")
    return _text(value, "column", where), by


def _refuse_unknown(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(entry) - known)
    if unknown:
        raise SensewellError(f"{where}: no such key: {', '.join(unknown)} (there are {', '.join(sorted(known))})")


def _text(entry: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str) or (not value and default is None):
        raise SensewellError(f"{where}: expected {key!r} as text, got {value!r}")
    return value


def _texts(entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) and text for text in values):
        raise SensewellError(f"{where}: expected {key!r} as a column or a list of columns, got {value!r}")
    return tuple(values)


def _number(entry: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = entry.get(key, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise SensewellError(f"{where}: expected {key!r} as a number, got {value!r}")
    return float(value)


def _numbers(entry: Mapping[str, Any], key: str, where: str) -> tuple[float, ...]:
    values = entry.get(key, [])
    if not isinstance(values, list):
        raise SensewellError(f"{where}: expected {key!r} as a list of numbers, got {values!r}")
    return tuple(_number({key: value}, key, where) for value in values)


def _time(value: Any, where: str, rate_hz: float) -> tuple[str, float] | None:
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(value.get("column"), str) and value.get("unit") == "period":
        return value["column"], 1 / rate_hz
    if isinstance(value, dict) and isinstance(value.get("column"), str) and value.get("unit") in TIME_UNITS:
        return value["column"], TIME_UNITS[value["unit"]]
    units = ", ".join(TIME_UNITS)
    raise SensewellError(f'{where}: expected "time" as {{"column": name, "unit": one of {units}}}, got {value!r}')
