"""Each driver on its simulated part: readings, limits, faults by name, coming back, self-tests; and no allocation."""

import sys
from array import array

from lcg import Lcg
from parts import ALL, I2C, MISSING, World, faults, inject
from sensewell.guard import Guard
from sensewell.refusal import Refused
from sensewell.sensor.adxl345 import Adxl345
from sensewell.sensor.clock import hour_row
from sensewell.sensor.ds18b20 import Ds18b20
from sensewell.sensor.ds3231 import weekday
from sensewell.sensor.lsm6ds3 import Lsm6ds3
from sensewell.sensor.mpu6050 import Mpu6050

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

SLOW = sys.platform == "qemu"


def refused(reason, function, *args, **options):
    try:
        function(*args, **options)
    except Refused as error:
        assert error.reason == reason, str(error)
        return
    raise AssertionError("taken")


def near(found, wanted, tolerance):
    assert abs(found - wanted) <= tolerance, (found, wanted)


def units(world):
    """What the row says, by channel, in units."""
    channels = world.sensor.channels()
    assert len(channels) == len(world.row) == world.sensor.n_channels
    return {c["name"]: raw * c["scale"] + c["offset"] for c, raw in zip(channels, world.row)}


def test_inertial_parts_read_what_is_there_in_si_units():
    for name in ("mpu6050", "mpu6886", "lsm6ds3", "adxl345"):
        world = World(name)
        world.part.noise = 0
        assert set(world.run(20)) == {""}
        found = units(world)
        near(found["az"], 9.80665, 0.05)
        near(found["ax"], 0.03 * 9.80665 if name == "adxl345" else 0.02 * 9.80665, 0.05)
        if name != "adxl345":
            near(found["gz"], 0.0174533, 0.002)
            near(found["gy"], -0.5 * 0.0174533, 0.002)


def test_a_saturated_part_never_reads_missing():
    for name, greatest in (("mpu6886", 32767), ("lsm6ds3", 32767), ("adxl345", 4095)):
        world = World(name)
        world.part.levels[0] = -40000
        world.part.levels[1] = 40000
        world.run(20)
        assert world.row[0] <= -greatest and world.row[0] != MISSING and world.row[1] == greatest
        guard = Guard(world.sensor.limits(), world.period_ms)
        assert guard.check(world.row, 1000) & 4


def test_slow_parts_read_what_is_there_in_si_units():
    world = World("bme280")
    world.part.noise = 0
    world.run(3)
    found = units(world)
    near(found["t"], 25.08, 0.001)  # the worked example of the datasheet
    near(found["p"], 100656, 2)
    world = World("sht3x")
    world.part.noise = 0
    world.run(3)
    near(units(world)["t"], 25.0, 0.01)
    near(units(world)["rh"], 45.0, 0.01)
    world = World("ina219")
    world.part.noise = 0
    world.run(3)
    near(units(world)["i"], 0.25, 0.0002)
    near(units(world)["u"], 5.0, 0.001)
    world.part.levels[0] = -2500
    world.run(3)
    near(units(world)["i"], -0.25, 0.0002)
    world = World("ds18b20")
    world.part.noise = 0
    world.run(3)
    near(units(world)["t"], 25.0, 0.001)
    world.part.levels[0] = -161
    world.run(3)
    near(units(world)["t"], -10.0625, 0.001)


