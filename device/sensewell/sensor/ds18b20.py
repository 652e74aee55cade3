"""DS18B20: temperature on a 1-Wire bus, which is passed in as MicroPython's onewire.OneWire (or what behaves like it).

Converts while others work: a read() that finds a conversion done takes it and asks for the next, 750 ms each. A mark in
the part's free memory tells a part that has started anew, whose first reading would be a false 85 degC.
"""

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.crc import onewire
from sensewell.sensor.part import Part

_SKIP_ROM = const(0xCC)
_CONVERT = const(0x44)
_READ = const(0xBE)
_WRITE = const(0x4E)
_FAMILY = const(0x28)
_MARK = const(0x5A)  # in the place of an alarm's limit, which nobody uses
_CONVERT_MS = const(760)
_T_MASK = const((1 << 30) - 1)

# the scratchpad
_TH = const(2)
_CONFIG = const(4)
_RESERVED = const(7)


class Ds18b20(Part):
    """rom: 8 bytes as scan() gives them; None: it is alone on the bus. bits: 9..12. One channel: t, 1/16 degC."""

    n_channels = 1
    name = "DS18B20"
    timeout_ms = 2000

    def __init__(self, bus, rom=None, bits=12, clock=ticks_ms):
        super().__init__(bus, rom, clock)
        if not 9 <= bits <= 12:
            raise Refused("sensor.setting", "bits %r" % bits)
        self._setting = (bits - 9) << 5 | 0x1F
        self._convert_ms = _CONVERT_MS >> (12 - bits)
        self._valid = 0x10000 - (1 << (12 - bits))
        self._data = bytearray(9)
        self._asked_ms = 0

    def _start(self):
        if self.address and self.address[0] != _FAMILY:
            raise Refused("sensor.id", "family 0x%02x, expected 0x28" % self.address[0])
        self._command(_WRITE)
        for value in (_MARK, 0, self._setting):
            self.bus.writebyte(value)
        self._scratchpad()
        self._ask(self.clock() & _T_MASK)

    def _command(self, command):
        if not self.bus.reset():
            raise Refused("sensor.nack", "no part on the bus")
        if self.address:
            self.bus.select_rom(self.address)
        else:
            self.bus.writebyte(_SKIP_ROM)
        self.bus.writebyte(command)

    def _ask(self, now):
        self._command(_CONVERT)
        self._asked_ms = now

    def _scratchpad(self):
        self._command(_READ)
        data = self._data
        self.bus.readinto(data)
        if onewire(data, 0, 9):
            raise Refused("sensor.crc")
        if not (data[_CONFIG] | data[_RESERVED]):  # nine zeros have a good CRC
            raise Refused("sensor.stuck_bus", "all zeros")
        if data[_CONFIG] & 0x9F != 0x1F or data[_RESERVED] != 0x10:
            raise Refused("sensor.id", "this is no scratchpad of a DS18B20")
        if data[_TH] != _MARK or data[_CONFIG] != self._setting:
            raise Refused("sensor.brownout", "the mark is gone")

    def _fetch(self, row, now):
        if (now - self._asked_ms) & _T_MASK < self._convert_ms:
            return -1
        self._scratchpad()
        data = self._data
        value = data[1] << 8 | data[0]
        value &= self._valid  # below 12 bits the part leaves the lowest undefined
        row[0] = value - 65536 if value & 0x8000 else value
        self._ask(now)
        return now

    def _check(self):
        pass  # each reading is

    def table(self):
        """Datasheet: -55..125 degC in steps of 1/16, which is more than its noise: it may stand still."""
        return "t degC 0.0625 0 lo_raw=-880 hi_raw=2000"

    def _test(self):
        """It has none: that it takes a setting, gives it back under its CRC, and finds its fixed bytes."""
        self._start()
        self._up = False
        return list(self._data)
