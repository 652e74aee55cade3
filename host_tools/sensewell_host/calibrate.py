"""Calibration of a board, measured on it: six faces for an accelerometer, two points for any other channel (at rest:
rest.py).

Makes the file /calibration.json that device/sensewell/build/calibration.py reads and condition.py applies,
    y = ((x - offset_raw) * gain_q12 + 2048) >> 12,   x: the count of channel `from`.
Knows a board and its /setup.py; asking people is calibrate_commands.py's.
"""

from __future__ import annotations

import ast
import json
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.board import Board, BoardScriptError
from sensewell_host.board.base import verify
from sensewell_host.dataset.recording import MISSING
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

use_device_path()
from sensewell.build.calibration import by_channel  # noqa: E402  (the device's own code)
from sensewell.condition import Condition  # noqa: E402

PATH = "/calibration.json"
FACES = ("+x", "-x", "+y", "-y", "+z", "-z")  # which axis of the device points up
MOVED = 0.03  # of 1 g: a standard deviation above it is no device at rest
ASKEW = 0.27  # tan 15 degrees: what another axis may see of the one that points up
GAIN = (0.7, 1.3)  # no accelerometer is further off
WARM_MS = 3000  # within which every part has its first reading
MOST_MS = 1000  # from one new reading of a part to the next

Raw = NDArray[np.int16]

_NAMES = """
import setup
print("N", repr([one[0] for one in getattr(setup, "CHANNELS", ())]))
print("N", getattr(setup, "CALIBRATION", None) is not None)
"""

# Rows of counts as setup.py's sensor gives them, each new one once. A part that has just been started has no reading:
# such rows count only from WARM_MS on
_SAMPLE = """
import time
from array import array
import setup
_sensor = setup.sensor()
_row = array("h", [-32768] * {n})
_begin = time.ticks_ms()
_left = {samples}
_last = None
while _left:
    _t = _sensor.read(_row)
    _spent = time.ticks_diff(time.ticks_ms(), _begin)
    if _t < 0 or _spent > {most_ms}:
        break
    if _t != _last and (_last is not None or _spent > {warm_ms} or min(_row) > -32768):
        print("R", repr(tuple(_row)))
        _last = _t
        _left -= 1
    time.sleep_ms({pause_ms})
"""


def channels_of(board: Board) -> tuple[str, ...]:
    """The names of what the board's sensor reads, by CHANNELS in its /setup.py; SensewellError if that has a
    calibration of its own, which a node takes instead of the file."""
    said = _run(board, _NAMES, 30)
    names = tuple(ast.literal_eval(said[-2])) if len(said) > 1 else ()
    if said and said[-1] == "True":
        raise SensewellError(
            "the board's setup.py says CALIBRATION, which comes before what is measured here: take it out of setup.py, "
            "then calibrate again"
        )
    if not names:
        raise SensewellError(
            "calibration goes by channel names: have the board's setup.py say CHANNELS = [(name, unit), ...]"
        )
    return names


def sample(board: Board, n_channels: int, samples: int = 100, pause_ms: int = 5, missing: bool = False) -> Raw:
    """Counts of the board's sensor now: int16 (samples, n_channels), new ones only. SensewellError if a reading is
    missing, unless `missing` allows it, or if they come more slowly than one a second or two pauses."""
    most_ms = WARM_MS + samples * max(MOST_MS, 2 * pause_ms)
    code = _SAMPLE.format(n=n_channels, samples=samples, pause_ms=pause_ms, warm_ms=WARM_MS, most_ms=most_ms)
    said = _run(board, code, 30 + most_ms / 1000)
    rows = np.array([ast.literal_eval(line) for line in said], np.int16)
    if len(rows) < samples:
        raise SensewellError(f"expected {samples} samples, the sensor gave {len(rows)} within {most_ms / 1000:g} s")
    lost = int((rows == MISSING).any(axis=1).sum())
    if lost and not missing:
        raise SensewellError(f"{lost} of {samples} samples have no reading: see to the sensor's wiring first")
    return rows


