"""A binary input: 0 or 1, a line a reading."""

from sensewell.sensor.gpio import Gpio
from sensewell.sensor.show import show


def main(pin, count=10):
    return show(Gpio(pin), count)


if __name__ == "__main__":
    from machine import Pin

    main(Pin(5, Pin.IN, Pin.PULL_UP))
