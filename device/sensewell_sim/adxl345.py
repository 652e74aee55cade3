"""A simulated ADXL345 with its FIFO: acceleration in mg. Its rate may be off, as that of real ones is."""

from array import array

from sensewell_sim.bus import Simulated

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

_BW_RATE = const(0x2C)
_POWER_CTL = const(0x2D)
_INT_SOURCE = const(0x30)
_DATA_FORMAT = const(0x31)
_DATA = const(0x32)
_FIFO_CTL = const(0x38)
_FIFO_STATUS = const(0x39)
_DEPTH = const(32)


class Adxl345(Simulated):
    """levels: ax ay az in mg. per_mille: of its nominal period, 1000 is right. `made`, `dropped`: samples ever
    measured, and those that a full FIFO let go."""

    IDENTITY = 0
    POWER_UP = bytes((0, 0xE5, _BW_RATE, 0x0A, _INT_SOURCE, 2))
    n_channels = 3

    def __init__(self, address=0x53, levels=(30, -20, 1000), noise=15, per_mille=1000):
        self.per_mille = per_mille
        self.made = self.dropped = 0
        self._fifo = array("h", [0] * 3 * _DEPTH)
        self._first = self._n = 0
        super().__init__(address, levels, noise)

    def brown_out(self):
        super().brown_out()
        self._n = 0

    def _written(self, register, value):
        if register == _POWER_CTL and value & 8:
            self._last_us = self.bus.now_us()
            self._n = 0

    def _before_read(self, register, n):
        r = self.registers
        if not r[_POWER_CTL] & 8 or not (_INT_SOURCE <= register <= _FIFO_STATUS):
            return
        rate = max(r[_BW_RATE] & 15, 6)
        new = self.due((320000 * self.per_mille // 1000) >> (rate - 5))
        if new > 3 * _DEPTH:  # nobody will ever see these
            gone = new - 3 * _DEPTH
            self.made += gone
            self.dropped += gone
            new -= gone
        while new:
            new -= 1
            self.made += 1
            self.measure()
            if self._n == _DEPTH:
                self._first = (self._first + 1) % _DEPTH
                self._n -= 1
                self.dropped += 1
                r[_INT_SOURCE] |= 1
            at = 3 * ((self._first + self._n) % _DEPTH)
            c = 0
            while c < 3:
                value = self.out[c] * 256 // 1000
                if r[_DATA_FORMAT] & 0x80:
                    value += -300 if c == 1 else 300
                self._fifo[at + c] = max(-4096, min(4095, value))
                c += 1
            self._n += 1
        r[_FIFO_STATUS] = self._n if r[_FIFO_CTL] & 0xC0 else min(self._n, 1)
        if self._n and register <= _DATA < register + n:
            at = 3 * self._first
            c = 0
            while c < 3:
                self.little(_DATA + 2 * c, self._fifo[at + c])
                c += 1

    def _after_read(self, register, n):
        if self._n and register <= _DATA < register + n:
            self._first = (self._first + 1) % _DEPTH
            self._n -= 1
            self.registers[_INT_SOURCE] &= 0xFE
