"""DS18B20 on 1-Wire, with a pull-up of 4.7 kOhm: which parts there are, then a line a reading of the first."""

from sensewell.sensor.ds18b20 import Ds18b20
from sensewell.sensor.show import show


def main(bus, count=10):
    roms = bus.scan()
    print("found:", roms)
    sensor = Ds18b20(bus, roms[0] if roms else None)
    print("self-test:", sensor.self_test())
    return show(sensor, count, every_ms=800)


if __name__ == "__main__":
    from machine import Pin
    from onewire import OneWire

    main(OneWire(Pin(4)))
