"""Each simpletest runs on the simulated part: what a user tries first must work."""

import gc

from sensewell.sensor import show
from sensewell_sim.bus import Bus

sleep_ms = show.sleep_ms


def shorter(ms):
    """No more than a part needs: the DS18B20 converts for 750 ms."""
    sleep_ms(ms if ms == 800 else 25)


def runs(name, bus):
    gc.collect()
    show.sleep_ms = shorter
    try:
        assert __import__(name + "_simpletest").main(bus, 2) >= 1, name
    finally:
        show.sleep_ms = sleep_ms


def test_inertial_simpletests_read_and_test_themselves():
    from sensewell_sim.adxl345 import Adxl345
    from sensewell_sim.lsm6ds3 import Lsm6ds3
    from sensewell_sim.mpu6886 import Mpu6886

    runs("mpu6050", Bus(Mpu6886(noise=2)))
    runs("lsm6ds3", Bus(Lsm6ds3(noise=2)))
    runs("adxl345", Bus(Adxl345(noise=2)))


def test_simpletests_of_the_other_parts_read():
    from sensewell_sim.bme280 import Bme280
    from sensewell_sim.ds18b20 import OneWire
    from sensewell_sim.ds3231 import Ds3231
    from sensewell_sim.ina219 import Ina219
    from sensewell_sim.pins import AdcPin, Pin
    from sensewell_sim.sht3x import Sht3x

    runs("bme280", Bus(Bme280()))
    runs("sht3x", Bus(Sht3x()))
    runs("ina219", Bus(Ina219()))
    runs("ds3231", Bus(Ds3231()))
    runs("clock", lambda: (2026, 2, 12, 8, 59, 30, 3, 43))
    runs("ds18b20", OneWire())
    runs("adc", AdcPin())
    runs("pulse", Pin())
    runs("gpio", Pin())


def test_a_simpletest_without_a_part_says_what_is_wrong():
    from sensewell_sim.ds18b20 import OneWire

    nobody = OneWire()
    nobody.here = False
    for name, bus in (("mpu6050", Bus()), ("ina219", Bus()), ("ds18b20", nobody)):
        try:
            runs(name, bus)
        except ValueError as error:  # Refused is one
            assert error.reason == "sensor.nack", name
        else:
            raise AssertionError(name)
