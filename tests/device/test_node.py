"""The node: rate, lateness, what sensors and outputs throw, recordings to their end, and what it is composed from."""

import os
from array import array

import tiny_bundle
from lcg import Lcg
from sensewell.node import Node, compose
from sensewell.policy import UNSIGNED, Policy
from sensewell.refusal import Refused

try:
    from time import sleep_ms, ticks_ms
except ImportError:
    from sensewell._port import sleep_ms, ticks_ms


class Sensor:
    """Small random counts; `act` may say what happens at sample i: an exception, 'stale', 'slow', or nothing."""

    def __init__(self, length=None, act=None, real=False):
        self.lcg = Lcg(3)
        self.i = self.t = 0
        self.length = length
        self.act = act or {}
        self.real = real

    def read(self, row):
        if self.i == self.length:
            return -1
        act = self.act.get(self.i)
        self.i += 1
        if act != "stale":
            self.t += 20
        if act == "slow":
            sleep_ms(70)
        elif isinstance(act, BaseException):
            raise act
        row[0] = self.lcg.next(4000) - 2000
        row[1] = self.lcg.next(4000) - 2000
        return ticks_ms() & 0x3FFFFFFF if self.real else self.t


def test_a_recording_runs_to_its_end_as_fast_as_it_goes():
    seen = []
    node = Node(tiny_bundle.pipeline(), Sensor(40), outputs=(lambda d: seen.append(d.source),))
    assert node.run() == 40 and node.samples == 40
    assert seen == ["model"] * 4 and node.decisions == 4
    assert node.run() == 0
    for cost in (node.window_cost, node.sample_cost):
        assert cost.max_us >= cost.mean_us() >= 0


def test_run_stops_after_so_many_samples_and_goes_on():
    node = Node(tiny_bundle.pipeline(), Sensor(40))
    assert [node.run(15), node.decisions, node.run(1), node.decisions, node.run()] == [15, 0, 1, 1, 24]


def test_what_a_sensor_throws_becomes_a_missing_row_that_is_counted():
    faults = {i: (OSError(5), ValueError("crc"), MemoryError())[i % 3] for i in range(20, 32)}
    seen = []
    node = Node(tiny_bundle.pipeline(), Sensor(64, faults), outputs=(lambda d: seen.append(d.source + " " + d.cause),))
    assert node.run() == 64
    assert node.sensor_errors == 12 and node.pipeline.guard.counters[0] == 12
    assert isinstance(node.last_error, (OSError, ValueError, MemoryError))
    assert "hold quality" in seen and seen[-1] == "model ok"


def test_a_sensor_that_only_throws_still_yields_decisions():
    seen = []
    sensor = Sensor(None, {i: OSError(19) for i in range(100)})
    Node(tiny_bundle.pipeline(), sensor, outputs=(lambda d: seen.append(d.cause),)).run(100)
    assert len(seen) >= 10 and set(seen) == {"quality"}


def test_time_that_stands_still_in_a_recording_surfaces_too():
    seen = []
    sensor = Sensor(120, {i: "stale" for i in range(40, 100)})
    Node(tiny_bundle.pipeline(), sensor, outputs=(lambda d: seen.append(d.source + " " + d.cause),)).run()
    assert "hold stale" in seen and "rule stale" in seen, seen


def test_what_an_output_throws_stops_neither_the_others_nor_the_loop():
    def broken(decision):
        raise OSError(5)

    seen = []
    node = Node(tiny_bundle.pipeline(), Sensor(24), outputs=(broken, lambda d: seen.append(d.t_ms)))
    assert node.run() == 24 and node.output_errors == 2 and len(seen) == 2


def test_ctrl_c_passes_through():
    node = Node(tiny_bundle.pipeline(), Sensor(24, {5: KeyboardInterrupt()}))
    try:
        node.run()
        raise AssertionError("swallowed")
    except KeyboardInterrupt:
        assert node.samples == 5


def test_a_real_rate_is_kept_and_lost_periods_are_counted():
    class Dog:
        fed = 0

        def feed(self):
            self.fed += 1

    dog = Dog()
    node = Node(tiny_bundle.pipeline(), Sensor(None, {10: "slow"}, real=True), rate_hz=50, wdt=dog)
    start = ticks_ms()
    assert node.run(20) == 20
    took = (ticks_ms() - start) & 0x3FFFFFFF
    assert took >= 20 * 20, took  # 19 periods, and those that the slow sample cost
    assert node.lost >= 2 and node.late.max_us >= 40000 and dog.fed >= 20
    assert node.pipeline.deadline_us == 1000000


def test_a_sensor_with_other_channels_is_refused():
    sensor = Sensor(1)
    sensor.n_channels = 3
    try:
        Node(tiny_bundle.pipeline(), sensor)
        raise AssertionError("taken")
    except Refused as e:
        assert e.reason == "node.channels"


def test_a_node_is_composed_from_a_file_or_refused_by_name():
    path = "t_node.swb"
    data = bytearray(tiny_bundle.build())
    try:
        with open(path, "wb") as f:
            f.write(data)
        node = compose(Sensor(8), path, policy=Policy("unix", UNSIGNED))
        assert node.pipeline.refusal == "" and node.rate_hz == 50 and node.pipeline.deadline_us == 1000000
        m = tiny_bundle.manifest(period_ms=60000, model={"family": "none"}, guard={})
        del m["rate_hz"]
        with open(path, "wb") as f:
            f.write(tiny_bundle.write(m, {}))
        node = compose(Sensor(8), path, policy=Policy("unix", UNSIGNED))
        assert node.period_ms == 60000 and node.pipeline.deadline_us == 1000000
        node = compose(Sensor(8), path, rate_hz=20, policy=Policy("unix", UNSIGNED))
        assert node.rate_hz == 20 and not hasattr(node, "period_ms")
        data[-1] ^= 1
        with open(path, "wb") as f:
            f.write(data)
        try:
            compose(Sensor(8), path, policy=Policy("unix", UNSIGNED))
            raise AssertionError("taken")
        except Refused as e:
            assert e.reason == "bundle.hash.model"
    finally:
        os.remove(path)


def test_the_loop_itself_allocates_nothing():
    try:
        from micropython import heap_lock, heap_unlock
    except ImportError:
        return
    node = Node(tiny_bundle.pipeline(), Steady(), outputs=(nothing,))
    node.run(40)
    heap_lock()
    try:
        node.run(200)
    finally:
        heap_unlock()
    assert node.decisions == 29


class Steady:
    """A sensor that allocates nothing."""

    def __init__(self):
        self.t = 0

    def read(self, row):
        self.t += 20
        row[0] = self.t * 37 % 4000 - 2000
        row[1] = self.t * 91 % 4000 - 2000
        return self.t


def nothing(decision):
    pass


def test_a_row_starts_as_missing():
    assert Node(tiny_bundle.pipeline(), Sensor(1)).row == array("h", [-32768, -32768])
