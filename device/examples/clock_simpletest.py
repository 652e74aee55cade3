"""The board's own clock, as `mpremote rtc --set` sets it: a line a reading."""

from sensewell.sensor.clock import Clock
from sensewell.sensor.show import show


def main(now=None, count=10):
    return show(Clock(now), count)


if __name__ == "__main__":
    main()
