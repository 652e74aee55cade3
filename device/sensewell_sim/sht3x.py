"""A simulated SHT3x: it takes commands and answers in words with CRC. What it measures are raw readings of 16 bits."""

from sensewell.sensor.crc import sensirion

from sensewell_sim.bus import T_MASK, Simulated

_ENODEV = 19
_SHOT_US = 15000


class Sht3x(Simulated):
    """levels: raw temperature and humidity; the defaults are 25.0 degC and 45.0 %. bad_crc: answer with wrong ones."""

    n_channels = 2

    def __init__(self, address=0x44, levels=(26214, 29491), noise=20):
        self.bad_crc = False
        self._status = 0x10
        self._asked = 0  # 1: the status, 2: a shot
        self._asked_us = 0
        super().__init__(address, levels, noise)

    def brown_out(self):
        super().brown_out()
        self._status = 0x10
        self._asked = 0

    def send(self, buffer):
        command = buffer[0] << 8 | buffer[1]
        if command == 0x3041:
            self._status = 0
        elif command == 0xF32D:
            self._asked = 1
        elif command == 0x2400:
            self._asked = 2
            self._asked_us = self.bus.now_us()

    def receive(self, buffer):
        r = self.registers
        if self._asked == 1:
            self.big(0, self._status)
        elif self._asked == 2 and not self.frozen and (self.bus.now_us() - self._asked_us) & T_MASK >= _SHOT_US:
            self.measure()
            self.big(0, self.out[0])
            self.big(3, self.out[1])
        else:
            raise OSError(_ENODEV)
        self._asked = 0
        r[2] = sensirion(r, 0, 2) ^ (1 if self.bad_crc else 0)
        r[5] = sensirion(r, 3, 2)
        self.read(0, buffer)
