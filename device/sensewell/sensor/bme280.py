"""BME280: temperature, pressure and humidity on I2C, address 0x76 (SDO high: 0x77). In integers throughout.

Forced mode: each reading is asked for, so none can be old. A read() that finds one takes it and asks for the next; all
of status, settings and readings come in one transfer of 13 bytes. A measurement takes 10 ms.
"""

from array import array

try:
    from time import ticks_ms

    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.part import Part

_CALIBRATION = const(0x88)  # T1..T3, P1..P9, one unused, H1
_CALIBRATION_2 = const(0xE1)  # H2..H6
_ID = const(0xD0)
_CTRL_HUM = const(0xF2)
_STATUS = const(0xF3)
_CTRL_MEAS = const(0xF4)
_CONFIG = const(0xF5)

_BME280 = const(0x60)
_X1 = const(0x01)  # oversampling of humidity
_SLEEP = const(0x24)  # oversampling 1 of temperature and pressure, at rest ...
_FORCED = const(0x25)  # ... and measuring once
_MEASURING = const(8)
_COPYING = const(1)  # the factory's values into the registers

# places in the calibration, each + 65536
_T1 = const(0)
_P1 = const(3)
_H1 = const(12)


@micropython.viper
def _compensate(calibration, data, row):
    """The formulas of the datasheet (chapter 4.2.3, 32 bits) on the readings at data[5:13].

    row: 0.01 degree, 2 Pa above 70,000 Pa, 0.01 %. One step differs: p * 6250 / var1 is divided in two parts, which is
    exact and needs no unsigned numbers.
    """
    k = ptr32(calibration)
    b = ptr8(data)
    y = ptr16(row)

    raw = b[8] << 12 | b[9] << 4 | b[10] >> 4
    first = (((raw >> 3) - ((k[_T1] - 65536) << 1)) * (k[_T1 + 1] - 65536)) >> 11
    second = (raw >> 4) - (k[_T1] - 65536)
    fine = first + ((((second * second) >> 12) * (k[_T1 + 2] - 65536)) >> 14)
    centi = (fine * 5 + 128) >> 8

    raw = b[5] << 12 | b[6] << 4 | b[7] >> 4
    first = (fine >> 1) - 64000
    second = (((first >> 2) * (first >> 2)) >> 11) * (k[_P1 + 5] - 65536)
    second += (first * (k[_P1 + 4] - 65536)) << 1
    second = (second >> 2) + ((k[_P1 + 3] - 65536) << 16)
    square = ((first >> 2) * (first >> 2)) >> 13
    first = ((((k[_P1 + 2] - 65536) * square) >> 3) + (((k[_P1 + 1] - 65536) * first) >> 1)) >> 18
    first = ((32768 + first) * (k[_P1] - 65536)) >> 15
    pressure = 0
    if first > 0:
        raw = 1048576 - raw - (second >> 12)
        if raw > 0:
            pressure = (raw // first) * 6250 + ((raw % first) * 6250) // first
            first = ((k[_P1 + 8] - 65536) * (((pressure >> 3) * (pressure >> 3)) >> 13)) >> 12
            second = ((pressure >> 2) * (k[_P1 + 7] - 65536)) >> 13
            pressure += (first + second + (k[_P1 + 6] - 65536)) >> 4

    raw = b[11] << 8 | b[12]
    fine -= 76800
    first = (raw << 14) - ((k[_H1 + 3] - 65536) << 20) - (k[_H1 + 4] - 65536) * fine
    first = (first + 16384) >> 15
    second = (((fine * (k[_H1 + 5] - 65536)) >> 10) * (((fine * (k[_H1 + 2] - 65536)) >> 11) + 32768)) >> 10
    first *= ((second + 2097152) * (k[_H1 + 1] - 65536) + 8192) >> 14
    second = first >> 15
    first -= (((second * second) >> 7) * (k[_H1] - 65536)) >> 4
    if first < 0:
        first = 0
    elif first > 419430400:
        first = 419430400

    y[0] = centi
    pressure = (pressure - 70000) >> 1
    if pressure < -32767:
        pressure = -32767
    elif pressure > 32767:
        pressure = 32767
    y[1] = pressure
    y[2] = ((first >> 12) * 25) >> 8


class Bme280(Part):
    """Three channels: t p rh. Self-test: it has none; self_test() looks at identity, factory values and one reading."""

    n_channels = 3
    name = "BME280"
    config = bytes((_CTRL_HUM, _X1, _CONFIG, 0))

    def __init__(self, bus, address=0x76, clock=ticks_ms):
        super().__init__(bus, address, clock)
        self._data = bytearray(13)
        self._calibration = array("i", bytes(4 * 18))

    def _start(self):
        self._is(_ID, (_BME280,))
        if self._get(_STATUS) & _COPYING:
            raise Refused("sensor.timeout", "it is still starting")
        low = bytearray(26)
        high = bytearray(7)
        self.bus.readfrom_mem_into(self.address, _CALIBRATION, low)
        self.bus.readfrom_mem_into(self.address, _CALIBRATION_2, high)
        values = [low[i] | low[i + 1] << 8 for i in range(0, 24, 2)]
        for i in range(len(values)):
            if i != _T1 and i != _P1:  # all others are signed
                values[i] -= (values[i] & 0x8000) << 1
        if not values[_T1] or not values[_P1]:
            raise Refused("sensor.id", "there are no factory values")
        signed = [low[25], high[0] | high[1] << 8, high[2], high[3] << 4 | high[4] & 15, high[5] << 4 | high[4] >> 4]
        signed[1] -= (signed[1] & 0x8000) << 1
        for i in (3, 4):
            signed[i] -= (signed[i] & 0x800) << 1
        values += signed
        values.append(high[6] - ((high[6] & 0x80) << 1))
        for i in range(18):
            self._calibration[i] = values[i] + 65536
        self._configure()
        self._put(_CTRL_MEAS, _FORCED)

    def _fetch(self, row, now):
        data = self._data
        self.bus.readfrom_mem_into(self.address, _CTRL_HUM, data)
        if data[0] != _X1 or data[2] & 0xFC != _SLEEP:
            raise Refused("sensor.brownout", "CTRL_HUM 0x%02x, CTRL_MEAS 0x%02x" % (data[0], data[2]))
        if data[1] & _MEASURING or data[2] & 3:
            return -1
        _compensate(self._calibration, data, row)
        self._put(_CTRL_MEAS, _FORCED)
        return now

    def table(self):
        """Datasheet: -40..85 degC, 300..1100 hPa, 0..100 %; noise 0.005 K, 3.3 Pa, 0.07 % without filter. It measures
        in steps of 0.005 K, so temperature and humidity may stand still."""
        return """t degC 0.01 0 lo_raw=-4000 hi_raw=8500
p Pa 2 70000 noise=1.65 lo_raw=-20000 hi_raw=20000
rh % 0.01 0 lo_raw=0 hi_raw=10000"""

    def _test(self):
        """A reading (counts); Refused where identity, factory values or range are wrong."""
        from sensewell.sensor.part import row_of

        try:
            from time import sleep_ms
        except ImportError:
            from sensewell._port import sleep_ms

        row = row_of(self)
        self._start()
        for _ in range(10):
            sleep_ms(10)
            if self._fetch(row, 0) >= 0:
                break
        for value, limit in zip(row, self.limits()):
            if not limit["lo_raw"] <= value <= limit["hi_raw"]:
                raise Refused("sensor.self_test", "%r" % (list(row),))
        return list(row)