def test_bme280_in_integers_follows_the_formulas_in_floats():
    if 1e16 + 1 == 1e16 or 1e9 + 0.5 == 1e9:
        return  # floats of this board are too short to compare with
    world = World("bme280")
    world.part.noise = 0
    t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, h1, h2, h3, h4, h5, h6 = world.part._factory
    for raw_t, raw_p, raw_h in (
        (519888, 415148, 31000), (350000, 250000, 20000), (620000, 600000, 45000), (450000, 330000, 26000),
    ):  # fmt: skip
        world.part.levels[:] = (raw_t, raw_p, raw_h)
        world.run(3)
        fine = (raw_t / 16384 - t1 / 1024) * t2 + (raw_t / 131072 - t1 / 8192) ** 2 * t3
        a = fine / 2 - 64000
        b = a * a * p6 / 32768
        b = (b + a * p5 * 2) / 4 + p4 * 65536
        a = (1 + (p3 * a * a / 524288 + p2 * a) / 524288 / 32768) * p1
        p = (1048576 - raw_p - b / 4096) * 6250 / a
        p += (p9 * p * p / 2147483648 + p * p8 / 32768 + p7) / 16
        h = fine - 76800
        h = (raw_h - (h4 * 64 + h5 / 16384 * h)) * (h2 / 65536 * (1 + h6 / 67108864 * h * (1 + h3 / 67108864 * h)))
        h = min(max(h * (1 - h1 * h / 524288), 0), 100)
        near(world.row[0], fine / 51.2, 1)
        near(world.row[1], min(max((p - 70000) / 2, -32767), 32767), 2)
        near(world.row[2], 100 * h, 3)


def test_limits_are_as_the_guard_takes_them_and_good_readings_pass():
    for name in ALL:
        world = World(name)
        guard = Guard(world.sensor.limits(), world.period_ms, 10 * world.period_ms)
        seen = refused = 0
        for _ in range(150):
            if name == "pulse":
                world.part.pulse()
            reason, t_ms = world.step()
            assert not reason
            if world.row[0] != MISSING:
                seen += 1
                refused += guard.check(world.row, t_ms) & 0xBF != 0  # but stale
        assert seen > 100 and not refused, (name, list(guard.counters))


def test_no_part_of_a_kin_is_called_stuck_for_its_low_noise():
    # counts at rest by the datasheets: chance that `stuck_n` readings are equal, below 1e-9
    for name, noise in (("mpu6050", 0.0001 * 41**0.5 * 4096), ("lsm6ds3", 0.07 * 208**0.5 / 0.244)):
        for limit in World(name).sensor.limits()[:3]:
            assert (0.399 / noise) ** (limit["stuck_n"] - 1) < 1.1e-9, (name, limit)
    for limit in World("lsm6ds3").sensor.limits()[3:]:
        assert "stuck_n" not in limit  # less than a count: it may stand still


def test_each_fault_is_named_and_over_when_it_is_over():
    for name in ALL:
        for fault, wanted in faults(name).items():
            world = World(name)
            world.run(20)
            inject(world, fault)
            met = set(world.run(40))
            sensor = world.sensor
            if wanted:
                assert wanted in met and wanted in sensor.faults, (name, fault, met)
                assert sensor.starts == 1 + (fault == "brown_out") or fault in ("frozen", "stuck_bit"), (name, fault)
            else:
                assert met == {""}, (name, fault, met)
            inject(world, fault, False)
            world.run(20)
            assert set(world.run(10)) == {""} and sensor.reason == "", (name, fault)
            assert MISSING not in list(world.row)


def test_a_driver_waits_between_tries_so_that_a_dead_part_costs_others_nothing():
    world = World("mpu6886")
    world.run(5)
    inject(world, "gone")
    before = world.bus.transfers
    assert set(world.run(100)) == {"sensor.nack"}
    assert world.bus.transfers - before <= 11  # a second, a try each 100 ms
    assert world.sensor.faults == {"sensor.nack": world.bus.transfers - before}


def test_nothing_new_is_stale_until_it_is_a_timeout():
    world = World("mpu6886")
    world.run(5)
    last = world.step()
    inject(world, "frozen")
    for _ in range(10):
        assert world.step() == last
    assert world.step() == ("sensor.timeout", None)


def test_a_part_that_is_not_there_at_the_start_is_taken_when_it_comes():
    for name in I2C:
        world = World(name)
        inject(world, "gone")
        assert set(world.run(20)) == {"sensor.nack"} and world.sensor.starts == 0
        inject(world, "gone", False)
        world.run(20)
        assert world.step()[0] == "" and world.sensor.starts == 1 and world.row[0] != MISSING


def test_a_false_85_degrees_after_a_brown_out_is_never_given():
    world = World("ds18b20")
    for i in range(40):
        if i % 7 == 3:
            world.part.brown_out()
        reason, _ = world.step()
        assert reason in ("", "sensor.brownout") and world.row[0] in (MISSING, 398, 399, 400, 401, 402)


