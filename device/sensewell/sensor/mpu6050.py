"""MPU-6050, MPU-6500, MPU-6886 and their kin: acceleration and angular rate on I2C, address 0x68 (AD0 high: 0x69).

Measures 1,000 times a second behind a low-pass filter, so that whoever reads it slower always finds something new.
Status and readings come in one transfer of 15 bytes.
"""

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.part import Part, words

_SMPLRT_DIV = const(0x19)
_CONFIG = const(0x1A)  # low-pass filter of the gyroscope, of all on the 6050
_GYRO_CONFIG = const(0x1B)
_ACCEL_CONFIG = const(0x1C)
_ACCEL_CONFIG_2 = const(0x1D)  # low-pass filter of the accelerometer; not on the 6050
_INT_ENABLE = const(0x38)
_INT_STATUS = const(0x3A)  # then six of acceleration, two of temperature, six of rate, big-endian
_PWR_MGMT_1 = const(0x6B)
_WHO_AM_I = const(0x75)

_DATA_READY = const(1)
_CLOCK_PLL = const(1)  # and awake
_ST_GYRO = const(0x0D)  # factory values of the self-test: the 6050's four registers
_ST_LATER = const(0)  # ... the others' three of the gyroscope; of the accelerometer from 0x0D
_ST_6886 = const(0x50)  # ... which the 6886 has here

WHO_AM_I = {0x68: "MPU-6050", 0x70: "MPU-6500", 0x71: "MPU-9250", 0x73: "MPU-9255", 0x19: "MPU-6886"}


class Mpu6050(Part):
    """range_g: 2, 4, 8, 16. range_dps: 250, 500, 1000, 2000. filter: 1..6 is 184, 92, 41, 20, 10, 5 Hz (Table of
    register 0x1A). Six channels: ax ay az gx gy gz, at the defaults 4096 counts a g and 16.4 counts a degree/s.
    """

    n_channels = 6

    def __init__(self, bus, address=0x68, range_g=8, range_dps=2000, filter=3, clock=ticks_ms):
        super().__init__(bus, address, clock)
        if range_g not in (2, 4, 8, 16) or range_dps not in (250, 500, 1000, 2000) or not 1 <= filter <= 6:
            raise Refused("sensor.setting", "range_g %r, range_dps %r, filter %r" % (range_g, range_dps, filter))
        self.range_g = range_g
        self.range_dps = range_dps
        self._filter = filter
        self.name = "MPU-6050"
        self._data = bytearray(15)

    def _start(self):
        kind = self._is(_WHO_AM_I, WHO_AM_I)
        self.name = WHO_AM_I[kind]
        g = (2, 4, 8, 16).index(self.range_g) << 3
        dps = (250, 500, 1000, 2000).index(self.range_dps) << 3
        pairs = [_PWR_MGMT_1, _CLOCK_PLL, _SMPLRT_DIV, 0, _CONFIG, self._filter, _GYRO_CONFIG, dps, _ACCEL_CONFIG, g]
        if kind != 0x68:
            pairs += [_ACCEL_CONFIG_2, self._filter]
        self.config = bytes(pairs + [_INT_ENABLE, _DATA_READY])
        self._configure()

    def _fetch(self, row, now):
        data = self._data
        self.bus.readfrom_mem_into(self.address, _INT_STATUS, data)
        if not data[0] & _DATA_READY:
            return -1
        words(data, 1, row, 0, 3, 0)
        words(data, 9, row, 3, 3, 0)
        return now

    def table(self):
        """Datasheets: noise 100 ug/sqrt(Hz) and 0.004 degree/s/sqrt(Hz) of the 6886, the quietest of them (the 6050 has
        400 and 0.005); saturation at the end of the range."""
        g = self.range_g / 32768
        dps = self.range_dps / 32768
        root = (184, 92, 41, 20, 10, 5)[self._filter - 1] ** 0.5
        ends = "sat_lo_raw=-32767 sat_hi_raw=32767"
        a = "m/s2 %.8g 0 noise=%.3g %s" % (9.80665 * g, 0.0001 * root / g, ends)
        w = "rad/s %.8g 0 noise=%.3g %s" % (dps * 0.017453293, 0.004 * root / dps, ends)
        return "ax %s\nay %s\naz %s\ngx %s\ngy %s\ngz %s" % (a, a, a, w, w, w)

    def _test(self, **options):
        """The shift of each channel under the built-in test force, in counts at 250 degree/s and 8 g (2 g but for the
        6050), held against the factory's: within 14 % on the 6050, else 50 % to 150 %."""
        from sensewell.build.self_test import respond

        self._start()
        first = bytes((_GYRO_CONFIG, 0, _ACCEL_CONFIG, 0x10 if self.name == "MPU-6050" else 0))
        pairs = bytes((_GYRO_CONFIG, 0xE0, _ACCEL_CONFIG, 0xE0 | first[3]))
        bounds = []
        for factory in self._factory():
            near = (0.86, 1.14) if self.name == "MPU-6050" else (0.5, 1.5)
            bounds.append(sorted((factory * near[0], factory * near[1])))
        return respond(self, pairs, bounds, first=first, **options)

    def _factory(self):
        # The factory's shifts of ax .. gz in counts: register map of the 6050, self-test note of the 6500
        if self.name == "MPU-6050":
            codes = [self._get(_ST_GYRO + i) for i in range(4)]
            a = [codes[i] >> 5 << 2 | codes[3] >> (4 - 2 * i) & 3 for i in range(3)]
            a = [4096 * 0.34 * (0.92 / 0.34) ** ((code - 1) / 30) if code else 0 for code in a]
            w = [25 * 131 * 1.046 ** ((codes[i] & 31) - 1) if codes[i] & 31 else 0 for i in range(3)]
            return a + [w[0], -w[1], w[2]]
        of_gyro = _ST_6886 if self.name == "MPU-6886" else _ST_LATER
        codes = [self._get(_ST_GYRO + i) for i in range(3)] + [self._get(of_gyro + i) for i in range(3)]
        return [2620 * 1.01 ** (code - 1) if code else 0 for code in codes]
