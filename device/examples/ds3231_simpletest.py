"""DS3231 on I2C: its self-test, then a line a reading. Set it first: Ds3231(bus).set(time.localtime())"""

from sensewell.sensor.ds3231 import Ds3231
from sensewell.sensor.show import show


def main(bus, count=10):
    sensor = Ds3231(bus)
    print("self-test:", sensor.self_test())
    return show(sensor, count)


if __name__ == "__main__":
    from machine import I2C, Pin

    main(I2C(0, scl=Pin(22), sda=Pin(21), freq=400000))
