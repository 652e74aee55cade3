"""ADXL345: acceleration for vibration on I2C, address 0x53 (ALT ADDRESS high: 0x1D). The part keeps the time.

Its FIFO of 32 holds what comes while nobody reads. Each read() takes the oldest sample, whose time follows from the
part's own rate, as measured here. Let the node poll a little faster than the part measures, for instance at 110 Hz for
100: a poll that finds nothing new is stale, costs next to nothing, and is how a late loop catches up.
"""

try:
    from time import ticks_ms, ticks_us

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms, ticks_us

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.part import Part, words

_DEVID = const(0x00)
_BW_RATE = const(0x2C)
_POWER_CTL = const(0x2D)
_INT_SOURCE = const(0x30)  # then DATA_FORMAT and the readings, little-endian
_DATA_FORMAT = const(0x31)
_FIFO_CTL = const(0x38)
_FIFO_STATUS = const(0x39)

_ID = const(0xE5)
_FULL_RES_16G = const(0x0B)  # 256 counts a g
_MEASURE = const(0x08)
_STREAM = const(0x80)  # when it is full the oldest goes
_OVERRUN = const(1)
_ST_FORCE = const(0x80)
_RATES = (25, 50, 100, 200, 400, 800, 1600, 3200)  # Hz, from code 8
_T_MASK = const((1 << 30) - 1)
_T_HALF = const(1 << 29)


class Adxl345(Part):
    """rate_hz: 25, 50, 100 .. 3200 (I2C at 400 kHz carries about 800). Three channels: ax ay az, 256 counts a g.
    us: a clock, ticks in us.

    `lost`: samples that went from the full FIFO. The part only tells that it ran over; how many it lost follows from
    its rate, as measured to some 0.05 %: exact for gaps up to about 1,000 samples.
    """

    n_channels = 3

    def __init__(self, bus, address=0x53, rate_hz=100, clock=ticks_ms, us=ticks_us):
        super().__init__(bus, address, clock)
        if rate_hz not in _RATES:
            raise Refused("sensor.setting", "rate_hz %r, expected one of %r" % (rate_hz, _RATES))
        self.name = "ADXL345"
        self.rate_hz = rate_hz
        self.lost = 0
        rate = _RATES.index(rate_hz) + 8
        self.config = bytes(
            (_POWER_CTL, 0, _BW_RATE, rate, _DATA_FORMAT, _FULL_RES_16G, _FIFO_CTL, _STREAM, _POWER_CTL, _MEASURE)
        )
        self._data = bytearray(8)
        self._us = us
        self._then = 0  # us of the last look
        self._age = 0  # us, of the newest sample there was, at that look
        self._level = -1  # samples left in the FIFO then; -1: nothing is known
        self._period_q4 = self._nominal_q4 = 16000000 // rate_hz  # us
        self._doubt = self._missed = 0  # us: see _known()

    def _start(self):
        self._is(_DEVID, (_ID,))
        self._configure()
        self._level = -1
        self._at = 2  # the first pair is only for starting

    def _check(self):
        super()._check()
        if not self._at:
            self._at = 2

    def _fetch(self, row, now):
        us = self._us()
        level = self._get(_FIFO_STATUS) & 0x3F
        period = self._period_q4 >> 4
        left = self._level
        step = (us - self._then) & _T_MASK
        age = self._age + step
        self._then = us
        if not level:
            if left >= 0:
                self._age = self._known(age, step, period)
            return -1
        data = self._data
        self.bus.readfrom_mem_into(self.address, _INT_SOURCE, data)
        if data[1] & 0x7F != _FULL_RES_16G:
            raise Refused("sensor.brownout", "DATA_FORMAT is 0x%02x" % data[1])
        words(data, 2, row, 0, 3, 1)
        if left < 0:
            age = period >> 1
            self._doubt = 0
        else:
            new = level - left
            if data[0] & _OVERRUN:
                made = age * 16 // self._period_q4 if age < 1 << 25 else age // period
                if made > new:
                    self.lost += made - new
                    new = made
                self._doubt = 16 * period
                self._missed = step = 0
            age = self._known(age - (new * self._period_q4 >> 4), step, period)
        self._age = age
        self._level = level - 1
        t_ms = now - (age + (level - 1) * period) // 1000
        if left >= 0 and (t_ms - self.t_ms - 1) & _T_MASK > _T_HALF:
            t_ms = self.t_ms + 1  # above 500 Hz, two may seem to share a millisecond
        return t_ms & _T_MASK

    def _known(self, age, step, period):
        # The newest sample is neither of the future nor older than a period, or the next one would be there. What the
        # rate says otherwise corrects the rate; right after a loss, it may be that one sample was counted wrongly
        off = 0
        if age < 0:
            off = age
            age = 0
        elif age > period:
            off = age - period
            age = period
        if self._doubt > 0:
            self._doubt -= step
            self._missed += off
            if self._missed > period >> 1:
                self.lost += 1
                age = self._missed
                self._doubt = 0
            elif self._missed < 0 - (period >> 1):
                self.lost -= 1
                age = self._missed + period
                self._doubt = 0
        elif off:
            q4 = self._period_q4 + (off >> 1)  # 1/32 of it
            slack = self._nominal_q4 >> 4
            if self._nominal_q4 - slack < q4 < self._nominal_q4 + slack:
                self._period_q4 = q4
        return age

    def table(self):
        """Datasheet: 3.9 mg a count, noise 0.75 counts in x and y and 1.1 in z at 100 Hz, growing with the root of the
        rate; saturation at 16 g."""
        noise = (self.rate_hz / 100) ** 0.5
        a = "m/s2 0.038307227 0 noise=%.3g sat_lo_raw=-4095 sat_hi_raw=4095"
        return "ax %s\nay %s\naz %s" % (a % (0.75 * noise), a % (0.75 * noise), a % (1.1 * noise))

    def _test(self, **options):
        """The shift of each channel under the built-in test force, in counts, within the datasheet's at 2.5..3.3 V."""
        from sensewell.build.self_test import respond

        self._start()
        bounds = ((50, 956), (-956, -50), (75, 1286))
        return respond(self, bytes((_DATA_FORMAT, _ST_FORCE | _FULL_RES_16G)), bounds, **options)
