"""ADXL345 on I2C: its self-test (let it lie still), then a line a reading, and what its FIFO has lost."""

from sensewell.sensor.adxl345 import Adxl345
from sensewell.sensor.show import show


def main(bus, count=10):
    sensor = Adxl345(bus, rate_hz=100)
    print("moved by the self-test:", sensor.self_test())
    good = show(sensor, count, every_ms=20)
    print("lost:", sensor.lost)
    return good


if __name__ == "__main__":
    from machine import I2C, Pin

    main(I2C(0, scl=Pin(22), sda=Pin(21), freq=400000))