def test_an_adxl_counts_what_its_fifo_lost_exactly_and_keeps_its_time():
    gaps = {1500: 700, 1900: 1955, 2300: 331, 2500: 503, 2700: 5001, 2900: 450}  # ms
    for per_mille in (985,) if SLOW else (1000, 985, 1012):
        world = World("adxl345")
        world.part.per_mille = per_mille
        world.period_ms = 9
        times = []
        for i in range(3000):
            if i in gaps:
                world.us += gaps[i] * 1000
            _, t_ms = world.step()
            if not times or t_ms != times[-1]:
                times.append(t_ms)
        part = world.part
        assert part.dropped > 100 and world.sensor.lost == part.dropped, (per_mille, world.sensor.lost, part.dropped)
        steps = [b - a for a, b in zip(times[600:1200], times[601:1200])]
        assert min(steps) >= 9 and max(steps) <= 11, (per_mille, min(steps), max(steps))


def test_an_adxl_counts_its_losses_exactly_however_the_loop_stumbles():
    lcg = Lcg(11)
    for _ in range(1 if SLOW else 10):
        world = World("adxl345")
        world.part.per_mille = 980 + lcg.next(41)
        world.us += lcg.next(10000)
        world.period_ms = 9
        for _ in range(900):
            world.us += lcg.next(2500)
            world.step()
        for _ in range(3):
            world.us += 300000 + lcg.next(5000000)
            for _ in range(400):
                world.us += lcg.next(700)
                world.step()
            assert world.sensor.lost == world.part.dropped > 0, (world.sensor.lost, world.part.dropped)


def test_one_register_that_forgets_is_found_while_the_part_goes_on():
    for name, register in (("mpu6886", 0x1C), ("lsm6ds3", 0x11), ("adxl345", 0x2C), ("bme280", 0xF5)):
        world = World(name)
        world.run(20)
        world.part.registers[register] ^= 0x10
        met = world.run(8 * 7)
        assert "sensor.brownout" in met and world.part.registers[register] == dict(pairs(world))[register], name


def pairs(world):
    config = world.sensor.config
    return [(config[i], config[i + 1]) for i in range(0, len(config), 2)]


def test_self_tests_pass_on_a_sound_part_and_refuse_another():
    for name in ("mpu6050", "mpu6500", "mpu6886", "lsm6ds3", "adxl345"):
        world = World(name)
        world.part.noise = 2

        def pause(ms, world=world):
            world.us += ms * 1000

        world.run(5)
        shifts = world.sensor.self_test(sleep_ms=pause)
        assert len(shifts) == world.sensor.n_channels and all(shifts), shifts
        world.run(3)
        assert world.step()[0] == "" and abs(world.row[2]) > 200  # it measures on, without the force
        refused("sensor.self_test", stiff(world).self_test, sleep_ms=pause)


def stiff(world):
    """The sensor on a part whose element does not move: the force is switched on in vain."""
    part = world.part
    written = part.write

    def write(register, buffer):
        if register in (0x1B, 0x1C, 0x14, 0x31):
            keep = bytearray(buffer)
            keep[0] &= {0x1B: 0x1F, 0x1C: 0x1F, 0x14: 0, 0x31: 0x7F}[register]
            buffer = keep
        written(register, buffer)

    part.write = write
    return world.sensor


def test_the_least_shift_of_a_self_test_is_each_parts_own():
    for identity, taken in ((0x69, False), (0x6A, False), (0x6C, True)):
        world = World("lsm6ds3")
        world.part.noise = 0
        world.part.identity = identity
        world.part.push_mg = 60

        def pause(ms, world=world):
            world.us += ms * 1000

        if taken:
            assert world.sensor.self_test(sleep_ms=pause)[0] == 245
        else:
            refused("sensor.self_test", world.sensor.self_test, sleep_ms=pause)


