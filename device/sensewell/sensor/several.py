"""Several drivers as one sensor: their channels side by side in one row, slower parts at their own rate.

Every channel of a row is younger than its part's stated age, or MISSING. It must not know any part.
"""

from array import array

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

_MISSING = const(-32768)
_T_MASK = const((1 << 30) - 1)
# the state of each part
_AT = const(0)  # its first channel
_N = const(1)
_EVERY = const(2)  # ms
_AGE = const(3)  # ms
_ASKED = const(4)  # ms of the last read
_T = const(5)  # its time of the last sample
_TAKEN = const(6)  # ms of our clock when that came; -1: never
_FIELDS = const(7)


class Several:
    """parts: (driver, every_ms, max_age_ms) each. every_ms: 0 is at each read. max_age_ms: how long a value may stand
    in for the next one; what is older, or was never there, is MISSING. One part's fault touches no other's channels.

    `reason`: of the first part that has one, "" else. `errors`: exceptions of parts; `last_error`, `last_reason`: of
    the last one. The time of a row is the clock's.
    """

    def __init__(self, *parts, clock=ticks_ms):
        self.parts = tuple([part for part, _, _ in parts])
        self.clock = clock
        self.errors = 0
        self.last_error = None
        self.last_reason = ""
        self._s = array("i")
        at = 0
        for part, every_ms, max_age_ms in parts:
            self._s.extend(array("i", (at, part.n_channels, every_ms, max_age_ms, -1, -1, -1)))
            at += part.n_channels
        self.n_channels = at
        self._rows = tuple([array("h", [_MISSING] * part.n_channels) for part in self.parts])

    @property
    def reason(self):
        """What is wrong now, with the first part of which something is."""
        for part in self.parts:
            if part.reason:
                return part.reason
        return ""

    def read(self, row):
        """One sample of all. Never raises but for Ctrl-C; allocates nothing unless a part raises."""
        now = self.clock() & _T_MASK
        s = self._s
        at = i = 0
        for part in self.parts:
            own = self._rows[i]
            asked = s[at + _ASKED]
            if asked < 0 or (now - asked) & _T_MASK >= s[at + _EVERY]:
                s[at + _ASKED] = now
                try:
                    t_ms = part.read(own)
                    if t_ms != s[at + _T] and own[0] != _MISSING:
                        s[at + _T] = t_ms
                        s[at + _TAKEN] = now
                except Exception as error:
                    self.errors += 1
                    self.last_error = error
                    self.last_reason = getattr(error, "reason", "sensor.error")
            taken = s[at + _TAKEN]
            good = taken >= 0 and (now - taken) & _T_MASK <= s[at + _AGE]
            if not good and taken >= 0:
                s[at + _TAKEN] = -1  # ticks wrap around: what is too old must not become young again
            first = s[at + _AT]
            c = s[at + _N]
            while c > 0:
                c -= 1
                row[first + c] = own[c] if good else _MISSING
            at += _FIELDS
            i += 1
        return now

    def channels(self):
        """The channels of all parts, one after the other, as a manifest has them."""
        return [channel for part in self.parts for channel in part.channels()]

    def limits(self, period_ms=0):
        """The guard's limits of all parts; period_ms: of the rows. A value that stands in is no stuck one: `stuck_n` of
        slower parts counts the rows that repeat it."""
        found = []
        s = self._s
        at = 0
        for part in self.parts:
            for limit in part.limits():
                if period_ms and "stuck_n" in limit:
                    slow = max(s[at + _EVERY], getattr(part, "cycle_ms", 0))
                    limit["stuck_n"] = min(limit["stuck_n"] * max(1, -(-slow // period_ms)), 30000)
                found.append(limit)
            at += _FIELDS
        return found
