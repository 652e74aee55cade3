"""Runs on a board: a node at 100 Hz on a simulated IMU, how late each sample is read; and what a read() costs.

Lateness is taken where the sample is read, against the grid that the node keeps.
"""

import gc
from array import array

import tiny_bundle
from parts import World
from sensewell.node import Node
from sensewell.sensor.mpu6050 import Mpu6050
from sensewell_sim.bus import Bus
from sensewell_sim.mpu6886 import Mpu6886

try:
    from time import sleep_ms, ticks_diff, ticks_us
except ImportError:
    from sensewell._port import sleep_ms, ticks_diff, ticks_us

RATE_HZ = 100
BOUNDS_US = (50, 100, 200, 500, 1000)


class Watched:
    """A sensor that notes how late each read() is, and which place on the grid it takes."""

    n_channels = 6

    def __init__(self, sensor):
        self.sensor = sensor
        self.node = None
        self.late = array("i", [0] * (len(BOUNDS_US) + 1))
        self.greatest = 0
        self.first_us = self.last_us = -1

    def read(self, row):
        due = self.node._due_us - 1000000 // RATE_HZ  # the node has moved it on already
        late = ticks_diff(ticks_us(), due)
        if late > self.greatest:
            self.greatest = late
        i = 0
        while i < len(BOUNDS_US) and late >= BOUNDS_US[i]:
            i += 1
        self.late[i] += 1
        if self.first_us < 0:
            self.first_us = due
        self.last_us = due
        return self.sensor.read(row)


def watch():
    """A pipeline of six channels in the shape of the watch model: windows of 100, each half a second."""
    features = [{"f": f, "c": c} for c in range(6) for f in ("mean", "std")]
    features += [{"f": "corr", "c": 0, "d": 1}, {"f": "range", "c": 6}]
    return tiny_bundle.pipeline(
        n_channels=6, n_classes=4, length=100, hop=50, rate_hz=RATE_HZ, features=features, rules=[],
        derived=[{"norm": [0, 1, 2]}], trees=10, depth=5, guard={"gap_ms": 100, "channels": Mpu6050(None).limits()},
    )  # fmt: skip


def jitter(samples, stalls=0):
    """Prints: samples, lost by the node, lost by the grid, greatest lateness in us, then how many within each bound.
    stalls: how often an output keeps the loop for some periods."""
    seen = [0]
    every = max(1, samples // 50 // (stalls + 1))

    def slow(decision):
        seen[0] += 1
        if stalls and seen[0] % every == 0:
            sleep_ms(17 + 10 * (seen[0] % 4))

    sensor = Watched(Mpu6050(Bus(Mpu6886())))
    node = sensor.node = Node(watch(), sensor, RATE_HZ, outputs=(slow,))
    gc.collect()
    node.run(samples)
    step = 1000000 // RATE_HZ
    grid = ((sensor.last_us - sensor.first_us) & 0x3FFFFFFF) // step + 1
    print("J", node.samples, node.lost, grid - node.samples, sensor.greatest, *sensor.late)


class Metered:
    """A bus that counts the instructions of its transfers apart."""

    def __init__(self, bus, since):
        self.bus = bus
        self.since = since
        self.spent = 0

    def readfrom_mem_into(self, address, register, buffer):
        before = self.since()
        self.bus.readfrom_mem_into(address, register, buffer)
        self.spent += self.since() - before

    def writeto_mem(self, address, register, buffer):
        before = self.since()
        self.bus.writeto_mem(address, register, buffer)
        self.spent += self.since() - before

    def readfrom_into(self, address, buffer):
        before = self.since()
        self.bus.readfrom_into(address, buffer)
        self.spent += self.since() - before

    def writeto(self, address, buffer):
        before = self.since()
        self.bus.writeto(address, buffer)
        self.spent += self.since() - before


def costs():
    """Prints for each driver: least instructions of a read() that finds something new, the simulated bus apart."""
    import virt

    virt.mark()
    nothing = virt.since()
    for name in ("mpu6886", "lsm6ds3", "adxl345", "bme280", "sht3x", "ina219", "ds3231", "adc", "pulse", "gpio"):
        gc.collect()
        world = World(name, 100)
        sensor = world.sensor
        if world.bus:
            sensor.bus = Metered(world.bus, virt.since)
        least = last = -1
        for _ in range(20):
            world.us += world.period_ms * 1000
            if world.bus:
                sensor.bus.spent = 0
            virt.mark()
            t_ms = sensor.read(world.row)
            cost = virt.since() - nothing
            if world.bus:
                cost -= sensor.bus.spent
            if world.row[0] != -32768 and t_ms != last and (least < 0 or cost < least):
                least = cost
            last = t_ms
        print("R", name, least)


MODULES = (
    "refusal", "sensor.part", "sensor.mpu6050", "sensor.lsm6ds3", "sensor.adxl345", "sensor.bme280", "sensor.crc",
    "sensor.sht3x", "sensor.ina219", "sensor.clock", "sensor.ds3231", "sensor.ds18b20", "sensor.adc", "sensor.pulse",
    "sensor.gpio", "sensor.several", "sensor.told",
)  # fmt: skip
