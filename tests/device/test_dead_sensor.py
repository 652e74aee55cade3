"""A dead sensor surfaces: any driver, any fault, every order of filters and every policy for bad samples.

Within the declared time of a fault there is a decision that is not the model's and says why; none of the model's comes
until the fault is over; and then the model returns by itself.
"""

import gc
import sys

import tiny_bundle
from parts import ALL, World, drop, faults, inject
from sensewell.node import Node
from sensewell.sensor.told import Told

LENGTH = 16
HOP = 8
FILTERS = ({}, {"kind": "average", "n": 8}, {"kind": "median", "n": 5}, {"kind": "iir", "shift": 4})
POLICIES = ("hold", "skip", "break")
WHY = ("quality", "stale", "warming", "returning", "unstable")


class Wound:
    """The sensor of a world whose clock goes on by a period each time it is read."""

    def __init__(self, world):
        self.world = world
        self.n_channels = world.sensor.n_channels

    def read(self, row):
        world = self.world
        world.us += world.period_ms * 1000
        return world.sensor.read(row)


def pipeline(world, order):
    """Filters take turns over the channels from number `order` on; the policy goes with it."""
    n = world.sensor.n_channels
    period = world.period_ms
    return tiny_bundle.pipeline(
        n_channels=n, rate_hz=1000 // period, n_features=3, rules=[], length=LENGTH, hop=HOP,
        guard={"gap_ms": 5 * period, "channels": world.sensor.limits()},
        bad_samples={"policy": POLICIES[order % 3], "fill_n": 3},
        condition={"filters": [FILTERS[(order + c) % 4] for c in range(n)]},
        arbiter={"min_confidence_pct": 0, "smooth_n": 1, "smooth_m": 1, "hold_ms": 0, "return_n": 1,
                 "deadline_ms": 0, "fallback_label": 2},
    )  # fmt: skip


def declared(world, fault):
    """Samples within which it must surface: until it is seen, until a window is spoiled, until one is due."""
    limits = world.sensor.limits()
    seen = world.sensor.timeout_ms // world.period_ms + 2 if fault in ("frozen", "brown_out", "other") else 1
    if fault == "stuck_bit":
        seen = 8 * 5  # at a look at the configuration
    if fault == "steady":
        seen = min([limit["stuck_n"] for limit in limits if "stuck_n" in limit])
    return seen + LENGTH // 4 + 3 * HOP


def surfaces(world, node, seen, fault, reason):
    del seen[:]
    node.pipeline.reset()
    node.run(48)
    assert seen[-1][0] == "model", ("before", seen[-1])
    del seen[:]
    inject(world, fault)
    node.run(declared(world, fault))
    if fault == "brown_out" and world.period_ms >= 100:
        assert reason in world.sensor.faults  # one reading in 16: too few to doubt the window
    else:
        others = [one for one in seen if one[0] != "model"]
        assert others and others[0][1] in WHY, ("not told", seen)
        if reason:
            assert [one for one in others if "sensor." in one[2]], ("no reason", others)
    if fault != "brown_out":
        del seen[:]
        node.run(40)
        assert seen and not [one for one in seen if one[0] == "model"], ("the model went on", seen)
        if reason:
            assert reason in world.sensor.faults and reason in seen[-1][2], ("another reason", seen[-1])
    inject(world, fault, False)
    node.run(60)
    assert seen[-1] == ("model", "ok", "ok"), ("no way back", seen[-1])


def orders(name):
    """Each filter with each policy for two, each filter and each policy for all. The virtual boards try one order of
    each: what runs there is the same code."""
    if sys.platform == "qemu":
        return (ALL.index(name) % 4,)
    return range(12) if name in ("mpu6886", "adc") else (0, 3, 5, 10)


def test_a_dead_sensor_surfaces_with_its_reason_in_every_order_of_filters():
    for name in ALL:
        for order in orders(name) if faults(name) else ():
            gc.collect()
            world = World(name)
            seen = []
            world.step()
            node = Node(
                pipeline(world, order),
                Wound(world),
                outputs=(Told(world.sensor), lambda d: seen.append((d.source, d.cause, d.reason))),
            )
            for fault, reason in faults(name).items():
                try:
                    surfaces(world, node, seen, fault, reason)
                except AssertionError as error:
                    raise AssertionError("%s, %s, order %d: %s" % (name, fault, order, error))
            world = node = None
        drop(name)
