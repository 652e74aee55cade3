"""A pulse counter: a flow meter, a fan's tachometer, a Geiger tube on a pin with interrupts.

How many pulses, and how often: the rate from the time between pulses, not from a gate, so that it is exact even where
few come. No pulse is a reading like any other: 0.
"""

try:
    from time import ticks_ms, ticks_us

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms, ticks_us

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.part import Part

_T_MASK = const((1 << 30) - 1)
_LONG_MS = const(500000)  # ticks in us wrap around after 1,073 s: a longer period must not look short


class Pulse(Part):
    """pin: with irq(handler, trigger); trigger: as the pin wants it (Pin.IRQ_FALLING). us: a clock, ticks in us.

    Channels: n, pulses since the last read(), at most 32767; rate, `step` Hz a count, of the pulses since then: periods
    by their own time, and 0 where none was complete for `silent_ms` or nobody read for 500 s. least_us: closer pulses
    are bounces, `bounces` counts them.
    """

    n_channels = 2
    name = "pulses"

    def __init__(self, pin, trigger=2, step=0.1, silent_ms=2000, least_us=0, clock=ticks_ms, us=ticks_us):
        super().__init__(None, 0, clock)
        if not 0.001 <= step <= 1000 or not 0 < silent_ms < 1000000:
            raise Refused("sensor.setting", "step %r, silent_ms %r" % (step, silent_ms))
        self.pin = pin
        self.step = step
        self.bounces = 0
        self._trigger = trigger
        self._silent_us = silent_ms * 1000
        self._least_us = least_us
        self._us = us
        self._per_us = int(1000000 / step + 0.5)  # count of one period a us
        self._n = self._last_us = self._seen_n = self._seen_us = self._rate = 0
        self._seen_ms = 0
        self._timed = False  # is _seen_us the time of a pulse, and not long ago?

    def _start(self):
        self._n = self._seen_n = self._rate = 0
        self._timed = False
        self.pin.irq(handler=self._pulse, trigger=self._trigger)

    def _pulse(self, pin):
        now = self._us() & _T_MASK
        if self._n and (now - self._last_us) & _T_MASK < self._least_us:
            self.bounces += 1
            return
        self._last_us = now
        self._n = (self._n + 1) & _T_MASK

    def _fetch(self, row, now):
        while True:  # the interrupt may come in between
            n = self._n
            last_us = self._last_us
            if n == self._n:
                break
        new = (n - self._seen_n) & _T_MASK
        if (now - self._seen_ms) & _T_MASK > _LONG_MS:
            self._timed = False
        if new:
            self._seen_ms = now
            self._rate = 0
            if self._timed:
                between = (last_us - self._seen_us) & _T_MASK
                self._rate = self._rated(new, between)
            self._seen_n = n
            self._seen_us = last_us
            self._timed = True
        elif (self._us() - self._seen_us) & _T_MASK > self._silent_us:
            self._rate = 0
        row[0] = new if new < 32767 else 32767
        row[1] = self._rate
        return now

    def _rated(self, periods, between_us):
        # periods * per_us / between_us within small ints
        if not between_us:
            return 32767
        per_us = self._per_us
        while per_us > 0x3FFFFFFF // periods:
            per_us >>= 1
            between_us >>= 1
        rate = periods * per_us // (between_us or 1)
        return rate if rate < 32767 else 32767

    def table(self):
        """There is no datasheet: only the ends of counting."""
        return "n - 1 0 lo_raw=0 sat_hi_raw=32767\nrate Hz %.8g 0 lo_raw=0 sat_hi_raw=32767" % self.step
