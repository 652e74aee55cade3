"""INA219: current by a shunt, and bus voltage, on I2C, address 0x40..0x4F.

Averages 8 conversions (4.3 ms each of shunt and bus) without end. Current comes from the shunt's voltage itself: the
part's calibration register is not used, so nothing is lost with it in a brown-out.
"""

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.part import Part, words

_CONFIGURATION = const(0x00)
_SHUNT = const(0x01)  # 10 uV a count
_BUS = const(0x02)  # 4 mV a count from bit 3; bit 1: converted since _POWER was read
_POWER = const(0x03)

_SETTING = const(0x3DDF)  # 32 V, +-320 mV, mean of 8 for both, without end; after a start it would be 0x399F
_DEFAULT = const(0x399F)
_RESET = b"\x80\x00"
_READY = const(2)


class Ina219(Part):
    """shunt_ohm: 0.1 on most boards. Two channels: i (10 uV across the shunt a count), u (4 mV a count)."""

    n_channels = 2
    name = "INA219"

    def __init__(self, bus, address=0x40, shunt_ohm=0.1, clock=ticks_ms):
        super().__init__(bus, address, clock)
        self.shunt_ohm = shunt_ohm
        self._word = bytearray(2)

    def _start(self):
        # It has no identity: a reset must bring the default, or it is another part
        self.bus.writeto_mem(self.address, _CONFIGURATION, _RESET)
        found = self._read(_CONFIGURATION)
        if found != _DEFAULT:
            raise Refused("sensor.id", "configuration 0x%04x after a reset, expected 0x%04x" % (found, _DEFAULT))
        self._word[0] = _SETTING >> 8
        self._word[1] = _SETTING & 0xFF
        self.bus.writeto_mem(self.address, _CONFIGURATION, self._word)

    def _read(self, register):
        self.bus.readfrom_mem_into(self.address, register, self._word)
        return self._word[0] << 8 | self._word[1]

    def _fetch(self, row, now):
        volts = self._read(_BUS)
        if not volts & _READY:
            return -1
        self._read(_SHUNT)
        words(self._word, 0, row, 0, 1, 0)
        row[1] = volts >> 3
        self._read(_POWER)  # the next conversion shall be seen
        return now

    def _check(self):
        found = self._read(_CONFIGURATION)
        if found != _SETTING:
            raise Refused("sensor.brownout", "configuration 0x%04x, expected 0x%04x" % (found, _SETTING))

    def table(self):
        """Datasheet: +-320 mV, 0..26 V. A load may stand still: no limit follows from the noise."""
        return """i A %.8g 0 sat_lo_raw=-32000 sat_hi_raw=32000
u V 0.004 0 lo_raw=0 hi_raw=6500""" % (1e-5 / self.shunt_ohm)

    def _test(self):
        """It has none: that a reset brings the default configuration, and that it then converts."""
        self._start()
        self._up = False
        return self._read(_CONFIGURATION)
