"""Any analogue input: objects with read_u16(), as machine.ADC and machine.ADCBlock have it, one a channel.

A pin cannot say that nobody is connected to it: let the wiring pull an open input to one end, which is saturation.
"""

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

from sensewell.sensor.part import Part


class Adc(Part):
    """pins: the inputs. volts: at full scale. bits: of the converter. times: readings to take the mean of (1..64).

    Channels v0, v1, ..: count = reading - 32768, and -32767 for a reading of 0.
    """

    name = "ADC"

    def __init__(self, pins, volts=3.3, bits=12, times=4, clock=ticks_ms):
        super().__init__(None, 0, clock)
        self.pins = tuple(pins)
        self.n_channels = len(self.pins)
        self.volts = volts
        self._edge = 1 << (16 - bits)
        self._times = times

    def _fetch(self, row, now):
        i = 0
        times = self._times
        while i < self.n_channels:
            total = 0
            n = times
            while n:
                total += self.pins[i].read_u16()
                n -= 1
            value = total // times - 32768
            row[i] = value if value > -32768 else -32767
            i += 1
        return now

    def table(self):
        """The converter's: within one step of either end it is saturated. What is measured may stand still."""
        scale = self.volts / 65535
        ends = "sat_lo_raw=%d sat_hi_raw=%d" % (self._edge - 32768, 32767 - self._edge)
        return "\n".join(["v%d V %.8g %.8g %s" % (i, scale, 32768 * scale, ends) for i in range(self.n_channels)])