def test_other_parts_look_at_themselves_as_far_as_they_can():
    world = World("sht3x")

    def pause(ms):
        world.us += ms * 1000

    assert world.sensor.self_test(pause) == 0x10
    world.part.frozen = True
    refused("sensor.timeout", world.sensor.self_test, lambda ms: None)
    refused("sensor.nack", world.sensor.self_test, pause)
    assert World("ina219").sensor.self_test() == 0x3DDF
    assert World("ds18b20").sensor.self_test()[7] == 0x10
    assert World("adc").sensor.self_test()[1] // 100 == (20000 - 32768) // 100
    world = World("bme280")
    inject(world, "other")
    refused("sensor.id", world.sensor.self_test)


def test_a_part_without_a_test_of_its_own_starts_and_says_what_it_reads():
    assert World("gpio").sensor.self_test() == [1]
    assert World("pulse").sensor.self_test() == [0, 0]
    world = World("clock")
    assert world.sensor.self_test() == [181, 541, 0]
    assert world.run(2) == ["", ""] and world.sensor.starts == 1
    world.when = (2000, 1, 1, 0, 3, 9, 5, 1)
    refused("sensor.brownout", world.sensor.self_test)


def test_a_self_test_names_a_part_that_is_silent():
    for name in I2C:
        world = World(name)
        world.part.here = False
        refused("sensor.nack", world.sensor.self_test)
        world.bus.held_low = True
        refused("sensor.stuck_bus", world.sensor.self_test)
    world = World("ds18b20")
    world.bus.here = False
    refused("sensor.nack", world.sensor.self_test)


def test_settings_that_no_part_has_are_refused():
    for make in (
        lambda: Mpu6050(None, range_g=3), lambda: Mpu6050(None, filter=0), lambda: Lsm6ds3(None, range_dps=245),
        lambda: Adxl345(None, rate_hz=90), lambda: Ds18b20(None, bits=13),
    ):  # fmt: skip
        refused("sensor.setting", make)
    refused("sensor.id", Ds18b20(World("ds18b20").part, rom=b"\x10\1\2\3\4\5\6\7").read, array("h", [0]))


