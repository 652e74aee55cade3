"""SHT30, SHT31, SHT35: temperature and humidity on I2C, address 0x44 (ADDR high: 0x45). Each value has a CRC-8.

Single shots of high repeatability: each reading is asked for, so none can be old; it takes up to 15.5 ms.
"""

try:
    from time import sleep_ms, ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, sleep_ms, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.crc import sensirion
from sensewell.sensor.part import Part

_SHOT = b"\x24\x00"  # high repeatability, no clock stretching
_STATUS = b"\xf3\x2d"
_CLEAR = b"\x30\x41"
_HAS_RESET = const(0x10)
_SHOT_MS = const(17)  # 15.5, and a tick that had begun
_T_MASK = const((1 << 30) - 1)


class Sht3x(Part):
    """Two channels: t rh. Self-test: it has none; self_test() reads the status with its CRC and takes one reading."""

    n_channels = 2
    name = "SHT3x"

    def __init__(self, bus, address=0x44, clock=ticks_ms):
        super().__init__(bus, address, clock)
        self._data = bytearray(6)
        self._word = bytearray(3)
        self._asked_ms = 0

    def _start(self):
        self.status()
        self.bus.writeto(self.address, _CLEAR)
        self._ask(self.clock() & _T_MASK)

    def _ask(self, now):
        self.bus.writeto(self.address, _SHOT)
        self._asked_ms = now

    def _fetch(self, row, now):
        if (now - self._asked_ms) & _T_MASK < _SHOT_MS:
            return -1
        data = self._data
        try:
            self.bus.readfrom_into(self.address, data)
        except OSError:  # it has nothing to give: gone, or has it forgotten what it was asked?
            if self.status() & _HAS_RESET:
                raise Refused("sensor.brownout", "its status says so")
            raise
        if sensirion(data, 0, 2) != data[2] or sensirion(data, 3, 2) != data[5]:
            raise Refused("sensor.crc")
        # -45 + 175 S / 65535 degC and 100 S / 65535 %, in hundredths; 1/65536 instead differs by less than 0.003
        row[0] = ((4375 * (data[0] << 8 | data[1]) + 8192) >> 14) - 4500
        row[1] = (625 * (data[3] << 8 | data[4]) + 2048) >> 12
        self._ask(now)
        return now

    def _check(self):
        # The status would tell the next shot to stop: look only at what a start means
        pass

    def status(self):
        """The status word; Refused("sensor.crc")."""
        self.bus.writeto(self.address, _STATUS)
        self.bus.readfrom_into(self.address, self._word)
        if sensirion(self._word, 0, 2) != self._word[2]:
            raise Refused("sensor.crc")
        return self._word[0] << 8 | self._word[1]

    def table(self):
        """Datasheet: -40..125 degC, 0..100 %; repeatability 0.04 K and 0.08 %, 3 sigma."""
        return """t degC 0.01 0 noise=1.3 lo_raw=-4000 hi_raw=12500
rh % 0.01 0 noise=2.7 lo_raw=0 hi_raw=10000 constant_lo_raw=9990 constant_hi_raw=10000"""

    def _test(self, sleep_ms=sleep_ms):
        """The status word, under its CRC: whether the last command and its checksum were taken. Then one reading."""
        from sensewell.sensor.part import row_of

        self._up = False
        status = self.status()
        if status & 3:
            raise Refused("sensor.self_test", "status 0x%04x" % status)
        self._start()
        row = row_of(self)
        for _ in range(10):
            sleep_ms(_SHOT_MS)
            if self._fetch(row, self.clock() & _T_MASK) >= 0:
                return status
        raise Refused("sensor.timeout", "no reading in the self-test")
