"""A simulated I2C bus, register by register, and what its parts have in common. Reading a register allocates nothing.

    bus = Bus(Mpu6886())
    imu = Mpu6050(bus)

What can go wrong, at any time:
    bus.held_low = True             a line is held low: no transfer moves (OSError 110)
    part.here = False               nobody answers (OSError 19)
    part.high_bits, part.low_bits   bits that are always read as 1, or as 0: stuck lines
    part.identity = 0x42            another part answers
    part.brown_out()                all registers as after power-up
    part.frozen = True              it answers, but measures nothing new
    part.steady = True              it measures anew, always the same: a dead sensing element
"""

from array import array

try:
    from time import ticks_us

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_us

    const = micropython.const

T_MASK = const((1 << 30) - 1)
_ENODEV = const(19)
_ETIMEDOUT = const(110)


class Bus:
    """Behaves as machine.I2C towards drivers. clock: ticks in us, for all its parts. `transfers`: how many."""

    def __init__(self, *parts, clock=ticks_us):
        self.parts = {}
        self.clock = clock
        self.held_low = False
        self.transfers = 0
        for part in parts:
            part.bus = self
            self.parts[part.address] = part
            part.brown_out()

    def now_us(self):
        return self.clock() & T_MASK

    def scan(self):
        """The addresses that answer."""
        if self.held_low:
            return []
        return [address for address in sorted(self.parts) if self.parts[address].here]

    def readfrom_mem_into(self, address, register, buffer, addrsize=8):
        self._part(address).read(register, buffer)

    def readfrom_mem(self, address, register, n_bytes, addrsize=8):
        buffer = bytearray(n_bytes)
        self._part(address).read(register, buffer)
        return bytes(buffer)

    def writeto_mem(self, address, register, buffer, addrsize=8):
        self._part(address).write(register, buffer)

    def readfrom_into(self, address, buffer, stop=True):
        self._part(address).receive(buffer)

    def writeto(self, address, buffer, stop=True):
        self._part(address).send(buffer)
        return len(buffer)

    def _part(self, address):
        self.transfers += 1
        if self.held_low:
            raise OSError(_ETIMEDOUT)
        part = self.parts.get(address)
        if part is None or not part.here:
            raise OSError(_ENODEV)
        return part


class Simulated:
    """A part of 256 registers of a byte. Subclasses: POWER_UP, pairs of register and value; _before_read(register) and
    _written(register, value).

    `levels`: what it measures, a number a channel; `noise`: each reading is off by up to so much, evenly. Which numbers
    these are the parts say.
    """

    POWER_UP = b""
    IDENTITY = -1  # its register
    n_channels = 1

    def __init__(self, address, levels, noise):
        self.bus = None
        self.address = address
        self.levels = list(levels)
        self.noise = noise
        self.here = True
        self.frozen = self.steady = False
        self.high_bits = 0
        self.low_bits = 0
        self.identity = None
        self._random = 1
        self._last_us = 0
        self.registers = bytearray(256)
        self.out = array("i", [0] * len(self.levels))

    def brown_out(self):
        """Power was gone for a moment."""
        registers = self.registers
        for i in range(256):
            registers[i] = 0
        for i in range(0, len(self.POWER_UP), 2):
            registers[self.POWER_UP[i]] = self.POWER_UP[i + 1]
        self._last_us = self.bus.now_us() if self.bus else 0

    def read(self, register, buffer):
        self._before_read(register, len(buffer))
        registers = self.registers
        high = self.high_bits
        low = 0xFF ^ self.low_bits
        i = 0
        n = len(buffer)
        while i < n:
            value = registers[(register + i) & 0xFF]
            if register + i == self.IDENTITY and self.identity is not None:
                value = self.identity
            buffer[i] = (value | high) & low
            i += 1
        self._after_read(register, n)

    def write(self, register, buffer):
        for value in buffer:
            self.registers[register] = value
            self._written(register, value)
            register = (register + 1) & 0xFF

    def receive(self, buffer):
        raise OSError(_ENODEV)

    def send(self, buffer):
        pass

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def _before_read(self, register, n):
        pass

    def _after_read(self, register, n):
        pass

    def _written(self, register, value):
        pass

    def due(self, period_us):
        """Measurements that became due since the last call, at most 10,000; 0 of a frozen part."""
        elapsed = (self.bus.now_us() - self._last_us) & T_MASK
        if elapsed > T_MASK >> 1:
            elapsed = 0
        n = elapsed // period_us
        if n > 10000:
            n = 10000
            self._last_us = self.bus.now_us()
        else:
            self._last_us = (self._last_us + n * period_us) & T_MASK
        return 0 if self.frozen else n

    def measure(self):
        """New readings in `out`, array('i')."""
        if self.steady:
            return
        i = 0
        spread = 2 * self.noise + 1
        n = len(self.levels)
        while i < n:
            self._random = x = self._random * 75 % 65537
            self.out[i] = self.levels[i] + x % spread - self.noise
            i += 1

    def big(self, register, value):
        """A signed or unsigned word, high byte first."""
        self.registers[register] = value >> 8 & 0xFF
        self.registers[register + 1] = value & 0xFF

    def little(self, register, value):
        """A signed or unsigned word, low byte first."""
        self.registers[register] = value & 0xFF
        self.registers[register + 1] = value >> 8 & 0xFF


def near(value):
    """Within the words that parts have."""
    return 32767 if value > 32767 else -32768 if value < -32768 else value
