"""The replay sensor: rows and times as recorded, each fault as it is defined, the turned mounting, and no heap."""

import os
from array import array

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

from lcg import Lcg
from sensewell.refusal import Refused
from sensewell.sensor.replay import Replay

HOLE = -32768


def _all(sensor, n=2):
    """Everything a sensor gives, as tuples (t_ms, counts...)."""
    row = array("h", [0] * n)
    given = []
    while True:
        t_ms = sensor.read(row)
        if t_ms < 0:
            assert t_ms == -1 and sensor.read(row) == -1
            return given
        given.append((t_ms,) + tuple(row))


def _ramp(*faults):
    """Eight rows (i, 100 + i) 10 ms apart, with faults."""
    rows = array("h")
    for i in range(8):
        rows.extend(array("h", (i, 100 + i)))
    return _all(Replay(rows, 2, 10, faults))


def _changed(given):
    """What differs from the clean ramp: {row: counts}; every time must be right."""
    assert [sample[0] for sample in given] == list(range(0, 80, 10))
    return dict((i, s[1:]) for i, s in enumerate(given) if s[1:] != (i, 100 + i))


def test_rows_come_as_recorded_a_period_apart():
    assert _changed(_ramp()) == {}


def test_a_stuck_channel_stays_at_what_it_was_at_the_start():
    assert _changed(_ramp(("stuck", 1, 2, 3, 0))) == {3: (3, 102), 4: (4, 102)}
    assert _changed(_ramp(("stuck", -1, 5, 99, 0))) == {6: (5, 105), 7: (5, 105)}


def test_a_spike_is_added_and_saturates_short_of_missing():
    assert _changed(_ramp(("spike", 0, 3, 1, -500))) == {3: (-497, 103)}
    assert _changed(_ramp(("spike", 1, 3, 2, 65535))) == {3: (3, 32767), 4: (4, 32767)}
    assert _changed(_ramp(("spike", 1, 3, 1, -65535))) == {3: (3, -32767)}


def test_missing_and_saturated_replace_the_count():
    assert _changed(_ramp(("missing", 0, 1, 1, 0), ("missing", -1, 6, 1, 0))) == {1: (HOLE, 101), 6: (HOLE, HOLE)}
    assert _changed(_ramp(("saturated", 0, 1, 1, 1), ("saturated", 1, 2, 1, -1))) == {1: (32767, 101), 2: (2, -32767)}


def test_a_stale_sensor_repeats_time_and_row_then_the_recording_goes_on():
    given = _ramp({"kind": "stale", "channel": -1, "start": 3, "length": 2})
    assert given[2:6] == [(20, 2, 102), (20, 2, 102), (20, 2, 102), (50, 5, 105)]
    assert len(given) == 8


def test_a_gap_leaves_rows_out_and_keeps_the_time_grid():
    given = _ramp(("gap", -1, 2, 3, 0))
    assert [sample[0] for sample in given] == [0, 10, 50, 60, 70]
    assert given[2] == (50, 5, 105)
    assert len(_ramp(("gap", -1, 6, 9, 0))) == 6
    assert _ramp(("gap", -1, 0, 9, 0)) == []


def test_faults_are_taken_in_order_of_start_and_may_overlap():
    given = _ramp(("spike", 0, 6, 1, 5), ("missing", 0, 1, 2, 0), ("saturated", 1, 2, 1, 0))
    assert _changed(given) == {1: (HOLE, 101), 2: (HOLE, 32767), 6: (11, 106)}


def test_time_wraps_at_30_bits():
    sensor = Replay(bytes(2 * 40), 1, (1 << 26) - 1)
    times = [sample[0] for sample in _all(sensor, 1)]
    assert times[:2] == [0, (1 << 26) - 1]
    assert times[16] == (1 << 30) - 16
    assert times[17] == (1 << 26) - 17


def test_a_turned_mounting_turns_each_triple_and_nothing_else():
    half = 8192
    root = 14189  # sqrt(3) / 2 in Q14
    turn = {"matrix": [16384, 0, 0, 0, half, -root, 0, root, half], "triples": [(0, 1, 2), (6, 5, 4)]}
    rows = array("h", (1000, 2000, -3000, 77, 10, -32767, 32767, 1, 2, HOLE, 5, 6, 7, 8))
    first, second = _all(Replay(rows, 7, 20, None, turn), 7)
    y = (half * 2000 + root * 3000 + 8192) >> 14
    z = (root * 2000 - half * 3000 + 8192) >> 14
    assert first[1:4] == (1000, y, z)
    assert first[4] == 77
    assert first[5:] == ((root * -32767 + half * 10 + 8192) >> 14, (half * -32767 - root * 10 + 8192) >> 14, 32767)
    assert second[1:5] == (HOLE, HOLE, HOLE, 5)
    corner = {"matrix": [16384] * 3 + [-16384] * 3 + [0] * 3, "triples": [(0, 1, 2)]}
    assert _all(Replay(array("h", [32767] * 3), 3, 20, None, corner), 3) == [(0, 32767, -32767, 0)]


def test_a_file_plays_as_its_bytes_do():
    random = Lcg(4)
    rows = array("h", [random.int16() for _ in range(3 * 100)])
    faults = (("gap", -1, 20, 50, 0), ("stuck", 1, 80, 10, 0), ("stale", -1, 95, 2, 0))
    name = "replay_test.bin"
    with open(name, "wb") as file:
        file.write(rows)
    try:
        sensor = Replay(name, 3, 20, faults)
        assert sensor.rows == 100
        from_file = _all(sensor, 3)
        sensor.close()
    finally:
        os.remove(name)
    assert len(from_file) == 50
    assert from_file == _all(Replay(rows, 3, 20, faults), 3)
    assert from_file == _all(Replay(memoryview(bytes(rows)), 3, 20, faults), 3)


def test_what_makes_no_sense_is_refused_by_name():
    for arguments, reason in (
        ((bytes(6), 2, 20), "rows"),
        ((array("h", [0] * 3), 2, 20), "rows"),
        ((bytes(8), 0, 20), "size"),
        ((bytes(8), 2, 0), "size"),
        ((bytes(8), 2, 20, [("melted", 0, 0, 1, 0)]), "fault"),
        ((bytes(8), 2, 20, [("stuck", 2, 0, 1, 0)]), "fault"),
        ((bytes(8), 2, 20, [("stale", -1, 0, 1, 0)]), "fault"),
        ((bytes(8), 2, 20, [("stuck", 0, 0, 0, 0)]), "fault"),
        ((bytes(6), 3, 20, None, {"matrix": [16385] + [0] * 8, "triples": [(0, 1, 2)]}), "turn"),
        ((bytes(6), 3, 20, None, {"matrix": [0] * 9, "triples": [(1, 2, 3)]}), "turn"),
    ):
        try:
            Replay(*arguments)
        except Refused as error:
            assert error.reason == "replay." + reason, error.reason
            continue
        assert False, arguments


def test_the_heap_does_not_move():
    turn = {"matrix": [16384, 0, 0, 0, 0, 16384, 0, -16384, 0], "triples": [(0, 1, 2)]}
    faults = [("stuck", 0, 10, 9, 0), ("stale", -1, 50, 5, 0), ("gap", -1, 100, 9, 0), ("spike", 2, 300, 1, 9000)]
    sensor = Replay(bytes(6 * 1000), 3, 20, faults, turn)
    row = array("h", [0] * 3)
    count = 0
    micropython.heap_lock()
    while sensor.read(row) >= 0:
        count += 1
    micropython.heap_unlock()
    assert count == 991
