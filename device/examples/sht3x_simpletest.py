"""SHT3x on I2C: its self-test, then a line a reading."""

from sensewell.sensor.show import show
from sensewell.sensor.sht3x import Sht3x


def main(bus, count=10):
    sensor = Sht3x(bus)
    print("self-test:", sensor.self_test())
    return show(sensor, count)


if __name__ == "__main__":
    from machine import I2C, Pin

    main(I2C(0, scl=Pin(22), sda=Pin(21), freq=400000))
