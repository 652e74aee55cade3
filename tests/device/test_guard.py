"""The guard: each reason by itself, and how reasons bear on one another. Random sequences: test_guard_random.py."""

from array import array

from sensewell import reasons
from sensewell.guard import Guard
from sensewell.reasons import DISAGREE, GAP, MISSING, RANGE, RATE, SATURATED, SPIKE, STALE, STUCK
from sensewell.refusal import Refused

HOLE = -32768


def _run(watch, values, t_ms=0, period_ms=20):
    """Verdicts of one channel's values at a steady rate."""
    return [watch.check(array("h", [value]), t_ms + i * period_ms) for i, value in enumerate(values)]


def _one(**spec):
    return Guard([spec], 20)


def test_a_guard_without_limits_finds_fault_only_with_missing_and_time():
    assert _run(_one(), [0, 0, 32767, -32767, HOLE, 5]) == [0, 0, 0, 0, MISSING, 0]


def test_a_verdict_names_its_reasons():
    assert reasons.names(0) == []
    assert reasons.names(STUCK | MISSING | GAP) == ["missing", "stuck", "gap"]
    assert reasons.BAD == 255


def test_range_limits_are_inclusive_and_saturation_beats_them():
    watch = _one(lo_raw=-100, hi_raw=100, sat_lo_raw=-2000, sat_hi_raw=2000)
    values = [-100, 100, -101, 101, -1999, 1999, -2000, 2000, -32767, 32767]
    assert _run(watch, values) == [0, 0] + [RANGE] * 4 + [SATURATED] * 4
    assert watch.last_good[0] == 100
    assert _run(_one(sat_hi_raw=50), [49, 50, -32767]) == [0, SATURATED, 0]


def test_stuck_from_the_nth_equal_reading_on_with_the_earlier_ones_as_taint():
    watch = _one(stuck_n=4)
    tainted = []
    verdicts = []
    for i, value in enumerate([1, 7, 7, 7, 7, 7, 8, 8]):
        verdicts += _run(watch, [value], 20 * i)
        tainted.append(watch.taint)
    assert verdicts == [0, 0, 0, 0, STUCK, STUCK, 0, 0]
    assert tainted == [0, 0, 0, 0, 3, 0, 0, 0]


def test_noise_within_the_tolerance_is_stuck_and_a_slow_drift_is_not():
    assert _run(_one(stuck_n=4, stuck_tol_raw=2), [10, 12, 8, 11, 9, 13])[3:] == [STUCK, STUCK, 0]
    assert not any(_run(_one(stuck_n=4, stuck_tol_raw=2), range(100)))


def test_values_in_the_constant_band_may_stay_for_ever():
    watch = _one(stuck_n=3, constant_lo_raw=0, constant_hi_raw=5)
    assert _run(watch, [0, 0, 0, 0, 5, 5, 5, 6, 6, 6, 0, 0, 0]) == [0] * 9 + [STUCK] + [0] * 3


def test_missing_is_no_reading_for_the_stuck_run_nor_for_the_baseline():
    watch = _one(stuck_n=3, spike_raw=10)
    assert _run(watch, [4, HOLE, 4, HOLE]) == [0, MISSING, 0, MISSING]
    assert _run(watch, [4], 80) == [STUCK]
    assert watch.taint == 4
    assert _run(watch, [HOLE, 15, 14], 100) == [MISSING, SPIKE, 0]


def test_a_lone_spike_is_refused_and_does_not_become_the_baseline():
    watch = _one(spike_raw=100)
    assert _run(watch, [0, 101, 0, -101, -1, 99, 200]) == [0, SPIKE, 0, SPIKE, 0, 0, SPIKE]
    assert watch.last_good[0] == 99
    assert _run(_one(spike_raw=65535), [-32767, 32767]) == [0, 0]


def test_a_real_step_is_believed_after_resync_n_readings_that_agree():
    for n in (1, 2, 3, 7):
        watch = _one(spike_raw=100, resync_n=n)
        values = [0] + [5000 + 90 * (i & 1) for i in range(10)]
        assert _run(watch, values) == [0] + [SPIKE] * n + [0] * (10 - n)


def test_refused_readings_that_disagree_are_no_step():
    watch = _one(spike_raw=100)
    assert _run(watch, [0] + [5000, -5000] * 10) == [0] + [SPIKE] * 20
    assert _run(watch, [0, 5000, 5000, 0, 5000, 5000, 5000, 5000], 420) == [0, SPIKE, SPIKE, 0, SPIKE, SPIKE, SPIKE, 0]


def test_the_rate_limit_grows_with_the_periods_that_passed():
    assert _run(_one(rate_raw=10), [0, 10, 21, 30]) == [0, 0, RATE, 0]
    watch = Guard([{"rate_raw": 10}], 20, 1000)
    assert watch.check(array("h", [0]), 0) == 0
    assert watch.check(array("h", [30]), 60) == 0
    assert watch.check(array("h", [61]), 120) == RATE
    assert watch.check(array("h", [70]), 140) == 0
    assert _run(_one(rate_raw=10), [0, HOLE, HOLE, 30, 41]) == [0, MISSING, MISSING, 0, RATE]


def test_spike_and_rate_are_both_named():
    assert _run(_one(rate_raw=10, spike_raw=50), [0, 30, 30, 100]) == [0, RATE, RATE, SPIKE | RATE]
    assert _run(_one(rate_raw=10, spike_raw=50), [0, 51]) == [0, SPIKE | RATE]


