"""Several parts in one row: rates and ages of their own, one's fault not the others', limits and reasons together."""

from array import array

from parts import MISSING, World, inject
from sensewell.guard import Guard
from sensewell.sensor.several import Several
from sensewell.sensor.told import Told

try:
    import micropython
except ImportError:
    from sensewell._port import micropython


def three():
    """An IMU at each read, a slow and a very slow part, on one clock."""
    worlds = [World(name) for name in ("mpu6886", "sht3x", "ds18b20")]
    imu, air, wire = worlds
    for world in (air, wire):
        world.now_us = imu.now_us
        world.sensor.clock = imu.now_ms
        world.bus.clock = imu.now_us
    sensor = Several((imu.sensor, 0, 15), (air.sensor, 100, 250), (wire.sensor, 1000, 3000), clock=imu.now_ms)
    return worlds, sensor, array("h", [0] * sensor.n_channels)


def step(world, sensor, row, n=1):
    for _ in range(n):
        world.us += 10000
        assert sensor.read(row) == world.now_ms()


def test_each_part_is_read_at_its_own_rate_and_its_value_stands_in_until_the_next():
    (imu, air, wire), sensor, row = three()
    assert sensor.n_channels == 9
    step(imu, sensor, row)
    assert row[0] != MISSING and list(row)[6:] == [MISSING] * 3
    step(imu, sensor, row, 250)
    assert MISSING not in list(row)
    before = air.bus.transfers
    step(imu, sensor, row, 100)
    assert air.bus.transfers - before == 20  # a reading and a question each 100 ms
    kept = list(row)[6:8]
    step(imu, sensor, row, 5)
    assert list(row)[6:8] == kept


def test_a_value_older_than_its_age_is_missing_and_no_other_channel_is():
    (imu, air, _), sensor, row = three()
    step(imu, sensor, row, 300)
    inject(air, "gone")
    step(imu, sensor, row, 15)
    assert row[6] != MISSING
    step(imu, sensor, row, 30)
    assert list(row)[6:8] == [MISSING] * 2 and row[0] != MISSING and row[8] != MISSING
    assert sensor.reason == "sensor.nack" and sensor.errors and sensor.last_error.reason == "sensor.nack"
    inject(air, "gone", False)
    step(imu, sensor, row, 30)
    assert row[6] != MISSING and sensor.reason == ""
    inject(imu, "frozen")
    step(imu, sensor, row, 3)
    assert list(row)[:6] == [MISSING] * 6 and row[8] != MISSING


def test_limits_of_a_slow_part_count_the_rows_that_repeat_it():
    (imu, _, _), sensor, row = three()
    limits = sensor.limits(10)
    assert len(limits) == len(sensor.channels()) == 9
    assert limits[0]["stuck_n"] == 13 and limits[6]["stuck_n"] == 190
    guard = Guard(limits, 10)
    bad = 0
    step(imu, sensor, row, 300)
    for _ in range(600):
        step(imu, sensor, row)
        bad += guard.check(row, imu.now_ms()) != 0
    assert not bad, list(guard.counters)


def test_reading_several_allocates_nothing():
    (imu, air, _), _, _ = three()
    sensor = Several((imu.sensor, 0, 15), (air.sensor, 100, 250), clock=imu.now_ms)
    row = array("h", [0] * 8)
    step(imu, sensor, row, 30)
    micropython.heap_lock()
    try:
        for _ in range(40):
            imu.us += 10000
            sensor.read(row)
    finally:
        micropython.heap_unlock()
    assert MISSING not in list(row)


def test_decisions_say_what_is_wrong_with_the_sensor():
    class Decision:
        note = "unsigned"

    (imu, air, _), sensor, row = three()
    told = Told(sensor)
    decision = Decision()
    step(imu, sensor, row, 20)
    told(decision)
    assert decision.note == "unsigned"
    inject(air, "held_low")
    step(imu, sensor, row, 20)
    told(decision)
    assert decision.note == "unsigned sensor.stuck_bus"
    inject(air, "held_low", False)
    step(imu, sensor, row, 20)
    told(decision)
    assert decision.note == "unsigned"
