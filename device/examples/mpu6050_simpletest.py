"""MPU-6050, MPU-6500 or MPU-6886 on I2C: what it is, its self-test (let it lie still), then a line a reading."""

from sensewell.sensor.mpu6050 import Mpu6050
from sensewell.sensor.show import show


def main(bus, count=10):
    sensor = Mpu6050(bus)
    print("moved by the self-test:", sensor.self_test())
    print(sensor.name)
    return show(sensor, count, every_ms=100)


if __name__ == "__main__":
    from machine import I2C, Pin

    main(I2C(0, scl=Pin(22), sda=Pin(21), freq=400000))
