"""A pulse counter: how many pulses since the last line, and how often they come."""

from sensewell.sensor.pulse import Pulse
from sensewell.sensor.show import show


def main(pin, count=10):
    return show(Pulse(pin), count)


if __name__ == "__main__":
    from machine import Pin

    main(Pin(5, Pin.IN, Pin.PULL_UP))