def test_an_hour_is_two_distances_that_never_jump():
    row = array("h", [0] * 3)
    seen = set()
    last = None
    for minute in range(2 * 1440):
        hour_row(row, minute % 1440, 4 + minute // 1440)
        assert 0 <= row[0] <= 720 and 0 <= row[1] <= 720 and row[2] == minute // 1440
        if last:
            assert abs(row[0] - last[0]) == 1 and abs(row[1] - last[1]) == 1
        last = row[0], row[1]
        seen.add(last)
    assert len(seen) == 1440
    hour_row(row, 12 * 60, 0)
    assert list(row) == [0, 360, 0]
    hour_row(row, 18 * 60 + 10, 6)
    assert list(row) == [370, 10, 1]


def test_weekdays_of_a_century():
    day = 5  # 2000-01-01 was a Saturday
    for year in range(2000, 2100):
        for month in range(12):
            days = 29 if month == 1 and year % 4 == 0 else b"\x1f\x1c\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"[month]
            assert weekday(year, month + 1, 1) == day and weekday(year, month + 1, days) == (day + days - 1) % 7
            day = (day + days) % 7


def test_a_battery_clock_gives_the_hour_it_was_set_to():
    world = World("ds3231")
    world.run(1)
    assert list(world.row) == [720 - 539, 541, 0]  # Thursday, 8:59
    assert world.run(60) == [""] * 60
    assert list(world.row) == [180, 540, 0]
    world.period_ms = 60000  # the same second of another minute is something new
    assert world.run(3) == [""] * 3 and world.row[0] == 177
    inject(world, "unset")
    world.period_ms = 1000
    assert set(world.run(5)) == {"sensor.brownout"}
    world.sensor.set((2026, 12, 26, 23, 59, 58, 0, 0))
    world.run(1)
    assert list(world.row) == [719, 359, 1]  # a Saturday, whatever weekday the tuple says
    world.part.registers[2] = 0x40 | 0x12  # as libraries set it that count to twelve: half past midnight
    world.part.registers[1] = 0x30
    world.part.registers[0] = 0
    world.run(1)
    assert list(world.row) == [690, 390, 1]
    world.part.registers[2] = 0x40 | 0x20 | 0x12
    world.part.registers[0] = 0
    world.run(1)
    assert list(world.row) == [30, 330, 1]
    assert world.sensor.self_test() == [30, 330, 1]
    refused("sensor.setting", world.sensor.set, (2000, 1, 1, 0, 0, 9, 5, 1))


def test_a_board_clock_that_nobody_has_set_gives_no_hour():
    world = World("clock")
    assert world.run(2) == ["", ""] and list(world.row) == [181, 541, 0]
    world.when = (2000, 1, 1, 0, 3, 9, 5, 1)
    assert set(world.run(3)) == {"sensor.brownout"}
    world.when = (2026, 2, 14, 12, 0, 0, 5, 45)
    world.run(2)
    assert list(world.row) == [0, 360, 1]


def test_bits_that_a_ds18b20_leaves_undefined_are_no_reading():
    world = World("ds18b20")
    world.part.noise = 0
    world.part.levels[0] = 403
    sensor = world.sensor = Ds18b20(world.part, bits=9, clock=world.now_ms)
    assert world.run(3) == ["", "", ""] and world.row[0] == 400
    world.part.levels[0] = -161
    world.run(3)
    assert world.row[0] == -168 and sensor.starts == 1


def test_a_part_found_by_its_rom_is_read_alone():
    world = World("ds18b20")
    sensor = Ds18b20(world.part, world.part.scan()[0], clock=world.now_ms)
    world.sensor = sensor
    assert world.run(3) == ["", "", ""] and 398 <= world.row[0] <= 402


def test_pulses_are_counted_and_rated_by_their_own_time():
    world = World("pulse")
    world.step()
    for _ in range(100):
        world.us += 7000
        world.part.pulse()
        if world.us % 5 == 0:
            world.us += 3000
            world.sensor.read(world.row)
    for _ in range(50):
        world.us += 8000
        world.part.pulse()
    world.sensor.read(world.row)
    for _ in range(25):
        world.us += 8000
        world.part.pulse()
    world.us += 5000
    world.sensor.read(world.row)
    assert list(world.row) == [25, 1250]  # 125.0 Hz, whenever it is asked
    world.us += 1000000
    world.sensor.read(world.row)
    assert list(world.row) == [0, 1250]  # it may be slow
    world.us += 1500000
    world.sensor.read(world.row)
    assert list(world.row) == [0, 0]


def test_a_pulse_after_a_long_silence_has_no_rate():
    world = World("pulse")
    world.step()
    world.part.pulse()
    world.step()
    for _ in range(108):  # ticks in us wrap around and are a few ms on
        world.us += 9942100
        world.sensor.read(world.row)
    world.part.pulse()
    world.sensor.read(world.row)
    assert list(world.row) == [1, 0]
    world.us += 8000
    world.part.pulse()
    world.sensor.read(world.row)
    assert list(world.row) == [1, 1250]


def test_bounces_are_no_pulses():
    world = World("pulse")
    world.sensor._least_us = 500
    world.step()
    for _ in range(10):
        world.us += 10000
        world.part.pulse()
        world.us += 100
        world.part.pulse()
    world.sensor.read(world.row)
    assert world.row[0] == 10 and world.sensor.bounces == 10


def test_a_binary_input_changes_when_the_change_lasts():
    world = World("gpio")
    world.step()
    seen = []
    for level in (0, 1, 1, 0, 0, 0, 1, 1):
        world.part.level = level
        world.step()
        seen.append(world.row[0])
    assert seen == [1, 1, 1, 1, 0, 0, 0, 1]


def test_reading_allocates_nothing():
    for name in ALL:
        world = World(name, start_ms=10)
        world.run(10)
        sensor = world.sensor
        row = world.row
        step = world.period_ms * 1000
        micropython.heap_lock()
        try:
            for _ in range(30):
                world.us += step
                sensor.read(row)
        finally:
            micropython.heap_unlock()
        assert row[0] != MISSING
