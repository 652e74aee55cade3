"""Drivers on simulated parts, under a clock that the test winds; and what can go wrong with each."""

import sys
from array import array

MISSING = -32768


class World:
    """A clock and all that hangs on it. `period_ms`: how often each driver is to be read."""

    def __init__(self, name, start_ms=1000):
        self.us = start_ms * 1000
        self.name = name
        self.part = self.bus = None
        self.period_ms = {"bme280": 20, "sht3x": 20, "ds18b20": 1000, "ds3231": 1000, "clock": 1000}.get(name, 10)
        getattr(self, "_" + name)()
        self.row = array("h", [MISSING] * self.sensor.n_channels)

    def now_us(self):
        return self.us & 0x3FFFFFFF

    def now_ms(self):
        return self.us // 1000 & 0x3FFFFFFF

    def step(self):
        """Let a period go by and read: ("", t_ms), or the fault's reason and None."""
        self.us += self.period_ms * 1000
        try:
            return "", self.sensor.read(self.row)
        except ValueError as error:  # Refused is one
            return error.reason, None

    def run(self, n):
        """The reasons of n steps."""
        return [self.step()[0] for _ in range(n)]

    # imported only when asked for: on a small board not all of them have room at once

    def _on_bus(self, part, driver, **options):
        from sensewell_sim.bus import Bus

        self.part = part
        self.bus = Bus(part, clock=self.now_us)
        self.sensor = driver(self.bus, clock=self.now_ms, **options)

    def _mpu6050(self, who=0x68):
        from sensewell.sensor.mpu6050 import Mpu6050
        from sensewell_sim.mpu6886 import Mpu6886

        self._on_bus(Mpu6886(who=who), Mpu6050)

    def _mpu6500(self):
        self._mpu6050(0x70)

    def _mpu6886(self):
        self._mpu6050(0x19)

    def _lsm6ds3(self):
        from sensewell.sensor.lsm6ds3 import Lsm6ds3
        from sensewell_sim.lsm6ds3 import Lsm6ds3 as Part

        self._on_bus(Part(), Lsm6ds3)

    def _adxl345(self):
        from sensewell.sensor.adxl345 import Adxl345
        from sensewell_sim.adxl345 import Adxl345 as Part

        self._on_bus(Part(), Adxl345, us=self.now_us)

    def _bme280(self):
        from sensewell.sensor.bme280 import Bme280
        from sensewell_sim.bme280 import Bme280 as Part

        self._on_bus(Part(), Bme280)

    def _sht3x(self):
        from sensewell.sensor.sht3x import Sht3x
        from sensewell_sim.sht3x import Sht3x as Part

        self._on_bus(Part(), Sht3x)

    def _ina219(self):
        from sensewell.sensor.ina219 import Ina219
        from sensewell_sim.ina219 import Ina219 as Part

        self._on_bus(Part(), Ina219)

    def _ds3231(self):
        from sensewell.sensor.ds3231 import Ds3231
        from sensewell_sim.ds3231 import Ds3231 as Part

        self._on_bus(Part(), Ds3231)

    def _clock(self):
        from sensewell.sensor.clock import Clock

        self.when = (2026, 2, 12, 8, 59, 30, 3, 43)
        self.sensor = Clock(lambda: self.when, clock=self.now_ms)

    def _ds18b20(self):
        from sensewell.sensor.ds18b20 import Ds18b20
        from sensewell_sim.ds18b20 import OneWire

        self.part = self.bus = OneWire(clock=self.now_us)
        self.sensor = Ds18b20(self.part, clock=self.now_ms)

    def _adc(self):
        from sensewell.sensor.adc import Adc
        from sensewell_sim.pins import AdcPin

        self.part = AdcPin()
        self.sensor = Adc((self.part, AdcPin(20000)), clock=self.now_ms)

    def _pulse(self):
        from sensewell.sensor.pulse import Pulse
        from sensewell_sim.pins import Pin

        self.part = Pin()
        self.sensor = Pulse(self.part, clock=self.now_ms, us=self.now_us)

    def _gpio(self):
        from sensewell.sensor.gpio import Gpio
        from sensewell_sim.pins import Pin

        self.part = Pin(1)
        self.sensor = Gpio(self.part, clock=self.now_ms)


def drop(name):
    """The modules of a part that no other test needs give their room back."""
    for package in ("sensewell.sensor", "sensewell_sim"):
        if sys.modules.pop(package + "." + name, None):
            delattr(sys.modules[package], name)


I2C = ("mpu6050", "mpu6886", "lsm6ds3", "adxl345", "bme280", "sht3x", "ina219", "ds3231")
ALL = I2C + ("clock", "ds18b20", "adc", "pulse", "gpio")


def faults(name):
    """What can happen: {fault: the reason that its driver gives in the end}; "" where the guard sees it in readings."""
    if name == "adc":
        return {"gone": ""}
    if name in ("clock", "pulse", "gpio"):
        return {}
    found = {"gone": "sensor.nack", "held_low": "sensor.stuck_bus", "frozen": "sensor.timeout"}
    found["brown_out"] = "sensor.brownout"
    if name == "ds18b20":
        found["bad_crc"] = "sensor.crc"
        del found["frozen"]  # it would go on giving its last conversion, and nobody could tell
        return found
    if name == "ds3231":  # its battery keeps it through a brown-out
        found["unset"] = "sensor.brownout"
        del found["brown_out"]
    found["other"] = "sensor.id"
    found["stuck_bit"] = {"sht3x": "sensor.crc", "adxl345": "sensor.brownout"}.get(name, "sensor.id")
    if name not in ("ina219", "ds3231"):  # noise below a count, or none: it may stand still
        found["steady"] = ""
    if name == "sht3x":
        found.update({"bad_crc": "sensor.crc", "frozen": "sensor.nack"})
        del found["other"]  # it has no identity
    return found


def inject(world, fault, on=True):
    """Have it happen, or end."""
    part = world.part
    if fault == "gone":
        part.here = not on
    elif fault == "held_low":
        world.bus.held_low = on
    elif fault == "brown_out":
        if on:
            part.brown_out()
    elif fault == "other":
        part.identity = 0x42 if on else None
        if world.name == "ina219":
            part.default = 0x4000 if on else 0x399F
        if on:
            part.brown_out()  # somebody has exchanged it
    elif fault == "stuck_bit":
        part.high_bits = 0x80 if on else 0
    else:
        setattr(part, fault, on)
