"""LSM6DS3, LSM6DS3TR-C and LSM6DSO: acceleration and angular rate on I2C, address 0x6A (SA0 high: 0x6B).

Measures 416 times a second, so that whoever reads it slower always finds something new. Status and readings come in
one transfer of 16 bytes, and block update keeps the bytes of a reading together.
"""

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.part import Part, words

_WHO_AM_I = const(0x0F)
_CTRL1_XL = const(0x10)
_CTRL2_G = const(0x11)
_CTRL3_C = const(0x12)
_CTRL5_C = const(0x14)
_STATUS = const(0x1E)  # one unused, two of temperature, six of rate, six of acceleration, little-endian

_ODR_416 = const(0x60)
_BLOCK_UPDATE = const(0x44)  # and the address goes on by itself
_NEW = const(3)  # acceleration and rate
_ST_BOTH = const(0x05)

WHO_AM_I = {0x69: "LSM6DS3", 0x6A: "LSM6DS3TR-C", 0x6C: "LSM6DSO"}


class Lsm6ds3(Part):
    """range_g: 2, 4, 8, 16. range_dps: 250, 500, 1000, 2000. Six channels: ax ay az gx gy gz; at the defaults 0.244 mg
    and 0.070 degree/s a count.
    """

    n_channels = 6

    def __init__(self, bus, address=0x6A, range_g=8, range_dps=2000, clock=ticks_ms):
        super().__init__(bus, address, clock)
        if range_g not in (2, 4, 8, 16) or range_dps not in (250, 500, 1000, 2000):
            raise Refused("sensor.setting", "range_g %r, range_dps %r" % (range_g, range_dps))
        self.range_g = range_g
        self.range_dps = range_dps
        self.name = "LSM6DS3"
        self._data = bytearray(16)

    def _start(self):
        self.name = WHO_AM_I[self._is(_WHO_AM_I, WHO_AM_I)]
        g = (2, 16, 4, 8).index(self.range_g) << 2
        dps = (250, 500, 1000, 2000).index(self.range_dps) << 2
        self.config = bytes((_CTRL3_C, _BLOCK_UPDATE, _CTRL1_XL, _ODR_416 | g, _CTRL2_G, _ODR_416 | dps, _CTRL5_C, 0))
        self._configure()

    def _fetch(self, row, now):
        data = self._data
        self.bus.readfrom_mem_into(self.address, _STATUS, data)
        if data[0] & _NEW != _NEW:
            return -1
        words(data, 10, row, 0, 3, 1)
        words(data, 4, row, 3, 3, 1)
        return now

    def table(self):
        """Datasheet: 0.061 mg and 8.75 mdegree/s a count at the least ranges; noise 70 ug/sqrt(Hz) and 3.8
        mdegree/s/sqrt(Hz) of the LSM6DSO, the quietest of them (the LSM6DS3 has 90 and 7), at 208 Hz of bandwidth."""
        mg = 0.061 * self.range_g / 2
        mdps = 8.75 * self.range_dps / 250
        ends = "sat_lo_raw=-32767 sat_hi_raw=32767"
        a = "m/s2 %.8g 0 noise=%.3g %s" % (9.80665e-3 * mg, 0.07 * 14.4 / mg, ends)
        w = "rad/s %.8g 0 noise=%.3g %s" % (mdps * 1.7453293e-5, 3.8 * 14.4 / mdps, ends)
        return "ax %s\nay %s\naz %s\ngx %s\ngy %s\ngz %s" % (a, a, a, w, w, w)

    def _test(self, **options):
        """The shift of each channel under the built-in test force, in counts: 90..1700 mg (from 50 on the LSM6DSO), and
        150..700 degree/s at the widest range."""
        from sensewell.build.self_test import respond

        self._start()
        mg = 0.061 * self.range_g / 2
        first = bytes((_CTRL2_G, _ODR_416 | 0x0C))
        least = 50 if self.name == "LSM6DSO" else 90
        bounds = [(least / mg, 1700 / mg)] * 3 + [(150 / 0.07, 700 / 0.07)] * 3
        return respond(self, bytes((_CTRL5_C, _ST_BOTH)), bounds, first=first, **options)
