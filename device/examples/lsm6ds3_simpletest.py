"""LSM6DS3 on I2C: its self-test (let it lie still), then a line a reading."""

from sensewell.sensor.lsm6ds3 import Lsm6ds3
from sensewell.sensor.show import show


def main(bus, count=10):
    sensor = Lsm6ds3(bus)
    print("moved by the self-test:", sensor.self_test())
    return show(sensor, count, every_ms=100)


if __name__ == "__main__":
    from machine import I2C, Pin

    main(I2C(0, scl=Pin(22), sda=Pin(21), freq=400000))
