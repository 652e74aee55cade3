"""A binary input: a door, a float switch, a motion detector. 0 or 1, after a change has lasted.

A pin cannot say that its wire is cut: choose the pull so that a cut wire reads as the safe state.
"""

try:
    from time import ticks_ms
except ImportError:
    from sensewell._port import ticks_ms

from sensewell.sensor.part import Part


class Gpio(Part):
    """pin: with value(). steady_n: readings in a row that make a change; 1: each counts. One channel: on."""

    n_channels = 1
    name = "GPIO"

    def __init__(self, pin, steady_n=2, clock=ticks_ms):
        super().__init__(None, 0, clock)
        self.pin = pin
        self._steady_n = steady_n
        self._state = -1
        self._n = 0

    def _start(self):
        self._state = -1

    def _fetch(self, row, now):
        value = 1 if self.pin.value() else 0
        if value == self._state or self._state < 0:
            self._n = 0
            self._state = value
        else:
            self._n += 1
            if self._n >= self._steady_n:
                self._n = 0
                self._state = value
        row[0] = self._state
        return now

    def table(self):
        """0 or 1; it may stay for ever."""
        return "on - 1 0 lo_raw=0 hi_raw=1"
