"""A simulated 1-Wire bus with one DS18B20, at the level of MicroPython's onewire.OneWire."""

from sensewell.sensor.crc import onewire

try:
    from time import ticks_us
except ImportError:
    from sensewell._port import ticks_us

_T_MASK = (1 << 30) - 1


class OneWire:
    """level: temperature in 1/16 degC. Faults: here = False (nobody), held_low (the line), bad_crc, frozen (it never
    converts), steady (always the same), family (another part), brown_out()."""

    def __init__(self, level=400, noise=2, clock=ticks_us):
        self.levels = [level]
        self.noise = noise
        self.clock = clock
        self.here = True
        self.held_low = self.bad_crc = self.frozen = self.steady = False
        self.family = 0x28
        self._pad = bytearray(9)
        self._random = 1
        self.brown_out()

    def brown_out(self):
        pad = self._pad
        for i, value in enumerate((0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10)):
            pad[i] = value
        self._to = 0  # what the next byte is: 0 a ROM command, 1 a command, 2..4 of the scratchpad
        self._converting = False
        self._since = 0

    def scan(self):
        rom = bytearray((self.family, 1, 2, 3, 4, 5, 6, 0))
        rom[7] = onewire(rom, 0, 7)
        return [rom] if self.here and not self.held_low else []

    def reset(self, required=False):
        self._to = 0
        if self.held_low:
            return True  # a line that is low looks like a part that is present
        if required and not self.here:
            raise OSError("no part on the bus")
        return self.here

    def select_rom(self, rom):
        self.reset()
        self._to = 1 if rom[0] == self.family else -1

    def writebyte(self, value):
        if self.held_low or not self.here or self._to < 0:
            return
        if self._to == 0:
            self._to = 1 if value == 0xCC else -1
        elif self._to == 1:
            self._to = 2 if value == 0x4E else 0
            if value == 0x44:
                self._since = self.clock() & _T_MASK
                self._converting = True
        else:
            self._pad[self._to] = value | 0x1F if self._to == 4 else value
            self._to = self._to + 1 if self._to < 4 else 0

    def readinto(self, buffer):
        pad = self._pad
        bits = pad[4] >> 5 & 3
        took = 750000 >> (3 - bits)
        if self._converting and not self.frozen and (self.clock() - self._since) & _T_MASK >= took:
            self._converting = False
            if not self.steady:
                self._random = x = self._random * 75 % 65537
                value = self.levels[0] + x % (2 * self.noise + 1) - self.noise
                pad[0] = value & 0xFF
                pad[1] = value >> 8 & 0xFF
                pad[6] = 16 - (value & 15)
        pad[8] = onewire(pad, 0, 8) ^ (1 if self.bad_crc else 0)
        i = 0
        while i < len(buffer):
            if self.held_low:
                buffer[i] = 0
            elif not self.here or self.family != 0x28:
                buffer[i] = 0xFF
            else:
                buffer[i] = pad[i]
            i += 1
