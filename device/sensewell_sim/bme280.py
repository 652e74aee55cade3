"""A simulated BME280. What it measures are its raw readings: temperature and pressure of 20 bits, humidity of 16."""

from sensewell_sim.bus import Simulated

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

_ID = const(0xD0)
_STATUS = const(0xF3)
_CTRL_MEAS = const(0xF4)
_PRESSURE = const(0xF7)
_SHOT_US = const(9300)

# T1..T3, P1..P9 of the worked example in Bosch's BMP280 datasheet (3.12); H1..H6 as a real part has them
FACTORY = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000, 75, 362, 0, 313, 50, 30)


class Bme280(Simulated):
    """levels: raw temperature, pressure, humidity; with FACTORY the defaults are 25.08 degC, 1006.53 hPa and 60 %."""

    IDENTITY = _ID
    n_channels = 3

    def __init__(self, address=0x76, levels=(519888, 415148, 31000), noise=60, factory=FACTORY):
        self._factory = factory
        self._busy = False
        super().__init__(address, levels, noise)

    def brown_out(self):
        super().brown_out()
        self._busy = False
        r = self.registers
        f = self._factory
        r[_ID] = 0x60
        r[_CTRL_MEAS] = 0
        for i in range(12):
            self.little(0x88 + 2 * i, f[i])
        r[0xA1] = f[12]
        self.little(0xE1, f[13])
        r[0xE3] = f[14]
        r[0xE4] = f[15] >> 4 & 0xFF
        r[0xE5] = f[15] & 15 | (f[16] & 15) << 4
        r[0xE6] = f[16] >> 4 & 0xFF
        r[0xE7] = f[17] & 0xFF

    def _written(self, register, value):
        if register == _CTRL_MEAS and value & 3 in (1, 2):
            self._busy = True
            self._last_us = self.bus.now_us()
            self.registers[_STATUS] = 8

    def _before_read(self, register, n):
        if not self._busy or not self.due(_SHOT_US):
            return
        self._busy = False
        self.measure()
        r = self.registers
        r[_STATUS] = 0
        r[_CTRL_MEAS] &= 0xFC
        out = self.out
        self._raw(_PRESSURE, out[1])
        self._raw(_PRESSURE + 3, out[0])
        self.big(_PRESSURE + 6, out[2])

    def _raw(self, register, value):
        self.big(register, value >> 4)
        self.registers[register + 2] = value << 4 & 0xF0
