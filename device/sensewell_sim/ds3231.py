"""A simulated DS3231: its clock goes on with the bus's, from Thursday 2026-02-12, 08:59:30."""

from sensewell_sim.bus import Simulated

_HALTED = 0x80


def _digits(number):
    return number // 10 << 4 | number % 10


class Ds3231(Simulated):
    """The day and month stand still: tests that need another set them. unset: its oscillator has stood still."""

    POWER_UP = b"\x00\x30\x01\x59\x02\x08\x03\x04\x04\x12\x05\x02\x06\x26\x0e\x1c\x12\x40"
    IDENTITY = 0x05  # no month is 0x42
    n_channels = 3

    def __init__(self, address=0x68):
        self.unset = False
        super().__init__(address, (), 0)

    def _before_read(self, register, n):
        r = self.registers
        r[0x0F] = _HALTED if self.unset else 0
        seconds = self.due(1000000)  # then minutes, then hours
        if not seconds:
            return
        for at in (0, 1, 2):
            number = 10 * (r[at] >> 4) + (r[at] & 15) + seconds
            turns = 24 if at == 2 else 60
            r[at] = _digits(number % turns)
            seconds = number // turns
            if not seconds:
                return

    def _written(self, register, value):
        if register == 0x0F:
            self.unset = bool(value & _HALTED)
        elif register == 0:
            self._last_us = self.bus.now_us()
