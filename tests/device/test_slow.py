"""Bundles that say period_ms: their pipeline, and a node that waits for an hour without losing its clock."""

import tiny_bundle
from lcg import Lcg
from sensewell import slow

try:
    from time import sleep_ms, ticks_ms
except ImportError:
    from sensewell._port import sleep_ms, ticks_ms

T_MASK = (1 << 30) - 1


def _bundle(period_ms):
    # A bundle's bytes, with a gap limit that suits its period
    m = tiny_bundle.manifest(period_ms=period_ms, guard={})
    del m["rate_hz"]
    model = tiny_bundle.forest(5, 2)
    return tiny_bundle.write(m, {"model": model, "golden": tiny_bundle.golden(m, model)})


def _pipeline(period_ms):
    bundle = tiny_bundle.Bundle.open(_bundle(period_ms))
    made = tiny_bundle.Pipeline(bundle)
    bundle.prove(made)
    return made


class _Clock:
    """Takes the place of slow's clock: time passes only by sleeping."""

    def __init__(self, t_ms):
        self.t = t_ms & T_MASK
        self.longest = self.fed = 0

    def ticks_ms(self):
        return self.t

    def sleep_ms(self, ms):
        self.longest = max(self.longest, ms)
        self.t = (self.t + ms) & T_MASK

    def feed(self):
        self.fed += 1


class _Sensor:
    """Random counts at the clock's time; `act`: ms that sample i takes."""

    def __init__(self, clock, act=None):
        self.clock = clock
        self.lcg = Lcg(3)
        self.times = []
        self.act = act or {}

    def read(self, row):
        t_ms = self.clock.ticks_ms() & T_MASK
        self.clock.sleep_ms(self.act.get(len(self.times), 0))
        self.times.append(t_ms)
        row[0] = self.lcg.next(4000) - 2000
        row[1] = self.lcg.next(4000) - 2000
        return t_ms


def _run(clock, sensor, pipeline, samples):
    node = slow.Node(pipeline, sensor, pipeline.period_ms, wdt=clock)
    node.sleep_us = lambda us: clock.sleep_ms(us // 1000)
    real = slow.ticks_ms
    slow.ticks_ms = clock.ticks_ms
    try:
        assert node.run(samples) == samples
    finally:
        slow.ticks_ms = real
    return node


def test_a_pipeline_takes_its_period_as_it_is_said():
    pipeline = _pipeline(900000)
    assert (pipeline.period_ms, pipeline.rate_hz) == (900000, None)
    decisions = [pipeline.feed(_row(i), i * 900000 & T_MASK) for i in range(40)]
    assert [i for i in range(40) if decisions[i]] == [15, 23, 31, 39] and pipeline.sources[0] == 4
    assert pipeline.idle((40 + 20) * 900000 & T_MASK).cause == "stale"


def _row(i):
    from array import array

    return array("h", [i * 37 % 4000 - 2000, i * 91 % 4000 - 2000])


def test_a_sample_an_hour_is_on_time_across_the_wrap_of_the_clock_and_the_watchdog_is_fed():
    clock = _Clock(T_MASK - 4 * 3600000 - 5)
    sensor = _Sensor(clock)
    node = _run(clock, sensor, _pipeline(3600000), 10)
    steps = [(sensor.times[i + 1] - sensor.times[i]) & T_MASK for i in range(9)]
    assert steps == [3600000] * 9 and sensor.times[-1] < sensor.times[0]
    assert clock.longest == 500 and clock.fed >= 9 * 7200
    assert node.lost == 0 and node.late.max_us == 0 and node.pipeline.guard.counters[8] == 0


def test_late_samples_and_lost_ones_are_counted_and_the_grid_is_kept():
    clock = _Clock(1000)
    sensor = _Sensor(clock, {3: 25000, 5: 130000})
    node = _run(clock, sensor, _pipeline(60000), 10)
    at = [(t - sensor.times[0]) // 60000 for t in sensor.times]
    assert at == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10]
    assert node.lost == 1 and node.late.max_us == 70000000 and sensor.times[6] - sensor.times[5] == 130000
    clock = _Clock(5)
    node = _run(clock, _Sensor(clock, {1: 3600000 * 100}), _pipeline(3600000), 3)
    assert node.lost == 99 and node.late.max_us == 500000000  # a small int, however late


def test_a_short_period_is_kept_by_the_real_clock():
    class Real:
        ticks_ms = staticmethod(ticks_ms)
        sleep_ms = staticmethod(sleep_ms)

    sensor = _Sensor(Real)
    node = slow.Node(_pipeline(30), sensor, 30)
    start = ticks_ms()
    assert node.run(11) == 11
    took = (ticks_ms() - start) & T_MASK
    assert took >= 300 and node.pipeline.deadline_us == 1000000, took
