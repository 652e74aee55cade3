"""The node of a bundle that says `period_ms`: seconds or an hour from sample to sample, on a clock of milliseconds.

Microseconds wrap on the 30-bit circle after nine minutes; only such a bundle loads this.
"""

from sensewell import node

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

_T_MASK = const((1 << 30) - 1)
_T_HALF = const(1 << 29)
_NAP_MS = const(500)  # the watchdog is fed at least so often
_LATE_MS = const(500000)  # later than that is said as that much: us in a small int


class Node(node.Node):
    """A node in real time with a sample every `period_ms` (1..3,600,000); `late` counts whole milliseconds, in us."""

    def __init__(self, pipeline, sensor, period_ms, outputs=(), wdt=None):
        super().__init__(pipeline, sensor, 1, outputs, wdt)  # a rate: in real time; which one, _wait knows
        self.period_ms = period_ms

    def run(self, samples=None):
        self._due_ms = ticks_ms() & _T_MASK
        return super().run(samples)

    def _wait(self, step_us):
        left = (self._due_ms - ticks_ms()) & _T_MASK
        while 0 < left < _T_HALF:
            if left > _NAP_MS:
                left = _NAP_MS
                if self.wdt:
                    self.wdt.feed()
            self.sleep_us(left * 1000)
            left = (self._due_ms - ticks_ms()) & _T_MASK
        late = -left & _T_MASK
        self.late.add(min(late, _LATE_MS) * 1000)
        lost = late // self.period_ms
        self.lost += lost
        self._due_ms = (self._due_ms + (lost + 1) * self.period_ms) & _T_MASK