def test_a_sample_whose_time_stands_still_or_goes_back_is_stale_and_teaches_nothing():
    watch = _one(stuck_n=3, spike_raw=100)
    row = array("h", [1])
    assert [watch.check(row, t) for t in (100, 100, 100, 80, 100)] == [0] + [STALE] * 4
    assert watch.verdicts[0] == STALE
    assert watch.check(array("h", [HOLE]), 100) == STALE | MISSING
    assert watch.verdicts[0] == MISSING
    assert watch.check(array("h", [5000]), 100) == STALE
    assert watch.last_good[0] == 1
    assert [watch.check(row, t) for t in (120, 140)] == [0, STUCK]


def test_a_frozen_clock_is_stale_for_ever_and_one_set_back_is_believed_as_a_gap():
    watch = _one()
    assert _run(watch, [1, 2], 5000) == [0, 0]
    assert _run(watch, range(9), 40, 0) == [STALE] * 9
    assert _run(watch, range(6), 0) == [STALE] * 3 + [GAP, 0, 0]


def test_time_may_wrap_at_30_bits():
    watch = _one()
    for i in range(10):
        assert watch.check(array("h", [i]), ((1 << 30) - 100 + 20 * i) & ((1 << 30) - 1)) == 0
        assert watch.missed == 0


def test_lost_periods_are_counted_rounded_and_a_long_jump_is_a_gap():
    watch = Guard([{}], 20, 100)
    row = array("h", [0])
    t_ms = 0
    watch.check(row, t_ms)
    for dt, missed in ((20, 0), (1, 0), (29, 0), (30, 1), (40, 1), (49, 1), (50, 2), (100, 4), (101, 4), (2000, 99)):
        t_ms += dt
        assert watch.check(row, t_ms) == (GAP if dt > 100 else 0)
        assert watch.missed == missed, (dt, watch.missed)
    watch.check(row, t_ms + 20)
    assert watch.missed == 0


def test_a_gap_renews_baselines_and_judges_values_as_usual():
    watch = _one(spike_raw=10, hi_raw=1000)
    assert _run(watch, [0]) == [0]
    assert _run(watch, [500, 520], 1000) == [GAP, SPIKE]
    assert _run(watch, [1001], 3000) == [GAP | RANGE]
    assert list(watch.verdicts) == [RANGE]
    assert watch.last_good[0] == 500


def test_channels_that_stay_apart_are_both_marked_after_the_dwell():
    watch = Guard([{}, {}, {}], 20, 0, [{"a": 0, "b": 2, "limit_raw": 10, "dwell": 3}])
    rows = [
        (0, 0, 10),
        (0, 0, 11),
        (0, 0, 11),
        (0, 0, 0),
        (0, 0, 11),
        (0, 0, -11),
        (HOLE, 0, 0),
        (9, 0, 20),
        (9, 0, 20),
    ]
    verdicts = [watch.check(array("h", row), 20 * i) for i, row in enumerate(rows)]
    assert verdicts == [0, 0, 0, 0, 0, 0, MISSING, DISAGREE, DISAGREE]
    assert list(watch.verdicts) == [DISAGREE, 0, DISAGREE]
    assert watch.check(array("h", [20, 0, 20]), 180) == 0
    assert list(watch.last_good) == [20, 0, 20]


def test_counters_count_samples_per_reason():
    watch = Guard([{"hi_raw": 5}, {"hi_raw": 5}], 20)
    for i, row in enumerate(((1, 1), (6, 6), (HOLE, 6), (1, 1))):
        watch.check(array("h", row), i * 20)
    watch.check(array("h", (1, 1)), 500)
    assert list(watch.counters) == [1, 2, 0, 0, 0, 0, 0, 0, 1]
    assert watch.samples == 5
    watch.reset()
    assert watch.samples == 5 and watch.last_good[0] == 0
    assert watch.check(array("h", (1, 1)), 0) == 0


def test_settings_that_make_no_sense_are_refused_by_name():
    for spec, reason in (
        ({"lo_raw": 5, "hi_raw": 4}, "range"),
        ({"lo_raw": -40000}, "lo_raw"),
        ({"sat_lo_raw": 5, "sat_hi_raw": 5}, "saturation"),
        ({"hi_raw": 5, "sat_lo_raw": 6}, "saturation"),
        ({"stuck_n": 1}, "stuck_n"),
        ({"stuck_n": -1}, "stuck_n"),
        ({"stuck_tol_raw": -1}, "stuck_tol_raw"),
        ({"constant_lo_raw": 0}, "constant"),
        ({"constant_lo_raw": 1, "constant_hi_raw": 0}, "constant"),
        ({"spike_raw": -1}, "spike_raw"),
        ({"rate_raw": "fast"}, "rate_raw"),
        ({"resync_n": 0}, "resync_n"),
    ):
        _refused("guard." + reason, [spec], 20)
    _refused("guard.channels", [], 20)
    _refused("guard.period_ms", [{}], 0)
    _refused("guard.gap_ms", [{}], 20, 10)
    _refused("guard.b", [{}], 20, 0, [{"a": 0, "b": 1, "limit_raw": 1}])
    _refused("guard.disagree", [{}], 20, 0, [{"a": 0, "b": 0, "limit_raw": 1}])
    _refused("guard.limit_raw", [{}, {}], 20, 0, [{"a": 0, "b": 1}])


def _refused(reason, *arguments):
    try:
        Guard(*arguments)
    except Refused as error:
        assert error.reason == reason, error.reason
        return
    assert False, arguments
