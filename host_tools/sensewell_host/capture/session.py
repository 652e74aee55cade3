"""A capture from the first sample to the last: through broken wires, from a trigger, to Ctrl-C.

Joins the wire and the store. What came over the wire is kept whatever happens afterwards.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sensewell_host import board as boards
from sensewell_host.board import Board, BoardError, BoardScriptError
from sensewell_host.capture import wire
from sensewell_host.capture.store import KEYS, Stated, Store
from sensewell_host.capture.wire import Head, Lines, Rows
from sensewell_host.dataset.rate import period_ms
from sensewell_host.dataset.recording import ChannelInfo
from sensewell_host.errors import SensewellError

MAX_CHANNELS = 16  # of a dataset
LATE_US = 1000  # a sample counts as late from here on
_SILENCE_S = 10.0
_RETRY_S = 0.5
_TRIGGER = re.compile(r"^\s*(\|?)\s*([A-Za-z_]\w*)\s*(\|?)\s*([<>])\s*(-?\d+(?:\.\d*)?(?:[eE]-?\d+)?)\s*$")


@dataclass(frozen=True)
class Plan:
    """What to capture. `sensor`: an expression for the board, None: setup.sensor(); `channels`: instead of what the
    sensor says; `before_s`: keep only this much until a trigger (0: no trigger); `patience_s`: for a broken wire."""

    folder: Path
    stated: Stated
    rate_hz: float
    seconds: float
    sensor: str | None = None
    channels: tuple[ChannelInfo, ...] = ()
    before_s: float = 0.0
    trigger: str | None = None
    patience_s: float = 60.0

    @property
    def period_us(self) -> int:
        return 1_000_000 // self.rate_hz if isinstance(self.rate_hz, int) else 1000 * period_ms(self.rate_hz)


@dataclass
class Result:
    """What came. `lost`: periods the board slept through; `damaged`: lines that did not arrive whole; `on_wire`:
    samples lost between board and host; `gaps`: seconds without a wire; `late`: samples more than 1 ms
    after their time; `errors`, `stale`: reads that raised or brought nothing new."""

    name: str = ""
    rows: int = 0
    lost: int = 0
    on_wire: int = 0
    damaged: int = 0
    late: int = 0
    late_max_us: int = 0
    errors: int = 0
    stale: int = 0
    torn: int = 0
    gaps: list[float] = field(default_factory=list)
    how: str = "whole"  # "interrupted", "ended" (by the sensor), "broken" (the wire stayed so), "untriggered"
    said: str = ""  # by the sensor's first error

    def figures(self) -> dict[str, Any]:
        """But for what the session says itself."""
        return {key: value for key, value in vars(self).items() if key not in ("name", "rows", "said", "gaps")}


class _Enough(Exception):
    """All that was wanted is there."""


Watch = Callable[[Rows, Result, bool], None]
"""Called with what came: samples, figures so far, and whether it is being kept (not only held for a trigger)."""


class Capture:
    """Run it once. `pressed`: says whether the user asks for what is held now; `watch` sees everything."""

    def __init__(
        self, plan: Plan, pressed: Callable[[], bool] = lambda: False, watch: Watch = lambda rows, result, kept: None
    ) -> None:
        self.plan = plan
        self.result = Result()
        self.channels: tuple[ChannelInfo, ...] = ()
        self._pressed = pressed
        self._watch = watch
        self._store: Store | None = None
        self._held: deque[Rows] = deque()
        self._held_n = 0
        self._keeping = not plan.before_s
        self._wanted = max(1, round(plan.seconds * plan.rate_hz))  # periods to keep; from the trigger on
        self._first = 0  # number that the present part began at: periods of the gaps count too
        self._next = 0  # number after the last sample
        self._streamed = 0  # periods but for those of gaps
        self._fresh = True  # no sample of the present part yet
        self._skipped = 0  # numbers that did not come, but for those of gaps
        self._left = 0  # periods that the board was last asked for
        self._end: int | None = None
        self._last_at = 0.0
        self._lines = Lines(plan.period_us, self._on_head, self._on_rows)
        self._before = (0, 0)  # lost and damaged of the parts that are over
        self._condition = _trigger(plan.trigger) if plan.trigger else None

    def run(self, address: str) -> Result:
        """Until all is there, the sensor ends or Ctrl-C. Raises SensewellError where nothing at all could be had."""
        plan, result = self.plan, self.result
        silence_s = max(_SILENCE_S, 3e-6 * plan.period_us)
        broken_at: float | None = None
        try:
            while plan.before_s or self._streamed < self._wanted:
                self._lines = lines = Lines(plan.period_us, self._on_head, self._on_rows)
                try:
                    with boards.connect(address) as board:
                        self._stream(board, silence_s)
                    done = sum(lines.ended[:2]) if lines.ended else 0  # the last periods may have been slept through
                    if not self._left or (self._streamed < self._wanted and done < self._left):
                        result.how = "ended"
                    break
                except BoardScriptError as error:
                    raise SensewellError(
                        f"the sensor could not be read: {error}; see the board's setup.py, or --sensor"
                    ) from error
                except BoardError as error:
                    now = time.monotonic()
                    if self._store is None:
                        raise
                    if lines.begun or broken_at is None:
                        broken_at = now
                        self._store.flush()
                    elif now - broken_at > plan.patience_s:
                        result.how = "broken"
                        result.said = str(error)
                        break
                    time.sleep(_RETRY_S)
        except _Enough:
            pass
        except KeyboardInterrupt:
            result.how = "interrupted"
        except BaseException:  # `kill`, a full disk, a sensor that has other channels now
            result.how = "interrupted"
            raise
        finally:
            self._close()
        return result

    def _stream(self, board: Board, silence_s: float) -> None:
        plan = self.plan
        named, brought = wire.bring(board, plan.sensor)
        self._left = left = 0 if plan.before_s else self._wanted - self._streamed
        try:
            board.stream(
                wire.script(plan.sensor, named, brought, len(plan.channels), plan.period_us, left),
                self._lines,
                silence_s,
            )
        except BoardError:
            raise
        except BaseException:  # enough, or Ctrl-C: the wire is whole
            with contextlib.suppress(BoardError):
                board.reset()
            raise
        with contextlib.suppress(BoardError):
            board.reset()  # back to its own work

    # ---- what comes ----

    def _on_head(self, head: Head) -> None:
        now = time.monotonic()
        self._fresh = True
        if self._store is None:
            self.channels = channels_of(head, self.plan.channels)
            if self._condition:
                self._condition(_NO_ROWS, self.channels)  # a channel that there is not: no folder
            stated = self.plan.stated
            session = {
                "board": head.board_id,
                "machine": head.machine,
                "firmware": head.version,
                "calibration": head.calibration,
                "captured": datetime.now(UTC).isoformat(timespec="seconds"),
                "sensor": self.plan.sensor or "setup.sensor()",
            }
            group = stated.who or head.board_id or "unknown"
            self._store = Store(self.plan.folder, self.channels, self.plan.rate_hz, stated, session, group)
            self.result.name, self.result.torn = self._store.name, self._store.torn
            return
        if head.n_channels != len(self.channels):
            raise SensewellError(f"the sensor has {head.n_channels} channels now, it had {len(self.channels)}")
        gap_s = now - self._last_at
        self._first = self._next + max(0, round(gap_s * 1e6 / self.plan.period_us) - 1)
        self.result.gaps.append(round(gap_s, 3))
        self._store.session["gaps"].append({"before_number": self._first, "seconds": round(gap_s, 3), "why": "wire"})
        self._store.note()
        self._before = (self.result.lost, self.result.damaged)

    def _on_rows(self, rows: Rows) -> None:
        number = rows.number + self._first
        if self._keeping and self._end is not None:
            inside = number < self._end
            if not inside.all():
                rows = _part(rows, inside)
                number = number[inside]
        result = self.result
        if len(number):
            self._last_at = time.monotonic()
            expected = self._first if self._fresh else self._next
            self._fresh = False
            self._next = int(number[-1]) + 1
            self._streamed += self._next - expected
            self._skipped += int(number[0]) - expected
            self._account()
            late = int(np.count_nonzero(rows.late_us > LATE_US))
            result.late += late
            result.late_max_us = max(result.late_max_us, int(rows.late_us.max()))
            result.errors += int(np.count_nonzero(rows.flags == wire.ERROR))
            result.stale += int(np.count_nonzero(rows.flags == wire.STALE))
            shifted = Rows(number, rows.t_us + self._first * self.plan.period_us, rows.late_us, rows.flags, rows.counts)
            if self._keeping:
                self._keep(shifted)
            else:
                self._hold(shifted)
            self._watch(shifted, result, self._keeping)
        if self._end is not None and self._next >= self._end:
            raise _Enough

    def _hold(self, rows: Rows) -> None:
        self._held.append(rows)
        self._held_n += len(rows.number)
        most = round(self.plan.before_s * self.plan.rate_hz)
        while self._held_n - len(self._held[0].number) >= most:
            self._held_n -= len(self._held.popleft().number)
        if self._pressed() or (self._condition and self._condition(rows, self.channels)):
            self._release()
            self._end = self._next + self._wanted

    def _release(self) -> None:
        self._keeping = True
        for rows in self._held:
            self._keep(rows)
        self._held.clear()

    def _keep(self, rows: Rows) -> None:
        assert self._store is not None
        new = rows.flags != wire.STALE
        counts = rows.counts[new].copy()
        counts[rows.flags[new] == wire.ERROR] = -32768
        self._store.add(rows.number[new], rows.t_us[new], counts)
        self.result.rows = self._store.rows

    def _account(self) -> None:
        result = self.result
        result.lost = self._before[0] + self._lines.lost
        result.damaged = self._before[1] + self._lines.damaged
        result.on_wire = max(0, self._skipped - result.lost)
        if self._lines.errors:
            result.said = self._lines.errors[0]

    def _close(self) -> None:
        if self._store is None:
            return
        if not self._keeping:
            if self.result.how in ("whole", "ended"):
                self.result.how = "untriggered"
            self._release()
        self._account()
        self._store.close(**self.result.figures())


def channels_of(head: Head, wanted: tuple[ChannelInfo, ...] = ()) -> tuple[ChannelInfo, ...]:
    """The channels as the user says, else as the board does; what nobody says is counts of scale 1.

    SensewellError for what no dataset could be made of afterwards.
    """
    found = _channels_of(head, wanted)
    names = [channel.name for channel in found]
    if len(names) > MAX_CHANNELS:
        raise SensewellError(f"expected a sensor of at most {MAX_CHANNELS} channels, this one has {len(names)}")
    for name in names:
        if not name or name != name.strip() or not name.isprintable() or name in KEYS or names.count(name) > 1:
            raise SensewellError(
                f"channel {name!r}: expected names that differ from one another and from {', '.join(KEYS)}: see "
                "--channels, or what the sensor or setup.py says"
            )
    return found


def _channels_of(head: Head, wanted: tuple[ChannelInfo, ...]) -> tuple[ChannelInfo, ...]:
    if wanted:
        if len(wanted) != head.n_channels:
            raise SensewellError(f"--channels names {len(wanted)} channels, the sensor has {head.n_channels}")
        return wanted
    said = head.channels or [{"name": f"c{number}"} for number in range(head.n_channels)]
    if len(said) != head.n_channels:
        raise SensewellError(f"the board names {len(said)} channels, its sensor has {head.n_channels}: see CHANNELS")
    return tuple(
        ChannelInfo(str(one["name"]), str(one.get("unit", "")), float(one.get("scale", 1)), float(one.get("offset", 0)))
        for one in said
    )


_NO_TIMES = np.zeros(0, np.int64)
_NO_ROWS = Rows(_NO_TIMES, _NO_TIMES, _NO_TIMES, np.zeros(0, np.uint8), np.zeros((0, MAX_CHANNELS), np.int16))


def _part(rows: Rows, inside: Any) -> Rows:
    return Rows(rows.number[inside], rows.t_us[inside], rows.late_us[inside], rows.flags[inside], rows.counts[inside])


def _trigger(text: str) -> Callable[[Rows, tuple[ChannelInfo, ...]], bool]:
    """`ax > 12.5`, `|ax| > 12.5`, `t < 3`: in SI units."""
    found = _TRIGGER.match(text)
    if not found or bool(found[1]) != bool(found[3]):
        raise SensewellError(
            f"expected a trigger like 'ax > 12.5' or '|ax| > 12.5', in the channel's unit, got {text!r}"
        )
    absolute, name, _, sign, limit = found.groups()

    def condition(rows: Rows, channels: tuple[ChannelInfo, ...]) -> bool:
        names = [channel.name for channel in channels]
        if name not in names:
            raise SensewellError(f"the trigger's channel {name} is none of {', '.join(names)}")
        info = channels[names.index(name)]
        raw = rows.counts[:, names.index(name)]
        good = (rows.flags == 0) & (raw != -32768)
        values = raw[good] * info.scale + info.offset
        values = np.abs(values) if absolute else values
        return bool((values > float(limit)).any() if sign == ">" else (values < float(limit)).any())

    return condition
