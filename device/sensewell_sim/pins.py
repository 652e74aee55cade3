"""Simulated pins: an analogue input, and a digital one that gives pulses."""


class AdcPin:
    """level: of 0..65535; noise: off by up to so much. steady: always the same. An input torn off reads 65535."""

    def __init__(self, level=30000, noise=40):
        self.level = level
        self.noise = noise
        self.steady = False
        self.here = True
        self._random = 1
        self._value = level

    def read_u16(self):
        if not self.here:
            return 65535
        if not self.steady:
            self._random = x = self._random * 75 % 65537
            self._value = max(0, min(65535, self.level + x % (2 * self.noise + 1) - self.noise))
        return self._value


class Pin:
    """value() is `level`; pulse() calls the interrupt's handler, as an edge would."""

    IRQ_FALLING = 2

    def __init__(self, level=0):
        self.level = level
        self._handler = None

    def value(self):
        return self.level

    def irq(self, handler=None, trigger=0):
        self._handler = handler

    def pulse(self):
        if self._handler:
            self._handler(self)
