"""A simulated INA219, whose registers are words: shunt in 10 uV, bus voltage in 4 mV."""

from sensewell_sim.bus import Simulated

_SHOT_US = 8520


class Ina219(Simulated):
    """levels: shunt in 10 uV, bus in 4 mV; the defaults are 250 mA through 0.1 Ohm, and 5 V."""

    n_channels = 2

    def __init__(self, address=0x40, levels=(2500, 1250), noise=3):
        self._words = [0] * 6
        self.default = 0x399F  # another one: another part
        super().__init__(address, levels, noise)

    def brown_out(self):
        super().brown_out()
        for i in range(6):
            self._words[i] = 0
        self._words[0] = self.default

    def write(self, register, buffer):
        value = buffer[0] << 8 | buffer[1]
        if register == 0 and value & 0x8000:
            self.brown_out()
        elif register in (0, 5):
            self._words[register] = value
            if register == 0:
                self._words[2] &= 0xFFFD

    def read(self, register, buffer):
        words = self._words
        if words[0] & 7 == 7 and self.due(_SHOT_US):
            self.measure()
            words[1] = self.out[0] & 0xFFFF
            words[2] = self.out[1] << 3 | 2
        value = words[register]
        if register == 3:
            words[2] &= 0xFFFD
        high = self.high_bits
        low = 0xFF ^ self.low_bits
        buffer[0] = (value >> 8 | high) & low
        buffer[1] = (value & 0xFF | high) & low