def six_faces(
    faces: Mapping[str, Raw], names: Sequence[str], axes: Sequence[str], one_g_raw: float, gyro: Sequence[str] = ()
) -> tuple[dict[str, dict[str, Any]], float]:
    """(entries of the channels `axes`, greatest error that remains in g) of an accelerometer at rest on its six faces.

    faces: for each of FACES the counts int16 (samples, len(names)); axes: the channels that shall be x, y, z; gyro:
    channels beside them on the same part, turned with it, whose offset is what they read at rest. Which sensor axis
    lies along which axis of the device, and its sign, come from the faces themselves. SensewellError if the device
    moved, was laid askew or on a wrong face (a sensor is right-handed: x, y, z in the order of its channels), or if
    gravity is not near one_g_raw counts.
    """
    at = [names.index(_known(name, names)) for name in axes]
    about = [names.index(_known(name, names)) for name in gyro]
    means = {}
    for face in FACES:
        rows = faces[face].astype(float)
        spread = rows[:, at].std(axis=0).max()
        if spread > MOVED * one_g_raw:
            raise SensewellError(
                f"the device moved while {face} pointed up (by {spread:.0f} counts): lay it down again"
            )
        means[face] = rows.mean(axis=0)
    entries: dict[str, dict[str, Any]] = {}
    taken: dict[int, str] = {}
    turn = np.zeros((3, 3))  # of the sensor's axes, in the order of its channels, into the device's
    order = sorted(at)
    for axis, name in enumerate(axes):
        up, down = means[FACES[2 * axis]], means[FACES[2 * axis + 1]]
        change = (up - down)[at]
        source = int(np.abs(change).argmax())
        others = np.abs(np.delete(change, source)).max()
        letter = "xyz"[axis]
        if others > ASKEW * abs(change[source]) or source in taken:
            raise SensewellError(
                f"between +{letter} and -{letter} the axes changed by {', '.join(f'{c:.0f}' for c in change)} counts: "
                "expected one alone, and another one for each axis. Lay the device flat on the face that is asked for"
            )
        taken[source] = name
        turn[order.index(at[axis]), order.index(at[source])] = np.sign(change[source])
        gain = 2 * one_g_raw / change[source] if change[source] else np.inf
        if not GAIN[0] <= abs(gain) <= GAIN[1]:
            raise SensewellError(
                f"gravity makes {abs(change[source]) / 2:.0f} counts on {axes[source]}, expected about "
                f"{one_g_raw:.0f}: is this the bundle for this sensor and range?"
            )
        offset = (up + down)[at][source] / 2
        entries[name] = _entry(axes[source], name, offset, gain)
    if np.linalg.det(turn) < 0:
        raise SensewellError(
            "these faces would make a mirror image of the sensor, which no mounting does: expected each face once with "
            "its axis up, two opposite ones were mistaken for one another. Begin again"
        )
    if about:
        rest = np.mean([means[face] for face in FACES], axis=0)
        for axis, name in enumerate(gyro):
            source = axes.index(entries[axes[axis]].get("from", axes[axis]))
            sign = 1.0 if entries[axes[axis]]["gain_q12"] > 0 else -1.0
            entries[name] = _entry(gyro[source], name, rest[about[source]], sign)
    left = 0.0
    for number, face in enumerate(FACES):
        wanted = np.zeros(3)
        wanted[number // 2] = one_g_raw * (1 if face[0] == "+" else -1)
        got = np.array(applied(entries, names, means[face]))[at]
        left = max(left, float(np.abs(got - wanted)[number // 2]) / one_g_raw)
    return entries, left


def two_points(
    name: str, read: tuple[float, float], true: tuple[float, float], scale: float, offset: float
) -> dict[str, Any]:
    """The entry of channel `name`, which read these counts when these values were true, in its unit.

    scale, offset: the bundle's, SI = count * scale + offset. SensewellError if the two points tell nothing.
    """
    (low_raw, high_raw), (low, high) = read, true
    if low == high or abs(high_raw - low_raw) < 16:
        raise SensewellError(
            f"{name}: expected two points apart, got {low:g} and {high:g} at {low_raw:.0f} and {high_raw:.0f} counts: "
            "at least 16 counts must lie between them"
        )
    want_low, want_high = (low - offset) / scale, (high - offset) / scale
    gain = (want_high - want_low) / (high_raw - low_raw)
    return _entry(name, name, low_raw - want_low / gain, gain)


def applied(entries: Mapping[str, Mapping[str, Any]], names: Sequence[str], counts: Any) -> list[int]:
    """What the device makes of one row of counts, by its own code."""
    row = array("h", np.rint(counts).astype(int).tolist())
    out = array("h", row)
    Condition(len(names), by_channel(dict(entries), list(names))).apply(row, out)
    return list(out)


def read(board: Board) -> dict[str, Any] | None:
    """The calibration on a board, None if it has none."""
    if not board.exists(PATH):
        return None
    try:
        found = json.loads(board.get(PATH))
        found["channels"].items()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SensewellError(f"{PATH} on the board is no calibration: `sensewell calibrate clear`") from None
    return dict(found)


def store(board: Board, entries: Mapping[str, Mapping[str, Any]], how: str, by: str = "") -> dict[str, Any]:
    """Put these channels into the board's calibration; the others in it stay. The whole of it."""
    found = read(board) or {"sensewell_calibration": 1, "channels": {}, "made": []}
    found["channels"].update(entries)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    made = [one for one in found.get("made", []) if not set(one["channels"]) <= set(entries)]
    found["made"] = [*made, {"how": how, "when": when, "by": by, "channels": sorted(entries)}]
    data = json.dumps(found, indent=1, sort_keys=True).encode()
    part = PATH + ".part"
    board.put(part, data)
    verify(board, part, data)
    board.exec(f"import os\nos.chdir('/')\nos.rename({part[1:]!r}, {PATH[1:]!r})")
    return found


def clear(board: Board) -> None:
    """Take the calibration off the board."""
    board.remove(PATH)


def _entry(source: str, name: str, offset: float, gain: float) -> dict[str, Any]:
    offset_raw, gain_q12 = round(offset), round(gain * 4096)
    if abs(offset_raw) > 32767 or not 0 < abs(gain_q12) < 16384:
        raise SensewellError(
            f"{name}: an offset of {offset_raw} counts and a gain of {gain:.3f} are beyond what a board can apply "
            "(16-bit counts, a gain below 4)"
        )
    entry: dict[str, Any] = {"offset_raw": offset_raw, "gain_q12": gain_q12}
    if source != name:
        entry["from"] = source
    return entry


def _known(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise SensewellError(f"the board's sensor has no channel {name!r}: there are {', '.join(names)}")
    return name


def _run(board: Board, code: str, timeout_s: float) -> list[str]:
    board.soft_reset()
    try:
        said = board.exec(code, timeout_s=timeout_s)
    except BoardScriptError as error:
        if "'setup'" in str(error):
            raise SensewellError(
                "there is no setup.py on the board that says which sensor to read: `sensewell deploy --setup setup.py`"
            ) from None
        raise SensewellError(f"the board's setup.py or its sensor fails: {error}") from error
    return [line[2:] for line in said.splitlines() if line[:2] in ("N ", "R ")]
