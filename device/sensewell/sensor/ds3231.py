"""DS3231: a clock with a battery, on I2C, address 0x68: the hour as sensor/clock.py gives it, after any power cut.

It says itself when its oscillator has stood still: such a time is not given, nor that of a clock that does not move on.
Set it once, in local time: after `mpremote rtc --set`, Ds3231(bus).set(time.localtime()).
"""

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.clock import SET_SINCE, Clock, hour_row
from sensewell.sensor.part import Part

# the registers, two decimal digits each; the weekday's (3) counts from whatever day somebody chose
_SECOND = const(0x00)
_MINUTE = const(0x01)
_HOUR = const(0x02)
_DATE = const(0x04)
_MONTH = const(0x05)
_YEAR = const(0x06)
_CONTROL = const(0x0E)
_STATUS = const(0x0F)
_FRACTION = const(0x12)  # of its thermometer: two bits, then six zeros
_N = const(0x13)

_12_HOURS = const(0x40)
_AFTERNOON = const(0x20)
_CENTURY = const(0x80)
_BY_BATTERY = const(0x1C)  # as after power-up: the oscillator goes on when only the battery is left
_STOPPED = const(0x80)  # the oscillator has stood still since this was cleared
_RESERVED = const(0x70)

_MONTHS = b"\x00\x03\x02\x05\x00\x03\x05\x01\x04\x06\x02\x04"  # Sakamoto's


def weekday(year, month, day):
    """0 Monday..6 Sunday, from 2000 to 2099, by Sakamoto's formula."""
    if month < 3:
        year -= 1
    return (year + year // 4 + _MONTHS[month - 1] + day + 5) % 7


class Ds3231(Part):
    """Three channels: from_noon from_18h (minutes), weekend, in the time it was set to."""

    n_channels = 3
    name = "DS3231"
    timeout_ms = 2000
    table = Clock.table

    def __init__(self, bus, address=0x68, clock=ticks_ms):
        super().__init__(bus, address, clock)
        self._data = bytearray(_N)
        self._moment = -1  # seconds of the month
        self._weekday = 0

    def _start(self):
        self._look()
        self._moment = -1

    def _fetch(self, row, now):
        before = self._moment
        self._look()
        if self._moment == before:
            return -1
        hour_row(row, self._moment // 60 % 1440, self._weekday)
        return now

    def _look(self):
        # One transfer: the part holds the time still meanwhile. It has no identity but what a time can be
        data = self._data
        self.bus.readfrom_mem_into(self.address, _SECOND, data)
        second = self._digits(data[_SECOND], 0, 59)
        minute = self._digits(data[_MINUTE], 0, 59)
        hour = data[_HOUR]
        if hour & _12_HOURS:  # another library may have set it so
            hour = self._digits(hour & 0x1F, 1, 12) % 12 + (12 if hour & _AFTERNOON else 0)
        else:
            hour = self._digits(hour, 0, 23)
        date = self._digits(data[_DATE], 1, 31)
        month = self._digits(data[_MONTH] & ~_CENTURY, 1, 12)
        year = self._digits(data[_YEAR], 0, 99)
        if data[_STATUS] & _RESERVED or data[_FRACTION] & 0x3F:
            raise Refused("sensor.id", "bits are set that a DS3231 has at zero")
        if data[_STATUS] & _STOPPED:
            raise Refused("sensor.brownout", "the clock stood still: set it")
        self._moment = 60 * (60 * (24 * date + hour) + minute) + second
        self._weekday = weekday(2000 + year, month, date)

    def _digits(self, value, low, high):
        number = 10 * (value >> 4) + (value & 15)
        if value & 15 > 9 or not low <= number <= high:
            raise Refused("sensor.id", "0x%02x is no part of a time" % value)
        return number

    def set(self, when):
        """when: (year, month, day, hour, minute, second, ...), as time.localtime() gives it."""
        if not SET_SINCE <= when[0] <= 2099:
            raise Refused("sensor.setting", "the year %d: is the board's own clock set?" % when[0])
        year, month, day, hour, minute, second = when[:6]
        digits = [second, minute, hour, weekday(year, month, day) + 1, day, month, year - 2000]
        self.bus.writeto_mem(self.address, _SECOND, bytes([one // 10 << 4 | one % 10 for one in digits]))
        self._put(_CONTROL, _BY_BATTERY)
        self._put(_STATUS, 0)
